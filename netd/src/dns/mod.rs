//! Names of containers. (A place-holder with the final interface.)

use netd_api::{ContainerId, NetworkId};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// What the resolver is told at start.
#[derive(Debug, Clone, Default)]
pub struct DnsConfig {
    pub upstreams: Vec<SocketAddr>,
    pub resolv_conf: PathBuf,
}

/// A container's names on one network.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub container: ContainerId,
    pub names: Vec<String>,
    pub addresses: Vec<IpAddr>,
}

/// What one container sees.
#[derive(Debug, Clone)]
pub struct View {
    pub networks: Vec<NetworkId>,
    pub forward: bool,
    pub servers: Vec<IpAddr>,
}

/// The handle.
#[derive(Debug, Clone)]
pub struct Dns;

impl Dns {
    /// A resolver without names.
    pub fn new(_: DnsConfig) -> Self {
        Self
    }
    /// Sets the names of a container on a network.
    pub fn set_endpoint(&self, _: &NetworkId, _: &str, _: Endpoint) {}
    /// Forgets them.
    pub fn remove_endpoint(&self, _: &NetworkId, _: &ContainerId) {}
    /// Serves one container.
    pub fn serve(&self, udp: std::net::UdpSocket, tcp: std::net::TcpListener, _: View) -> Service {
        Service {
            _sockets: (udp, tcp),
        }
    }
}

/// Ends the service when dropped.
#[derive(Debug)]
pub struct Service {
    _sockets: (std::net::UdpSocket, std::net::TcpListener),
}

impl Service {
    /// Changes what the container sees.
    pub fn set_view(&self, _: View) {}
}
