//! Answers that leave by the network that the question came in on: a routing table for one source address (ip-rule(8)).

use super::KernelError;
use super::netlink::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, Netlink, emit};
use super::route::{RTM_DELROUTE, RTM_NEWROUTE, message};
use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::RouteAttribute;
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use nix::errno::Errno;
use std::net::IpAddr;

const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;
/// The table, in the container's namespace. One attachment of a container publishes ports, so that one is enough.
const TABLE: u32 = 29_283;

/// Sends what comes from `address` by `via` on the link `index`, or to its neighbours. Done twice, it is done once.
pub fn add(socket: &mut Netlink, index: u32, address: IpNet, via: IpAddr) -> Result<(), KernelError> {
    for (to, via) in routes(address, via) {
        socket.request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &emit(&in_table(index, to, via)))?;
    }
    match socket.request(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, &emit(&rule(address))) {
        Err(error) if error.errno() == Some(Errno::EEXIST) => Ok(()),
        other => other,
    }
}

/// Takes that back. The routes may have gone with their link.
pub fn delete(socket: &mut Netlink, index: Option<u32>, address: IpNet, via: IpAddr) -> Result<(), KernelError> {
    let gone = |result: Result<(), KernelError>| match result {
        Err(error) if error.is_gone() => Ok(()),
        other => other,
    };
    gone(socket.request(RTM_DELRULE, 0, &emit(&rule(address))))?;
    for (to, via) in routes(address, via).into_iter().rev() {
        if let Some(index) = index {
            gone(socket.request(RTM_DELROUTE, 0, &emit(&in_table(index, to, via))))?;
        }
    }
    Ok(())
}

fn routes(address: IpNet, via: IpAddr) -> [(IpNet, Option<IpAddr>); 2] {
    let any = match address {
        IpNet::V4(_) => IpNet::V4(ipnet::Ipv4Net::default()),
        IpNet::V6(_) => IpNet::V6(ipnet::Ipv6Net::default()),
    };
    [(address.trunc(), None), (any, Some(via))]
}

fn in_table(index: u32, to: IpNet, via: Option<IpAddr>) -> netlink_packet_route::route::RouteMessage {
    let mut request = message(index, to, via);
    request.header.table = 0;
    request.attributes.push(RouteAttribute::Table(TABLE));
    request
}

fn rule(address: IpNet) -> RuleMessage {
    let mut request = RuleMessage::default();
    request.header.family = if address.addr().is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    request.header.src_len = address.max_prefix_len();
    request.header.action = RuleAction::ToTable;
    request.attributes = vec![RuleAttribute::Source(address.addr()), RuleAttribute::Table(TABLE)];
    request
}
