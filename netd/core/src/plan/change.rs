//! From one plan to another: what a change of a network does to objects that stand. Pure.

use super::diff::Observed;
use super::effect::{End, Mtu};
use super::op::{ContainerOp, HostOp, Op};
use super::set::SetOp;
use super::step::{Plan, Step};
use super::sysctl::SysctlOp;

/// The steps that bring what `old` made to what `new` would make. A link that would have another MTU gets it; what only `new` has is
/// made. Nothing that `old` made is removed. `seen`: the host's links, for MTUs that follow a parent's.
pub fn change(old: &Plan, new: &Plan, seen: &Observed) -> Plan {
    let mut out = Plan::default();
    for step in &new.steps {
        if old.steps.iter().any(|o| o.op == step.op) {
            continue;
        }
        match old.steps.iter().find(|o| is_same_object(o, step)) {
            Some(before) => out.steps.extend(turned(before, step, seen)),
            None => out.steps.extend(added(old, step)),
        }
    }
    out
}

/// Whether two steps are about one object: a link that is made, or a sysctl.
pub fn is_same_object(a: &Step, b: &Step) -> bool {
    a.op.scope() == b.op.scope() && a.op.object().is_some() && a.op.object() == b.op.object()
}

/// The steps that turn an object into what another step would have made of it; none where nothing of it can change.
pub fn turned(before: &Step, after: &Step, seen: &Observed) -> Vec<Step> {
    if let Some(value) = turned_value(&before.op, &after.op) {
        return vec![Step { op: value, ..after.clone() }];
    }
    let bytes = |mtu| match mtu {
        Mtu::Of(bytes) => bytes,
        Mtu::Like(link) => seen.links.get(link).map_or(0, |link| link.mtu),
    };
    let (ends, wanted) = (before.op.ends(), after.op.ends());
    let pairs = ends.iter().zip(&wanted).map(|(end, now)| (end, bytes(end.mtu), bytes(now.mtu)));
    let step = |end: &End<'_>, from, to| {
        let op = SetOp::Mtu { link: end.link.clone(), from, to };
        if end.inside { Step::container(after.purpose, op, "") } else { Step::host(after.purpose, op, "") }
    };
    pairs.filter(|(_, from, to)| from != to).map(|(end, from, to)| step(end, from, to)).collect()
}

/// A sysctl with another value, which goes back to the one before.
fn turned_value(before: &Op, after: &Op) -> Option<Op> {
    let turned = |SysctlOp::Set { value: old, .. }: &SysctlOp, SysctlOp::Set { key, value, .. }: &SysctlOp| {
        SysctlOp::Set { key: key.clone(), value: value.clone(), undo: Some(old.clone()) }
    };
    match (before, after) {
        (Op::Host(HostOp::Sysctl(before)), Op::Host(HostOp::Sysctl(after))) => {
            Some(Op::Host(turned(before, after).into()))
        }
        (Op::Container(ContainerOp::Sysctl(before)), Op::Container(ContainerOp::Sysctl(after))) => {
            Some(Op::Container(turned(before, after).into()))
        }
        _ => None,
    }
}

fn added(old: &Plan, step: &Step) -> Option<Step> {
    let op = step.op.clone().with_elements(|element| !old.elements().any(|there| there == element))?;
    Some(Step { op, ..step.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{AddressOp, LinkOp, Purpose, WireGuardOp};
    use netd_api::IfName;

    fn bridge(mtu: u32) -> LinkOp {
        let mac = "02:00:00:00:00:01".parse().unwrap();
        LinkOp::Bridge { name: "br-x".parse().unwrap(), mac, mtu, alias: "rcr:x".into() }
    }

    fn ipv6(link: &IfName, value: &str) -> SysctlOp {
        SysctlOp::of_link("ipv6", link, "disable_ipv6", value)
    }

    #[test]
    fn a_wireguard_link_gets_another_mtu_and_nothing_else() {
        let step = |generation, port, mtu| {
            let (name, alias) = (format!("rcr-wg{generation}").parse().unwrap(), "rcr:wireguard".to_owned());
            Step::host(Purpose::Link, WireGuardOp::Link { name, generation, port, mtu, alias }, "")
        };
        let (before, seen) = (step(1, 51890, 1440), Observed::default());
        assert!(is_same_object(&before, &step(1, 51890, 1340)));
        assert!(!is_same_object(&before, &step(2, 51890, 1340)) && !is_same_object(&before, &step(1, 51891, 1440)));
        let mtu = SetOp::Mtu { link: "rcr-wg1".parse().unwrap(), from: 1440, to: 1340 };
        assert_eq!(turned(&before, &step(1, 51890, 1340), &seen), [Step::host(Purpose::Link, mtu, "")]);
        assert!(turned(&before, &before, &seen).is_empty());
    }

    #[test]
    fn only_what_differs_is_done() {
        let link: IfName = "br-x".parse().unwrap();
        let address = || AddressOp::Add { link: link.clone(), address: "fd00::1/64".parse().unwrap() };
        let (mut old, mut new) = (Plan::default(), Plan::default());
        old.host(Purpose::Link, bridge(1500), "");
        old.host(Purpose::Link, ipv6(&link, "1"), "");
        old.host(Purpose::Link, SetOp::Up { link: link.clone() }, "");
        assert!(change(&old, &old, &Observed::default()).steps.is_empty());
        new.host(Purpose::Link, bridge(1400), "");
        new.host(Purpose::Link, ipv6(&link, "0"), "");
        new.host(Purpose::Link, address(), "");
        new.host(Purpose::Link, SetOp::Up { link: link.clone() }, "");
        let SysctlOp::Set { key, value, .. } = ipv6(&link, "0");
        let mut expected = Plan::default();
        expected.host(Purpose::Link, SetOp::Mtu { link: link.clone(), from: 1500, to: 1400 }, "");
        expected.host(Purpose::Link, SysctlOp::Set { key, value, undo: Some("1".into()) }, "");
        expected.host(Purpose::Link, address(), "");
        assert_eq!(change(&old, &new, &Observed::default()), expected);
    }
}
