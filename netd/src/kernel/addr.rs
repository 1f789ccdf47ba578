//! Addresses (rtnetlink(7), RTM_NEWADDR).

use super::KernelError;
use super::netlink::{NLM_F_CREATE, NLM_F_EXCL, Netlink, emit};
use ipnet::IpNet;
use netlink_packet_core::Parseable;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use std::net::{IpAddr, Ipv4Addr};

const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;

/// Adds an address, without duplicate address detection: netd hands each out once.
pub fn add(socket: &mut Netlink, index: u32, address: IpNet) -> Result<(), KernelError> {
    let mut request = AddressMessage::default();
    request.header.index = index;
    request.header.prefix_len = address.prefix_len();
    request.attributes = vec![AddressAttribute::Local(address.addr()), AddressAttribute::Address(address.addr())];
    match address {
        IpNet::V4(net) => {
            request.header.family = AddressFamily::Inet;
            if let (IpAddr::V4(broadcast), true) = (IpAddr::from(net.broadcast()), net.prefix_len() < 31) {
                request.attributes.push(AddressAttribute::Broadcast(broadcast));
            }
        }
        IpNet::V6(_) => {
            request.header.family = AddressFamily::Inet6;
            request.header.flags = AddressHeaderFlags::Nodad;
        }
    }
    socket.request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &emit(&request))
}

/// Deletes an address. `EADDRNOTAVAIL`: it is not there.
pub fn delete(socket: &mut Netlink, index: u32, address: IpNet) -> Result<(), KernelError> {
    let mut request = AddressMessage::default();
    request.header.index = index;
    request.header.prefix_len = address.prefix_len();
    request.header.family = if address.addr().is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    request.attributes = vec![AddressAttribute::Local(address.addr())];
    socket.request(RTM_DELADDR, 0, &emit(&request))
}

/// All addresses, with the index of their link.
pub fn list(socket: &mut Netlink) -> Result<Vec<(u32, IpNet)>, KernelError> {
    socket.dump(RTM_GETADDR, &emit(&AddressMessage::default()), |_, body| {
        let message = AddressMessage::parse(body).ok()?;
        let (mut local, mut plain) = (None, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        for attribute in message.attributes {
            match attribute {
                AddressAttribute::Local(a) => local = Some(a),
                AddressAttribute::Address(a) => plain = a,
                _ => {}
            }
        }
        let net = IpNet::new(local.unwrap_or(plain), message.header.prefix_len).ok()?;
        Some((message.header.index, net))
    })
}
