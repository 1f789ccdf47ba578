//! The way to another host's container: entries of the tunnel, and the host behind it.

use super::hop::{HOST, bare};
use super::question::Target;
use super::walk::Walk;
use crate::drivers::{overlay, wireguard};
use crate::model::Remote;
use crate::picture::NetworkPicture;
use crate::seen::{RouteSeen, SessionSeen, TunnelSeen};
use netd_api::Fault;
use rcr_base::command;
use std::net::IpAddr;

/// `REJECT_AFTER_TIME` of WireGuard, in seconds.
const LONGEST_SESSION: u64 = 180;

impl Walk<'_> {
    /// Whether frames for the container go to its host, and whether that is there.
    pub fn tunnel(&mut self) {
        let Target::Remote { network, remote, address } = &self.question.target else { return };
        let (Some(network), Some(host)) = (self.picture.networks.get(network), &self.seen.host) else { return };
        let node = self.picture.host_name(&remote.node);
        let Some(link) = overlay::link_name(&network.network) else { return };
        match host.links.get(&link) {
            None => {
                let hop = self.bad(Fault::LinkMissing, HOST, format!("the tunnel `{link}` is gone"));
                hop.repair.push(bare(command::network_repair()));
                return;
            }
            Some(seen) if !seen.up => {
                let hop = self.bad(Fault::LinkDown, HOST, format!("the tunnel `{link}` is down"));
                hop.repair.push(format!("ip link set {link} up"));
                return;
            }
            Some(seen) => {
                let index = seen.index;
                let entry = host.neighbours.iter().find(|n| n.link == index && n.address == *address);
                let mac = entry.and_then(|entry| entry.mac);
                if mac != Some(remote.mac) && self.in_doubt() {
                    let has = mac.map_or_else(|| "none".to_owned(), |mac| mac.to_string());
                    let hop = self.bad(Fault::NoEntry, HOST, format!("`{link}` does not know who has {address}"));
                    hop.evidence
                        .push(format!("its neighbour entry for {address} is {has}; the container has {}", remote.mac));
                    hop.repair.push(bare(command::network_repair()));
                    return;
                }
            }
        }
        if let Some(seen) = &self.seen.tunnel {
            self.behind(network, remote, &node, seen, link.as_str());
        }
    }

    fn behind(&mut self, network: &NetworkPicture, remote: &Remote, node: &str, seen: &TunnelSeen, link: &str) {
        let known = network.vteps.get(&remote.node);
        let vtep = known.map(|vtep| vtep.address);
        // Frames of an encrypted network go to where WireGuard takes them.
        let takes = match network.network.encrypted() {
            true => known.and_then(|vtep| vtep.key).map(|key| IpAddr::V6(wireguard::inner(&key))),
            false => vtep,
        };
        let through: Vec<IpAddr> = seen.forwards.iter().filter(|f| f.mac == remote.mac).map(|f| f.to).collect();
        if self.in_doubt() && through.first() != takes.as_ref() {
            let has = through.first().map_or_else(|| "nowhere".to_owned(), |to| format!("to {to}"));
            let hop = self.bad(Fault::WrongVtep, HOST, format!("frames for {} go {has}", remote.mac));
            hop.evidence.push(format!(
                "host `{node}` takes them at {}",
                takes.map_or_else(|| "no address".to_owned(), |v| v.to_string())
            ));
            hop.evidence.push(format!("`bridge fdb show dev {link}` lists the entries"));
            hop.repair.push(bare(command::network_repair()));
            hop.repair
                .extend(takes.map(|vtep| format!("bridge fdb replace {} dev {link} dst {vtep} self", remote.mac)));
            return;
        }
        if seen.way == RouteSeen::None {
            self.bad(Fault::NoRoute, HOST, format!("has no route to host `{node}`"));
            return;
        }
        let known_away = self.picture.nodes.get(&remote.node).is_some_and(|node| !node.alive);
        if seen.host_answers == Some(false) && self.in_doubt() {
            let hop = self.bad(Fault::HostDown, node, "does not answer");
            hop.evidence.extend(vtep.map(|vtep| format!("{vtep} was asked by ICMP echo")));
            if known_away {
                hop.evidence.push("the cluster's store has not heard of it for a while either".to_owned());
            }
            return;
        }
        if network.network.encrypted() && self.no_session(node, seen.session) {
            return;
        }
        if let Some(why) = &self.picture.store_away {
            self.good(
                HOST,
                format!(
                    "frames for the container go to host `{node}`, as it was known last: the store is away ({why})"
                ),
            );
        } else {
            self.good(HOST, format!("frames for the container go to host `{node}`"));
        }
        if seen.host_answers == Some(true) && self.in_doubt() {
            let port = network.network.driver.overlay().map_or(netd_api::VXLAN_PORT, |options| options.port);
            let hop = self.bad(Fault::TunnelBlocked, node, "answers, but nothing comes back through the tunnel");
            hop.evidence
                .push(format!("frames travel by UDP port {port} between the hosts: a firewall on the way may drop it"));
            hop.repair.push(format!(
                "on `{node}`: the same question about a container here, and {}",
                bare(command::network_repair())
            ));
        }
    }

    /// Without a session WireGuard sends nothing but questions for one.
    fn no_session(&mut self, node: &str, session: SessionSeen) -> bool {
        let seen = match session {
            SessionSeen::Stranger => "no link of WireGuard has its key".to_owned(),
            SessionSeen::Never => "there has never been one with its present key".to_owned(),
            SessionSeen::Ago(seconds) if seconds > LONGEST_SESSION => {
                format!("the last one began {seconds} s ago, and one lasts {LONGEST_SESSION} s")
            }
            SessionSeen::Ago(_) | SessionSeen::Unasked => return false,
        };
        if !self.in_doubt() {
            return false;
        }
        let hop = self.bad(Fault::KeyOld, HOST, format!("WireGuard has no session with host `{node}`"));
        hop.evidence.push(seen);
        hop.evidence.push(
            "the other host does not know this one's key, or WireGuard's UDP port is closed on the way".to_owned(),
        );
        hop.repair.push(bare(command::list_nodes()));
        hop.repair.push(bare(command::rekey()));
        true
    }
}
