//! Desired times observed: which steps of a plan a kernel still lacks.

use super::address::AddressOp;
use super::effect::Effect;
use super::firewall::FirewallOp;
use super::link::LinkOp;
use super::op::{HostOp, Op};
use super::port::PortOp;
use super::set::SetOp;
use super::step::{Plan, Step};
use super::sysctl::SysctlOp;
use super::vxlan::VxlanOp;
use super::wireguard::WireGuardOp;
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

impl Observed {
    /// Whether `link` is there as a port of `bridge`.
    fn is_port(&self, link: &IfName, bridge: &IfName) -> bool {
        let of = self.links.get(link).and_then(|link| link.controller);
        of.is_some() && of == self.links.get(bridge).map(|bridge| bridge.index)
    }
}

/// The host steps of `plan` that `observed` lacks, in the plan's order. A change of an object counts as lacking when the
/// object itself is. Container steps are left out: a netns that is there was set up whole.
pub fn missing(plan: &Plan, observed: &Observed) -> Plan {
    let mut fresh: BTreeSet<IfName> = BTreeSet::new();
    let mut out = Plan::default();
    for step in &plan.steps {
        let Op::Host(op) = &step.op else { continue };
        let step = match op {
            HostOp::Link(LinkOp::Veth { host, bridge, .. }) if observed.links.contains_key(host) => {
                if observed.is_port(host, bridge) {
                    continue;
                }
                fresh.insert(host.clone());
                let op = PortOp::Join { link: host.clone(), bridge: bridge.clone() };
                Step::host(step.purpose, op, "its bridge had gone")
            }
            op if lacks(observed, op, &fresh) => step.clone(),
            _ => continue,
        };
        fresh.extend(step.op.makes().cloned());
        out.steps.push(step);
    }
    out
}

/// Whether the host lacks what this op does. `fresh`: links that are made again, with nothing on them.
fn lacks(observed: &Observed, op: &HostOp, fresh: &BTreeSet<IfName>) -> bool {
    let on_fresh = |link: Option<&IfName>| link.is_some_and(|link| fresh.contains(link));
    match op {
        // It is in the container, or it went with its parent.
        HostOp::Link(LinkOp::Child { .. }) => false,
        HostOp::Link(_) | HostOp::WireGuard(WireGuardOp::Link { .. }) => {
            op.effect().makes().is_some_and(|link| !observed.links.contains_key(link))
        }
        // One whose bridge had gone is out of it, and its entries of the bridge are, too: it is made again.
        HostOp::Vxlan(VxlanOp::Link { name, bridge, .. }) => !observed.is_port(name, bridge),
        HostOp::Address(AddressOp::Add { link, address }) => !observed.addresses.contains(&(link.clone(), *address)),
        HostOp::Set(SetOp::Up { link }) => observed.links.get(link).is_none_or(|l| !l.up),
        HostOp::Set(SetOp::Mtu { .. }) | HostOp::Lan(_) | HostOp::Port(PortOp::Announce { .. }) => false,
        HostOp::Port(op) => on_fresh(op.link()),
        HostOp::Route(op) => on_fresh(op.link()),
        HostOp::Vxlan(op) => on_fresh(op.link()),
        HostOp::WireGuard(op) => on_fresh(op.link()),
        HostOp::Sysctl(SysctlOp::Set { key, undo, .. }) => undo.is_some() || on_fresh(key.link()),
        HostOp::Firewall(FirewallOp::Table) => !observed.table,
        HostOp::Firewall(FirewallOp::UserTable | FirewallOp::Elements { .. }) => true,
        HostOp::Firewall(FirewallOp::ForgetFlows { .. }) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Purpose;

    #[test]
    fn what_is_there_is_not_planned_again() {
        let name: IfName = "br-x".parse().unwrap();
        let mut plan = Plan::default();
        let mac = "02:00:00:00:00:01".parse().unwrap();
        plan.host(Purpose::Link, LinkOp::Bridge { name: name.clone(), mac, mtu: 1500, alias: "rcr:x".into() }, "");
        plan.host(Purpose::Link, SysctlOp::of_link("ipv4", &name, "rp_filter", "2"), "");
        plan.host(Purpose::Link, SetOp::Up { link: name.clone() }, "");
        assert_eq!(missing(&plan, &Observed::default()).steps.len(), 3);
        let mut observed = Observed::default();
        observed.links.insert(name.clone(), LinkSeen { up: false, ..LinkSeen::default() });
        let left = missing(&plan, &observed);
        assert_eq!(left.steps.len(), 1);
        assert_eq!(left.steps[0], Step::host(Purpose::Link, SetOp::Up { link: name }, ""));
    }
}
