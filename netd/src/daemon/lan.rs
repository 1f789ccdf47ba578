//! Networks on a link of the host (macvlan, ipvlan): designed, refused where they cannot be, their parents shared.

use super::failures::{kernel_failed, refused, store_failed};
use super::host::Host;
use super::records::Networks;
use super::records::network_key;
use super::state::Daemon;
use crate::clock::unix_time;
use crate::kernel::{Journal, is_wireless, load_dummy_module};
use crate::random::{no_random, random_mac};
use crate::store::Durability;
use ipnet::IpNet;
use netd_api::{ApiError, AttachmentRequest, DriverSpec, ErrorKind, IfName, NetworkCreate, NetworkId};
use netd_core::drivers;
use netd_core::drivers::lan::{self, ParentUse};
use netd_core::marks::is_our_vlan;
use netd_core::model::{Network, OwnLink, Parent, Subnet};
use netd_core::plan::{Child, Observed, Purpose, Step};
use std::net::IpAddr;

/// The name of an address that a host has itself, in a network's auxiliary addresses.
const HOST: &str = "host";
/// The name of the address of the host's own link there.
const OWN_LINK: &str = "own-link";

impl Daemon {
    /// Refuses what the network's driver can't give.
    pub(super) fn check_attachment(
        &self,
        id: &NetworkId,
        request: &AttachmentRequest,
        what: &str,
    ) -> Result<(), ApiError> {
        let Some(state) = self.host.networks.get(id) else {
            return Ok(());
        };
        if self.host.networks.leases_from_lan(id) {
            super::dhcp::refuse_choice(request, what)?;
        }
        let other = self.sandboxes.on(id).next().map(|other| other.record.name.as_str());
        let driver = drivers::of(&state.network.driver);
        driver.check_attachment(&state.network, request, other).map_err(|refusal| refused(what, refusal))
    }
}

impl Host {
    /// Checks what is asked for and chooses the rest. Nothing is changed.
    pub(super) fn design_lan(
        &mut self,
        mut spec: NetworkCreate,
        kind: Child,
        id: NetworkId,
        what: &str,
    ) -> Result<Network, ApiError> {
        let seen = self.ledger.observe(false).map_err(|error| kernel_failed(what, &error))?;
        let parent = self.choose_parent(&spec.driver, kind, &id, &seen, what)?;
        self.check_kinds(kind, &parent, what)?;
        // Without a parent, or inside: no way out.
        let internal = spec.internal || matches!(parent, Parent::Own(_));
        let joined = lan::joins_lan(kind).then(|| parent.name().clone());
        if let Some(name) = &joined {
            reserve_host_addresses(&mut spec, name, &seen);
        }
        if kind_is_routed(kind) {
            // No host carries the gateway's address: it would only be wasted.
            spec.subnets.iter_mut().for_each(|s| s.no_gateway = s.gateway.is_none());
        }
        let access = spec.driver.lan().is_some_and(|o| o.host_access);
        if access {
            lan::fits_host(kind).map_err(|why| refused(what, why))?;
        }
        let dhcp = spec.driver.lan().is_some_and(|o| o.dhcp);
        if dhcp {
            super::dhcp::refuse_network(&spec, joined.is_some(), matches!(parent, Parent::Own(_)), what)?;
        }
        let mut subnets = if dhcp { Vec::new() } else { self.choose_subnets(&spec, joined.as_ref(), what)? };
        let own_link = if access { Some(make_own_link(&id, &mut subnets, what)?) } else { None };
        let ipv6 = subnets.iter().any(|s| matches!(s.subnet, IpNet::V6(_)));
        let (interface, parent) = (Some(parent.name().clone()), Some(parent));
        let NetworkCreate { name, driver, labels, .. } = spec;
        let mac = random_mac().map_err(|error| no_random(what, &error))?;
        let (created, predefined) = (unix_time(), false);
        Ok(Network {
            id,
            name,
            driver,
            internal,
            ipv6,
            subnets,
            interface,
            parent,
            own_link,
            mac,
            dns: Vec::new(),
            shared: false,
            labels,
            created,
            predefined,
            version: 0,
        })
    }

    fn choose_parent(
        &self,
        driver: &DriverSpec,
        kind: Child,
        id: &NetworkId,
        seen: &Observed,
        what: &str,
    ) -> Result<Parent, ApiError> {
        let Some(wanted) = driver.lan().and_then(|o| o.parent.clone()) else {
            let name = format!("dm-{}", id.short());
            let name =
                name.parse().map_err(|error| ApiError::new(ErrorKind::System, what).caused_by(format!("{error}")))?;
            return Ok(Parent::Own(name));
        };
        let foreign = seen.links.get(&wanted).filter(|link| !is_our_vlan(&wanted, link));
        let parent = match lan::vlan_of(&wanted) {
            Some((on, id)) if foreign.is_none() => Parent::Vlan { name: wanted.clone(), on, id },
            _ => Parent::Given(wanted.clone()),
        };
        let on = match &parent {
            Parent::Vlan { on, .. } => on,
            _ => &wanted,
        };
        // A VLAN's frames are the card's own.
        let wireless = is_wireless(on);
        lan::fits_link(on, seen.links.get(on), wireless, kind).map_err(|why| refused(what, why))?;
        lan::fits_others(&wanted, kind, &self.networks.parent_uses()).map_err(|why| refused(what, why))?;
        Ok(parent)
    }

    /// Whether the kernel has all the link kinds that the network needs.
    fn check_kinds(&mut self, kind: Child, parent: &Parent, what: &str) -> Result<(), ApiError> {
        let of_parent = match parent {
            Parent::Given(_) => None,
            Parent::Vlan { .. } => Some("vlan"),
            Parent::Own(_) => Some("dummy"),
        };
        if of_parent == Some("dummy") {
            load_dummy_module();
        }
        for kind in of_parent.into_iter().chain([kind.name()]) {
            let known = self.ledger.knows_kind(kind).map_err(|error| kernel_failed(what, &error))?;
            if !known {
                let option = lan::config_option(kind);
                return Err(ApiError::new(ErrorKind::System, what)
                    .caused_by(format!("this kernel has no links of kind `{kind}` ({option})"))
                    .hint(format!(
                        "load the module, `modprobe {}`, or take a kernel that has {option}",
                        module(kind)
                    )));
            }
        }
        Ok(())
    }

    /// Before a network goes down: another network takes over the VLAN link that both sit on, and its steps in the
    /// journal.
    pub(super) fn hand_parent_over(&mut self, id: &NetworkId, mut journal: Journal) -> Result<Journal, ApiError> {
        let of_parent = |step: &Step| step.purpose == Purpose::Parent;
        let makes = journal.plan.steps.iter().any(of_parent);
        let heir = self.networks.get(id).and_then(|state| self.networks.heir(&state.network));
        let Some((heir, state)) = heir.filter(|_| makes).and_then(|h| Some((h.clone(), self.networks.get_mut(&h)?)))
        else {
            return Ok(journal);
        };
        let all = std::mem::take(&mut journal.plan.steps).into_iter().zip(std::mem::take(&mut journal.outcomes));
        let (handed, kept): (Vec<_>, Vec<_>) = all.partition(|(step, _)| of_parent(step));
        (journal.plan.steps, journal.outcomes) = kept.into_iter().unzip();
        let (handed, outcomes): (Vec<_>, Vec<_>) = handed.into_iter().unzip();
        if let Some(theirs) = &mut state.journal {
            theirs.plan.steps.splice(0..0, handed);
            theirs.outcomes.splice(0..0, outcomes);
            let both = [(network_key(&heir), &*theirs), (network_key(id), &journal)];
            self.ledger
                .keep(Vec::new(), &both, Durability::Durable)
                .map_err(|error| store_failed("cannot hand a VLAN link over", &error))?;
        }
        Ok(journal)
    }
}

impl Networks {
    fn parent_uses(&self) -> Vec<ParentUse> {
        let use_of = |network: &Network| {
            let (parent, kind) = (network.parent.as_ref()?.name().clone(), lan::child(&network.driver)?);
            Some(ParentUse { network: network.name.to_string(), parent, kind })
        };
        self.values().filter_map(|state| use_of(&state.network)).collect()
    }

    /// Whether another network that is up has made this one's VLAN link.
    pub(super) fn shares_parent(&self, network: &Network) -> bool {
        self.heir(network).is_some()
    }

    /// Another network that is up on the same VLAN link of ours.
    fn heir(&self, network: &Network) -> Option<NetworkId> {
        let Some(parent @ Parent::Vlan { .. }) = &network.parent else {
            return None;
        };
        let same = |other: &Network| other.id != network.id && other.parent.as_ref() == Some(parent);
        let found = self.values().find(|state| state.journal.is_some() && same(&state.network));
        found.map(|state| state.network.id.clone())
    }
}

fn kind_is_routed(kind: Child) -> bool {
    !lan::joins_lan(kind)
}

fn module(kind: &str) -> &str {
    if kind == "vlan" { "8021q" } else { kind }
}

/// The host's own link beside the containers', with the last free address of each subnet, which is then nobody else's.
fn make_own_link(id: &NetworkId, subnets: &mut [Subnet], what: &str) -> Result<OwnLink, ApiError> {
    let name = format!("sh-{}", id.short());
    let name = name.parse().map_err(|error| ApiError::new(ErrorKind::System, what).caused_by(format!("{error}")))?;
    let (mut addresses, mut of_host) = (Vec::new(), Vec::new());
    for subnet in subnets {
        of_host.extend(subnet.aux_addresses.iter().filter(|(name, _)| name.starts_with(HOST)).map(|(_, a)| *a));
        let taken = |a: &IpAddr| subnet.gateway == Some(*a) || subnet.aux_addresses.values().any(|other| other == a);
        let Some(own) = last_free(subnet.ip_range.unwrap_or(subnet.subnet), taken) else {
            return Err(ApiError::new(ErrorKind::Exhausted, what)
                .caused_by(format!("subnet `{}` has no address left for the host's own link", subnet.subnet)));
        };
        subnet.aux_addresses.insert(OWN_LINK.to_owned(), own);
        addresses.push(own);
    }
    Ok(OwnLink { name, addresses, of_host })
}

fn last_free(range: IpNet, taken: impl Fn(&IpAddr) -> bool) -> Option<IpAddr> {
    match range {
        IpNet::V4(net) => net.hosts().rev().map(IpAddr::V4).find(|a| !taken(a)),
        IpNet::V6(net) => net.hosts().rev().map(IpAddr::V6).find(|a| !taken(a)),
    }
}

/// The host's own addresses on the parent are not for containers.
pub(super) fn reserve_host_addresses(spec: &mut NetworkCreate, parent: &IfName, seen: &Observed) {
    let own: Vec<_> = seen.addresses.iter().filter(|(link, _)| link == parent).map(|(_, net)| net.addr()).collect();
    for asked in &mut spec.subnets {
        let mut here = own.iter().filter(|address| asked.subnet.contains(*address)).enumerate();
        asked.aux_addresses.extend(
            here.by_ref()
                .map(|(i, address)| (if i == 0 { HOST.to_owned() } else { format!("{HOST}{}", i + 1) }, *address)),
        );
    }
}
