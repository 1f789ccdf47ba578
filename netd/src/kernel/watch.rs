//! What others do to our objects: nftables and link events.

use super::KernelError;
use super::netlink::Netlink;
use super::nft::deletes_ours;
use super::nft_encode::NEWGEN;
use futures_util::StreamExt;
use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use nix::errno::Errno;
use nix::sys::socket::SockProtocol;
use rtnetlink::MulticastGroup;
use tokio::runtime::Runtime;

/// `NFNLGRP_NFTABLES` (7) as a bit.
const NFTABLES: u32 = 1 << 6;

/// Something that was changed by somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Something of `inet rcr` was deleted by the socket of this port; 0: events were lost, look for yourself.
    TableChanged(u32),
    /// A link of ours was deleted.
    LinkGone(String),
    /// Events about links were lost: look for yourself.
    LinksLost,
}

/// Listens for as long as `tell` says that somebody listens to it: to nftables on a thread of its own, to links in `runtime`.
pub fn watch(runtime: &Runtime, tell: impl Fn(Event) -> bool + Send + Clone + 'static) -> Result<(), KernelError> {
    let nft = Netlink::open(SockProtocol::NetlinkNetFilter, NFTABLES)?;
    let tell_too = tell.clone();
    let mut changes = TableChanges::default();
    listen("watch-nft", nft, move |message| changes.see(message).is_none_or(|port| tell(Event::TableChanged(port))))?;
    watch_links(runtime, tell_too)
}

/// What of ours a transaction deleted. A flush tells of each rule and element by itself, and ends with its generation: it is one change.
#[derive(Default)]
struct TableChanges {
    deleted_by: Option<u32>,
}

impl TableChanges {
    /// The port of who deleted something of ours, at the end of that transaction; 0 where messages were lost.
    fn see(&mut self, message: Option<(u16, u32, &[u8])>) -> Option<u32> {
        let Some((kind, port, body)) = message else {
            self.deleted_by = None;
            return Some(0);
        };
        if deletes_ours(kind, body) {
            self.deleted_by = Some(port);
        }
        if kind == NEWGEN { self.deleted_by.take() } else { None }
    }
}

/// `ip monitor link`, as a task.
fn watch_links(runtime: &Runtime, tell: impl Fn(Event) -> bool + Send + 'static) -> Result<(), KernelError> {
    let _inside = runtime.enter();
    let (connection, handle, mut messages) = rtnetlink::new_multicast_connection(&[MulticastGroup::Link])
        .map_err(|error| KernelError::io("listen to link events", &error))?;
    runtime.spawn(connection);
    runtime.spawn(async move {
        // The connection ends with its last handle.
        let _handle = handle;
        while let Some((message, _)) = messages.next().await {
            let event = match message.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) => deleted_link(link),
                // Too many at once: what was lost is looked up.
                NetlinkPayload::Overrun(_) => Some(Event::LinksLost),
                _ => None,
            };
            if event.is_some_and(|event| !tell(event)) {
                return;
            }
        }
    });
    Ok(())
}

fn listen(
    name: &str,
    mut socket: Netlink,
    mut see: impl FnMut(Option<(u16, u32, &[u8])>) -> bool + Send + 'static,
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

fn deleted_link(message: LinkMessage) -> Option<Event> {
    let (mut name, mut ours) = (None, false);
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(n) => name = Some(n),
            LinkAttribute::IfAlias(alias) => ours = alias.starts_with(super::link::MARK),
            _ => {}
        }
    }
    name.filter(|_| ours).map(Event::LinkGone)
}
