//! Whether anybody waits for what arrives.

use super::hop::HOST;
use super::question::Target;
use super::walk::Walk;
use crate::ports::Busy;
use crate::seen::PlaceSeen;
use netd_api::{Fault, Proto};
use rcr_base::command;
use std::net::IpAddr;

impl Walk<'_> {
    /// Whether somebody listens on the port where the packets arrive.
    pub fn listener(&mut self) {
        let Some(port) = self.question.port else { return };
        match &self.question.target {
            Target::Container { address, .. } => self.in_container(*address, port),
            Target::Published { port: published, host_port, .. } => {
                let inside = published.container_port + host_port.saturating_sub(published.host_port);
                let address = self.receiving().and_then(|(a, _)| {
                    let same = |net: &&ipnet::IpNet| net.addr().is_ipv4() == published.host_ip.is_ipv4();
                    a.addresses.iter().find(same).or(a.addresses.first()).map(|net| net.addr())
                });
                address.into_iter().for_each(|address| self.in_container(address, inside));
            }
            Target::Host { address } => {
                if let Some(place) = self.seen.host.as_ref() {
                    self.on_port(HOST, place, *address, port, "`ss -lntup` shows who listens there".to_owned());
                }
            }
            Target::Remote { .. } | Target::World { .. } | Target::Named => {}
        }
    }

    fn in_container(&mut self, address: IpAddr, port: u16) {
        let (Some(receiver), Some(place)) = (self.receiver(), self.seen.target.as_ref()) else { return };
        let name = receiver.name.clone();
        let fix = format!("{} shows who listens there", command::in_network_of(&name, "ss -lntup"));
        self.on_port(&name, place, address, port, fix);
    }

    fn on_port(&mut self, name: &str, place: &PlaceSeen, address: IpAddr, port: u16, fix: String) {
        let proto = self.question.proto;
        if proto == Proto::Sctp || self.answered() && proto == Proto::Tcp {
            // Sockets of SCTP are not listed; an answer says more than a list.
            return;
        }
        let on: Vec<&Busy> = place.sockets.iter().filter(|s| s.proto == proto && s.port == port).collect();
        // [::] takes IPv4, too, unless it was told otherwise (ipv6(7), IPV6_V6ONLY).
        let takes = |s: &&&Busy| {
            s.address == address
                || s.address.is_unspecified() && (s.address.is_ipv4() == address.is_ipv4() || s.address.is_ipv6())
        };
        let words = proto.to_string().to_uppercase();
        if let Some(socket) = on.iter().find(takes) {
            self.listens = true;
            let at = std::net::SocketAddr::new(socket.address, port);
            return self.good(name, format!("somebody listens on {words} {at}"));
        }
        let all =
            on.iter().map(|s| std::net::SocketAddr::new(s.address, port).to_string()).collect::<Vec<_>>().join(", ");
        let loopback = !on.is_empty() && on.iter().all(|s| s.address.is_loopback());
        let hop = match on.is_empty() {
            true => {
                let mut others: Vec<u16> =
                    place.sockets.iter().filter(|s| s.proto == proto && !is_resolver(s)).map(|s| s.port).collect();
                others.sort_unstable();
                others.dedup();
                let hop = self.bad(Fault::NotListening, name, format!("nobody listens on {words} port {port}"));
                let text = others.iter().take(16).map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let text = if text.is_empty() { "none".to_owned() } else { text };
                hop.evidence.push(format!("{words} ports that somebody listens on there: {text}"));
                hop
            }
            false if loopback => {
                let hop =
                    self.bad(Fault::ListensOnLoopback, name, format!("{words} port {port} is open for itself alone"));
                hop.evidence.push(format!("the program listens on {all}, not on {address}"));
                hop.repair.push(format!("let the program listen on 0.0.0.0:{port} or [::]:{port}"));
                hop
            }
            false => {
                let hop =
                    self.bad(Fault::ListensElsewhere, name, format!("nobody listens on {words} {address} port {port}"));
                hop.evidence.push(format!("the program listens on {all}"));
                hop.repair.push(format!("let the program listen on 0.0.0.0:{port} or [::]:{port}"));
                hop
            }
        };
        hop.evidence.push(fix);
    }
}

/// The sockets of netd's own resolver in a container.
fn is_resolver(socket: &Busy) -> bool {
    socket.address == IpAddr::from([127, 0, 0, 11])
}
