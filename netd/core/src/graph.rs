//! The topology as nodes and edges: what `rcr network graph` draws. Pure.

use crate::model::{Attachment, Network, Parent};
use crate::picture::{NetworkPicture, Picture};
use netd_api::{
    ContainerId, GatewayMode, GraphEdge, GraphKind, GraphNode, GraphView, NetworkId, NodeId, PublishedPort,
};
use std::collections::BTreeSet;
use std::net::SocketAddr;

const HOST: &str = "host";
const OUTSIDE: &str = "outside";

/// What is drawn of a picture: these networks (none: all that somebody is on, or that are not predefined, but `host` and
/// `none`, which give nobody a link), and of them what this container is on, whatever that is.
pub fn graph(picture: &Picture, networks: &[NetworkId], container: Option<&ContainerId>) -> GraphView {
    let mut draw = Draw { picture, view: GraphView::default(), drawn: BTreeSet::new() };
    draw.node(HOST, GraphKind::Host, "this host", Vec::new(), None);
    let mut chosen: Vec<&NetworkPicture> =
        picture.networks.values().filter(|n| draw.wants(n, networks, container)).collect();
    chosen.sort_by(|a, b| a.network.name.cmp(&b.network.name));
    for network in chosen {
        draw.network(network, container);
    }
    draw.view
}

struct Draw<'a> {
    picture: &'a Picture,
    view: GraphView,
    drawn: BTreeSet<String>,
}

impl Draw<'_> {
    fn wants(&self, network: &NetworkPicture, named: &[NetworkId], container: Option<&ContainerId>) -> bool {
        let id = &network.network.id;
        let on = |c: &ContainerId| {
            self.picture.containers.get(c).is_some_and(|c| c.attachments.iter().any(|a| a.network == *id))
        };
        let used = || !network.network.predefined || self.picture.containers.keys().any(on);
        let draws = || network.network.linked() || container.is_some();
        let chosen = if named.is_empty() { draws() && used() } else { named.contains(id) };
        chosen && container.is_none_or(on)
    }

    fn node(&mut self, id: &str, kind: GraphKind, name: &str, details: Vec<String>, within: Option<&str>) {
        if self.drawn.insert(id.to_owned()) {
            let within = within.map(str::to_owned);
            self.view.nodes.push(GraphNode { id: id.to_owned(), kind, name: name.to_owned(), details, within });
        }
    }

    fn edge(&mut self, from: &str, to: &str, labels: Vec<String>) {
        self.view.edges.push(GraphEdge { from: from.to_owned(), to: to.to_owned(), labels, via: None });
    }

    fn network(&mut self, one: &NetworkPicture, only: Option<&ContainerId>) {
        let (network, id) = (&one.network, format!("net_{}", one.network.id.short()));
        self.node(&id, GraphKind::Network, network.name.as_str(), about(one), Some(HOST));
        if let Some(parent) = &network.parent {
            self.parent(&id, parent);
        } else if let Some(out) = way_out(network) {
            self.node(OUTSIDE, GraphKind::Outside, "outside", Vec::new(), None);
            self.edge(&id, OUTSIDE, vec![out.to_owned()]);
        }
        for (container, inhabitant) in &self.picture.containers {
            let attachment = inhabitant.attachments.iter().find(|a| a.network == network.id);
            let Some(attachment) = attachment.filter(|_| only.is_none_or(|only| only == container)) else { continue };
            let of = format!("c_{}", container.short());
            self.node(&of, GraphKind::Container, &inhabitant.name, Vec::new(), Some(HOST));
            self.edge(&of, &id, joined(network, attachment));
            if !attachment.ports.is_empty() {
                self.node(OUTSIDE, GraphKind::Outside, "outside", Vec::new(), None);
                let labels = attachment.ports.iter().map(published).collect();
                let (from, to, via) = (OUTSIDE.to_owned(), of.clone(), Some(id.clone()));
                self.view.edges.push(GraphEdge { from, to, labels, via });
            }
        }
        if only.is_none() {
            self.others(one, &id);
        }
    }

    fn parent(&mut self, id: &str, parent: &Parent) {
        let name = parent.name();
        let link = format!("link_{}", name.as_str().replace(|c: char| !c.is_ascii_alphanumeric(), "_"));
        let (kind, label) = match parent {
            Parent::Own(_) => (GraphKind::Link, "a link of its own, which leads nowhere".to_owned()),
            Parent::Given(_) => (GraphKind::Link, "parent".to_owned()),
            Parent::Vlan { on, id, .. } => (GraphKind::Link, format!("parent, VLAN {id} of {on}")),
        };
        self.node(&link, kind, name.as_str(), Vec::new(), Some(HOST));
        self.edge(id, &link, vec![label]);
        if !matches!(parent, Parent::Own(_)) {
            self.node(OUTSIDE, GraphKind::Outside, "outside", Vec::new(), None);
            self.edge(&link, OUTSIDE, vec!["the LAN".to_owned()]);
        }
    }

    /// Other hosts that have the network, and their containers.
    fn others(&mut self, one: &NetworkPicture, id: &str) {
        for (node, vtep) in &one.vteps {
            let host = host_id(node);
            let name = self.picture.host_name(node);
            self.node(&host, GraphKind::Host, &name, vec![vtep.address.to_string()], None);
            let by = if one.network.encrypted() { "VXLAN inside WireGuard" } else { "VXLAN" };
            self.edge(id, &host, vec![by.to_owned()]);
        }
        for remote in &one.remotes {
            let (host, of) = (host_id(&remote.node), format!("c_{}", remote.container.short()));
            let addresses = remote.addresses.iter().map(ToString::to_string).collect();
            self.node(&of, GraphKind::Container, &remote.name, Vec::new(), Some(&host));
            self.edge(&of, &host, addresses);
        }
    }
}

fn host_id(node: &NodeId) -> String {
    format!("host_{}", node.short())
}

fn about(one: &NetworkPicture) -> Vec<String> {
    let network = &one.network;
    let mut all = vec![network.driver.name().to_owned()];
    all.extend(network.interface.as_ref().filter(|_| network.parent.is_none()).map(|link| format!("bridge {link}")));
    all.extend(network.subnets.iter().map(|s| s.subnet.to_string()));
    all.extend(network.internal.then(|| "internal".to_owned()));
    all.extend(network.bridge().filter(|o| !o.icc).map(|_| "containers kept apart".to_owned()));
    all
}

fn way_out(network: &Network) -> Option<&'static str> {
    if network.internal || !network.linked() {
        return None;
    }
    let routed = network.subnets.iter().any(|s| network.gateway_mode(s) == GatewayMode::Routed);
    Some(if routed { "routed" } else { "NAT" })
}

fn joined(network: &Network, attachment: &Attachment) -> Vec<String> {
    let end = match network.bridge() {
        // It has the host's links, or none.
        _ if !network.linked() => return Vec::new(),
        Some(_) => format!("{} = {}", attachment.ifname, attachment.host_link),
        None => attachment.ifname.to_string(),
    };
    std::iter::once(end).chain(attachment.addresses.iter().map(ToString::to_string)).collect()
}

fn published(port: &PublishedPort) -> String {
    let last = |first: u16| if port.count > 1 { format!("-{}", first + (port.count - 1)) } else { String::new() };
    let from = SocketAddr::new(port.host_ip, port.host_port);
    format!("{from}{} → {}{}/{}", last(port.host_port), port.container_port, last(port.container_port), port.proto)
}
