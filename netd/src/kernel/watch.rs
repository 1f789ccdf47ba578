//! What others do to our objects: nftables and link events.

use super::KernelError;
use super::netlink::Netlink;
use super::nft::deletes_ours;
use netlink_packet_core::Parseable;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

/// `NFNLGRP_NFTABLES` (7) and `RTNLGRP_LINK` (1) as bits.
const NFTABLES: u32 = 1 << 6;
const LINK: u32 = 1;
const RTM_DELLINK: u16 = 17;

/// Something that was changed by somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Something of `inet rcr` was deleted by the socket of this port; 0: events were lost, look for yourself.
    TableChanged(u32),
    /// A link of ours was deleted.
    LinkGone(String),
}

/// Listens on two threads for as long as `tell` says that somebody listens to it.
pub fn watch(tell: impl Fn(Event) -> bool + Send + Clone + 'static) -> Result<(), KernelError> {
    let nft = Netlink::open(SockProtocol::NetlinkNetFilter, NFTABLES)?;
    let links = Netlink::open(SockProtocol::NetlinkRoute, LINK)?;
    let tell_too = tell.clone();
    listen("watch-nft", nft, move |message| match message {
        None => tell(Event::TableChanged(0)),
        Some((kind, port, body)) if deletes_ours(kind, body) => tell(Event::TableChanged(port)),
        Some(_) => true,
    })?;
    listen("watch-link", links, move |message| match message {
        Some((RTM_DELLINK, _, body)) => deleted_link(body).is_none_or(|name| tell_too(Event::LinkGone(name))),
        _ => true,
    })
}

fn listen(
    name: &str,
    mut socket: Netlink,
    see: impl Fn(Option<(u16, u32, &[u8])>) -> bool + Send + 'static,
) -> Result<(), KernelError> {
    let work = move || {
        loop {
            let mut wanted = true;
            let got = socket.receive(|message| {
                wanted &= see(Some((message.kind, message.port, message.payload)));
                !wanted
            });
            match got {
                // Too many at once: the same socket goes on, and what was lost is looked up.
                Err(error) if error.errno() == Some(Errno::ENOBUFS) => wanted = see(None),
                Err(_) => return,
                Ok(_) => {}
            }
            if !wanted {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name(name.into()).stack_size(128 << 10).spawn(work);
    thread.map(drop).map_err(|error| KernelError::io("start a thread", &error))
}

fn deleted_link(body: &[u8]) -> Option<String> {
    let message = LinkMessage::parse(body).ok()?;
    let (mut name, mut ours) = (None, false);
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(n) => name = Some(n),
            LinkAttribute::IfAlias(alias) => ours = alias.starts_with(super::link::MARK),
            _ => {}
        }
    }
    name.filter(|_| ours)
}
