//! What others do to our objects: nftables and link events.

use super::KernelError;
use super::link::bears_mark;
use super::netlink::{Netlink, attributes};
use super::nft::{changes_user_rules, deletes_ours};
use super::nft_encode::NEWGEN;
use futures_util::StreamExt;
use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use nix::errno::Errno;
use nix::sys::socket::SockProtocol;
use rtnetlink::MulticastGroup;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::Instant;

/// `NFNLGRP_NFTABLES` (7) as a bit.
const NFTABLES: u32 = 1 << 6;

/// How long changes of routes are gathered.
const MOMENT: Duration = Duration::from_millis(300);

/// Something that was changed by somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Something of `inet rcr` was deleted by the socket of this port; 0: events were lost, look for yourself. And by
    /// which program, where the kernel says it.
    TableChanged(u32, Option<String>),
    /// Rules came into `inet rcr-user`, or went from it.
    UserRulesChanged,
    /// A link of ours was deleted.
    LinkGone(String),
    /// Events about links were lost: look for yourself.
    LinksLost,
    /// Routes, or links of others, have changed: packets may take other ways.
    WaysChanged,
}

/// Listens for as long as `tell` says that somebody listens to it: to nftables on a thread of its own, to links in `runtime`.
pub fn watch(runtime: &Runtime, tell: impl Fn(Event) -> bool + Send + Clone + 'static) -> Result<(), KernelError> {
    let nft = Netlink::open(SockProtocol::NetlinkNetFilter, NFTABLES)?;
    let tell_too = tell.clone();
    let mut changes = TableChanges::default();
    listen("watch-nft", nft, move |message| changes.see(message).into_iter().flatten().all(&tell))?;
    watch_links(runtime, tell_too)
}

/// What a transaction did to ours. A flush tells of each rule and element by itself, and ends with its generation: it
/// is one change.
#[derive(Default)]
struct TableChanges {
    deleted_by: Option<u32>,
    user_rules: bool,
}

impl TableChanges {
    /// What is to be told at the end of a transaction: who deleted something of ours, by its port; 0 where messages
    /// were lost.
    fn see(&mut self, message: Option<(u16, u32, &[u8])>) -> [Option<Event>; 2] {
        let Some((kind, port, body)) = message else {
            *self = Self::default();
            return [Some(Event::TableChanged(0, None)), Some(Event::UserRulesChanged)];
        };
        if deletes_ours(kind, body) {
            self.deleted_by = Some(port);
        }
        self.user_rules |= changes_user_rules(kind, body);
        if kind != NEWGEN {
            return [None, None];
        }
        let Self { deleted_by, user_rules } = std::mem::take(self);
        let changed = deleted_by.map(|port| Event::TableChanged(port, program(body)));
        [changed, user_rules.then_some(Event::UserRulesChanged)]
    }
}

/// The program that a generation of tables is by, as `nft (pid 7)`: NFTA_GEN_PROC_PID and NFTA_GEN_PROC_NAME
/// (linux/netfilter/nf_tables.h). Its name is its own choice.
fn program(body: &[u8]) -> Option<String> {
    let of = |wanted: u16| attributes(body.get(4..)?).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let pid = u32::from_be_bytes(of(2)?.try_into().ok()?);
    let name = String::from_utf8_lossy(of(3)?);
    let name: String = name.trim_end_matches('\0').chars().filter(|c| !c.is_control()).collect();
    Some(format!("{name} (pid {pid})"))
}

/// `ip monitor link route`, as a task.
fn watch_links(runtime: &Runtime, tell: impl Fn(Event) -> bool + Send + 'static) -> Result<(), KernelError> {
    let _inside = runtime.enter();
    // The last one tells of an MTU that a router has announced.
    let groups =
        [MulticastGroup::Link, MulticastGroup::Ipv4Route, MulticastGroup::Ipv6Route, MulticastGroup::Ipv6Ifinfo];
    let (connection, handle, mut messages) = rtnetlink::new_multicast_connection(&groups)
        .map_err(|error| KernelError::io("listen to link events", &error))?;
    runtime.spawn(connection);
    runtime.spawn(async move {
        // The connection ends with its last handle.
        let _handle = handle;
        // A router may change thousands of routes at once: that is told once, when it has gone on for a moment.
        let mut due: Option<Instant> = None;
        loop {
            let message = match due {
                Some(due) => tokio::time::timeout_at(due, messages.next()).await,
                None => Ok(messages.next().await),
            };
            let told = match message {
                Ok(None) => return,
                Ok(Some((message, _))) => {
                    let (event, ways) = meaning(message.payload);
                    if ways {
                        due.get_or_insert_with(|| Instant::now() + MOMENT);
                    }
                    event.is_none_or(&tell)
                }
                Err(_) => {
                    due = None;
                    tell(Event::WaysChanged)
                }
            };
            if !told {
                return;
            }
        }
    });
    Ok(())
}

/// What a message says of links of ours, and whether packets to other hosts may take other ways now.
fn meaning(payload: NetlinkPayload<RouteNetlinkMessage>) -> (Option<Event>, bool) {
    use NetlinkPayload::{InnerMessage, Overrun};
    use RouteNetlinkMessage::{DelLink, DelRoute, NewLink, NewRoute};
    match payload {
        InnerMessage(DelLink(link)) => (deleted_link(link), false),
        InnerMessage(NewLink(link)) => (None, !bears_mark(alias_of(&link))),
        InnerMessage(NewRoute(_) | DelRoute(_)) => (None, true),
        // Too many at once: what was lost is looked up.
        Overrun(_) => (Some(Event::LinksLost), true),
        _ => (None, false),
    }
}

fn alias_of(message: &LinkMessage) -> Option<&str> {
    message
        .attributes
        .iter()
        .find_map(|a| if let LinkAttribute::IfAlias(alias) = a { Some(alias.as_str()) } else { None })
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
    let ours = bears_mark(alias_of(&message));
    let name = |a| if let LinkAttribute::IfName(name) = a { Some(name) } else { None };
    message.attributes.into_iter().find_map(name).filter(|_| ours).map(Event::LinkGone)
}
