//! Published ports: whether the port that is asked for leads to the container.

use super::hop::HOST;
use super::question::{Source, Target};
use super::walk::Walk;
use netd_api::Fault;
use std::net::{IpAddr, SocketAddr};

impl Walk<'_> {
    /// Whether the port is published where it is asked for.
    pub fn published(&mut self) {
        let Target::Published { port, address, host_port, .. } = &self.question.target else { return };
        let Some(receiver) = self.receiver() else { return };
        let name = receiver.name.clone();
        let (from, asked) = (SocketAddr::new(port.host_ip, *host_port), SocketAddr::new(*address, *host_port));
        let here =
            port.host_ip == *address || port.host_ip.is_unspecified() && port.host_ip.is_ipv4() == address.is_ipv4();
        let only_local = port.host_ip.is_loopback() && self.question.source == Source::Outside;
        if !here || only_local {
            let what = match only_local {
                true => format!("`{name}` publishes port {host_port} for this host alone"),
                false => format!("`{name}` does not publish port {host_port} on {address}"),
            };
            let asker =
                if only_local { "machines outside don't reach that".to_owned() } else { format!("{asked} was asked") };
            let inside = port.container_port;
            let hop = self.bad(Fault::PublishedElsewhere, HOST, what);
            hop.evidence.push(format!("it is published on {from}/{}; {asker}", port.proto));
            hop.repair
                .push(format!("create `{name}` with `-p {host_port}:{inside}`, which publishes on all addresses"));
            return;
        }
        if self.taken(asked) {
            return;
        }
        let inside = port.container_port + host_port.saturating_sub(port.host_port);
        self.good(HOST, format!("{from}/{} is published by `{name}`, as its port {inside}", port.proto));
    }

    /// What netd itself has to take, another program may have taken while netd was away.
    fn taken(&mut self, asked: SocketAddr) -> bool {
        if !self.in_doubt() || asked.ip() != IpAddr::from(std::net::Ipv6Addr::LOCALHOST) {
            return false;
        }
        let Some(host) = &self.seen.host else { return false };
        let held = host.sockets.iter().any(|s| s.port == asked.port() && s.proto == self.question.proto);
        if held {
            return false;
        }
        let hop = self.bad(Fault::PortTaken, HOST, format!("nobody brings {asked} to the container"));
        hop.evidence.push(
            "netd's relay does that, and has no socket there: another program had the port when netd started"
                .to_owned(),
        );
        hop.evidence.push("netd.log in the run folder names the port".to_owned());
        true
    }
}
