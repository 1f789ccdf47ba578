//! Desired times observed: which steps of a plan a kernel still lacks.

use super::{Op, Plan, Scope, Step};
use ipnet::IpNet;
use netd_api::{IfName, Mac};
use std::collections::{BTreeMap, BTreeSet};

/// What was seen of the host's kernel.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    pub links: BTreeMap<IfName, LinkSeen>,
    pub addresses: BTreeSet<(IfName, IpNet)>,
    /// The table `inet rcr` is there.
    pub table: bool,
}

/// A link as it was seen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LinkSeen {
    pub index: u32,
    pub alias: Option<String>,
    /// `IFLA_GROUP`; 0 for most.
    pub group: u32,
    pub up: bool,
    pub mtu: u32,
    pub mac: Option<Mac>,
    /// The index of the bridge it is a port of.
    pub controller: Option<u32>,
    /// It is a bridge's port, and that lets frames pass.
    pub forwards: bool,
}

/// The host steps of `plan` that `observed` lacks, in the plan's order. A change of an object counts as lacking when the
/// object itself is. Container steps are left out: a netns that is there was set up whole.
pub fn missing(plan: &Plan, observed: &Observed) -> Plan {
    let mut fresh: BTreeSet<IfName> = BTreeSet::new();
    let mut out = Plan::default();
    for step in plan.steps.iter().filter(|s| s.scope == Scope::Host) {
        if let Op::Veth { host, bridge, .. } = &step.op
            && let Some(seen) = observed.links.get(host)
        {
            if seen.controller.is_none() || seen.controller != observed.links.get(bridge).map(|b| b.index) {
                let op = Op::Join { link: host.clone(), bridge: bridge.clone() };
                out.steps.push(Step { scope: Scope::Host, op, why: "its bridge had gone" });
                fresh.insert(host.clone());
            }
            continue;
        }
        let lacking = match &step.op {
            Op::Bridge { name, .. } | Op::Vlan { name, .. } | Op::Dummy { name, .. } | Op::Shim { name, .. } => {
                !observed.links.contains_key(name)
            }
            Op::WireGuard { name, .. } => !observed.links.contains_key(name),
            // One whose bridge had gone is out of it, and its entries of the bridge are, too: it is made again.
            Op::Vxlan { name, bridge, .. } => observed.links.get(name).is_none_or(|seen| {
                seen.controller.is_none() || seen.controller != observed.links.get(bridge).map(|b| b.index)
            }),
            // It is in the container, or it went with its parent.
            Op::Child { .. } | Op::ReplyRoute { .. } | Op::Mtu { .. } | Op::Probe { .. } | Op::Announce { .. } => false,
            Op::Veth { host, .. } => !observed.links.contains_key(host),
            Op::Address { link, address } => !observed.addresses.contains(&(link.clone(), *address)),
            Op::Up { link } => observed.links.get(link).is_none_or(|l| !l.up),
            Op::Join { link, .. } | Op::Port { link, .. } | Op::Route { link, .. } => fresh.contains(link),
            Op::Forward { link, .. } | Op::Flood { link, .. } | Op::Neighbour { link, .. } => fresh.contains(link),
            Op::WireGuardPeer { link, .. } => fresh.contains(link),
            Op::Sysctl { key, undo, .. } => undo.is_some() || fresh.iter().any(|link| names_link(key, link)),
            Op::Table => !observed.table,
            Op::UserTable | Op::Elements { .. } => true,
            Op::ForgetFlows { .. } => false,
        };
        if !lacking {
            continue;
        }
        fresh.extend(step.op.makes().cloned());
        out.steps.push(step.clone());
    }
    out
}

fn names_link(key: &str, link: &IfName) -> bool {
    key.split('/').any(|part| part == link.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_planned_again() {
        let name: IfName = "br-x".parse().unwrap();
        let mut plan = Plan::default();
        let mac = "02:00:00:00:00:01".parse().unwrap();
        plan.host(Op::Bridge { name: name.clone(), mac, mtu: 1500, alias: "rcr:x".into() }, "");
        plan.host(Op::Sysctl { key: "net/ipv4/conf/br-x/rp_filter".into(), value: "2".into(), undo: None }, "");
        plan.host(Op::Up { link: name.clone() }, "");
        assert_eq!(missing(&plan, &Observed::default()).steps.len(), 3);
        let mut observed = Observed::default();
        observed.links.insert(name.clone(), LinkSeen { up: false, ..LinkSeen::default() });
        let left = missing(&plan, &observed);
        assert_eq!(left.steps.len(), 1);
        assert_eq!(left.steps[0].op, Op::Up { link: name });
    }
}
