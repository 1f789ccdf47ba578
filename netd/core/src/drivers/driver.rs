//! What every driver is, and what they have in common.

use crate::model::{Attachment, Facts, Network};
use crate::plan::{Child, Plan, Purpose, ReplyOp, RouteOp, SysctlOp};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netd_api::{AttachmentRequest, DriverSpec, NetworkCreate, Vni};
use std::net::IpAddr;

/// What a link's MTU may be, in bytes: from IPv4's least (RFC 791) to the largest of the kernel's.
pub const LINK_MTUS: std::ops::RangeInclusive<u32> = 68..=65_535;

/// Bytes that every link must carry for IPv6 (RFC 8200, section 5).
pub const IPV6_MIN_MTU: u32 = 1280;

/// The MTU where neither the user nor an uplink says one, in bytes.
pub const ETHERNET_MTU: u32 = 1500;

/// Where its containers live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a namespace of their own, with a link for each of their networks.
    Linked,
    /// In a namespace of their own, without a link.
    Empty,
    /// In the host's namespace.
    Host,
}

/// What of the host the containers' links sit on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ground {
    Nothing,
    /// A bridge that is made for the network.
    Bridge,
    /// A link of the host; the containers' links are of this kind.
    Parent(Child),
}

/// How a network's frames come to other hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tunnel {
    /// UDP, on every host.
    pub port: u16,
    /// Chosen when the network is created.
    pub vni: Option<Vni>,
    pub encrypted: bool,
}

/// What a driver is and knows how to do. What most drivers have in common is the default.
///
/// A driver of dummy links, as an example of all that there is to write:
///
/// ```
/// use netd_core::drivers::{Driver, Ground, Refusal, refusal};
/// use netd_core::model::{Attachment, Facts, Network};
/// use netd_core::plan::{LinkOp, Plan, Purpose, SetOp, show};
/// use netd_api::{DriverSpec, NetworkCreate};
/// use serde_json::json;
///
/// /// A dummy link on the host, which has the network's name; containers get nothing but a namespace.
/// struct Toy;
///
/// impl Driver for Toy {
///     fn ground(&self, _: &DriverSpec) -> Ground {
///         Ground::Nothing
///     }
///     fn check(&self, spec: &NetworkCreate) -> Result<(), Refusal> {
///         if spec.internal { Ok(()) } else { refusal("a toy leads nowhere", Some("add `--internal`".to_owned())) }
///     }
///     fn network(&self, network: &Network, mtu: Option<u32>, _: &Facts) -> Plan {
///         let mut plan = Plan::default();
///         if let Some(name) = &network.interface {
///             let alias = format!("rcr:{}", network.name);
///             let dummy = LinkOp::Dummy { name: name.clone(), mac: network.mac, mtu: mtu.unwrap_or(1500), alias };
///             plan.host(Purpose::Link, dummy, "a toy");
///             plan.host(Purpose::Link, SetOp::Up { link: name.clone() }, "");
///         }
///         plan
///     }
///     fn attach(&self, _: &Network, _: &Attachment, _: Option<u32>, _: &Facts) -> Plan {
///         Plan::default()
///     }
/// }
///
/// let network: Network = serde_json::from_value(json!({
///     "id": "7c".repeat(32), "name": "toys", "driver": {"driver": "none"}, "internal": true, "ipv6": false,
///     "subnets": [], "interface": "toy0", "mac": "02:00:00:00:00:01", "labels": {}, "created": 0, "predefined": false,
/// }))?;
/// let text = show("create toys", &Toy.network(&network, None, &Facts::default()), None);
/// assert!(text.contains("toy0"), "{text}");
/// assert!(!Toy.filtered(&network) && Toy.tunnel(&network.driver).is_none());
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// Nothing is written for the way down: it replays the journal.
pub trait Driver {
    /// What of the host its links sit on.
    fn ground(&self, driver: &DriverSpec) -> Ground;
    /// Where its containers live.
    fn place(&self) -> Place {
        Place::Linked
    }
    /// The way to other hosts, if it spans hosts.
    fn tunnel(&self, _: &DriverSpec) -> Option<Tunnel> {
        None
    }
    /// Whether the host's table `inet rcr` has a part in it.
    fn filtered(&self, _: &Network) -> bool {
        false
    }
    /// Whether packets are routed to containers, which have no neighbours.
    fn routed_only(&self, _: &DriverSpec) -> bool {
        false
    }
    /// Whether each container has a MAC address of its own.
    fn own_macs(&self, _: &DriverSpec) -> bool {
        self.place() == Place::Linked
    }
    /// The host's own addresses on a network.
    fn host_addresses(&self, _: &Network) -> Vec<IpAddr> {
        Vec::new()
    }
    /// Refuses what can't be, before anything is chosen.
    fn check(&self, _: &NetworkCreate) -> Result<(), Refusal> {
        Ok(())
    }
    /// Refuses what can't be attached. `other`: a container that is on the network already.
    fn check_attachment(&self, _: &Network, _: &AttachmentRequest, _other: Option<&str>) -> Result<(), Refusal> {
        Ok(())
    }
    /// The MTU that its links would get on this host, in bytes; absent where they take another link's.
    fn mtu(&self, _: &Network, _: &Facts) -> Option<u32> {
        None
    }
    /// What the network itself needs, once. `mtu`: what its links get, in bytes.
    fn network(&self, network: &Network, mtu: Option<u32>, facts: &Facts) -> Plan;
    /// What one container on it needs. `mtu`: what the network's links have, in bytes.
    fn attach(&self, network: &Network, attachment: &Attachment, mtu: Option<u32>, facts: &Facts) -> Plan;
}

/// Why something can't be, and perhaps the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub why: String,
    pub hint: Option<String>,
}

/// Refuses.
pub fn refusal(why: impl Into<String>, hint: impl Into<Option<String>>) -> Result<(), Refusal> {
    Err(Refusal { why: why.into(), hint: hint.into() })
}

/// Refuses an MTU that no link has, or that IPv6 can't live with.
pub fn check_mtu(mtu: Option<u32>, ipv6: bool) -> Result<(), Refusal> {
    match mtu {
        Some(mtu) if !LINK_MTUS.contains(&mtu) => refusal("the MTU must lie between 68 and 65535", None),
        Some(mtu) if ipv6 && mtu < IPV6_MIN_MTU => refusal("IPv6 needs an MTU of 1280 or more (RFC 8200)", None),
        _ => Ok(()),
    }
}

/// What the user set for the container's end, before it has addresses: some keys matter to these.
pub fn endpoint_sysctls(plan: &mut Plan, attachment: &Attachment) {
    for (key, value) in &attachment.sysctls {
        plan.container(Purpose::Link, SysctlOp::set(key, value), "asked for");
    }
}

/// Answers of published ports, where another attachment carries the default route: they leave as they came, or the client would
/// hear from a stranger.
pub fn reply_routes(plan: &mut Plan, attachment: &Attachment) {
    let a = attachment;
    if a.ports.is_empty() {
        return;
    }
    for gateway in a.gateways.iter().filter(|g| !a.default_via.contains(g) && !g.is_unspecified()) {
        for address in a.addresses.iter().filter(|n| n.addr().is_ipv4() == gateway.is_ipv4()) {
            let step = ReplyOp::Add { address: *address, via: *gateway, link: a.ifname.clone() };
            plan.container(Purpose::Ports, step, "answers of published ports leave as they came");
        }
    }
}

/// The default routes of an attachment: also by themselves, for when another one carried them before.
pub fn default_routes(plan: &mut Plan, attachment: &Attachment) {
    let link = &attachment.ifname;
    for gateway in &attachment.default_via {
        let via = Some(*gateway).filter(|gateway| !gateway.is_unspecified());
        if let Some(gateway) = via.filter(|gateway| !attachment.addresses.iter().any(|net| net.contains(gateway))) {
            let step = RouteOp::Add { to: IpNet::from(gateway), via: None, link: link.clone() };
            plan.container(Purpose::Routes, step, "the gateway lies outside the subnet");
        }
        let to = match gateway {
            IpAddr::V4(_) => IpNet::V4(Ipv4Net::default()),
            IpAddr::V6(_) => IpNet::V6(Ipv6Net::default()),
        };
        plan.container(Purpose::Routes, RouteOp::Add { to, via, link: link.clone() }, "the way out");
    }
}
