//! The macvlan and ipvlan drivers: containers are in the host's LAN, by links that sit on one of the host's.
//!
//! ```text
//!   macvlan: each with a MAC of its own
//!   container                host
//!   eth0 (macvlan) ══╗
//!                    ╠══ parent eth0 (or eth0.50, or a dummy) ──▶ LAN: router, other hosts
//!   eth0 (macvlan) ══╝        ╳
//!                             host's own addresses: the kernel never passes frames between a parent and its children
//!
//!   ipvlan: all with the parent's MAC, told apart by address
//!   l2       eth0 (ipvlan) ══╦══ parent eth0 ──▶ LAN, as with macvlan, but with one MAC
//!            eth0 (ipvlan) ══╝
//!   l3, l3s  eth0 (ipvlan) ── routing of the host's namespace ── parent eth0 ──▶ routers, which need a route back to the
//!            (default dev eth0, no ARP, no broadcast)                            subnet by way of this host
//! ```
//!
//! No address, port or packet of the host is involved; in l3s packets also pass the host's netfilter. The two differ in the
//! kind of the link alone.

use super::driver::{Driver, ETHERNET_MTU, Ground, Refusal, check_mtu, default_routes, endpoint_sysctls, refusal};
use super::own_link;
use crate::marks::vlan_alias;
use crate::model::{Attachment, Facts, Network, Parent};
use crate::plan::{AddressOp, Child, LanOp, LinkOp, LinkSeen, Plan, Purpose, SetOp, SysctlOp};
use ipnet::IpNet;
use netd_api::{AttachmentRequest, DriverSpec, IfName, IpvlanFlag, IpvlanMode, MacvlanMode, NetworkCreate};
use std::net::IpAddr;

/// See the file's head.
pub struct Lan;

impl Driver for Lan {
    fn ground(&self, driver: &DriverSpec) -> Ground {
        child(driver).map_or(Ground::Nothing, Ground::Parent)
    }

    fn filtered(&self, network: &Network) -> bool {
        network.own_link.is_some()
    }

    fn routed_only(&self, driver: &DriverSpec) -> bool {
        child(driver).is_some_and(|kind| !joins_lan(kind))
    }

    fn own_macs(&self, driver: &DriverSpec) -> bool {
        !matches!(child(driver), Some(Child::Ipvlan { .. }))
    }

    fn host_addresses(&self, network: &Network) -> Vec<IpAddr> {
        network.own_link.as_ref().map_or_else(Vec::new, |own| own.addresses.clone())
    }

    fn check_attachment(
        &self,
        network: &Network,
        request: &AttachmentRequest,
        other: Option<&str>,
    ) -> Result<(), Refusal> {
        match child(&network.driver) {
            Some(Child::Ipvlan { .. }) if request.mac.is_some() => {
                refusal("ipvlan links have their parent's MAC address", None)
            }
            Some(Child::Macvlan { mode: MacvlanMode::Passthru }) => match other {
                Some(other) => refusal(format!("passthru serves one container: `{other}` has the parent"), None),
                None if request.mac.is_some() => refusal("in passthru mode a link has its parent's MAC address", None),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn check(&self, spec: &NetworkCreate) -> Result<(), Refusal> {
        check_mtu(spec.driver.lan().and_then(|options| options.mtu), false)
    }

    fn mtu(&self, network: &Network, _: &Facts) -> Option<u32> {
        network.asked_mtu()
    }

    fn network(&self, network: &Network, mtu: Option<u32>, facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        let name = match &network.parent {
            Some(Parent::Vlan { name, on, id }) => {
                let link = LinkOp::Vlan { name: name.clone(), parent: on.clone(), id: *id, alias: vlan_alias(name) };
                plan.host(Purpose::Parent, link, "shared by all networks on it, gone with the last");
                name
            }
            Some(Parent::Own(name)) => {
                let mtu = mtu.unwrap_or(ETHERNET_MTU);
                let alias = format!("rcr:{}", network.name);
                plan.host(
                    Purpose::Parent,
                    LinkOp::Dummy { name: name.clone(), mac: network.mac, mtu, alias },
                    "leads nowhere",
                );
                name
            }
            Some(Parent::Given(_)) | None => return own_link::network(network, child(&network.driver), mtu, facts),
        };
        if facts.ipv6 {
            let off = SysctlOp::of_link("ipv6", name, "disable_ipv6", "1");
            plan.host(Purpose::Parent, off, "the host itself has no business there");
        }
        plan.host(Purpose::Parent, SetOp::Up { link: name.clone() }, "");
        plan.steps.extend(own_link::network(network, child(&network.driver), mtu, facts).steps);
        plan
    }

    fn attach(&self, network: &Network, attachment: &Attachment, mtu: Option<u32>, facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        let (Some(parent), Some(kind)) = (&network.parent, child(&network.driver)) else {
            return plan;
        };
        let a = attachment;
        // ipvlan links and the one in passthru mode have their parent's MAC.
        let own = !matches!(kind, Child::Ipvlan { .. } | Child::Macvlan { mode: MacvlanMode::Passthru });
        let (name, born, parent) = (a.ifname.clone(), a.host_link.clone(), parent.name().clone());
        let of = parent.clone();
        plan.host(
            Purpose::Link,
            LinkOp::Child { name, born, parent, kind, mac: own.then_some(a.mac), mtu },
            "made in place, not moved",
        );
        if facts.ipv6 && a.addresses.iter().any(|n| matches!(n, IpNet::V6(_))) {
            let on = SysctlOp::of_link("ipv6", &a.ifname, "disable_ipv6", "0");
            plan.container(Purpose::Link, on, "off by default: a v4-only network has no IPv6");
        }
        endpoint_sysctls(&mut plan, a);
        let asked = asks(network, kind) && !a.addresses.is_empty();
        if asked {
            plan.container(
                Purpose::Link,
                SetOp::Up { link: a.ifname.clone() },
                "to be able to ask, without an address yet",
            );
            let addresses = a.addresses.iter().map(|net| net.addr()).collect();
            match kind {
                // An answer goes to the address that was asked for, which the link doesn't have yet: with one MAC the parent hears it.
                Child::Ipvlan { .. } => {
                    plan.host(Purpose::Addresses, LanOp::Probe { link: of, addresses }, "nobody else may have them")
                }
                Child::Macvlan { .. } => {
                    plan.container(
                        Purpose::Addresses,
                        LanOp::Probe { link: a.ifname.clone(), addresses },
                        "nobody else may have them",
                    );
                }
            }
        }
        for address in &a.addresses {
            plan.container(Purpose::Addresses, AddressOp::Add { link: a.ifname.clone(), address: *address }, "");
        }
        if !asked {
            plan.container(Purpose::Link, SetOp::Up { link: a.ifname.clone() }, "announces the addresses (arp_notify)");
        }
        default_routes(&mut plan, a);
        if joins_lan(kind) && !a.addresses.is_empty() {
            let addresses = a.addresses.iter().map(|net| net.addr()).collect();
            plan.container(
                Purpose::Addresses,
                LanOp::Announce { link: a.ifname.clone(), addresses },
                "whoever had them before",
            );
        }
        own_link::attach(&mut plan, network, a);
        plan
    }
}

/// The kind of a driver's links.
pub fn child(driver: &DriverSpec) -> Option<Child> {
    match driver {
        DriverSpec::Macvlan(options) => Some(Child::Macvlan { mode: options.mode }),
        DriverSpec::Ipvlan(options) => Some(Child::Ipvlan { mode: options.mode, flag: options.flag }),
        DriverSpec::Bridge(_) | DriverSpec::Overlay(_) | DriverSpec::Host | DriverSpec::None => None,
    }
}

/// What a container does with an address that the LAN gave it, beside its link.
pub fn leased(network: &Network, attachment: &Attachment) -> Plan {
    let mut plan = Plan::default();
    let (Some(parent), Some(kind), Some(lease)) = (&network.parent, child(&network.driver), &attachment.lease) else {
        return plan;
    };
    let link = attachment.ifname.clone();
    let addresses = vec![IpAddr::V4(lease.address.addr())];
    if asks(network, kind) {
        let (addresses, why) = (addresses.clone(), "nobody may have it beside the server's word");
        match kind {
            Child::Ipvlan { .. } => {
                plan.host(Purpose::Addresses, LanOp::Probe { link: parent.name().clone(), addresses }, why)
            }
            Child::Macvlan { .. } => {
                plan.container(Purpose::Addresses, LanOp::Probe { link: link.clone(), addresses }, why)
            }
        }
    }
    plan.container(
        Purpose::Addresses,
        AddressOp::Add { link: link.clone(), address: IpNet::V4(lease.address) },
        "leased",
    );
    default_routes(&mut plan, attachment);
    plan.container(Purpose::Addresses, LanOp::Announce { link, addresses }, "whoever had it before");
    plan
}

/// Whether the LAN is asked for addresses: not where there is nobody to ask.
fn asks(network: &Network, kind: Child) -> bool {
    let wanted = network.driver.lan().is_some_and(|o| o.probe);
    wanted && joins_lan(kind) && !matches!(network.parent, Some(Parent::Own(_)))
}

/// A parent that another network of ours sits on.
#[derive(Debug, Clone)]
pub struct ParentUse {
    /// The network's name.
    pub network: String,
    pub parent: IfName,
    pub kind: Child,
}

/// Whether the host can have a link of its own beside such links.
pub fn fits_host(kind: Child) -> Result<(), Refusal> {
    match kind {
        Child::Macvlan { mode: MacvlanMode::Bridge } | Child::Ipvlan { flag: IpvlanFlag::Bridge, .. } => Ok(()),
        other => refusal(
            format!("links of kind `{other}` do not see each other, and so not the host's either"),
            "`host_access` goes with mode `bridge` of macvlan, and with flag `bridge` of ipvlan".to_owned(),
        ),
    }
}

/// Whether the host's link `name` can be a parent; `seen`: what it looks like, `wireless`: it is a Wi-Fi card.
pub fn fits_link(name: &IfName, seen: Option<&LinkSeen>, wireless: bool, kind: Child) -> Result<(), Refusal> {
    let Some(seen) = seen else {
        return refusal(
            format!("there is no link `{name}` on this host"),
            "`ip link` lists them; `NAME.ID` makes a VLAN link on `NAME`".to_owned(),
        );
    };
    if name.as_str() == "lo" {
        return refusal("`lo` leads nowhere", "leave `-o parent` out for a network that leads nowhere".to_owned());
    }
    if !seen.up {
        return refusal(format!("the parent `{name}` is down"), format!("`ip link set {name} up`"));
    }
    if seen.controller.is_some() {
        return refusal(
            format!("`{name}` is a port of another link, which gets all its frames"),
            "take the bridge or bond that it belongs to as the parent".to_owned(),
        );
    }
    if wireless && matches!(kind, Child::Macvlan { .. }) {
        return refusal(
            format!("`{name}` is wireless: an access point refuses MAC addresses other than the card's own"),
            "ipvlan shares the card's MAC: `-d ipvlan`".to_owned(),
        );
    }
    Ok(())
}

/// Whether a network of this kind can sit on `parent` beside those that do already.
pub fn fits_others(parent: &IfName, kind: Child, others: &[ParentUse]) -> Result<(), Refusal> {
    for other in others.iter().filter(|o| o.parent == *parent) {
        let name = &other.network;
        match (kind, other.kind) {
            (Child::Ipvlan { mode, flag }, Child::Ipvlan { mode: theirs, flag: their_flag }) => {
                if (mode, flag) != (theirs, their_flag) {
                    return refusal(
                        format!(
                            "one parent serves one ipvlan mode: network `{name}` has `{}` on `{parent}`",
                            other.kind
                        ),
                        format!("take the same mode, or another parent, as `{parent}.VLAN`"),
                    );
                }
            }
            (Child::Macvlan { mode }, Child::Macvlan { mode: theirs }) => {
                if [mode, theirs].contains(&MacvlanMode::Passthru) {
                    return refusal(
                        format!("passthru takes the whole parent: network `{name}` is on `{parent}` too"),
                        None,
                    );
                }
            }
            _ => {
                return refusal(
                    format!(
                        "`{parent}` carries {} links (network `{name}`): one parent cannot serve both kinds",
                        other.kind.name()
                    ),
                    format!("take `-d {}`, or another parent, as `{parent}.VLAN`", other.kind.name()),
                );
            }
        }
    }
    Ok(())
}

/// `NAME.ID` as a VLAN of a link.
pub fn vlan_of(name: &IfName) -> Option<(IfName, u16)> {
    let (on, id) = name.as_str().rsplit_once('.')?;
    // 0 and 4095 are reserved (IEEE 802.1Q).
    let id = id.parse::<u16>().ok().filter(|id| (1..=4094).contains(id))?;
    Some((on.parse().ok()?, id))
}

/// The kernel's build option for a link kind.
pub fn config_option(kind: &str) -> &'static str {
    match kind {
        "macvlan" => "CONFIG_MACVLAN",
        "ipvlan" => "CONFIG_IPVLAN",
        "vlan" => "CONFIG_VLAN_8021Q",
        _ => "CONFIG_DUMMY",
    }
}

/// Whether containers are in the LAN that their parent is in, so that its subnet is the host's too.
pub fn joins_lan(kind: Child) -> bool {
    !matches!(kind, Child::Ipvlan { mode: IpvlanMode::L3 | IpvlanMode::L3s, .. })
}
