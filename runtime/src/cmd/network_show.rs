//! `network show`: a network for people.

use super::each::print_found;
use super::ps::mapping;
use crate::cli::network::ShowNetworkArgs;
use crate::report;
use crate::term::table::{aligned, cell, labels, size};
use ipnet::IpNet;
use netd_api::{EndpointView, LinkState, LinkView, MtuOrigin, NetworkView, Obstacle, SubnetInfo, Traffic};
use rcr_base::Outcome;
use rcr_engine::explain;
use rcr_engine::instance::Instance;
use std::fmt::Display;

/// `rcr network show`.
pub fn show(instance: &Instance, args: &ShowNetworkArgs) -> Outcome<i32> {
    if args.format.format.is_some() {
        let find = |name: &str| explain::show(instance, name);
        return print_found(&args.networks, args.format.format.as_ref(), find);
    }
    let mut code = 0;
    for (i, name) in args.networks.iter().enumerate() {
        match explain::show(instance, name) {
            Ok(view) => print!("{}{}", if i > 0 { "\n" } else { "" }, text(&view)),
            Err(failure) => {
                report::print(&failure);
                code = 1;
            }
        }
    }
    Ok(code)
}

/// The whole text.
fn text(view: &NetworkView) -> String {
    let mut text: String = facts(view).iter().map(|line| format!("{line}\n")).collect();
    let mut part = |title: &str, rows: Vec<String>| {
        if rows.len() > 1 {
            text.push_str(&format!("\n{title}\n"));
            aligned(&rows).iter().for_each(|line| text.push_str(&format!("  {line}\n")));
        }
    };
    part("Addresses", pools(view));
    part("Links on the host", links(view));
    part("Containers", containers(view));
    part("Their links", ends(view));
    part("Containers on other hosts", remotes(view));
    part("Rules that have counted, for all networks together", rules(view));
    for one in &view.network.obstacles {
        text.push_str(&obstacle(one));
    }
    for one in &view.unseen {
        text.push_str(&format!("\nNot looked at: {}\n", cell(one)));
    }
    text
}

fn facts(view: &NetworkView) -> Vec<String> {
    let network = &view.network;
    let mut lines = vec![format!("{} ({}), {}", network.name, network.driver.name(), network.id.short())];
    if let Some(mtu) = mtu(view) {
        lines.push(format!("  MTU: {mtu}"));
    }
    if network.internal {
        lines.push("  Internal: no way out".to_owned());
    }
    if network.driver.bridge().is_some_and(|options| !options.icc) {
        lines.push("  Its containers are kept apart (icc=false)".to_owned());
    }
    if network.driver.bridge().is_some_and(|options| options.redirect_peer) && network.unmet.is_none() {
        lines.push("  Frames between its containers bypass the bridge (redirect_peer=true)".to_owned());
    }
    if let Some(unmet) = &network.unmet {
        lines.push(format!("  {unmet}"));
    }
    if !network.dns.is_empty() {
        lines.push(format!("  DNS servers: {}", list(&network.dns)));
    }
    if !network.labels.is_empty() {
        lines.push(format!("  Labels: {}", cell(&labels(&network.labels))));
    }
    lines
}

fn mtu(view: &NetworkView) -> Option<String> {
    let origin = match view.mtu_from {
        MtuOrigin::Asked => "as asked for by `-o mtu=`",
        MtuOrigin::Uplink => "as the link of the host's default route has it",
        MtuOrigin::Hosts => "what the routes to the other hosts take, less what the tunnel adds",
        MtuOrigin::Parent => "as the parent has it",
        MtuOrigin::Ethernet => "as Ethernet has it: the host has no default route",
        MtuOrigin::None => return None,
    };
    let own = view.links.iter().find_map(|link| link.mtu);
    let bytes = view.network.mtu.or(own);
    Some(bytes.map_or_else(|| origin.to_owned(), |bytes| format!("{bytes} bytes, {origin}")))
}

fn pools(view: &NetworkView) -> Vec<String> {
    let row = |s: &SubnetInfo| {
        let gateway = s.gateway.map_or_else(|| "-".to_owned(), |gateway| gateway.to_string());
        let range = s.ip_range.map_or_else(|| "-".to_owned(), |range| range.to_string());
        let aux = s.aux_addresses.iter().map(|(name, address)| format!("{name}={address}"));
        let aux = aux.collect::<Vec<_>>().join(", ");
        format!("{}\t{gateway}\t{range}\t{}\t{}\t{}", s.subnet, s.used, s.free, dash(aux))
    };
    let heading = "SUBNET\tGATEWAY\tRANGE\tUSED\tFREE\tKEPT".to_owned();
    std::iter::once(heading).chain(view.network.subnets.iter().map(row)).collect()
}

fn links(view: &NetworkView) -> Vec<String> {
    let heading = "LINK\tSTATE\tMTU\tMAC\tRECEIVED\tSENT".to_owned();
    let row = |link: &LinkView| {
        let mac = link.mac.map_or_else(|| "-".to_owned(), |mac| mac.to_string());
        let (received, sent) = (traffic(&link.received), traffic(&link.sent));
        format!("{}\t{}\t{}\t{mac}\t{received}\t{sent}", link.name, state(link.state), number(link.mtu))
    };
    std::iter::once(heading).chain(view.links.iter().map(row)).collect()
}

fn containers(view: &NetworkView) -> Vec<String> {
    let heading = "CONTAINER\tADDRESSES\tMAC\tNAMES\tPORTS".to_owned();
    let row = |one: &EndpointView| {
        let a = &one.attachment;
        let mac = a.mac.map_or_else(|| "-".to_owned(), |mac| mac.to_string());
        let names: Vec<String> = one.names.iter().filter(|name| **name != a.container_name).cloned().collect();
        let ports = one.ports.iter().map(mapping).collect::<Vec<_>>().join(", ");
        format!(
            "{}\t{}\t{mac}\t{}\t{}",
            cell(&a.container_name),
            nets(&a.addresses),
            cell(&names.join(", ")),
            dash(ports)
        )
    };
    std::iter::once(heading).chain(view.endpoints.iter().map(row)).collect()
}

fn ends(view: &NetworkView) -> Vec<String> {
    let heading = "CONTAINER\tINSIDE\tMTU\tON THE HOST\tMTU\tRECEIVED\tSENT".to_owned();
    let end = |link: &Option<LinkView>| match link {
        Some(link) if link.state == LinkState::Up => (link.name.to_string(), number(link.mtu)),
        Some(link) => (format!("{} ({})", link.name, state(link.state)), number(link.mtu)),
        None => ("-".to_owned(), "-".to_owned()),
    };
    let row = |one: &EndpointView| {
        let ((inside, its), (outside, other)) = (end(&one.inside), end(&one.outside));
        let counted = one.inside.as_ref().map(|link| (traffic(&link.received), traffic(&link.sent)));
        let (received, sent) = counted.unwrap_or_default();
        format!("{}\t{inside}\t{its}\t{outside}\t{other}\t{received}\t{sent}", cell(&one.attachment.container_name))
    };
    let linked = view.endpoints.iter().filter(|one| one.inside.is_some());
    std::iter::once(heading).chain(linked.map(row)).collect()
}

fn remotes(view: &NetworkView) -> Vec<String> {
    let heading = "CONTAINER\tADDRESSES\tMAC\tHOST\tFRAMES GO TO".to_owned();
    let rows = view.remotes.iter().map(|one| {
        let to = one.address.map_or_else(|| "-".to_owned(), |address| address.to_string());
        format!("{}\t{}\t{}\t{}\t{to}", cell(&one.name), list(&one.addresses), one.mac, cell(&one.host))
    });
    std::iter::once(heading).chain(rows).collect()
}

fn rules(view: &NetworkView) -> Vec<String> {
    let heading = "PACKETS\tBYTES\tTABLE\tCHAIN\tWHY".to_owned();
    let counted = view.rules.iter().filter(|rule| rule.packets > 0).map(|rule| {
        let why = if rule.comment.is_empty() { format!("handle {}", rule.handle) } else { rule.comment.clone() };
        format!("{}\t{}\t{}\t{}\t{}", rule.packets, size(rule.bytes), cell(&rule.table), cell(&rule.chain), cell(&why))
    });
    std::iter::once(heading).chain(counted).collect()
}

fn obstacle(one: &Obstacle) -> String {
    let (family, table, chain) = (&one.family, &one.table, &one.chain);
    let text = format!("\nCut off by table `{family} {table}`, chain `{chain}`; let it through: {}\n", one.command);
    report::printable(&text)
}

fn state(state: LinkState) -> &'static str {
    match state {
        LinkState::Up => "up",
        LinkState::Down => "down",
        LinkState::Missing => "missing",
        LinkState::Unknown => "not looked at",
    }
}

/// `12 packets, 1.2kB`, and what was dropped.
fn traffic(all: &Traffic) -> String {
    let dropped = if all.dropped > 0 { format!(", {} dropped", all.dropped) } else { String::new() };
    format!("{} packets, {}{dropped}", all.packets, size(all.bytes))
}

fn number(value: Option<u32>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn list(all: &[impl Display]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn nets(all: &[IpNet]) -> String {
    dash(list(all))
}

fn dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}
