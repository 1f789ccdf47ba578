//! Sandboxes: a container's network namespace with its attachments and published ports.

use crate::{ContainerId, IfName, Mac, NetworkId, NetworkName};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What `rcr` asks for when a container starts: a ready network namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxRequest {
    /// The container.
    pub id: ContainerId,
    /// The container's name; it resolves on each attached network, as do the id's first 12 digits and the aliases.
    pub name: String,
    /// Where its network namespace comes from.
    pub netns: NetnsSource,
    /// In the order of the command line; the first with a gateway gives the default route.
    pub attachments: Vec<AttachmentRequest>,
    /// Ports to publish.
    #[serde(default)]
    pub publish: Vec<PublishRequest>,
    /// How names are resolved.
    #[serde(default)]
    pub dns: DnsRequest,
    /// The container may open connections to the host (`--add-host NAME:host-gateway`).
    #[serde(default)]
    pub host_gateway: bool,
}

/// Where the network namespace comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetnsSource {
    /// netd makes it; its descriptor comes back with the reply.
    New,
    /// The caller's own: its descriptor travels with the request.
    Given,
    /// None: the container runs in netd's own (the host's) namespace; only its name is registered.
    Host,
}

/// One `--network`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachmentRequest {
    /// A name, an id, or an unambiguous prefix of an id.
    pub network: String,
    /// Further names on this network.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// A static IPv4 address: refused when taken.
    #[serde(default)]
    pub ip: Option<std::net::Ipv4Addr>,
    /// A static IPv6 address.
    #[serde(default)]
    pub ip6: Option<std::net::Ipv6Addr>,
    /// The MAC address; if absent, it follows from the address.
    #[serde(default)]
    pub mac: Option<Mac>,
    /// The interface's name in the container; absent: `eth0`, `eth1`, …
    #[serde(default)]
    pub ifname: Option<IfName>,
    /// The attachment with the highest priority gives the default route (Docker's `gw-priority`).
    #[serde(default)]
    pub gw_priority: i32,
    /// Sysctls of the interface, as paths below `/proc/sys` with `IFNAME` for its name (Docker's
    /// `com.docker.network.endpoint.sysctls`), e.g. `net/ipv4/conf/IFNAME/log_martians`.
    #[serde(default)]
    pub sysctls: std::collections::BTreeMap<String, String>,
    /// Addresses to take if they are free (the ones this container had before): a wish, never refused.
    #[serde(default)]
    pub prefer: Vec<IpAddr>,
}

impl AttachmentRequest {
    /// An attachment with nothing asked for but the network.
    pub fn to(network: impl Into<String>) -> Self {
        Self {
            network: network.into(),
            aliases: Vec::new(),
            ip: None,
            ip6: None,
            mac: None,
            ifname: None,
            gw_priority: 0,
            sysctls: Default::default(),
            prefer: Vec::new(),
        }
    }
}

/// DNS of one container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsRequest {
    /// `--dns`; empty: the configured ones, else the host's.
    #[serde(default)]
    pub servers: Vec<IpAddr>,
    /// `--dns-search`; empty: the host's domains, a `.` alone: none.
    #[serde(default)]
    pub search: Vec<String>,
    /// Its own names are answered only while its shim says that it is healthy (`--dns-healthy-only`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub healthy_only: bool,
}

/// Transport protocols that can be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proto {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
    /// RFC 9260.
    Sctp,
}

impl std::fmt::Display for Proto {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Proto::Tcp => "tcp",
            Proto::Udp => "udp",
            Proto::Sctp => "sctp",
        })
    }
}

/// The host side of a `-p`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostPort {
    /// Any free port of the ephemeral range; one range of `count` consecutive ones.
    Ephemeral,
    /// Exactly this one, or the first of as many as the container range has.
    Exact(u16),
    /// Any free port in here, for a single container port (`-p 8000-8010:80`).
    AnyOf(u16, u16),
}

/// One `-p`: `count` consecutive ports from `container_port` on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishRequest {
    /// Absent: all addresses of both families (or the configured publish address).
    #[serde(default)]
    pub host_ip: Option<IpAddr>,
    /// The port on the host.
    pub host_port: HostPort,
    /// The first port in the container.
    pub container_port: u16,
    /// 1 or more.
    pub count: u16,
    /// The transport protocol.
    pub proto: Proto,
}

/// A port as it was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The address on the host; unspecified: all of its family.
    pub host_ip: IpAddr,
    /// The first port on the host.
    pub host_port: u16,
    /// The first port in the container.
    pub container_port: u16,
    /// Consecutive ports: 1 for a single one.
    pub count: u16,
    /// The transport protocol.
    pub proto: Proto,
}

/// A sandbox as netd made it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SandboxInfo {
    /// The container.
    pub id: ContainerId,
    /// The container's name.
    pub name: String,
    /// Its networks.
    pub attachments: Vec<AttachmentInfo>,
    /// Its published ports.
    pub ports: Vec<PublishedPort>,
    /// What `/etc/resolv.conf` should name: `127.0.0.11`, or nothing where the host's own file is to be used.
    pub nameserver: Option<IpAddr>,
    /// What `host-gateway` stands for in this container.
    pub host_gateway: Vec<IpAddr>,
    /// Firewalls of others that cut its networks off.
    #[serde(default)]
    pub obstacles: Vec<crate::Obstacle>,
}

/// One attachment as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttachmentInfo {
    /// The network's name.
    pub network: NetworkName,
    /// The network's id.
    pub network_id: NetworkId,
    /// The container this belongs to, for listings by network.
    pub container: ContainerId,
    /// The container's name.
    pub container_name: String,
    /// Absent on `host` and `none`.
    pub ifname: Option<IfName>,
    /// The MAC address; absent where it is the parent's.
    pub mac: Option<Mac>,
    /// With the subnet's prefix length.
    pub addresses: Vec<ipnet::IpNet>,
    /// The gateways of this network, by family.
    pub gateways: Vec<IpAddr>,
    /// Further names on this network.
    pub aliases: Vec<String>,
}
