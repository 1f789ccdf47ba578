//! Published ports of one container: chosen, held, relayed.

use super::failures::{kernel_failed, port_failed};
use super::host::Host;
use super::records::{Kept, Record};
use crate::kernel::{busy_ports, hold_port};
use crate::relay::Relay;
use netd_api::{ApiError, HostPort, Proto, PublishRequest, PublishedPort};
use netd_core::model::Attachment;
use netd_core::ports::{Busy, PortError, any_address};
use nix::errno::Errno;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// How many ports of one container are held by sockets. For the rest the look at sock_diag has to do: 2,000 binds would
/// take 23 ms.
const HELD: usize = 64;
/// How many ephemeral ports are tried when other programs are faster.
const TRIES: usize = 8;

/// Who brings a port's packets to the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    /// The kernel; netd holds the port.
    Kernel,
    /// netd's relay, from this host address.
    Relay(IpAddr, IpAddr),
}

impl Host {
    /// Chooses and holds the ports of a container that `carrier` publishes.
    pub(super) fn publish(
        &mut self,
        what: &str,
        requests: &[PublishRequest],
        carrier: Option<&Attachment>,
    ) -> Result<(Vec<PublishedPort>, Kept), ApiError> {
        if requests.is_empty() {
            return Ok((Vec::new(), Kept::default()));
        }
        let carrier = carrier.ok_or_else(|| port_failed(what, &PortError::NoCarrier))?;
        let mut busy = busy_ports().map_err(|error| kernel_failed(what, &error))?;
        let of_network = self.networks.get(&carrier.network).and_then(|state| state.network.publish_address());
        let on: Vec<IpAddr> = match of_network.or(self.config.network.publish_address) {
            Some(address) => vec![address],
            None => any_address().to_vec(),
        };
        let elastic = requests.iter().any(|r| !matches!(r.host_port, HostPort::Exact(_)));
        for _ in 0..TRIES {
            let ports = self.ports.allocate(requests, &on, &busy).map_err(|error| port_failed(what, &error))?;
            match self.keep(&ports, carrier) {
                Ok(kept) => return Ok((ports, kept)),
                // Bound and not listening: sock_diag doesn't show those.
                Err(PortError::Busy { proto, address, port }) if elastic => busy.push(Busy { proto, address, port }),
                Err(error) => return Err(port_failed(what, &error)),
            }
        }
        let error = PortError::NoneFree { proto: requests[0].proto, first: 1, last: u16::MAX };
        Err(port_failed(what, &error))
    }

    /// Holds and relays ports, up to the limit.
    pub(super) fn keep(&self, ports: &[PublishedPort], carrier: &Attachment) -> Result<Kept, PortError> {
        let mut kept = Kept::default();
        let mut left = HELD;
        for published in ports {
            for way in ways(published, carrier) {
                for i in 0..published.count.min(u16::try_from(left).unwrap_or(u16::MAX)) {
                    left -= 1;
                    self.keep_one(published, published.host_port + i, published.container_port + i, way, &mut kept)?;
                }
            }
        }
        Ok(kept)
    }

    fn keep_one(
        &self,
        published: &PublishedPort,
        port: u16,
        inside: u16,
        way: Carrier,
        kept: &mut Kept,
    ) -> Result<(), PortError> {
        let proto = published.proto;
        let address = match way {
            Carrier::Kernel => published.host_ip,
            Carrier::Relay(from, _) => from,
        };
        let held = match hold_port(proto, address, port) {
            Ok(Some(held)) => held,
            Ok(None) => return Ok(()),
            Err(error) if error.errno() == Some(Errno::EADDRINUSE) => {
                return Err(PortError::Busy { proto, address, port });
            }
            Err(error) => {
                // An address that the host doesn't have (yet), or no IPv6: the packets may still come.
                self.log.line(format!("a port is published, but not held: {error}"));
                return Ok(());
            }
        };
        let Carrier::Relay(_, to) = way else {
            kept.held.push(held);
            return Ok(());
        };
        let to = SocketAddr::new(to, inside);
        let relay = match proto {
            Proto::Tcp => Relay::tcp(self.runtime.handle(), held, to),
            _ => Relay::udp(self.runtime.handle(), held, to),
        };
        match relay {
            Ok(relay) => kept.relays.push(relay),
            Err(error) => self.log.line(format!("cannot relay {proto} port {port}: {error}")),
        }
        Ok(())
    }

    /// Holds the ports of an adopted container again.
    pub(super) fn keep_again(&self, record: &Record) -> Kept {
        let Some(carrier) = record.attachments.iter().find(|a| !a.ports.is_empty()) else {
            return Kept::default();
        };
        match self.keep(&record.ports, carrier) {
            Ok(kept) => kept,
            Err(error) => {
                self.log.line(format!("container `{}`: {error}, since netd was away", record.name));
                Kept::default()
            }
        }
    }
}

/// How a port's packets come to a container with these addresses.
fn ways(port: &PublishedPort, carrier: &Attachment) -> Vec<Carrier> {
    let loopback = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let same = carrier.addresses.iter().map(|n| n.addr()).find(|a| a.is_ipv4() == port.host_ip.is_ipv4());
    let any = carrier.addresses.first().map(|n| n.addr());
    match (same, any) {
        (Some(to), _) if port.host_ip == loopback => vec![Carrier::Relay(loopback, to)],
        // The listener on [::1] also keeps others from [::].
        (Some(to), _) if port.host_ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
            vec![Carrier::Relay(loopback, to)]
        }
        (Some(_), _) => vec![Carrier::Kernel],
        (None, Some(to)) => vec![Carrier::Relay(port.host_ip, to)],
        (None, None) => Vec::new(),
    }
}
