//! What the pure rooms speak about: networks, attachments, and the facts of a host that plans depend on.

use ipnet::IpNet;
use netd_api::{
    BridgeOptions, ContainerId, DriverSpec, GatewayMode, IfName, Mac, NetworkId, NetworkName, NodeId, PublicKey,
    PublishedPort,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A network as it was created; nothing in it is chosen later, but the MTU when it follows the uplink.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    pub id: NetworkId,
    pub name: NetworkName,
    pub driver: DriverSpec,
    pub internal: bool,
    pub ipv6: bool,
    pub subnets: Vec<Subnet>,
    /// The host's interface; absent for drivers without one.
    pub interface: Option<IfName>,
    /// What the containers' links sit on (macvlan and ipvlan).
    #[serde(default)]
    pub parent: Option<Parent>,
    /// The host's own link beside the containers' (`host_access` of macvlan and ipvlan). Records of before call it `shim`.
    #[serde(default, alias = "shim")]
    pub own_link: Option<OwnLink>,
    /// The bridge's own address, fixed so that it doesn't follow the lowest port's (bridge(4) behaviour).
    pub mac: Mac,
    /// Servers for names outside, for containers without `--dns`.
    #[serde(default)]
    pub dns: Vec<IpAddr>,
    pub labels: BTreeMap<String, String>,
    /// It is the cluster's, not this host's alone.
    #[serde(default)]
    pub shared: bool,
    /// Seconds since the epoch.
    pub created: i64,
    pub predefined: bool,
    /// Grows with each change: hosts of a cluster tell a newer record from an older one.
    #[serde(default)]
    pub version: u64,
}

impl Network {
    /// The MTU that the user asked for, in bytes.
    pub fn asked_mtu(&self) -> Option<u32> {
        self.bridge().and_then(|o| o.mtu).or(self.driver.lan().and_then(|o| o.mtu))
    }

    /// The bridge options, where the network has a bridge.
    pub fn bridge(&self) -> Option<&BridgeOptions> {
        self.driver.bridge()
    }

    /// Whether it is `before` with nothing changed but what may change while containers are on it.
    pub fn is_changed(&self, before: &Network) -> bool {
        let mut same = Network {
            labels: self.labels.clone(),
            dns: self.dns.clone(),
            subnets: self.subnets.clone(),
            version: self.version,
            ..before.clone()
        };
        if let (Some(same), Some(new)) = (same.driver.overlay_mut(), self.driver.overlay()) {
            same.bridge.mtu = new.bridge.mtu;
        }
        let same_families = [false, true].into_iter().all(|v6| self.has_family(v6) == before.has_family(v6));
        same == *self && self.subnets.starts_with(&before.subnets) && same_families
    }

    /// Whether it has a subnet of IPv6 (`v6`), or of IPv4.
    pub fn has_family(&self, v6: bool) -> bool {
        self.subnets.iter().any(|s| s.subnet.addr().is_ipv6() == v6)
    }

    /// How packets of `subnet`'s family leave.
    pub fn gateway_mode(&self, subnet: &Subnet) -> GatewayMode {
        match (self.bridge(), subnet.subnet) {
            (Some(o), IpNet::V4(_)) => o.gateway_mode_ipv4,
            (Some(o), IpNet::V6(_)) => o.gateway_mode_ipv6,
            (None, _) => GatewayMode::Nat,
        }
    }
}

impl Network {
    /// Whether the host has the gateway's address of a subnet.
    pub fn is_gateway(&self, subnet: &Subnet) -> bool {
        let inhibited = self.bridge().is_some_and(|options| options.inhibit_ipv4) && subnet.subnet.addr().is_ipv4();
        self.gateway_mode(subnet) != GatewayMode::Isolated && !inhibited
    }

    /// The host address of published ports that name none, if the network has one of its own.
    pub fn publish_address(&self) -> Option<IpAddr> {
        self.bridge().and_then(|options| options.publish_address)
    }

    /// How interfaces in containers are called, before a number.
    pub fn interface_prefix(&self) -> &str {
        self.bridge().and_then(|options| options.interface_prefix.as_deref()).unwrap_or("eth")
    }
}

/// The host's own link beside the containers', since the kernel keeps these from their parent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnLink {
    pub name: IfName,
    /// Its addresses, one per subnet: the host, as the containers reach it.
    pub addresses: Vec<IpAddr>,
    /// Addresses that the host has on the parent: containers reach these by way of this link.
    pub of_host: Vec<IpAddr>,
}

/// The link that macvlan and ipvlan links sit on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parent {
    /// One of the host's.
    Given(IfName),
    /// A VLAN link that we make on one of the host's, and share between networks.
    Vlan { name: IfName, on: IfName, id: u16 },
    /// A dummy of our own, for a network that leads nowhere.
    Own(IfName),
}

impl Parent {
    /// Its name.
    pub fn name(&self) -> &IfName {
        match self {
            Parent::Given(name) | Parent::Vlan { name, .. } | Parent::Own(name) => name,
        }
    }
}

/// A subnet of a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subnet {
    pub subnet: IpNet,
    /// Always set for a bridge, also when the bridge does not carry it.
    pub gateway: Option<IpAddr>,
    pub ip_range: Option<IpNet>,
    pub aux_addresses: BTreeMap<String, IpAddr>,
}

/// One container on one network, with everything chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    pub network: NetworkId,
    pub container: ContainerId,
    pub container_name: String,
    /// The host's end.
    pub host_link: IfName,
    pub host_mac: Mac,
    /// The container's end.
    pub ifname: IfName,
    pub mac: Mac,
    /// With their subnets' prefix lengths.
    pub addresses: Vec<IpNet>,
    /// Gateways by family; empty where there is no way out. The unspecified address stands for the link itself, as in
    /// the kernel.
    pub gateways: Vec<IpAddr>,
    pub aliases: Vec<String>,
    pub gw_priority: i32,
    /// The gateways that carry the container's default routes: those of the attachment with the highest priority, per
    /// family.
    pub default_via: Vec<IpAddr>,
    /// An address that was another container's a while ago: its old flows are forgotten.
    pub reused: Vec<IpAddr>,
    /// The container may open connections to the host.
    pub host_access: bool,
    /// Sysctls of the container's end, as paths below `/proc/sys`.
    #[serde(default)]
    pub sysctls: BTreeMap<String, String>,
    /// What the LAN's DHCP server gave (`--ipam-driver dhcp`).
    #[serde(default)]
    pub lease: Option<LanLease>,
    /// What is published through this attachment.
    pub ports: Vec<PublishedPort>,
}

/// An address from the LAN's DHCP server (RFC 2131).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LanLease {
    pub address: ipnet::Ipv4Net,
    pub router: Option<std::net::Ipv4Addr>,
    pub server: std::net::Ipv4Addr,
    /// How long it was given for, when its own server is asked again (T1), and when every server is (T2), in seconds.
    pub seconds: u32,
    pub renew: u32,
    pub rebind: u32,
}

/// A host of the cluster, as the data path needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vtep {
    /// Where it takes frames: its address on the network between the hosts.
    pub address: IpAddr,
    /// The key that frames of encrypted networks are sent to it by, if it has one.
    pub key: Option<PublicKey>,
}

/// A container of another host, on one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remote {
    pub node: NodeId,
    pub container: ContainerId,
    pub name: String,
    pub aliases: Vec<String>,
    pub addresses: Vec<IpAddr>,
    pub mac: Mac,
}

/// What other hosts have of one network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peers {
    /// The hosts that have the network.
    pub vteps: BTreeMap<NodeId, Vtep>,
    pub remotes: Vec<Remote>,
}

/// What plans need to know about the host. Collected by `kernel::observe`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The MTU of the default route's interface, in bytes.
    pub uplink_mtu: Option<u32>,
    /// The links of the default routes, of both families.
    #[serde(default)]
    pub uplinks: Vec<IfName>,
    /// `net.ipv4.ip_forward` is on.
    pub forward4: bool,
    /// `net.ipv6.conf.all.forwarding` is on.
    pub forward6: bool,
    /// Interfaces that take router advertisements only while they don't forward (`accept_ra` = 1).
    pub accept_ra: Vec<IfName>,
    /// The kernel has IPv6.
    pub ipv6: bool,
    /// This host's address on the network between the hosts of a cluster.
    #[serde(default)]
    pub underlay: Option<IpAddr>,
    /// The largest packet, in bytes, that the routes from it to the other hosts take.
    #[serde(default)]
    pub underlay_mtu: Option<u32>,
}
