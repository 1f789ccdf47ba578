//! Links with what passed them.

use crate::kernel::KernelError;
use crate::kernel::link::RTM_GETLINK;
use crate::kernel::netlink::{Netlink, emit};
use crate::kernel::netns::within;
use netd_api::{IfName, LinkState, LinkView, Mac, Traffic};
use netlink_packet_core::Parseable;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;

/// All links of the calling thread's network namespace.
pub fn links_here() -> Result<BTreeMap<IfName, LinkView>, KernelError> {
    let mut socket = Netlink::route()?;
    let all = socket.dump(RTM_GETLINK, &emit(&LinkMessage::default()), |_, body| view(body))?;
    Ok(all.into_iter().map(|link| (link.name.clone(), link)).collect())
}

/// All links of a container's.
pub fn links_inside(netns: BorrowedFd<'_>) -> Result<BTreeMap<IfName, LinkView>, KernelError> {
    within(netns, links_here)
}

fn view(body: &[u8]) -> Option<LinkView> {
    let message = LinkMessage::parse(body).ok()?;
    let state = if message.header.flags.contains(LinkFlags::Up) { LinkState::Up } else { LinkState::Down };
    let (mut name, mut mtu, mut mac) = (None, None, None);
    let (mut received, mut sent) = (Traffic::default(), Traffic::default());
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = text.parse().ok(),
            LinkAttribute::Mtu(bytes) => mtu = Some(bytes),
            LinkAttribute::Address(bytes) => mac = <[u8; 6]>::try_from(bytes).ok().map(Mac),
            LinkAttribute::Stats64(s) => {
                received = Traffic { packets: s.rx_packets, bytes: s.rx_bytes, dropped: s.rx_dropped };
                sent = Traffic { packets: s.tx_packets, bytes: s.tx_bytes, dropped: s.tx_dropped };
            }
            _ => {}
        }
    }
    Some(LinkView { name: name?, state, mtu, mac, received, sent })
}
