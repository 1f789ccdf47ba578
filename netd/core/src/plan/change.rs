//! From one plan to another: what a change of a network does to objects that stand. Pure.

use super::{Observed, Op, Plan, Scope, Step};
use netd_api::IfName;

/// The steps that bring what `old` made to what `new` would make. A link that would have another MTU gets it; what only `new` has is
/// made. Nothing that `old` made is removed. `seen`: the host's links, for MTUs that follow a parent's.
pub fn change(old: &Plan, new: &Plan, seen: &Observed) -> Plan {
    let mut out = Plan::default();
    for step in &new.steps {
        if old.steps.iter().any(|o| o.scope == step.scope && o.op == step.op) {
            continue;
        }
        match old.steps.iter().find(|o| is_same_object(o, step)) {
            Some(before) => out.steps.extend(turned(before, step, seen)),
            None => out.steps.extend(added(old, step)),
        }
    }
    out
}

/// Whether two steps are about one link that is made, or about one sysctl.
pub fn is_same_object(a: &Step, b: &Step) -> bool {
    match (&a.op, &b.op) {
        (Op::Bridge { name: x, .. }, Op::Bridge { name: y, .. })
        | (Op::Veth { host: x, .. }, Op::Veth { host: y, .. })
        | (Op::Dummy { name: x, .. }, Op::Dummy { name: y, .. })
        | (Op::Child { name: x, .. }, Op::Child { name: y, .. })
        | (Op::Shim { name: x, .. }, Op::Shim { name: y, .. })
        | (Op::Vxlan { name: x, .. }, Op::Vxlan { name: y, .. }) => x == y,
        (Op::WireGuard { name: x, port: p, .. }, Op::WireGuard { name: y, port: q, .. }) => x == y && p == q,
        (Op::Sysctl { key: x, .. }, Op::Sysctl { key: y, .. }) => x == y && a.scope == b.scope,
        _ => false,
    }
}

/// The steps that turn an object into what another step would have made of it; none where nothing of it can change.
pub fn turned(before: &Step, after: &Step, seen: &Observed) -> Vec<Step> {
    let mtu = |scope, link: &IfName, from: u32, to: u32| {
        let step = Step { scope, op: Op::Mtu { link: link.clone(), from, to }, why: "" };
        if from == to { Vec::new() } else { vec![step] }
    };
    let of_parent = |parent: &IfName| seen.links.get(parent).map_or(0, |link| link.mtu);
    match (&before.op, &after.op) {
        (Op::Bridge { name, mtu: from, .. }, Op::Bridge { mtu: to, .. })
        | (Op::Vxlan { name, mtu: from, .. }, Op::Vxlan { mtu: to, .. })
        | (Op::WireGuard { name, mtu: from, .. }, Op::WireGuard { mtu: to, .. })
        | (Op::Dummy { name, mtu: from, .. }, Op::Dummy { mtu: to, .. }) => mtu(Scope::Host, name, *from, *to),
        (Op::Veth { host, peer, mtu: from, .. }, Op::Veth { mtu: to, .. }) => {
            [mtu(Scope::Host, host, *from, *to), mtu(Scope::Container, peer, *from, *to)].concat()
        }
        (Op::Child { name, parent, mtu: from, .. }, Op::Child { mtu: to, .. }) => {
            let parents = of_parent(parent);
            mtu(Scope::Container, name, from.unwrap_or(parents), to.unwrap_or(parents))
        }
        (Op::Shim { name, parent, mtu: from, .. }, Op::Shim { mtu: to, .. }) => {
            let parents = of_parent(parent);
            mtu(Scope::Host, name, from.unwrap_or(parents), to.unwrap_or(parents))
        }
        (Op::Sysctl { key, value: from, .. }, Op::Sysctl { value: to, .. }) => {
            let op = Op::Sysctl { key: key.clone(), value: to.clone(), undo: Some(from.clone()) };
            vec![Step { op, ..after.clone() }]
        }
        _ => Vec::new(),
    }
}

fn added(old: &Plan, step: &Step) -> Option<Step> {
    let Op::Elements { elements } = &step.op else {
        return Some(step.clone());
    };
    let fresh: Vec<_> = elements.iter().filter(|e| !old.elements().any(|o| o == *e)).cloned().collect();
    let op = Op::Elements { elements: fresh };
    (!matches!(&op, Op::Elements { elements } if elements.is_empty())).then(|| Step { op, ..step.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bridge(mtu: u32) -> Op {
        let mac = "02:00:00:00:00:01".parse().unwrap();
        Op::Bridge { name: "br-x".parse().unwrap(), mac, mtu, alias: "rcr:x".into() }
    }

    #[test]
    fn a_wireguard_link_gets_another_mtu_and_nothing_else() {
        let step = |generation, port, mtu| {
            let (name, alias) = (format!("rcr-wg{generation}").parse().unwrap(), "rcr:wireguard".to_owned());
            Step { scope: Scope::Host, op: Op::WireGuard { name, generation, port, mtu, alias }, why: "" }
        };
        let (before, seen) = (step(1, 51890, 1440), Observed::default());
        assert!(is_same_object(&before, &step(1, 51890, 1340)));
        assert!(!is_same_object(&before, &step(2, 51890, 1340)) && !is_same_object(&before, &step(1, 51891, 1440)));
        let ops: Vec<Op> = turned(&before, &step(1, 51890, 1340), &seen).into_iter().map(|s| s.op).collect();
        assert_eq!(ops, [Op::Mtu { link: "rcr-wg1".parse().unwrap(), from: 1440, to: 1340 }]);
        assert!(turned(&before, &before, &seen).is_empty());
    }

    #[test]
    fn only_what_differs_is_done() {
        let link: IfName = "br-x".parse().unwrap();
        let key = "net/ipv6/conf/br-x/disable_ipv6".to_owned();
        let (mut old, mut new) = (Plan::default(), Plan::default());
        old.host(bridge(1500), "");
        old.host(Op::Sysctl { key: key.clone(), value: "1".into(), undo: None }, "");
        old.host(Op::Up { link: link.clone() }, "");
        assert!(change(&old, &old, &Observed::default()).steps.is_empty());
        new.host(bridge(1400), "");
        new.host(Op::Sysctl { key: key.clone(), value: "0".into(), undo: None }, "");
        new.host(Op::Address { link: link.clone(), address: "fd00::1/64".parse().unwrap() }, "");
        new.host(Op::Up { link: link.clone() }, "");
        let ops: Vec<Op> = change(&old, &new, &Observed::default()).steps.into_iter().map(|s| s.op).collect();
        let expected = [
            Op::Mtu { link: link.clone(), from: 1500, to: 1400 },
            Op::Sysctl { key, value: "0".into(), undo: Some("1".into()) },
            Op::Address { link, address: "fd00::1/64".parse().unwrap() },
        ];
        assert_eq!(ops, expected);
    }
}
