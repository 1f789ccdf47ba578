//! Files that Wireshark and others read: pcapng (draft-ietf-opsawg-pcapng), little-endian, times in nanoseconds. The
//! five blocks that are written here are small enough to write them ourselves. Pure.

use netd_api::NamedAddress;
use std::net::IpAddr;
use std::time::Duration;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const NAMES: u32 = 4;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const ETHERNET: u16 = 1;

const OPT_COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TSRESOL: u16 = 9;
const ISB_IFDROP: u16 = 5;
const NRB_IPV4: u16 = 1;
const NRB_IPV6: u16 = 2;
/// The longest value of an option or a record, in bytes.
const LONGEST: usize = 4096;

/// The beginning of a file.
pub fn section(program: &str) -> Vec<u8> {
    let mut body = BYTE_ORDER.to_le_bytes().to_vec();
    body.extend(1u16.to_le_bytes());
    body.extend(0u16.to_le_bytes());
    // The section's length is not known before its end.
    body.extend((-1i64).to_le_bytes());
    option(&mut body, SHB_USERAPPL, program.as_bytes());
    end_of_options(&mut body);
    block(SECTION, &body)
}

/// A link; they are counted from 0. `snap`: the most bytes of a packet that are kept.
pub fn interface(name: &str, about: &str, snap: u32) -> Vec<u8> {
    let mut body = ETHERNET.to_le_bytes().to_vec();
    body.extend(0u16.to_le_bytes());
    body.extend(snap.to_le_bytes());
    option(&mut body, IF_NAME, name.as_bytes());
    option(&mut body, IF_DESCRIPTION, about.as_bytes());
    option(&mut body, IF_TSRESOL, &[9]);
    end_of_options(&mut body);
    block(INTERFACE, &body)
}

/// Whose addresses are whose.
pub fn names(all: &[NamedAddress]) -> Vec<u8> {
    let mut body = Vec::new();
    for one in all {
        let (kind, mut value) = match one.address {
            IpAddr::V4(address) => (NRB_IPV4, address.octets().to_vec()),
            IpAddr::V6(address) => (NRB_IPV6, address.octets().to_vec()),
        };
        value.extend(one.name.bytes().filter(|byte| *byte != 0));
        value.truncate(LONGEST - 1);
        value.push(0);
        option(&mut body, kind, &value);
    }
    end_of_options(&mut body);
    block(NAMES, &body)
}

/// A packet that was heard at a link. `length`: what it had where it was; `data`: what was kept of it.
pub fn packet(link: u32, time: Duration, length: u32, data: &[u8], comment: &str) -> Vec<u8> {
    let mut body = link.to_le_bytes().to_vec();
    stamp(&mut body, time);
    body.extend((data.len() as u32).to_le_bytes());
    body.extend(length.to_le_bytes());
    padded(&mut body, data);
    option(&mut body, OPT_COMMENT, comment.as_bytes());
    end_of_options(&mut body);
    block(PACKET, &body)
}

/// How many packets of a link the kernel dropped because nobody read them in time.
pub fn statistics(link: u32, time: Duration, lost: u64) -> Vec<u8> {
    let mut body = link.to_le_bytes().to_vec();
    stamp(&mut body, time);
    option(&mut body, ISB_IFDROP, &lost.to_le_bytes());
    end_of_options(&mut body);
    block(STATISTICS, &body)
}

fn stamp(body: &mut Vec<u8>, time: Duration) {
    let nanoseconds = time.as_nanos() as u64;
    body.extend(((nanoseconds >> 32) as u32).to_le_bytes());
    body.extend((nanoseconds as u32).to_le_bytes());
}

/// Kind, length on both ends, and what lies between.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 12).to_le_bytes();
    [&kind.to_le_bytes()[..], &length, body, &length].concat()
}

fn option(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let value = value.get(..LONGEST).unwrap_or(value);
    body.extend(kind.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    padded(body, value);
}

/// Of options and of names alike.
fn end_of_options(body: &mut Vec<u8>) {
    body.extend([0; 4]);
}

fn padded(body: &mut Vec<u8>, value: &[u8]) {
    body.extend(value);
    body.extend(std::iter::repeat_n(0, value.len().wrapping_neg() % 4));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of a block's options from `at` on.
    fn options(block: &[u8], at: usize) -> Vec<(u16, Vec<u8>)> {
        let (mut rest, mut all) = (&block[at..block.len() - 4], Vec::new());
        loop {
            let kind = u16::from_le_bytes([rest[0], rest[1]]);
            let length = usize::from(u16::from_le_bytes([rest[2], rest[3]]));
            if kind == 0 {
                assert_eq!((length, rest.len()), (0, 4));
                return all;
            }
            all.push((kind, rest[4..4 + length].to_vec()));
            rest = &rest[4 + length.div_ceil(4) * 4..];
        }
    }

    #[test]
    fn blocks_are_whole_and_aligned() {
        let name = |text: &str, address: &str| NamedAddress { address: address.parse().unwrap(), name: text.into() };
        let all = [
            section("rcr"),
            interface("eth0", "c1 on blue", 65536),
            names(&[name("c1", "10.9.0.2"), name("c2", "fd00::2"), name(&"x".repeat(9000), "10.9.0.3")]),
            packet(0, Duration::from_nanos((7 << 32) + 5), 1500, b"abcde", "c1 → c2"),
            statistics(0, Duration::ZERO, 3),
        ];
        for block in &all {
            let length = (block.len() as u32).to_le_bytes();
            assert_eq!((&block[4..8], &block[block.len() - 4..], block.len() % 4), (&length[..], &length[..], 0));
        }
        assert_eq!(&all[3][8..28], &[0, 0, 0, 0, 7, 0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0, 220, 5, 0, 0]);
        assert_eq!(&all[3][28..36], b"abcde\0\0\0");
        assert_eq!(options(&all[3], 36), [(OPT_COMMENT, "c1 → c2".as_bytes().to_vec())]);
        assert_eq!(options(&all[1], 16)[1].1, b"c1 on blue");
        let records = options(&all[2], 8);
        assert_eq!((records[0].0, &records[0].1[..]), (NRB_IPV4, &b"\x0a\x09\0\x02c1\0"[..]));
        assert_eq!((records[1].0, &records[1].1[16..]), (NRB_IPV6, &b"c2\0"[..]));
    }
}
