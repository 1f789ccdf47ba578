//! What every driver is, and what they have in common.

use crate::model::{Attachment, Facts, Network};
use crate::plan::{Plan, Purpose, ReplyOp, RouteOp, SysctlOp};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netd_api::NetworkCreate;
use std::net::IpAddr;

/// What a link's MTU may be, in bytes: from IPv4's least (RFC 791) to the largest of the kernel's.
pub const LINK_MTUS: std::ops::RangeInclusive<u32> = 68..=65_535;

/// Bytes that every link must carry for IPv6 (RFC 8200, section 5).
pub const IPV6_MIN_MTU: u32 = 1280;

/// The MTU where neither the user nor an uplink says one, in bytes.
pub const ETHERNET_MTU: u32 = 1500;

/// What a driver knows how to do.
pub trait Driver {
    /// Refuses what can't be, before anything is chosen.
    fn check(&self, _: &NetworkCreate) -> Result<(), Refusal> {
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
