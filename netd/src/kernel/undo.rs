//! The inverse of every op, and the command that finishes it where it fails.

use super::apply::Kernel;
use super::failpoint::guarded;
use super::journal::LeftBehind;
use super::netlink::Netlink;
use super::netns::within;
use super::{KernelError, addr, conntrack, lan, link, route, rule, sysctl, vxlan, wireguard};
use netd_core::plan::{Op, Outcome, Scope, Step};
use nix::errno::Errno;
use std::os::fd::BorrowedFd;

impl Kernel {
    /// Undoes steps in reverse, as far as it was we who did them. All errors are collected.
    pub fn undo(&mut self, steps: &[Step], outcomes: &[Outcome], netns: Option<BorrowedFd<'_>>) -> Vec<LeftBehind> {
        let mut left = Vec::new();
        for (step, outcome) in steps.iter().zip(outcomes).rev() {
            if matches!(outcome, Outcome::AlreadyThere | Outcome::Skipped) {
                continue;
            }
            let mut failpoint = self.failpoint.take();
            let undone = guarded(&mut failpoint, &step.op, || self.undo_one(step, outcome, netns));
            self.failpoint = failpoint;
            match undone {
                Ok(()) => {}
                Err(error) if error.is_gone() => {}
                Err(error) => left.push(left_behind(step, outcome, &error)),
            }
        }
        // At last: what was published is no more, so nothing makes them anew.
        for (step, _) in steps.iter().zip(outcomes).filter(|(_, outcome)| **outcome != Outcome::Skipped) {
            if let Op::ForgetFlows { address, port: port @ Some(_) } = &step.op {
                // They end by themselves, later.
                let _ = conntrack::forget(&mut self.conntrack, *address, *port);
            }
        }
        left
    }

    fn undo_one(&mut self, step: &Step, outcome: &Outcome, netns: Option<BorrowedFd<'_>>) -> Result<(), KernelError> {
        match (&step.op, step.scope) {
            (Op::Bridge { name, alias, mac, .. }, _) => {
                link::delete_marked(&mut self.route, name.as_str(), alias, Some(*mac)).map(|_| ())
            }
            (Op::Veth { host, alias, host_mac, .. }, _) => {
                link::delete_marked(&mut self.route, host.as_str(), alias, Some(*host_mac)).map(|_| ())
            }
            (Op::Vlan { name, alias, .. }, _) => lan::delete_vlan(&mut self.route, name, alias),
            (Op::Dummy { name, alias, mac, .. }, _) => {
                link::delete_marked(&mut self.route, name.as_str(), alias, Some(*mac)).map(|_| ())
            }
            (Op::Shim { name, alias, mac, .. }, _) => {
                link::delete_marked(&mut self.route, name.as_str(), alias, *mac).map(|_| ())
            }
            (Op::Vxlan { name, alias, mac, .. }, _) => {
                link::delete_marked(&mut self.route, name.as_str(), alias, Some(*mac)).map(|_| ())
            }
            (Op::Forward { link, mac, to }, _) => vxlan::stop_forward(&mut self.route, link, *mac, *to),
            (Op::Flood { link, to }, _) => vxlan::stop_flood(&mut self.route, link, *to),
            (Op::Neighbour { link, address, .. }, _) => vxlan::stop_neighbour(&mut self.route, link, *address),
            (Op::WireGuard { name, .. }, _) => wireguard::delete(&mut self.route, name),
            (Op::WireGuardPeer { link, key, .. }, _) => self.wireguard()?.remove_peer(link, key),
            (Op::Child { name, born, .. }, _) => match netns {
                Some(netns) => within(netns, || {
                    let mut inside = Netlink::route()?;
                    // Under its first name after a crash before the second.
                    let first = lan::delete_child(&mut inside, born);
                    if first.as_ref().is_err_and(KernelError::is_gone) {
                        lan::delete_child(&mut inside, name)
                    } else {
                        first
                    }
                }),
                // It goes with the namespace.
                None => Ok(()),
            },
            (Op::Table, _) => self.nft.delete(),
            // One that was there before and only intended may be somebody's: it goes only while it is empty, as always.
            (Op::UserTable, _) => self.nft.delete_user_table(),
            (Op::Elements { elements }, _) if self.nft.wanted() => self.nft.remove(elements),
            (Op::Sysctl { key, value, undo: Some(old) }, Scope::Host) => put_back(key, value, old),
            (Op::Sysctl { key, value, .. }, Scope::Container) => match (outcome, netns) {
                (Outcome::Replaced(old), Some(netns)) => within(netns, || put_back(key, value, old)),
                _ => Ok(()),
            },
            (Op::Route { to, via, link }, Scope::Container) => match netns {
                Some(netns) => within(netns, || {
                    let mut inside = Netlink::route()?;
                    let index = link::find(&mut inside, link.as_str())?.index;
                    route::delete(&mut inside, index, *to, *via)
                }),
                None => Ok(()),
            },
            (Op::Route { to, via, link }, Scope::Host) => {
                let index = link::find(&mut self.route, link.as_str())?.index;
                route::delete(&mut self.route, index, *to, *via)
            }
            (Op::Mtu { .. } | Op::Address { .. }, Scope::Host) => undo_inside(&mut self.route, &step.op),
            (Op::Mtu { .. } | Op::Address { .. }, Scope::Container) => match netns {
                Some(netns) => within(netns, || undo_inside(&mut Netlink::route()?, &step.op)),
                None => Ok(()),
            },
            (Op::ReplyRoute { address, via, link }, _) => match netns {
                Some(netns) => within(netns, || {
                    let mut inside = Netlink::route()?;
                    let index = link::find(&mut inside, link.as_str()).ok().map(|link| link.index);
                    rule::delete(&mut inside, index, *address, *via)
                }),
                None => Ok(()),
            },
            // Flags, states and link sysctls go with their link; elements with their table; flows are gone.
            (Op::Join { .. } | Op::Port { .. } | Op::Up { .. } | Op::Sysctl { .. }, _) => Ok(()),
            (Op::Elements { .. } | Op::ForgetFlows { .. } | Op::Probe { .. } | Op::Announce { .. }, _) => Ok(()),
        }
    }
}

/// Puts an old value back, if the value is still the one that we set.
fn put_back(key: &str, ours: &str, old: &str) -> Result<(), KernelError> {
    if sysctl::read(key)? == ours {
        sysctl::write(key, old)?;
    }
    Ok(())
}

fn undo_inside(socket: &mut Netlink, op: &Op) -> Result<(), KernelError> {
    match op {
        Op::Mtu { link, from, .. } => {
            let index = link::find(socket, link.as_str())?.index;
            link::set_mtu(socket, index, *from)
        }
        Op::Address { link, address } => {
            let index = link::find(socket, link.as_str())?.index;
            match addr::delete(socket, index, *address) {
                Err(error) if error.errno() == Some(Errno::EADDRNOTAVAIL) => Ok(()),
                other => other,
            }
        }
        _ => Ok(()),
    }
}

fn left_behind(step: &Step, outcome: &Outcome, error: &KernelError) -> LeftBehind {
    let op = &step.op;
    let command = match op {
        Op::Bridge { name, .. } => format!("ip link del {name}"),
        Op::Veth { host, .. } => format!("ip link del {host}"),
        Op::Vlan { name, .. } | Op::Dummy { name, .. } | Op::Shim { name, .. } => format!("ip link del {name}"),
        Op::Child { name, .. } => format!("ip -n NETNS link del {name}"),
        Op::Vxlan { name, .. } | Op::WireGuard { name, .. } => format!("ip link del {name}"),
        Op::WireGuardPeer { link, key, .. } => format!("wg set {link} peer {key} remove"),
        Op::Forward { link, mac, .. } => format!("bridge fdb del {mac} dev {link}"),
        Op::Flood { link, to } => format!("bridge fdb del 00:00:00:00:00:00 dev {link} dst {to}"),
        Op::Neighbour { link, address, .. } => format!("ip neigh del {address} dev {link}"),
        Op::Address { link, address } => format!("ip addr del {address} dev {link}"),
        Op::Route { to, link, .. } => format!("ip route del {to} dev {link}"),
        Op::Sysctl { key, undo, .. } => {
            format!("sysctl -w {key}={}", undo.as_deref().unwrap_or("0"))
        }
        Op::UserTable => "nft delete table inet rcr-user".to_owned(),
        Op::Mtu { link, from, .. } => format!("ip link set {link} mtu {from}"),
        Op::ReplyRoute { address, .. } => format!("ip -n NETNS rule del from {}", address.addr()),
        Op::ForgetFlows { address, .. } => format!("conntrack -D -d {address}"),
        Op::Join { link, .. }
        | Op::Port { link, .. }
        | Op::Up { link }
        | Op::Probe { link, .. }
        | Op::Announce { link, .. } => format!("ip link show {link}"),
        Op::Table | Op::Elements { .. } => "nft delete table inet rcr".to_owned(),
    };
    let what = format!("{}: {error}", op.describe());
    LeftBehind { what, command, step: step.clone(), outcome: outcome.clone() }
}
