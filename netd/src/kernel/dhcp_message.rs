//! DHCP messages of a client, as packets (RFC 2131, RFC 2132). Pure; every answer is a stranger's word, and is read as such.

use dhcproto::v4::{DhcpOption, Flags, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable, Decoder, Encodable};
use ipnet::Ipv4Net;
use netd_api::Mac;
use netd_core::model::LanLease;
use std::net::Ipv4Addr;

pub const SERVER_PORT: u16 = 67;
pub const CLIENT_PORT: u16 = 68;
const UDP: u8 = 17;
/// A lease of nothing would be asked for without a pause; in seconds.
const SHORTEST: u32 = 1;
/// No LAN is wider; the way to everything else must not become a neighbourhood.
const WIDEST: u8 = 8;

/// Who asks.
#[derive(Debug, Clone)]
pub struct Identity {
    pub mac: Mac,
    /// Tells clients of one MAC apart (ipvlan), and stays over restarts.
    pub client_id: String,
    pub hostname: String,
}

/// What a client says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Say {
    /// Is anybody there?
    Discover,
    /// I take this address of this server's.
    Take { address: Ipv4Addr, server: Ipv4Addr },
    /// I had this address: may I have it again?
    Again { address: Ipv4Addr },
    /// I have this address: may I keep it?
    Keep { address: Ipv4Addr },
    /// Somebody else has it.
    Decline { address: Ipv4Addr, server: Ipv4Addr },
    /// I don't need it any more.
    Release { address: Ipv4Addr, server: Ipv4Addr },
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Offer(LanLease),
    Granted(LanLease),
    /// Not that one.
    Refused,
}

/// A message's bytes, without IP and UDP.
pub fn message(who: &Identity, xid: u32, say: Say) -> Vec<u8> {
    let none = Ipv4Addr::UNSPECIFIED;
    let own = match say {
        Say::Keep { address } | Say::Release { address, .. } => address,
        Say::Discover | Say::Take { .. } | Say::Again { .. } | Say::Decline { .. } => none,
    };
    let mut message = Message::new_with_id(xid, own, none, none, none, &who.mac.0);
    if own == none {
        // A link without an address hears what is for all; of several with one MAC it hears nothing else.
        message.set_flags(Flags::default().set_broadcast());
    }
    let kind = match say {
        Say::Discover => MessageType::Discover,
        Say::Take { .. } | Say::Again { .. } | Say::Keep { .. } => MessageType::Request,
        Say::Decline { .. } => MessageType::Decline,
        Say::Release { .. } => MessageType::Release,
    };
    let options = message.opts_mut();
    options.insert(DhcpOption::MessageType(kind));
    let mut id = vec![0];
    id.extend(who.client_id.bytes());
    options.insert(DhcpOption::ClientIdentifier(id));
    if let Say::Take { server, .. } | Say::Decline { server, .. } | Say::Release { server, .. } = say {
        options.insert(DhcpOption::ServerIdentifier(server));
    }
    if let Say::Take { address, .. } | Say::Decline { address, .. } | Say::Again { address } = say {
        options.insert(DhcpOption::RequestedIpAddress(address));
    }
    if matches!(kind, MessageType::Discover | MessageType::Request) {
        options.insert(DhcpOption::Hostname(who.hostname.clone()));
        options.insert(DhcpOption::ParameterRequestList(vec![
            OptionCode::SubnetMask,
            OptionCode::Router,
            OptionCode::Renewal,
            OptionCode::Rebinding,
        ]));
    }
    // Only what is too long for an option fails, and nothing here is.
    message.to_vec().unwrap_or_default()
}

/// The same as an IP packet from nowhere to everybody.
pub fn broadcast(payload: &[u8]) -> Vec<u8> {
    let (udp_len, len) = (8 + payload.len() as u16, 28 + payload.len() as u16);
    let mut packet = vec![0x45, 0x10];
    packet.extend(len.to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, UDP, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]);
    let sum = packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !((sum + (sum >> 16)) as u16);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(CLIENT_PORT.to_be_bytes());
    packet.extend(SERVER_PORT.to_be_bytes());
    packet.extend(udp_len.to_be_bytes());
    // No checksum (RFC 768).
    packet.extend([0, 0]);
    packet.extend(payload);
    packet
}

/// An IP packet, if it answers us.
pub fn answer(packet: &[u8], who: &Identity, xid: u32) -> Option<Answer> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let fragment = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]) & 0x3fff;
    if packet[0] >> 4 != 4 || header < 20 || *packet.get(9)? != UDP || fragment != 0 {
        return None;
    }
    let port = u16::from_be_bytes([*packet.get(header + 2)?, *packet.get(header + 3)?]);
    if port != CLIENT_PORT {
        return None;
    }
    let message = Message::decode(&mut Decoder::new(packet.get(header + 8..)?)).ok()?;
    if message.opcode() != Opcode::BootReply || message.xid() != xid || message.chaddr().get(..6) != Some(&who.mac.0) {
        return None;
    }
    match message.opts().msg_type()? {
        MessageType::Offer => lease(&message).map(Answer::Offer),
        MessageType::Ack => lease(&message).map(Answer::Granted),
        MessageType::Nak => Some(Answer::Refused),
        _ => None,
    }
}

fn lease(message: &Message) -> Option<LanLease> {
    let options = message.opts();
    let number = |code| match options.get(code) {
        Some(DhcpOption::AddressLeaseTime(n) | DhcpOption::Renewal(n) | DhcpOption::Rebinding(n)) => Some(*n),
        _ => None,
    };
    let seconds = number(OptionCode::AddressLeaseTime)?.max(SHORTEST);
    let mask = match options.get(OptionCode::SubnetMask) {
        Some(DhcpOption::SubnetMask(mask)) => *mask,
        _ => return None,
    };
    let server = match options.get(OptionCode::ServerIdentifier) {
        Some(DhcpOption::ServerIdentifier(server)) => *server,
        _ => return None,
    };
    let router = match options.get(OptionCode::Router) {
        Some(DhcpOption::Router(list)) => list.first().copied(),
        _ => None,
    };
    let address = message.yiaddr();
    if address.is_unspecified() || address.is_loopback() || address.is_multicast() || address.is_broadcast() {
        return None;
    }
    let rebind = number(OptionCode::Rebinding).filter(|t| *t < seconds).unwrap_or(seconds / 8 * 7);
    let renew = number(OptionCode::Renewal).filter(|t| *t <= rebind).unwrap_or(seconds / 2);
    let address = Ipv4Net::with_netmask(address, mask).ok().filter(|net| net.prefix_len() >= WIDEST)?;
    Some(LanLease { address, router, server, seconds, renew: renew.max(SHORTEST), rebind: rebind.max(SHORTEST) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who() -> Identity {
        Identity { mac: Mac([2, 0, 0, 0, 0, 1]), client_id: "c".repeat(12), hostname: "web".into() }
    }

    fn reply(kind: MessageType, change: impl FnOnce(&mut Message)) -> Vec<u8> {
        let none = Ipv4Addr::UNSPECIFIED;
        let mut message = Message::new_with_id(7, none, "192.0.2.50".parse().unwrap(), none, none, &who().mac.0);
        message.set_opcode(Opcode::BootReply);
        let options = message.opts_mut();
        options.insert(DhcpOption::MessageType(kind));
        options.insert(DhcpOption::AddressLeaseTime(3600));
        options.insert(DhcpOption::SubnetMask("255.255.255.0".parse().unwrap()));
        options.insert(DhcpOption::ServerIdentifier("192.0.2.2".parse().unwrap()));
        options.insert(DhcpOption::Router(vec!["192.0.2.1".parse().unwrap()]));
        change(&mut message);
        let mut packet = broadcast(&message.to_vec().unwrap());
        (packet[20..22]).copy_from_slice(&SERVER_PORT.to_be_bytes());
        packet[22..24].copy_from_slice(&CLIENT_PORT.to_be_bytes());
        packet
    }

    #[test]
    fn answers_are_read() {
        let Some(Answer::Granted(lease)) = answer(&reply(MessageType::Ack, |_| {}), &who(), 7) else { panic!() };
        assert_eq!(lease.address, "192.0.2.50/24".parse().unwrap());
        assert_eq!((lease.router, lease.seconds), (Some("192.0.2.1".parse().unwrap()), 3600));
        assert_eq!((lease.renew, lease.rebind), (1800, 3150));
        assert!(matches!(answer(&reply(MessageType::Offer, |_| {}), &who(), 7), Some(Answer::Offer(_))));
        assert_eq!(answer(&reply(MessageType::Nak, |_| {}), &who(), 7), Some(Answer::Refused));
    }

    #[test]
    fn what_is_not_for_us_or_makes_no_sense_is_passed_over() {
        assert_eq!(answer(&reply(MessageType::Ack, |_| {}), &who(), 8), None, "another conversation's");
        let other = Identity { mac: Mac([2, 0, 0, 0, 0, 2]), ..who() };
        assert_eq!(answer(&reply(MessageType::Ack, |_| {}), &other, 7), None, "another client's");
        for address in ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"] {
            let packet = reply(MessageType::Ack, |m| {
                m.set_yiaddr(address.parse::<Ipv4Addr>().unwrap());
            });
            assert_eq!(answer(&packet, &who(), 7), None, "{address}");
        }
        for mask in ["0.0.0.0", "192.0.0.0"] {
            let packet = reply(MessageType::Ack, |m| {
                m.opts_mut().insert(DhcpOption::SubnetMask(mask.parse().unwrap()));
            });
            assert_eq!(answer(&packet, &who(), 7), None, "{mask}");
        }
        let odd = reply(MessageType::Ack, |m| {
            m.opts_mut().insert(DhcpOption::SubnetMask("255.0.255.0".parse().unwrap()));
        });
        assert_eq!(answer(&odd, &who(), 7), None);
        let whole = reply(MessageType::Ack, |_| {});
        for end in 0..whole.len() {
            let _ = answer(&whole[..end], &who(), 7);
        }
        assert_eq!(answer(&broadcast(&message(&who(), 7, Say::Discover)), &who(), 7), None, "our own");
    }

    proptest::proptest! {
        #[test]
        fn no_packet_brings_it_down(mut packet in proptest::collection::vec(proptest::num::u8::ANY, 0..700), cut in 0usize..400) {
            let _ = answer(&packet, &who(), 7);
            // One that passes the first looks.
            let whole = reply(MessageType::Ack, |_| {});
            packet.splice(0..0, whole[..cut.min(whole.len())].iter().copied());
            if let Some(Answer::Granted(lease) | Answer::Offer(lease)) = answer(&packet, &who(), 7) {
                proptest::prop_assert!(lease.renew <= lease.seconds.max(1) && lease.address.prefix_len() >= WIDEST);
            }
        }
    }

    #[test]
    fn times_that_contradict_each_other_are_made_to_fit() {
        let packet = reply(MessageType::Ack, |m| {
            m.opts_mut().insert(DhcpOption::Renewal(9000));
            m.opts_mut().insert(DhcpOption::Rebinding(9000));
        });
        let Some(Answer::Granted(lease)) = answer(&packet, &who(), 7) else { panic!() };
        assert!(lease.renew <= lease.rebind && lease.rebind <= lease.seconds, "{lease:?}");
    }
}
