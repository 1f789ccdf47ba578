//! Forgetting flows (include/uapi/linux/netfilter/nfnetlink_conntrack.h).
//!
//! A UDP flow that was tracked before a port was published, or to an address that now is another container's, would keep
//! going the old way for as long as it lives.

use super::KernelError;
use super::netlink::{Attributes, Netlink, attributes};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const CT_GET: u16 = 1 << 8 | 1;
const CT_DELETE: u16 = 1 << 8 | 2;

#[derive(Default)]
struct Tuple {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    proto: u8,
    port: u16,
}

/// Deletes the flows of `address` in either direction; with `port` = (protocol, first, last), those to these ports of it
/// only, of all addresses of the family if it is unspecified. Returns how many.
pub fn forget(socket: &mut Netlink, address: IpAddr, port: Option<(u8, u16, u16)>) -> Result<usize, KernelError> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 } as u8;
    let head = [family, 0, 0, 0];
    let found = socket.dump(CT_GET, &head, |_, body| {
        let (mut original, mut reply, mut raw) = (Tuple::default(), Tuple::default(), None);
        for (kind, value) in attributes(body.get(4..)?) {
            match kind {
                1 => (original, raw) = (tuple(value), Some(value.to_vec())),
                2 => reply = tuple(value),
                _ => {}
            }
        }
        let ends = [original.source, original.destination, reply.source, reply.destination];
        let hit = match port {
            None => ends.contains(&Some(address)),
            Some((proto, first, last)) => {
                let here = address.is_unspecified() || original.destination == Some(address);
                here && original.proto == proto && (first..=last).contains(&original.port)
            }
        };
        raw.filter(|_| hit)
    });
    let found = match found {
        Err(error) if error.is_gone() => return Ok(0),
        other => other?,
    };
    for raw in &found {
        let mut request = Attributes(head.to_vec());
        request.bytes(1 | 0x8000, raw);
        match socket.request(CT_DELETE, 0, &request.0) {
            Err(error) if !error.is_gone() => return Err(error),
            _ => {}
        }
    }
    Ok(found.len())
}

fn tuple(value: &[u8]) -> Tuple {
    let mut out = Tuple::default();
    for (kind, inner) in attributes(value) {
        for (field, bytes) in attributes(inner) {
            match (kind, field) {
                (1, 1 | 3) => out.source = ip(bytes),
                (1, 2 | 4) => out.destination = ip(bytes),
                (2, 1) => out.proto = bytes.first().copied().unwrap_or(0),
                (2, 3) => out.port = bytes.first_chunk().map_or(0, |b| u16::from_be_bytes(*b)),
                _ => {}
            }
        }
    }
    out
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|b| IpAddr::V4(Ipv4Addr::from(b))),
        16 => <[u8; 16]>::try_from(bytes).ok().map(|b| IpAddr::V6(Ipv6Addr::from(b))),
        _ => None,
    }
}
