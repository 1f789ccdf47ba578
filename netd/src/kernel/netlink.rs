//! A blocking netlink socket and its attributes (netlink(7), include/uapi/linux/netlink.h).

use super::KernelError;
use netlink_packet_core::Emitable;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, getsockname, recv, send, setsockopt,
    socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

pub const NLM_F_REQUEST: u16 = 0x1;
pub const NLM_F_ACK: u16 = 0x4;
pub const NLM_F_DUMP: u16 = 0x300;
pub const NLM_F_REPLACE: u16 = 0x100;
pub const NLM_F_EXCL: u16 = 0x200;
pub const NLM_F_CREATE: u16 = 0x400;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER: usize = 16;
/// Bytes asked for as socket buffers, so that a batch and its answers fit.
const BUFFER: usize = 8 << 20;
/// How often a dump that was disturbed is tried again.
const DUMP_TRIES: usize = 8;

/// One message as it was received.
pub struct Message<'a> {
    pub kind: u16,
    pub flags: u16,
    pub seq: u32,
    /// The port of the socket that caused it.
    pub port: u32,
    pub payload: &'a [u8],
}

/// A netlink socket of the namespace in which it was opened.
pub struct Netlink {
    fd: OwnedFd,
    seq: u32,
    buffer: Vec<u8>,
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Netlink {
    /// Opens a socket of `protocol` that hears the multicast groups whose bits are set (group n is bit n-1).
    pub fn open(protocol: SockProtocol, groups: u32) -> Result<Self, KernelError> {
        let open = || -> Result<OwnedFd, Errno> {
            let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
            bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
            // Without the capability in the user namespace the plain sizes stay.
            let _ = setsockopt(&fd, sockopt::SndBufForce, &BUFFER);
            let _ = setsockopt(&fd, sockopt::RcvBufForce, &BUFFER);
            set_option(&fd, libc::NETLINK_EXT_ACK)?;
            set_option(&fd, libc::NETLINK_CAP_ACK)?;
            if groups == 0 {
                setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::seconds(10))?;
            }
            Ok(fd)
        };
        let fd = open().map_err(KernelError::call("open a netlink socket"))?;
        Ok(Self { fd, seq: 1, buffer: vec![0; 64 << 10] })
    }

    /// A socket for links, addresses and routes.
    pub fn route() -> Result<Self, KernelError> {
        Self::open(SockProtocol::NetlinkRoute, 0)
    }

    /// A socket for nftables and conntrack.
    pub fn netfilter() -> Result<Self, KernelError> {
        Self::open(SockProtocol::NetlinkNetFilter, 0)
    }

    /// The port that the kernel knows this socket by.
    pub fn port(&self) -> u32 {
        getsockname::<NetlinkAddr>(self.fd.as_raw_fd()).map_or(0, |address| address.pid())
    }

    /// The next sequence number.
    pub fn next_seq(&mut self) -> u32 {
        self.seq = self.seq.wrapping_add(1).max(2);
        self.seq
    }

    /// Sends what is already framed.
    pub fn send_raw(&self, bytes: &[u8]) -> Result<(), KernelError> {
        send(self.fd.as_raw_fd(), bytes, MsgFlags::empty()).map(|_| ()).map_err(|errno| netlink_error(errno, None))
    }

    /// Receives one datagram and shows each message in it; stops when `each` says that it has seen enough.
    pub fn receive(&mut self, mut each: impl FnMut(Message<'_>) -> bool) -> Result<bool, KernelError> {
        let got = loop {
            match recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                other => break other.map_err(|errno| netlink_error(errno, None))?,
            }
        };
        let mut rest = &self.buffer[..got];
        while rest.len() >= HEADER {
            let len = u32::from_ne_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
            if len < HEADER || len > rest.len() {
                break;
            }
            let message = Message {
                kind: u16::from_ne_bytes([rest[4], rest[5]]),
                flags: u16::from_ne_bytes([rest[6], rest[7]]),
                seq: u32::from_ne_bytes([rest[8], rest[9], rest[10], rest[11]]),
                port: u32::from_ne_bytes([rest[12], rest[13], rest[14], rest[15]]),
                payload: &rest[HEADER..len],
            };
            if each(message) {
                return Ok(true);
            }
            rest = &rest[len.next_multiple_of(4).min(rest.len())..];
        }
        Ok(false)
    }

    /// Sends one request and waits for the kernel's answer.
    pub fn request(&mut self, kind: u16, flags: u16, payload: &[u8]) -> Result<(), KernelError> {
        let seq = self.next_seq();
        let mut bytes = Vec::with_capacity(HEADER + payload.len());
        frame(&mut bytes, kind, NLM_F_REQUEST | NLM_F_ACK | flags, seq, payload);
        self.send_raw(&bytes)?;
        let mut answer = Ok(());
        while !self.receive(|m| {
            let ours = m.seq == seq && m.kind == NLMSG_ERROR;
            if ours {
                answer = parse_ack(&m);
            }
            ours
        })? {}
        answer
    }

    /// Asks for one object and shows the answer.
    pub fn get(&mut self, kind: u16, payload: &[u8], mut each: impl FnMut(u16, &[u8])) -> Result<(), KernelError> {
        self.dump_once(kind, 0, payload, &mut each).map(|_| ())
    }

    /// Dumps a table and shows every object; again when it changed under us.
    pub fn dump<T>(
        &mut self,
        kind: u16,
        payload: &[u8],
        mut each: impl FnMut(u16, &[u8]) -> Option<T>,
    ) -> Result<Vec<T>, KernelError> {
        for _ in 0..DUMP_TRIES {
            let mut all = Vec::new();
            let whole = self.dump_once(kind, NLM_F_DUMP, payload, &mut |kind, body| all.extend(each(kind, body)))?;
            if whole {
                return Ok(all);
            }
        }
        Err(netlink_error(Errno::EINTR, None))
    }

    fn dump_once(
        &mut self,
        kind: u16,
        flags: u16,
        payload: &[u8],
        each: &mut dyn FnMut(u16, &[u8]),
    ) -> Result<bool, KernelError> {
        let seq = self.next_seq();
        let mut bytes = Vec::with_capacity(HEADER + payload.len());
        frame(&mut bytes, kind, NLM_F_REQUEST | flags, seq, payload);
        self.send_raw(&bytes)?;
        let (mut answer, mut whole) = (Ok(()), true);
        while !self.receive(|m| {
            if m.seq != seq {
                return false;
            }
            whole &= m.flags & NLM_F_DUMP_INTR == 0;
            match m.kind {
                NLMSG_DONE => true,
                NLMSG_ERROR => {
                    answer = parse_ack(&m);
                    true
                }
                kind => {
                    each(kind, m.payload);
                    flags & NLM_F_DUMP == 0
                }
            }
        })? {}
        answer.map(|()| whole)
    }
}

fn set_option(fd: &OwnedFd, option: libc::c_int) -> Result<(), Errno> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open, and the value is an int of the length that is given.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    Errno::result(result).map(|_| ())
}

fn netlink_error(errno: Errno, message: Option<String>) -> KernelError {
    KernelError::Netlink { errno, message }
}

/// Appends one message to `out`.
pub fn frame(out: &mut Vec<u8>, kind: u16, flags: u16, seq: u32, payload: &[u8]) {
    out.extend_from_slice(&((HEADER + payload.len()) as u32).to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(&flags.to_ne_bytes());
    out.extend_from_slice(&seq.to_ne_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// What an acknowledgement says: nothing, or an error with the kernel's own words.
pub fn parse_ack(message: &Message<'_>) -> Result<(), KernelError> {
    let body = message.payload;
    let code = body.get(..4).map_or(0, |b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
    if code == 0 {
        return Ok(());
    }
    let echoed = body.get(4..8).map_or(0, |b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]])) as usize;
    let skip = 4 + if message.flags & NLM_F_CAPPED != 0 { HEADER } else { echoed.next_multiple_of(4) };
    let mut words = None;
    if message.flags & NLM_F_ACK_TLVS != 0 {
        for (kind, value) in attributes(body.get(skip..).unwrap_or_default()) {
            if kind == 1 {
                words = Some(String::from_utf8_lossy(value).trim_end_matches('\0').to_lowercase());
            }
        }
    }
    Err(netlink_error(Errno::from_raw(-code), words))
}

/// A message body as bytes.
pub fn emit(message: &impl Emitable) -> Vec<u8> {
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}

/// The attributes in a buffer: (type without flags, value).
pub fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = u16::from_ne_bytes([*rest.first()?, *rest.get(1)?]) as usize;
        let kind = u16::from_ne_bytes([*rest.get(2)?, *rest.get(3)?]) & 0x3fff;
        let value = rest.get(4..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// Builds attributes.
#[derive(Default)]
pub struct Attributes(pub Vec<u8>);

impl Attributes {
    /// Raw bytes.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.0.extend_from_slice(&((4 + value.len()) as u16).to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// A string with its end.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    /// A number in network byte order, as netfilter wants it.
    pub fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Attributes inside an attribute.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Attributes)) -> &mut Self {
        let mut inner = Attributes::default();
        fill(&mut inner);
        self.bytes(kind | 0x8000, &inner.0)
    }
}
