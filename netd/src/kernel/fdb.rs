//! Entries of forwarding tables that say by which port of a bridge, or to which host, frames for a MAC go (bridge(8),
//! include/uapi/linux/neighbour.h).

use super::KernelError;
use super::netlink::{NLM_F_CREATE, NLM_F_REPLACE, Netlink, emit};
use netd_api::Mac;
use netlink_packet_core::DefaultNla;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState};
use std::net::IpAddr;

pub const RTM_NEWNEIGH: u16 = 28;
pub const RTM_DELNEIGH: u16 = 29;
const NDA_DST: u16 = 1;

/// Tells a bridge that `mac` is at its port with this index, in place of what it knew. The entry goes with the port.
pub fn pin(socket: &mut Netlink, port: u32, mac: Mac) -> Result<(), KernelError> {
    let request = entry(port, mac, None, NeighbourFlags::Controller);
    socket.request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &emit(&request))
}

/// An entry of a link's own table (`NeighbourFlags::Own`), or of its bridge's (`Controller`); `to`: a host.
pub fn entry(index: u32, mac: Mac, to: Option<IpAddr>, flags: NeighbourFlags) -> NeighbourMessage {
    let mut request = NeighbourMessage::default();
    request.header.family = AddressFamily::Bridge;
    request.header.ifindex = index;
    // Neither aged nor moved by frames that claim to come from elsewhere.
    request.header.state = if to.is_some() { NeighbourState::Permanent } else { NeighbourState::Noarp };
    request.header.flags = flags;
    request.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()));
    request.attributes.extend(to.map(destination));
    request
}

/// The host, or the address, that an entry is about.
pub fn destination(address: IpAddr) -> NeighbourAttribute {
    let bytes = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    NeighbourAttribute::Other(DefaultNla::new(NDA_DST, bytes))
}
