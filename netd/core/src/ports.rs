//! Published ports: who has which, and which are free. Pure; what other programs listen on comes in as [`Busy`].

use netd_api::{ContainerId, HostPort, Proto, PublishRequest, PublishedPort};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The ports that ephemeral requests get. Above the kernel's own default range (32768 to 60999) nothing is in its way.
pub const EPHEMERAL: (u16, u16) = (49153, 65535);

/// Why a port can't be published.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PortError {
    #[error("port {proto} `{address}:{port}` is published by container `{owner}`")]
    Published { proto: Proto, address: IpAddr, port: u16, owner: String },
    #[error("port {proto} `{address}:{port}` is in use by another program")]
    Busy { proto: Proto, address: IpAddr, port: u16 },
    #[error("no free {proto} port in {first}-{last}")]
    NoneFree { proto: Proto, first: u16, last: u16 },
    #[error("ports {first} and the {count} from there on go beyond 65535")]
    Beyond { first: u16, count: u16 },
    #[error("port 0 can't be published")]
    Zero,
    #[error("no network of the container can carry published ports")]
    NoCarrier,
}

/// A socket of another program that is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy {
    pub proto: Proto,
    pub address: IpAddr,
    pub port: u16,
}

/// Everything that is published, by all containers.
#[derive(Debug, Default)]
pub struct Registry {
    taken: Vec<(PublishedPort, ContainerId, String)>,
}

impl Registry {
    /// Writes a container's ports down.
    pub fn insert(&mut self, ports: &[PublishedPort], id: &ContainerId, name: &str) {
        self.taken.extend(ports.iter().map(|p| (p.clone(), id.clone(), name.to_owned())));
    }

    /// Forgets a container's ports.
    pub fn remove(&mut self, id: &ContainerId) {
        self.taken.retain(|(_, owner, _)| owner != id);
    }

    fn conflict(&self, want: &PublishedPort) -> Option<PortError> {
        let (port, _, owner) = self.taken.iter().find(|(p, _, _)| ports_overlap(p, want))?;
        let first = port.host_port.max(want.host_port);
        Some(PortError::Published { proto: want.proto, address: want.host_ip, port: first, owner: owner.clone() })
    }

    /// Chooses the host's ports for the requests, all or none. `addresses` are the host addresses that a request
    /// without one means: the same port on each of them.
    pub fn allocate(
        &self,
        requests: &[PublishRequest],
        addresses: &[IpAddr],
        busy: &[Busy],
    ) -> Result<Vec<PublishedPort>, PortError> {
        let mut chosen: Vec<PublishedPort> = Vec::new();
        for request in requests {
            check(request)?;
            let own = [request.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))];
            let on: &[IpAddr] = if request.host_ip.is_some() { &own } else { addresses };
            let mut ports = self.place(request, on, busy, &chosen)?;
            chosen.append(&mut ports);
        }
        Ok(chosen)
    }

    fn place(
        &self,
        request: &PublishRequest,
        on: &[IpAddr],
        busy: &[Busy],
        chosen: &[PublishedPort],
    ) -> Result<Vec<PublishedPort>, PortError> {
        let at = |host_port: u16| -> Result<Vec<PublishedPort>, PortError> {
            let ports: Vec<PublishedPort> = on.iter().map(|ip| published(request, *ip, host_port)).collect();
            for port in &ports {
                if let Some(twin) = chosen.iter().find(|c| ports_overlap(c, port)) {
                    let first = twin.host_port.max(port.host_port);
                    return Err(PortError::Published {
                        proto: port.proto,
                        address: port.host_ip,
                        port: first,
                        owner: "this one, twice".into(),
                    });
                }
                if let Some(error) = self.conflict(port).or_else(|| in_the_way(port, busy)) {
                    return Err(error);
                }
            }
            Ok(ports)
        };
        let (first, last) = match request.host_port {
            HostPort::Exact(port) => return at(port),
            HostPort::Ephemeral => EPHEMERAL,
            HostPort::AnyOf(first, last) => (first, last),
        };
        let span = u32::from(request.count.saturating_sub(1));
        let mut candidate = u32::from(first);
        while candidate + span <= u32::from(last) {
            if let Ok(ports) = at(candidate as u16) {
                return Ok(ports);
            }
            candidate += 1;
        }
        Err(PortError::NoneFree { proto: request.proto, first, last })
    }
}

fn check(request: &PublishRequest) -> Result<(), PortError> {
    let beyond = |first: u16| u32::from(first) + u32::from(request.count) > 65536;
    let first = match request.host_port {
        HostPort::Exact(port) => port,
        HostPort::Ephemeral | HostPort::AnyOf(..) => 1,
    };
    if request.container_port == 0 || request.count == 0 || first == 0 {
        return Err(PortError::Zero);
    }
    for first in [first, request.container_port] {
        if beyond(first) {
            return Err(PortError::Beyond { first, count: request.count });
        }
    }
    Ok(())
}

fn published(request: &PublishRequest, host_ip: IpAddr, host_port: u16) -> PublishedPort {
    let (container_port, count, proto) = (request.container_port, request.count, request.proto);
    PublishedPort { host_ip, host_port, container_port, count, proto }
}

fn in_the_way(port: &PublishedPort, busy: &[Busy]) -> Option<PortError> {
    let last = port.host_port + (port.count - 1);
    let hit = busy.iter().find(|b| {
        b.proto == port.proto && (port.host_port..=last).contains(&b.port) && addresses_overlap(b.address, port.host_ip)
    })?;
    Some(PortError::Busy { proto: port.proto, address: hit.address, port: hit.port })
}

fn ports_overlap(a: &PublishedPort, b: &PublishedPort) -> bool {
    let (a_last, b_last) = (a.host_port + (a.count - 1), b.host_port + (b.count - 1));
    a.proto == b.proto && a.host_port <= b_last && b.host_port <= a_last && addresses_overlap(a.host_ip, b.host_ip)
}

fn addresses_overlap(a: IpAddr, b: IpAddr) -> bool {
    a.is_ipv4() == b.is_ipv4() && (a == b || a.is_unspecified() || b.is_unspecified())
}

/// The host addresses that a request without one means.
pub fn any_address() -> [IpAddr; 2] {
    [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(host_port: HostPort, count: u16) -> PublishRequest {
        PublishRequest { host_ip: None, host_port, container_port: 80, count, proto: Proto::Tcp }
    }

    fn id(digit: &str) -> ContainerId {
        digit.repeat(64).parse().unwrap()
    }

    #[test]
    fn both_families_get_the_same_port() {
        let registry = Registry::default();
        let got = registry.allocate(&[want(HostPort::Ephemeral, 1)], &any_address(), &[]).unwrap();
        assert_eq!(got.len(), 2);
        assert_eq!(got[0].host_port, got[1].host_port);
    }

    #[test]
    fn conflicts_name_the_port_and_its_owner() {
        let mut registry = Registry::default();
        let got = registry.allocate(&[want(HostPort::Exact(8000), 10)], &any_address(), &[]).unwrap();
        registry.insert(&got, &id("a"), "web");
        let error = registry.allocate(&[want(HostPort::Exact(8009), 1)], &any_address(), &[]).unwrap_err();
        assert_eq!(error.to_string(), "port tcp `0.0.0.0:8009` is published by container `web`");
        let busy = [Busy { proto: Proto::Tcp, address: "::".parse().unwrap(), port: 9000 }];
        let error = registry.allocate(&[want(HostPort::Exact(9000), 1)], &any_address(), &busy).unwrap_err();
        assert_eq!(error.to_string(), "port tcp `:::9000` is in use by another program");
        registry.remove(&id("a"));
        assert!(registry.allocate(&[want(HostPort::Exact(8009), 1)], &any_address(), &[]).is_ok());
    }

    #[test]
    fn a_range_of_choices_and_bad_ranges() {
        let registry = Registry::default();
        let busy = [Busy { proto: Proto::Tcp, address: "0.0.0.0".parse().unwrap(), port: 8000 }];
        let got = registry.allocate(&[want(HostPort::AnyOf(8000, 8001), 1)], &any_address(), &busy).unwrap();
        assert_eq!(got[0].host_port, 8001);
        let twice = [want(HostPort::Exact(8000), 1), want(HostPort::Exact(8000), 1)];
        assert!(registry.allocate(&twice, &any_address(), &[]).is_err());
        let full = registry.allocate(&[want(HostPort::AnyOf(8000, 8000), 1)], &any_address(), &busy);
        assert_eq!(full.unwrap_err().to_string(), "no free tcp port in 8000-8000");
        assert!(registry.allocate(&[want(HostPort::Exact(65535), 2)], &any_address(), &[]).is_err());
    }
}
