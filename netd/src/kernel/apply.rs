//! The applier: does what a plan says (`undo` has the inverses).
//!
//! A plan's journal is durable before the first step. On an error everything that was made is undone in reverse; an object
//! that isn't there any more is undone; what can't be undone is reported with the command that removes it. Undo after a
//! crash treats a step that was only intended as done, and so touches only what carries our mark.

use super::announce::{Announcement, Announcer};
use super::failpoint::{Failpoint, guarded};
use super::journal::LeftBehind;
use super::netlink::Netlink;
use super::netns::within;
use super::nft::Nft;
use super::vxlan::{self, VxlanSpec};
use super::wireguard::{self, WireGuard};
use super::{KernelError, addr, conntrack, lan, link, probe, route, rule, sysctl};
use netd_api::{IfName, Mac};
use netd_core::keys::Secret;
use netd_core::plan::{Op, Outcome, Plan, Scope, Step};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;

/// netd's hands: its sockets in its own network namespace.
pub struct Kernel {
    pub route: Netlink,
    pub nft: Nft,
    pub(super) conntrack: Netlink,
    /// Opened when it is needed: the kernel may have none.
    wireguard: Option<WireGuard>,
    /// This host's private keys by generation: plans and journals know no more than that.
    pub secrets: BTreeMap<u32, Secret>,
    /// Runs from the first announcement on.
    announcer: Option<Announcer>,
    pub(super) failpoint: Option<Failpoint>,
}

/// A plan that could not be applied. What it had made is undone, but for `left`.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct ApplyError {
    pub what: String,
    #[source]
    pub cause: KernelError,
    pub left: Vec<LeftBehind>,
}

impl Kernel {
    /// Opens the sockets in the calling thread's network namespace.
    pub fn open(plain_tables: bool, failpoint: Option<Failpoint>) -> Result<Self, KernelError> {
        let (route, nft, conntrack) = (Netlink::route()?, Nft::open(plain_tables)?, Netlink::netfilter()?);
        Ok(Self { route, nft, conntrack, wireguard: None, secrets: BTreeMap::new(), announcer: None, failpoint })
    }

    /// WireGuard, if the kernel has it. Nothing is made.
    pub fn wireguard(&mut self) -> Result<&mut WireGuard, KernelError> {
        let opened = match self.wireguard.take() {
            Some(open) => open,
            None => WireGuard::open()?,
        };
        Ok(self.wireguard.insert(opened))
    }

    /// Applies a plan. Container steps need `netns`.
    pub fn apply(&mut self, plan: &Plan, netns: Option<BorrowedFd<'_>>) -> Result<Vec<Outcome>, ApplyError> {
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(plan.steps.len());
        let mut rest = plan.steps.as_slice();
        while let Some(first) = rest.first() {
            let run = rest.iter().take_while(|s| s.scope == first.scope).count();
            let (steps, behind) = rest.split_at(run);
            let failed = self.apply_run(steps, netns, &mut outcomes);
            if let Err(cause) = failed {
                let at = outcomes.len();
                // The step that failed may have done a part of its work.
                outcomes.push(Outcome::Intended);
                let left = self.undo(&plan.steps[..=at], &outcomes, netns);
                return Err(ApplyError { what: plan.steps[at].op.describe(), cause, left });
            }
            rest = behind;
        }
        Ok(outcomes)
    }

    fn apply_run(
        &mut self,
        steps: &[Step],
        netns: Option<BorrowedFd<'_>>,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), KernelError> {
        match steps.first().map(|s| s.scope) {
            Some(Scope::Container) => {
                let netns = netns.ok_or(KernelError::NoNetns)?;
                let failpoint = &mut self.failpoint;
                within(netns, || {
                    let mut route = Netlink::route()?;
                    steps.iter().try_for_each(|step| {
                        let done = guarded(failpoint, &step.op, || ensure_inside(&mut route, &step.op))?;
                        outcomes.push(done);
                        Ok(())
                    })
                })
            }
            _ => steps.iter().try_for_each(|step| {
                let mut failpoint = self.failpoint.take();
                let done = guarded(&mut failpoint, &step.op, || self.ensure(&step.op, netns));
                self.failpoint = failpoint;
                outcomes.push(done?);
                Ok(())
            }),
        }
    }

    fn ensure(&mut self, op: &Op, netns: Option<BorrowedFd<'_>>) -> Result<Outcome, KernelError> {
        match op {
            Op::Bridge { name, mac, mtu, alias } => {
                let made = link::add_bridge(&mut self.route, name, *mac, *mtu, alias);
                self.made_or_ours(made, name.as_str(), alias, *mac)
            }
            Op::Veth { host, host_mac, peer, mac, mtu, bridge, alias } => {
                let index = link::find(&mut self.route, bridge.as_str())?.index;
                let spec =
                    link::VethSpec { host, host_mac: *host_mac, peer, mac: *mac, mtu: *mtu, bridge: index, alias };
                link::add_veth(&mut self.route, &spec, netns.ok_or(KernelError::NoNetns)?)?;
                Ok(Outcome::Created)
            }
            Op::Vlan { name, parent, id, alias } => {
                let index = link::find(&mut self.route, parent.as_str())?.index;
                let made = lan::add_vlan(&mut self.route, name, index, *id, alias);
                // Another network's, or the host's own: that one is used, and stays.
                made.map(|made| if made { Outcome::Created } else { Outcome::AlreadyThere })
            }
            Op::Dummy { name, mac, mtu, alias } => {
                let made = lan::add_dummy(&mut self.route, name, *mac, *mtu, alias);
                self.made_or_ours(made, name.as_str(), alias, *mac)
            }
            Op::Shim { name, parent, kind, mac, mtu, alias } => {
                let spec = lan::ChildSpec { name, kind: *kind, mac: *mac, mtu: *mtu };
                let made = lan::add_child(&mut self.route, &spec, parent, None);
                if made.is_ok() {
                    link::mark(&mut self.route, name, alias, false)?;
                }
                self.made_or_ours(made, name.as_str(), alias, mac.unwrap_or(Mac([0; 6])))
            }
            Op::Vxlan { name, vni, local, port, mtu, mac, bridge, alias } => {
                let index = link::find(&mut self.route, bridge.as_str())?.index;
                let (vni, local, port, mtu, mac) = (*vni, *local, *port, *mtu, *mac);
                // One whose bridge had gone, or of before a crash.
                link::delete_marked(&mut self.route, name.as_str(), alias, Some(mac))?;
                vxlan::add(&mut self.route, &VxlanSpec { name, vni, local, port, mtu, mac, bridge: index, alias })?;
                Ok(Outcome::Created)
            }
            Op::Forward { link, mac, to } => {
                vxlan::forward(&mut self.route, link, *mac, *to).map(|()| Outcome::Created)
            }
            Op::Flood { link, to } => vxlan::flood(&mut self.route, link, *to).map(|()| Outcome::Created),
            Op::Neighbour { link, address, mac } => {
                vxlan::neighbour(&mut self.route, link, *address, *mac).map(|()| Outcome::Created)
            }
            Op::WireGuard { name, generation, port, mtu, .. } => {
                wireguard::add(&mut self.route, name, *mtu)?;
                let secret = self.secrets.get(generation).cloned().ok_or(KernelError::NoKey(*generation))?;
                self.wireguard()?.set_key(name, &secret, *port).map(|()| Outcome::Created)
            }
            Op::WireGuardPeer { link, key, endpoint, address } => {
                self.wireguard()?.set_peer(link, key, *endpoint, *address).map(|()| Outcome::Created)
            }
            Op::Child { name, born, parent, kind, mac, mtu } => {
                let netns = netns.ok_or(KernelError::NoNetns)?;
                let spec = lan::ChildSpec { name: born, kind: *kind, mac: *mac, mtu: *mtu };
                lan::add_child(&mut self.route, &spec, parent, Some(netns))?;
                within(netns, || lan::rename(&mut Netlink::route()?, born, name)).map(|()| Outcome::Created)
            }
            Op::Table => {
                let elements = std::collections::BTreeSet::new();
                self.nft.write(elements).map(|()| Outcome::Created)
            }
            Op::UserTable => {
                self.nft.add_user_table().map(|made| if made { Outcome::Created } else { Outcome::AlreadyThere })
            }
            Op::Elements { elements } => self.nft.add(elements).map(|()| Outcome::Created),
            Op::Announce { link, addresses, port: Some(port) } => {
                let announcer = match &mut self.announcer {
                    Some(running) => running,
                    none => none.insert(Announcer::start()?),
                };
                let netns = netns.ok_or(KernelError::NoNetns)?.try_clone_to_owned();
                let netns = netns.map_err(|error| KernelError::io("keep a network namespace", &error))?;
                let (link, port, addresses) = (link.to_string(), port.to_string(), addresses.clone());
                announcer.add(Announcement { netns, link, addresses, port });
                Ok(Outcome::Created)
            }
            Op::ForgetFlows { address, port } => {
                conntrack::forget(&mut self.conntrack, *address, *port).map(|_| Outcome::Created)
            }
            Op::Join { .. }
            | Op::Port { .. }
            | Op::Address { .. }
            | Op::Up { .. }
            | Op::Route { .. }
            | Op::ReplyRoute { .. }
            | Op::Mtu { .. }
            | Op::Probe { .. }
            | Op::Announce { .. }
            | Op::Sysctl { .. } => ensure_inside(&mut self.route, op),
        }
    }

    fn made_or_ours(
        &mut self,
        made: Result<(), KernelError>,
        name: &str,
        alias: &str,
        mac: Mac,
    ) -> Result<Outcome, KernelError> {
        match made {
            Ok(()) => Ok(Outcome::Created),
            Err(error) if error.errno() == Some(Errno::EEXIST) => {
                let seen = link::find(&mut self.route, name)?;
                if link::is_ours(&seen, alias, mac) {
                    // Ours from before a crash: it goes with this journal.
                    return Ok(Outcome::Created);
                }
                Err(KernelError::NotOurs(name.to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    /// Silences a container's port ahead of its end: its address may be another's in a moment, and its namespace, which
    /// goes away only in the background, would still answer for it.
    pub fn close_port(&mut self, link: &str, alias: &str) -> Result<(), KernelError> {
        link::close_port(&mut self.route, link, alias)
    }
}

/// A tunnel listens from when it is up: which port somebody else has.
fn port_taken(socket: &mut Netlink, link: &IfName, error: KernelError) -> KernelError {
    match vxlan::port_of(socket, link.as_str()) {
        Some(port) => KernelError::Call { what: format!("listen on UDP port {port}"), errno: Errno::EADDRINUSE },
        None => error,
    }
}

fn ensure_inside(socket: &mut Netlink, op: &Op) -> Result<Outcome, KernelError> {
    match op {
        Op::Join { link, bridge } => {
            let (index, bridge) =
                (link::find(socket, link.as_str())?.index, link::find(socket, bridge.as_str())?.index);
            link::join(socket, index, bridge).map(|()| Outcome::Created)
        }
        Op::Port { link, isolated, hairpin } => {
            let index = link::find(socket, link.as_str())?.index;
            link::set_port(socket, index, *isolated, *hairpin).map(|()| Outcome::Created)
        }
        Op::Address { link, address } => {
            let index = link::find(socket, link.as_str())?.index;
            match addr::add(socket, index, *address) {
                Err(error) if error.errno() == Some(Errno::EEXIST) => Ok(Outcome::AlreadyThere),
                other => other.map(|()| Outcome::Created),
            }
        }
        Op::Up { link } => {
            let index = link::find(socket, link.as_str())?.index;
            match link::set_up(socket, index) {
                Err(error) if error.errno() == Some(Errno::EADDRINUSE) => Err(port_taken(socket, link, error)),
                other => other.map(|()| Outcome::Created),
            }
        }
        Op::Route { to, via, link } => {
            let index = link::find(socket, link.as_str())?.index;
            route::replace(socket, index, *to, *via).map(|()| Outcome::Created)
        }
        Op::Probe { link, addresses } => probe::probe(socket, link.as_str(), addresses).map(|()| Outcome::Created),
        Op::Announce { link, addresses, .. } => {
            probe::announce(socket, link.as_str(), addresses).map(|()| Outcome::Created)
        }
        Op::Mtu { link, to, .. } => {
            let index = link::find(socket, link.as_str())?.index;
            link::set_mtu(socket, index, *to).map(|()| Outcome::Created)
        }
        Op::ReplyRoute { address, via, link } => {
            let index = link::find(socket, link.as_str())?.index;
            rule::add(socket, index, *address, *via).map(|()| Outcome::Created)
        }
        Op::Sysctl { key, value, .. } => {
            let old = sysctl::write(key, value)?;
            Ok(old.map_or(Outcome::AlreadyThere, Outcome::Replaced))
        }
        // The host's alone; plans never ask for them in a container.
        Op::Bridge { .. }
        | Op::Veth { .. }
        | Op::Vlan { .. }
        | Op::Dummy { .. }
        | Op::Child { .. }
        | Op::Shim { .. }
        | Op::Vxlan { .. }
        | Op::Forward { .. }
        | Op::Flood { .. }
        | Op::Neighbour { .. }
        | Op::WireGuard { .. }
        | Op::WireGuardPeer { .. }
        | Op::Table
        | Op::UserTable
        | Op::Elements { .. }
        | Op::ForgetFlows { .. } => Err(KernelError::NoNetns),
    }
}
