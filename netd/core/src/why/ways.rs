//! Routes, neighbours, and what of the host's settings lets packets pass.

use super::hop::{HOST, bare};
use super::question::{Source, Target};
use super::walk::Walk;
use crate::model::Parent;
use crate::seen::{NeighbourState, PlaceSeen, RouteSeen, WaySeen};
use netd_api::{Fault, Mac};
use rcr_base::command;
use std::net::IpAddr;

impl Walk<'_> {
    /// The route from where the source is.
    pub fn route(&mut self) {
        let (Some((place, seen)), Some(to)) = (self.source_place(), self.address()) else { return };
        let wanted = self.sending().map(|(attachment, _)| attachment.ifname.to_string());
        match &seen.way {
            RouteSeen::Unasked => {}
            RouteSeen::None => {
                let hop = self.bad(Fault::NoRoute, place, format!("has no route to {to}"));
                hop.evidence.push("the kernel finds none, or one that refuses or swallows packets".to_owned());
            }
            RouteSeen::Way(way) => {
                let near = matches!(self.question.target, Target::Container { .. } | Target::Remote { .. });
                let strays = near && !way.local && wanted.is_some_and(|wanted| wanted != way.link);
                if strays && self.in_doubt() {
                    let hop =
                        self.bad(Fault::RouteElsewhere, place, format!("its route to {to} leaves by `{}`", way.link));
                    hop.evidence.push("a more specific route than the network's own leads there".to_owned());
                    return;
                }
                self.good(place, format!("its route to {to} {}", leads(way)));
            }
        }
    }

    /// Who the next hop is thought to be.
    pub fn neighbour(&mut self) {
        let (Some((place, seen)), Some(to)) = (self.source_place(), self.address()) else { return };
        let RouteSeen::Way(way) = &seen.way else { return };
        if way.local || !self.in_doubt() {
            return;
        }
        let next = way.via.unwrap_or(to);
        let Some(entry) = seen.neighbour(next) else { return };
        let real = self.mac_of(next);
        let flush = format!("ip neigh del {next} dev {}", way.link);
        let repair = match self.question.source {
            Source::Container(_) => bare(command::in_network_of(place, &flush)),
            _ => flush,
        };
        match (entry.state, entry.mac, real) {
            (_, Some(mac), Some(real)) if mac != real => {
                let hop = self.bad(Fault::StaleNeighbour, place, format!("takes {mac} for the neighbour {next}"));
                hop.evidence.push(format!(
                    "{next} is at {real}: the entry is of somebody who had the address before, or was written by hand"
                ));
                hop.repair.push(repair);
            }
            (NeighbourState::Unanswered, ..) => self.unanswered(place, next),
            _ => {}
        }
    }

    /// Nobody says that an address is its own. On one bridge the reason may be the bridge's.
    fn unanswered(&mut self, place: &str, next: IpAddr) {
        if self.kept_apart() || self.one_bridge() {
            // What follows looks for the reason: the links, the ports, the receiver.
            return;
        }
        let parent = self.sending().and_then(|(_, network)| network.network.parent.clone());
        let hop = self.bad(Fault::NeighbourSilent, place, format!("nobody answers for its neighbour {next}"));
        hop.evidence.push("it asked by ARP, or by a neighbour solicitation, and got no answer".to_owned());
        if let Some(Parent::Vlan { on, id, .. }) = parent {
            hop.evidence
                .push(format!("the question left by VLAN {id} of `{on}`: the switch or the other end may lack it"));
        }
    }

    /// The MAC that an address of ours really has.
    fn mac_of(&self, address: IpAddr) -> Option<Mac> {
        let all = self.picture.containers.values().flat_map(|c| &c.attachments);
        let found = all.clone().find(|a| a.addresses.iter().any(|net| net.addr() == address));
        let with_macs = found.filter(|a| {
            let network = self.picture.networks.get(&a.network);
            network.is_some_and(|n| crate::drivers::of(&n.network.driver).own_macs(&n.network.driver))
        });
        let gateway = || {
            let of = |n: &&crate::picture::NetworkPicture| {
                n.network.subnets.iter().any(|s| n.network.is_gateway(s) && s.gateway == Some(address))
            };
            self.picture.networks.values().find(of).filter(|n| n.network.bridge().is_some()).map(|n| n.network.mac)
        };
        with_macs.map(|a| a.mac).or_else(gateway)
    }

    /// Whether the bridge keeps its containers from each other.
    pub fn kept_apart(&self) -> bool {
        let apart =
            |(_, network): (_, &crate::picture::NetworkPicture)| network.network.bridge().is_some_and(|o| !o.icc);
        self.one_bridge() && self.sender().is_some() && self.sending().is_some_and(apart) && !self.is_itself()
    }

    /// The sender is the receiver.
    pub fn is_itself(&self) -> bool {
        match (&self.question.source, &self.question.target) {
            (Source::Container(sender), Target::Container { id, .. }) => sender == id,
            _ => false,
        }
    }

    /// `icc=false`.
    pub fn apart(&mut self) {
        if !self.kept_apart() || self.answered() {
            return;
        }
        let Some((_, network)) = self.sending() else { return };
        let (name, from) = (network.network.name.clone(), self.question.from.clone());
        let hop = self.bad(Fault::IccOff, HOST, format!("network `{name}` keeps its containers apart"));
        let why = "it was created with `-o icc=false`: its bridge passes no frames between their ports";
        hop.evidence.push(why.to_owned());
        hop.repair.push(format!(
            "create a network without `-o icc=false`, and {}",
            bare(command::network_connect("NETWORK", &from))
        ));
    }

    /// Whether the host takes a packet that comes from there (RFC 3704): the route back must leave by the link that it
    /// came by.
    pub fn reverse_path(&mut self) {
        let (Some((attachment, network)), Some(host)) = (self.sending(), &self.seen.host) else { return };
        let v4 = self.address().is_none_or(|to| to.is_ipv4());
        let passes = network.network.bridge().is_some() && !self.one_bridge();
        let (Some(link), true) = (&network.network.interface, self.in_doubt() && v4 && passes) else {
            return;
        };
        let own = format!("net/ipv4/conf/{link}/rp_filter");
        let mode = [own.as_str(), "net/ipv4/conf/all/rp_filter"].iter().filter_map(|key| host.number(key)).max();
        let from = attachment.addresses.iter().map(|net| net.addr()).find(IpAddr::is_ipv4);
        let (Some(mode @ 1..), Some(from)) = (mode, from) else { return };
        let elsewhere = match &host.back {
            RouteSeen::Way(way) if way.link != link.as_str() && mode == 1 => format!("leaves by `{}`", way.link),
            RouteSeen::None => "does not exist".to_owned(),
            _ => return,
        };
        let what = format!("drops what comes from {from} by `{link}`: the route back {elsewhere}");
        let hop = self.bad(Fault::ReversePathFilter, HOST, what);
        hop.evidence.push(format!("rp_filter of `{link}` is {mode} ({})", if mode == 1 { "strict" } else { "loose" }));
        hop.evidence.push(format!("`ip route get {from}` shows the route"));
        hop.repair.push(format!("sysctl -w net.ipv4.conf.{}.rp_filter=2", link.as_str().replace('.', "/")));
    }

    /// Whether the host passes packets on.
    pub fn forwarding(&mut self) {
        let Some(host) = &self.seen.host else { return };
        let passes = match &self.question.target {
            Target::World { .. } => self.sending().is_some_and(|(_, network)| network.network.bridge().is_some()),
            Target::Published { .. } => true,
            _ => false,
        };
        let v4 = self.address().is_none_or(|to| to.is_ipv4());
        let key = if v4 { "net/ipv4/ip_forward" } else { "net/ipv6/conf/all/forwarding" };
        if passes && !matches!(self.question.source, Source::Host) && host.number(key) == Some(0) {
            let hop = self.bad(Fault::ForwardingOff, HOST, "passes no packets on between its links");
            hop.evidence.push(format!("/proc/sys/{key} is 0: netd switched it on, and somebody switched it off"));
            hop.repair.push(bare(command::network_repair()));
            hop.repair.push(format!("sysctl -w {}=1", key.replace('/', ".")));
        }
    }

    /// Whether the host can track one more flow.
    pub fn conntrack(&mut self) {
        let Some((count, most)) = self.seen.conntrack else { return };
        if self.in_doubt() && most > 0 && count >= most {
            let hop = self.bad(Fault::ConntrackFull, HOST, "tracks as many flows as it can: new ones are dropped");
            hop.evidence.push(format!("net.netfilter.nf_conntrack_count is {count}, nf_conntrack_max {most}"));
            hop.repair.push(format!("sysctl -w net.netfilter.nf_conntrack_max={}", most.saturating_mul(2)));
        }
    }

    /// The host's own way to somebody outside.
    pub fn way_out(&mut self) {
        let (Target::World { .. }, Some(host)) = (&self.question.target, &self.seen.host) else { return };
        // What has a link beside the host's own does not come by here.
        if self.sending().is_none_or(|(_, network)| network.network.bridge().is_none()) {
            return;
        }
        let to = self.address().map_or_else(|| "the world outside".to_owned(), |to| to.to_string());
        match &host.way {
            RouteSeen::Unasked => {}
            RouteSeen::None => {
                let hop = self.bad(Fault::NoRoute, HOST, format!("has no route to {to}"));
                hop.evidence.push("`ip route` lists what it has".to_owned());
            }
            RouteSeen::Way(way) => self.out_by(&to, way, host),
        }
    }

    fn out_by(&mut self, to: &str, way: &WaySeen, host: &PlaceSeen) {
        let link = host.links.iter().find(|(name, _)| name.as_str() == way.link);
        if let Some((name, _)) = link.filter(|(_, link)| !link.up) {
            let hop = self.bad(Fault::LinkDown, HOST, format!("its link `{name}` to {to} is down"));
            hop.repair.push(format!("ip link set {name} up"));
            return;
        }
        let next = way.via.or(self.address());
        let silent = next.and_then(|next| host.neighbour(next)).filter(|n| n.state == NeighbourState::Unanswered);
        if let Some(silent) = silent.filter(|_| self.in_doubt()) {
            let (who, link) = (if way.via.is_some() { "its router" } else { "its neighbour" }, &way.link);
            let what = format!("{who} {} on `{link}` does not answer", silent.address);
            let hop = self.bad(Fault::NeighbourSilent, HOST, what);
            hop.evidence.push("it was asked by ARP, or by a neighbour solicitation".to_owned());
            return;
        }
        self.good(HOST, format!("its route to {to} {}", leads(way)));
    }
}

fn leads(way: &WaySeen) -> String {
    match way {
        WaySeen { local: true, .. } => "stays there".to_owned(),
        WaySeen { link, via: Some(via), .. } => format!("leaves by `{link}` to {via}"),
        WaySeen { link, via: None, .. } => format!("leaves by `{link}`"),
    }
}
