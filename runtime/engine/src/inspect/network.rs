//! Networks.

use crate::instance::Instance;
use crate::networks;
use ipnet::IpNet;
use netd_api::{AttachmentInfo, DriverSpec, IfName, NetworkId, NetworkInfo, NetworkName, Obstacle, Scope, SubnetInfo};
use rcr_base::Outcome;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A network.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkInspect {
    /// Its name.
    pub name: NetworkName,
    /// The whole id.
    pub id: NetworkId,
    /// RFC 3339.
    pub created: String,
    /// `local`, or `global` in a cluster.
    pub scope: Scope,
    /// The driver's name.
    pub driver: &'static str,
    /// It has IPv4 addresses.
    #[serde(rename = "EnableIPv4")]
    pub enable_ipv4: bool,
    /// It has IPv6 addresses.
    #[serde(rename = "EnableIPv6")]
    pub enable_ipv6: bool,
    /// Its subnets, and who gives addresses.
    #[serde(rename = "IPAM")]
    pub ipam: Ipam,
    /// It has no way out.
    pub internal: bool,
    /// Any container may attach.
    pub attachable: bool,
    /// A swarm's: never.
    pub ingress: bool,
    /// Options alone, for other networks: never.
    pub config_only: bool,
    /// Its containers, by their whole id.
    pub containers: BTreeMap<String, Endpoint>,
    /// The driver's options, as texts.
    pub options: BTreeMap<String, String>,
    /// The user's labels.
    pub labels: BTreeMap<String, String>,
    /// What Docker does not have.
    pub rcr: OwnNetwork,
}

/// What Docker does not have.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OwnNetwork {
    /// The driver with all its options.
    pub driver: DriverSpec,
    /// The host's interface, while it exists.
    pub interface: Option<IfName>,
    /// Bytes; absent: as the link has it.
    pub mtu: Option<u32>,
    /// Servers for names outside, of the network's own.
    #[serde(rename = "DNS")]
    pub dns: Vec<IpAddr>,
    /// Firewalls of others that cut it off.
    pub obstacles: Vec<ObstacleInspect>,
    /// The interfaces in its containers, by their names.
    pub interfaces: BTreeMap<String, IfName>,
    /// Further names of its containers, by their names.
    pub aliases: BTreeMap<String, Vec<String>>,
    /// How full its subnets are.
    pub pools: Vec<Pool>,
}

/// How full a subnet is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Pool {
    /// The whole subnet.
    pub subnet: IpNet,
    /// How many addresses containers have.
    pub used: u64,
    /// How many a container could still get by itself.
    pub free: u64,
}

/// Who gives addresses, and which.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ipam {
    /// `default`, or `dhcp`, the LAN's own server.
    pub driver: &'static str,
    /// The subnets.
    pub config: Vec<SubnetInspect>,
}

/// A subnet.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SubnetInspect {
    /// The whole subnet.
    pub subnet: IpNet,
    /// Its gateway; absent: containers get no default route from it.
    pub gateway: Option<IpAddr>,
    /// The part that addresses are chosen from; absent: all of it.
    #[serde(rename = "IPRange")]
    pub ip_range: Option<IpNet>,
    /// Addresses that others use, by name.
    pub auxiliary_addresses: BTreeMap<String, IpAddr>,
}

/// A container's place on the network. What it does not have is empty.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Endpoint {
    /// The container's name.
    pub name: String,
    /// The interface's MAC address.
    pub mac_address: String,
    /// With its prefix, `10.9.0.2/24`.
    #[serde(rename = "IPv4Address")]
    pub ipv4_address: String,
    /// With its prefix.
    #[serde(rename = "IPv6Address")]
    pub ipv6_address: String,
}

/// Another firewall's table that drops what a network sends or receives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ObstacleInspect {
    /// The network that it cuts off.
    pub network: String,
    /// nftables' family of the table.
    pub family: String,
    /// The table that drops.
    pub table: String,
    /// The chain in it.
    pub chain: String,
    /// The command that lets the network through.
    pub command: String,
}

impl From<&Obstacle> for ObstacleInspect {
    fn from(one: &Obstacle) -> Self {
        let Obstacle { network, family, table, chain, command } = one.clone();
        Self { network: network.to_string(), family, table, chain, command }
    }
}

/// A network by name or id.
pub fn network(instance: &Instance, name: &str) -> Outcome<NetworkInspect> {
    networks::inspect(instance, name).map(shown)
}

fn shown(info: NetworkInfo) -> NetworkInspect {
    let ipam = if info.driver.lan().is_some_and(|options| options.dhcp) { "dhcp" } else { "default" };
    let rcr = own(&info);
    let subnets = info.subnets.iter().map(|s| SubnetInspect {
        subnet: s.subnet,
        gateway: s.gateway,
        ip_range: s.ip_range,
        auxiliary_addresses: s.aux_addresses.clone(),
    });
    NetworkInspect {
        created: jiff::Timestamp::from_second(info.created).map(|time| time.to_string()).unwrap_or_default(),
        scope: info.scope,
        driver: info.driver.name(),
        enable_ipv4: info.subnets.is_empty() || info.subnets.iter().any(|s| s.subnet.addr().is_ipv4()),
        enable_ipv6: info.ipv6,
        ipam: Ipam { driver: ipam, config: subnets.collect() },
        internal: info.internal,
        attachable: true,
        ingress: false,
        config_only: false,
        containers: info.attachments.iter().map(|a| (a.container.to_string(), endpoint(a))).collect(),
        options: options(&info.driver),
        labels: info.labels,
        name: info.name,
        id: info.id,
        rcr,
    }
}

fn own(info: &NetworkInfo) -> OwnNetwork {
    let pool = |s: &SubnetInfo| Pool { subnet: s.subnet, used: s.used, free: s.free };
    let named = info.attachments.iter().filter(|a| !a.aliases.is_empty());
    let linked = info.attachments.iter().filter_map(|a| Some((a.container_name.clone(), a.ifname.clone()?)));
    OwnNetwork {
        driver: info.driver.clone(),
        interface: info.interface.clone(),
        mtu: info.mtu,
        dns: info.dns.clone(),
        obstacles: info.obstacles.iter().map(Into::into).collect(),
        interfaces: linked.collect(),
        aliases: named.map(|a| (a.container_name.clone(), a.aliases.clone())).collect(),
        pools: info.subnets.iter().map(pool).collect(),
    }
}

/// The options that are set, as texts.
fn options(driver: &DriverSpec) -> BTreeMap<String, String> {
    let fields = match serde_json::to_value(driver) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => return BTreeMap::new(),
    };
    let text = |value: serde_json::Value| match value {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    let set = fields.into_iter().filter(|(name, _)| name != "driver");
    set.filter_map(|(name, value)| Some((name, text(value)?))).collect()
}

fn endpoint(attachment: &AttachmentInfo) -> Endpoint {
    let of = |v4: bool| {
        let found = attachment.addresses.iter().find(|net| net.addr().is_ipv4() == v4);
        found.map(ToString::to_string).unwrap_or_default()
    };
    Endpoint {
        name: attachment.container_name.clone(),
        mac_address: attachment.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        ipv4_address: of(true),
        ipv6_address: of(false),
    }
}
