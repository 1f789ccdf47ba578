//! How a plan reads: the one text of dry runs and golden files. `=` is there, `+` made, `~` changed, `?` asked for, `!` announced.

use super::{Observed, Op, Plan, Scope, Step, missing};
use std::fmt::Write;

/// The plan as text. What `observed` has already is marked `=`.
pub fn show(title: &str, plan: &Plan, observed: Option<&Observed>) -> String {
    let lacking = observed.map(|seen| missing(plan, seen));
    let mut text = format!("{title}\n");
    for step in &plan.steps {
        let there = step.scope == Scope::Host && lacking.as_ref().is_some_and(|l| !l.steps.contains(step));
        line(&mut text, step, there);
    }
    text
}

fn line(text: &mut String, step: &Step, there: bool) {
    let scope = match step.scope {
        Scope::Host => "host",
        Scope::Container => "container",
    };
    for (mark, kind, name, what) in rows(&step.op) {
        let mark = if there { '=' } else { mark };
        let why = if step.why.is_empty() { String::new() } else { format!("  # {}", step.why) };
        // Writing to a String can't fail.
        let _ = writeln!(text, "  {scope:<10} {mark} {kind:<7} {name:<15} {what}{why}");
    }
}

fn list(addresses: &[std::net::IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// (mark, kind, name, the rest), one per object.
fn rows(op: &Op) -> Vec<(char, &'static str, String, String)> {
    let one = |mark, kind, name: &dyn ToString, what: String| vec![(mark, kind, name.to_string(), what)];
    match op {
        Op::Bridge { name, mac, mtu, .. } => one('+', "link", name, format!("bridge, mac {mac}, mtu {mtu}")),
        Op::Veth { host, peer, mac, mtu, bridge, .. } => {
            one('+', "link", host, format!("veth on {bridge}, peer {peer} in the container, mac {mac}, mtu {mtu}"))
        }
        Op::Vlan { name, parent, id, .. } => one('+', "link", name, format!("vlan {id} on {parent}")),
        Op::Dummy { name, mac, mtu, .. } => one('+', "link", name, format!("dummy, mac {mac}, mtu {mtu}")),
        Op::Child { name, parent, kind, mac, mtu, .. } => {
            let mac = mac.map(|mac| format!(", mac {mac}")).unwrap_or_default();
            let mtu = mtu.map(|mtu| format!(", mtu {mtu}")).unwrap_or_default();
            one('+', "link", name, format!("{kind} on {parent}, in the container{mac}{mtu}"))
        }
        Op::Shim { name, parent, kind, .. } => {
            one('+', "link", name, format!("{kind} on {parent}, for the host itself"))
        }
        Op::Join { link, bridge } => one('~', "port", link, format!("of {bridge}")),
        Op::Port { link, isolated, hairpin } => {
            let flags = [(isolated, "isolated"), (hairpin, "hairpin")];
            let on: Vec<&str> = flags.into_iter().filter(|(on, _)| **on).map(|(_, name)| name).collect();
            one('~', "port", link, on.join(", "))
        }
        Op::Address { link, address } => one('+', "addr", link, address.to_string()),
        Op::Up { link } => one('~', "link", link, "up".into()),
        Op::Route { to, via, link } => {
            let to = if to.prefix_len() == 0 { "default".to_owned() } else { to.to_string() };
            let via = via.map(|via| format!("via {via} ")).unwrap_or_default();
            one('+', "route", &to, format!("{via}dev {link}"))
        }
        Op::Probe { link, addresses } => one('?', "addr", link, list(addresses)),
        Op::Announce { link, addresses, .. } => one('!', "addr", link, list(addresses)),
        Op::Mtu { link, from, to } => one('~', "link", link, format!("mtu {from} -> {to}")),
        Op::Vxlan { name, vni, local, port, mtu, bridge, .. } => {
            one('+', "link", name, format!("vxlan {vni} on {bridge}, from {local} port {port}, mtu {mtu}"))
        }
        Op::Forward { link, mac, to } => one('+', "fdb", link, format!("{mac} at {to}")),
        Op::Flood { link, to } => one('+', "fdb", link, format!("broadcast to {to}")),
        Op::Neighbour { link, address, mac } => one('+', "neigh", link, format!("{address} is {mac}")),
        Op::WireGuard { name, generation, port, mtu, .. } => {
            one('+', "link", name, format!("wireguard, key {generation} of this host, port {port}, mtu {mtu}"))
        }
        Op::WireGuardPeer { link, key, endpoint, address } => {
            one('+', "peer", link, format!("{key} at {endpoint}, for {address}"))
        }
        Op::ReplyRoute { address, via, link } => {
            one('+', "rule", &"from", format!("{}: via {via} dev {link}", address.addr()))
        }
        Op::Sysctl { key, value, .. } => {
            vec![('~', "sysctl", key.replace('/', "."), format!("= {value}"))]
        }
        Op::Table => one('+', "nft", &"table", "inet rcr".into()),
        Op::UserTable => one('+', "nft", &"table", "inet rcr-user, for the administrator".into()),
        Op::Elements { elements } => {
            elements.iter().map(|e| ('+', "nft", e.set.name().to_owned(), e.to_string())).collect()
        }
        Op::ForgetFlows { address, port: None } => one('-', "flows", &"conntrack", format!("of {address}")),
        Op::ForgetFlows { address, port: Some((proto, from, to)) } => {
            one('-', "flows", &"conntrack", format!("to {address} proto {proto} port {from}-{to}"))
        }
    }
}
