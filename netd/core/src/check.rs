//! What a kernel has not as it was made: steps that stand in a journal, compared with what was seen. Pure.
//!
//! Beside [`crate::plan::missing`], which finds what a repair after a deleted link has to do, this looks at every
//! value: settings, sizes, entries of tunnels, and what is inside containers. Rules by which answers leave,
//! announcements and flows are not compared.

use crate::firewall::Element;
use crate::plan::{
    AddressOp, ContainerOp, End, FirewallOp, HostOp, LinkOp, Mtu, Op, Plan, PortOp, RouteOp, Scope, SetOp, Step,
    SysctlOp, VxlanOp, WireGuardOp,
};
use crate::seen::{ForwardSeen, PlaceSeen};
use ipnet::IpNet;
use netd_api::{IfName, Mac, PublicKey};
use std::collections::{BTreeMap, BTreeSet};

/// What is compared with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CheckSeen {
    pub place: PlaceSeen,
    /// Routes: where to, by which link.
    pub routes: Vec<(IpNet, String)>,
    /// Forwarding entries of tunnels.
    pub forwards: BTreeMap<IfName, Vec<ForwardSeen>>,
    /// The table `inet rcr` is there.
    pub table: bool,
    /// Of the elements that were looked for, those that the table has not, or not with the same data.
    pub lost: BTreeSet<Element>,
    /// The peers of WireGuard links.
    pub peers: BTreeMap<IfName, BTreeSet<PublicKey>>,
    /// Ports whose frames bypass their bridges.
    pub redirected: BTreeSet<IfName>,
}

/// Something that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Lacking {
    /// In words; absent: it went with something that is told.
    pub what: Option<String>,
    /// What makes it again.
    pub step: Step,
}

/// The settings that a plan makes in a scope, as paths below `/proc/sys`.
pub fn settings(plan: &Plan, scope: Scope) -> impl Iterator<Item = String> {
    plan.steps.iter().filter(move |step| step.op.scope() == scope).filter_map(|step| match &step.op {
        Op::Host(HostOp::Sysctl(op)) | Op::Container(ContainerOp::Sysctl(op)) => {
            let SysctlOp::Set { key, .. } = op;
            Some(key.as_str().to_owned())
        }
        _ => None,
    })
}

/// The elements that a plan puts into the host's table.
pub fn elements(plan: &Plan) -> impl Iterator<Item = &Element> {
    plan.steps.iter().flat_map(|step| match &step.op {
        Op::Host(HostOp::Firewall(FirewallOp::Elements { elements })) => elements.as_slice(),
        _ => &[],
    })
}

/// The WireGuard links that a plan gives peers.
pub fn encrypted(plan: &Plan) -> impl Iterator<Item = &IfName> {
    plan.steps.iter().filter_map(|step| match &step.op {
        Op::Host(HostOp::WireGuard(WireGuardOp::Peer { link, .. })) => Some(link),
        _ => None,
    })
}

/// The ports whose frames a plan lets bypass their bridges, each with the MAC behind it.
pub fn redirected(plan: &Plan) -> impl Iterator<Item = (IfName, Mac)> {
    plan.steps.iter().filter_map(|step| match &step.op {
        Op::Host(HostOp::Port(PortOp::Redirect { link, mac, .. })) => Some((link.clone(), *mac)),
        _ => None,
    })
}

/// Whether a file of sysctl.d(5) gives a setting this value. `key`: its path below `/proc/sys`.
pub fn file_sets(text: &str, key: &str, value: &str) -> bool {
    let lines = text.lines().map(|line| line.trim().trim_start_matches('-').trim_start());
    let mut settings = lines.filter(|line| !line.starts_with(['#', ';'])).filter_map(|line| line.split_once('='));
    settings.any(|(name, set)| is_setting(name.trim(), key) && set.split_whitespace().eq(value.split_whitespace()))
}

/// Whether a name of sysctl.d(5) means this path: with dots or slashes between its parts, whichever comes first, and
/// perhaps `*` for a part.
fn is_setting(name: &str, key: &str) -> bool {
    let dotted = name.find(['.', '/']).is_none_or(|at| name[at..].starts_with('.'));
    let part = |part: &str| if dotted { part.replace('/', ".") } else { part.to_owned() };
    let parts: Vec<String> = name.split(if dotted { '.' } else { '/' }).map(part).collect();
    let wanted: Vec<&str> = key.split('/').collect();
    parts.len() == wanted.len() && parts.iter().zip(wanted).all(|(name, wanted)| name == "*" || name == wanted)
}

/// What of a plan's steps in a scope is not there, in the plan's order.
pub fn lacking(plan: &Plan, scope: Scope, seen: &CheckSeen) -> Vec<Lacking> {
    let mut look = Look { seen, scope, gone: BTreeSet::new(), found: Vec::new() };
    for step in &plan.steps {
        look.ends(step);
        if step.op.scope() == scope {
            look.step(step);
        }
    }
    look.found
}

struct Look<'a> {
    seen: &'a CheckSeen,
    scope: Scope,
    /// Links that are not there: what is on them goes without saying.
    gone: BTreeSet<IfName>,
    found: Vec<Lacking>,
}

impl Look<'_> {
    fn tell(&mut self, what: String, step: Step) {
        self.found.push(Lacking { what: Some(what), step });
    }

    fn step(&mut self, step: &Step) {
        if step.op.link().is_some_and(|link| self.gone.contains(link)) {
            self.found.push(Lacking { what: None, step: step.clone() });
            return;
        }
        if let Some(link) = step.op.makes()
            && !matches!(step.op, Op::Host(HostOp::Link(LinkOp::Child { .. })))
            && !self.seen.place.links.contains_key(link)
        {
            self.gone.insert(link.clone());
            return self.tell(format!("link `{link}` is gone"), step.clone());
        }
        match &step.op {
            Op::Host(op) => self.host(op, step),
            Op::Container(op) => self.container(op, step),
        }
    }

    fn host(&mut self, op: &HostOp, step: &Step) {
        match op {
            HostOp::Link(LinkOp::Veth { host, bridge, .. }) => self.port(host, bridge, step),
            HostOp::Vxlan(VxlanOp::Link { name, bridge, .. }) => self.port(name, bridge, step),
            HostOp::Vxlan(op) => self.tunnel(op, step),
            HostOp::Set(op) => self.set(op, step),
            HostOp::Address(op) => self.address(op, step),
            HostOp::Route(op) => self.route(op, step),
            HostOp::Sysctl(op) => self.setting(op, step),
            HostOp::Firewall(FirewallOp::Table) if !self.seen.table => {
                self.tell("nftables table `inet rcr` is gone".to_owned(), step.clone());
            }
            HostOp::Firewall(FirewallOp::Elements { elements }) if self.seen.table => self.elements(elements, step),
            HostOp::WireGuard(WireGuardOp::Peer { link, key, .. }) => self.peer(link, key, step),
            HostOp::Port(PortOp::Redirect { link, bridge, .. }) if !self.seen.redirected.contains(link) => {
                self.tell(format!("frames of `{link}` no longer bypass bridge `{bridge}`"), step.clone());
            }
            _ => {}
        }
    }

    fn container(&mut self, op: &ContainerOp, step: &Step) {
        match op {
            ContainerOp::Set(op) => self.set(op, step),
            ContainerOp::Address(op) => self.address(op, step),
            ContainerOp::Route(op) => self.route(op, step),
            ContainerOp::Sysctl(op) => self.setting(op, step),
            ContainerOp::Reply(_) | ContainerOp::Lan(_) => {}
        }
    }

    fn port(&mut self, link: &IfName, bridge: &IfName, step: &Step) {
        let links = &self.seen.place.links;
        let (Some(port), Some(of)) = (links.get(link), links.get(bridge)) else { return };
        if port.controller != Some(of.index) {
            let join = PortOp::Join { link: link.clone(), bridge: bridge.clone() };
            let other = port.controller.and_then(|index| self.seen.place.link_at(index));
            let other = other.map(|(name, _)| format!(", but on `{name}`")).unwrap_or_default();
            let what = format!("link `{link}` is not on bridge `{bridge}`{other}");
            self.tell(what, Step::host(step.purpose, join, step.why));
        }
    }

    fn set(&mut self, op: &SetOp, step: &Step) {
        let SetOp::Up { link } = op else { return };
        match self.seen.place.links.get(link) {
            Some(seen) if seen.up => {}
            Some(_) => self.tell(format!("link `{link}` is down"), step.clone()),
            None if self.scope == Scope::Container => self.tell(format!("link `{link}` is gone"), step.clone()),
            None => {}
        }
    }

    fn address(&mut self, op: &AddressOp, step: &Step) {
        let AddressOp::Add { link, address } = op;
        if !self.seen.place.addresses.contains(&(link.clone(), *address)) {
            self.tell(format!("address {address} of `{link}` is gone"), step.clone());
        }
    }

    fn route(&mut self, op: &RouteOp, step: &Step) {
        let RouteOp::Add { to, link, .. } = op;
        if !self.seen.routes.iter().any(|(net, by)| net == to && by == link.as_str()) {
            self.tell(format!("the route to {to} by `{link}` is gone"), step.clone());
        }
    }

    fn setting(&mut self, op: &SysctlOp, step: &Step) {
        let SysctlOp::Set { key, value, .. } = op;
        // What can't be read is nothing that somebody changed: a kernel without IPv6.
        let Some(now) = self.seen.place.sysctls.get(key.as_str()) else { return };
        if !now.split_ascii_whitespace().eq(value.split_ascii_whitespace()) {
            self.tell(format!("{} is {now}, not {value}", key.as_str()), step.clone());
        }
    }

    fn tunnel(&mut self, op: &VxlanOp, step: &Step) {
        match op {
            VxlanOp::Forward { link, mac, to } => {
                let entries = self.seen.forwards.get(link).map(Vec::as_slice).unwrap_or_default();
                let now = entries.iter().find(|entry| entry.mac == *mac);
                match now {
                    Some(entry) if entry.to == *to => {}
                    Some(entry) => {
                        self.tell(format!("frames for {mac} on `{link}` go to {}, not {to}", entry.to), step.clone())
                    }
                    None => self.tell(format!("the entry of `{link}` for {mac} is gone"), step.clone()),
                }
            }
            VxlanOp::Neighbour { link, address, mac } => {
                let index = self.seen.place.links.get(link).map(|link| link.index);
                let is = |n: &&crate::seen::NeighbourSeen| Some(n.link) == index && n.address == *address;
                let now = self.seen.place.neighbours.iter().find(is).and_then(|n| n.mac);
                if now != Some(*mac) {
                    self.tell(format!("`{link}` does not say that {address} is at {mac}"), step.clone());
                }
            }
            VxlanOp::Link { .. } | VxlanOp::Flood { .. } => {}
        }
    }

    fn elements(&mut self, elements: &[Element], step: &Step) {
        let mut lost = elements.iter().filter(|element| self.seen.lost.contains(element));
        let Some(first) = lost.next() else { return };
        let more = match lost.count() {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        self.tell(
            format!("element `{first}` of nftables set `{}` is gone or changed{more}", first.set.name()),
            step.clone(),
        );
    }

    fn peer(&mut self, link: &IfName, key: &PublicKey, step: &Step) {
        // Where the link itself is gone, only that is told.
        if self.seen.peers.get(link).is_some_and(|peers| !peers.contains(key)) {
            self.tell(format!("WireGuard link `{link}` has no peer {key}"), step.clone());
        }
    }

    /// The sizes of the links that a step makes, here or in the container.
    fn ends(&mut self, step: &Step) {
        for End { inside, link, mtu } in step.op.ends() {
            if inside != (self.scope == Scope::Container) {
                continue;
            }
            let (Mtu::Of(wanted), Some(seen)) = (mtu, self.seen.place.links.get(link)) else { continue };
            if seen.mtu != wanted {
                let op = SetOp::Mtu { link: link.clone(), from: seen.mtu, to: wanted };
                let fix = match self.scope {
                    Scope::Host => Step::host(step.purpose, op, ""),
                    Scope::Container => Step::container(step.purpose, op, ""),
                };
                self.tell(format!("the MTU of `{link}` is {}, not {wanted}", seen.mtu), fix);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firewall::Datum;
    use crate::plan::{LinkSeen, Purpose};

    fn plan() -> Plan {
        let mut plan = Plan::default();
        let (bridge, mac): (IfName, _) = ("br-x".parse().unwrap(), "02:00:00:00:00:01".parse().unwrap());
        let link = LinkOp::Bridge { name: bridge.clone(), mac, mtu: 1400, alias: "rcr:x".into() };
        plan.host(Purpose::Link, link, "");
        plan.host(Purpose::Link, SysctlOp::of_link("ipv4", &bridge, "rp_filter", "2"), "");
        plan.host(Purpose::Link, AddressOp::Add { link: bridge.clone(), address: "10.9.0.1/24".parse().unwrap() }, "");
        plan.host(Purpose::Link, SetOp::Up { link: bridge.clone() }, "");
        plan.container(Purpose::Link, SetOp::Up { link: "eth0".parse().unwrap() }, "");
        plan
    }

    fn told(seen: &CheckSeen, scope: Scope) -> Vec<String> {
        lacking(&plan(), scope, seen).into_iter().filter_map(|one| one.what).collect()
    }

    #[test]
    fn a_file_that_sets_a_value_is_found_however_it_is_written() {
        let text = "# net.ipv4.ip_forward = 0\n; x\n\n-net.ipv4.conf.*.rp_filter=1\nnet/ipv4/ip_forward = 0\n\
                    net.ipv4.conf.up0/7.forwarding = 0\nnet.ipv4.ip_local_port_range = 1\t2\nbroken\n";
        for (key, value, sets) in [
            ("net/ipv4/ip_forward", "0", true),
            ("net/ipv4/ip_forward", "1", false),
            ("net/ipv4/conf/br-x/rp_filter", "1", true),
            ("net/ipv4/conf/up0.7/forwarding", "0", true),
            ("net/ipv4/ip_local_port_range", "1 2", true),
            ("net/ipv4/conf/rp_filter", "1", false),
            ("broken", "", false),
        ] {
            assert_eq!(file_sets(text, key, value), sets, "{key} {value}");
        }
    }

    #[test]
    fn each_value_is_compared_and_a_link_s_end_is_told_once() {
        let mut seen = CheckSeen::default();
        assert_eq!(told(&seen, Scope::Host), ["link `br-x` is gone"]);
        assert_eq!(lacking(&plan(), Scope::Host, &seen).len(), 4, "all of it is made again");
        assert_eq!(told(&seen, Scope::Container), ["link `eth0` is gone"]);
        let bridge: IfName = "br-x".parse().unwrap();
        seen.place.links.insert(bridge.clone(), LinkSeen { mtu: 1300, ..LinkSeen::default() });
        seen.place.sysctls.insert("net/ipv4/conf/br-x/rp_filter".into(), "1".into());
        assert_eq!(
            told(&seen, Scope::Host),
            [
                "the MTU of `br-x` is 1300, not 1400",
                "net/ipv4/conf/br-x/rp_filter is 1, not 2",
                "address 10.9.0.1/24 of `br-x` is gone",
                "link `br-x` is down",
            ]
        );
        seen.place.links.insert(bridge.clone(), LinkSeen { mtu: 1400, up: true, ..LinkSeen::default() });
        seen.place.sysctls.clear();
        seen.place.addresses.insert((bridge, "10.9.0.1/24".parse().unwrap()));
        assert!(told(&seen, Scope::Host).is_empty());
    }

    #[test]
    fn elements_and_peers_are_compared_where_what_they_are_in_is_there() {
        let element = |last: u8| {
            let data = vec![Datum::V4([10, 9, 0, last].into()), Datum::Port(80)];
            Element::port([198, 51, 100, 7].into(), 6, 8000 + u16::from(last), data)
        };
        let (link, key): (IfName, _) = ("rcr-wg1".parse().unwrap(), PublicKey([7; 32]));
        let mut plan = Plan::default();
        plan.host(Purpose::Ports, FirewallOp::Elements { elements: vec![element(1), element(2), element(3)] }, "");
        let endpoint = "203.0.113.2:51820".parse().unwrap();
        let peer = WireGuardOp::Peer { link: link.clone(), key, endpoint, address: "fd00::2".parse().unwrap() };
        plan.host(Purpose::Link, peer, "");
        let told = |seen: &CheckSeen| -> Vec<String> {
            lacking(&plan, Scope::Host, seen).into_iter().filter_map(|one| one.what).collect()
        };
        let mut seen = CheckSeen { lost: [element(2), element(3)].into(), ..CheckSeen::default() };
        assert!(told(&seen).is_empty(), "what they are in is gone, which another step tells");
        seen.table = true;
        seen.peers.insert(link.clone(), BTreeSet::new());
        let lost = format!("element `{}` of nftables set `publish4` is gone or changed, and 1 more", element(2));
        assert_eq!(told(&seen), [lost, format!("WireGuard link `rcr-wg1` has no peer {key}")]);
        assert_eq!(elements(&plan).count(), 3);
        assert!(encrypted(&plan).eq([&link]));
        seen.lost.clear();
        seen.peers.insert(link, [key].into());
        assert!(told(&seen).is_empty());
    }
}
