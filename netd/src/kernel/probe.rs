//! Addresses on a LAN: asked for before they are used, announced after (RFC 5227; RFC 4862, section 5.4; RFC 4861, section 7.2.6).
//!
//! Both families are asked by hand, at once: the kernel's own detection has no counterpart for IPv4, takes a second and more, and
//! does not say who the other is. The times of RFC 5227 are those of a machine that boots; here a user waits.

use super::KernelError;
use super::link;
use super::netlink::Netlink;
use super::packet::{self, BROADCAST, ETH_P_ARP, ETH_P_IPV6, Packets};
use netd_api::Mac;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// How often an address is asked for, how long after each other, and how long is listened after the last.
const PROBES: u32 = 3;
const BETWEEN: Duration = Duration::from_millis(60);
const LISTEN: Duration = Duration::from_millis(90);

/// `ff02::1`, and its MAC.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: Mac = Mac([0x33, 0x33, 0, 0, 0, 1]);
const NEXT_ICMPV6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

/// Asks whether anybody has one of the addresses. `Duplicate` names who.
pub fn probe(socket: &mut Netlink, name: &str, addresses: &[IpAddr]) -> Result<(), KernelError> {
    let wire = Wire::open(socket, name)?;
    for _ in 0..PROBES {
        for address in addresses {
            match address {
                IpAddr::V4(a) => wire.arp.send(BROADCAST, &arp(wire.mac, Ipv4Addr::UNSPECIFIED, *a))?,
                IpAddr::V6(a) => wire.ipv6.send(solicited_mac(*a), &solicitation(*a))?,
            }
        }
        wire.listen(BETWEEN, addresses)?;
    }
    wire.listen(LISTEN, addresses)
}

/// Tells the LAN who has the addresses now: what it remembers of a former owner is replaced.
pub fn announce(socket: &mut Netlink, name: &str, addresses: &[IpAddr]) -> Result<(), KernelError> {
    let wire = Wire::open(socket, name)?;
    for address in addresses {
        match address {
            IpAddr::V4(a) => wire.arp.send(BROADCAST, &arp(wire.mac, *a, *a))?,
            IpAddr::V6(a) => wire.ipv6.send(ALL_NODES_MAC, &advertisement(wire.mac, *a))?,
        }
    }
    Ok(())
}

/// A link's packets of the two protocols.
struct Wire {
    mac: Mac,
    arp: Packets,
    ipv6: Packets,
}

impl Wire {
    fn open(socket: &mut Netlink, name: &str) -> Result<Self, KernelError> {
        let seen = link::find(socket, name)?;
        let (arp, ipv6) = (Packets::open(seen.index, ETH_P_ARP)?, Packets::open(seen.index, ETH_P_IPV6)?);
        Ok(Self { mac: seen.mac.unwrap_or(Mac([0; 6])), arp, ipv6 })
    }

    /// Listens for so long whether somebody has, or wants, one of the addresses.
    fn listen(&self, span: Duration, addresses: &[IpAddr]) -> Result<(), KernelError> {
        let until = Instant::now() + span;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            packet::wait(&self.arp, &self.ipv6, left);
            for (packets, claim) in [(&self.arp, claimed_by_arp as Claim), (&self.ipv6, claimed_by_ndp as Claim)] {
                while let Some((from, packet)) = packets.receive() {
                    if let Some(address) = claim(&packet).filter(|a| from != self.mac && addresses.contains(a)) {
                        return Err(KernelError::Duplicate { address, mac: from });
                    }
                }
            }
        }
    }
}

type Claim = fn(&[u8]) -> Option<IpAddr>;

/// Who sends ARP from an address has it; who asks from nowhere for one wants it at this very moment (RFC 5227, section 2.1.1).
fn claimed_by_arp(packet: &[u8]) -> Option<IpAddr> {
    let at = |from: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(from..from + 4)?).ok()?));
    let (sender, target) = (at(14)?, at(24)?);
    Some(IpAddr::V4(if sender.is_unspecified() { target } else { sender }))
}

/// The target of an advertisement, or of somebody's solicitation from nowhere (RFC 4862, section 5.4).
fn claimed_by_ndp(packet: &[u8]) -> Option<IpAddr> {
    let at = |from: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(packet.get(from..from + 16)?).ok()?));
    let (next, kind) = (*packet.get(6)?, *packet.get(40)?);
    let wants = kind == SOLICITATION && at(8)?.is_unspecified();
    if next == NEXT_ICMPV6 && (kind == ADVERTISEMENT || wants) { at(48).map(IpAddr::V6) } else { None }
}

/// An ARP request (RFC 826): with `from` unspecified a probe, with `from` = `to` an announcement.
fn arp(mac: Mac, from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4, 0, 1];
    packet.extend(mac.0);
    packet.extend(from.octets());
    packet.extend([0; 6]);
    packet.extend(to.octets());
    packet
}

/// The solicited-node group of an address (RFC 4291, section 2.7.1), and its MAC.
fn solicited(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]))
}

fn solicited_mac(address: Ipv6Addr) -> Mac {
    let [.., a, b, c] = address.octets();
    Mac([0x33, 0x33, 0xff, a, b, c])
}

/// A neighbour solicitation from nowhere (RFC 4861, section 4.3).
fn solicitation(target: Ipv6Addr) -> Vec<u8> {
    let mut body = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    body.extend(target.octets());
    icmpv6(Ipv6Addr::UNSPECIFIED, solicited(target), body)
}

/// A neighbour advertisement that overrides what was known (RFC 4861, section 4.4).
fn advertisement(mac: Mac, target: Ipv6Addr) -> Vec<u8> {
    const OVERRIDE: u8 = 0x20;
    let mut body = vec![ADVERTISEMENT, 0, 0, 0, OVERRIDE, 0, 0, 0];
    body.extend(target.octets());
    body.extend([2, 1]);
    body.extend(mac.0);
    icmpv6(target, ALL_NODES, body)
}

fn icmpv6(from: Ipv6Addr, to: Ipv6Addr, mut body: Vec<u8>) -> Vec<u8> {
    let length = body.len() as u16;
    let mut sum: u32 = u32::from(length) + u32::from(NEXT_ICMPV6);
    let (from, to) = (from.octets(), to.octets());
    for pair in from.chunks(2).chain(to.chunks(2)).chain(body.chunks(2)) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    body[2..4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([NEXT_ICMPV6, 255]);
    packet.extend(from);
    packet.extend(to);
    packet.extend(body);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_read_and_our_own_packets_are_such() {
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        let (v4, v6) = ("192.0.2.9".parse().unwrap(), "fd00::9".parse().unwrap());
        assert_eq!(claimed_by_arp(&arp(mac, Ipv4Addr::UNSPECIFIED, v4)), Some(v4.into()));
        assert_eq!(claimed_by_arp(&arp(mac, v4, v4)), Some(v4.into()));
        assert_eq!(claimed_by_arp(&arp(mac, v4, "192.0.2.1".parse().unwrap())), Some(v4.into()));
        assert_eq!(claimed_by_ndp(&solicitation(v6)), Some(v6.into()));
        assert_eq!(claimed_by_ndp(&advertisement(mac, v6)), Some(v6.into()));
        // An ordinary question for somebody's MAC claims nothing.
        let mut question = solicitation(v6);
        question[8] = 0xfe;
        assert_eq!(claimed_by_ndp(&question), None);
        for short in 0..60 {
            assert_eq!(claimed_by_ndp(&advertisement(mac, v6)[..short.min(63)]), None);
            let _ = claimed_by_arp(&arp(mac, v4, v4)[..short.min(27)]);
        }
    }

    #[test]
    fn the_checksum_is_right() {
        // Summed over with its pseudo header, a right one leaves all ones (RFC 1071).
        let packet = advertisement(Mac([2, 0, 0, 0, 0, 1]), "2001:db8::1:2".parse().unwrap());
        let mut sum = u32::from(NEXT_ICMPV6) + (packet.len() as u32 - 40);
        sum += packet[8..].chunks(2).map(|p| u32::from(u16::from_be_bytes([p[0], p[1]]))).sum::<u32>();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        assert_eq!(sum, 0xffff);
    }
}
