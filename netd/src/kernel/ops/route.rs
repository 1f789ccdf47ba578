//! Routes, and the ways of answers.

use crate::kernel::netlink::Netlink;
use crate::kernel::{KernelError, link, route, rule};
use netd_core::plan::{Outcome, ReplyOp, RouteOp};

/// Adds it, in place of another one to the same destination.
pub fn ensure(socket: &mut Netlink, op: &RouteOp) -> Result<Outcome, KernelError> {
    let RouteOp::Add { to, via, link } = op;
    let index = link::find(socket, link.as_str())?.index;
    route::replace(socket, index, *to, *via).map(|()| Outcome::Created)
}

/// Deletes it.
pub fn undo(socket: &mut Netlink, op: &RouteOp) -> Result<(), KernelError> {
    let RouteOp::Add { to, via, link } = op;
    let index = link::find(socket, link.as_str())?.index;
    route::delete(socket, index, *to, *via)
}

/// See the room's head.
pub fn by_hand(op: &RouteOp, ip: &str) -> String {
    let RouteOp::Add { to, link, .. } = op;
    format!("{ip} route del {to} dev {link}")
}

/// Adds the rule and its routes.
pub fn ensure_reply(socket: &mut Netlink, op: &ReplyOp) -> Result<Outcome, KernelError> {
    let ReplyOp::Add { address, via, link } = op;
    let index = link::find(socket, link.as_str())?.index;
    rule::add(socket, index, *address, *via).map(|()| Outcome::Created)
}

/// Deletes the rule and its routes, which may have gone with their link.
pub fn undo_reply(socket: &mut Netlink, op: &ReplyOp) -> Result<(), KernelError> {
    let ReplyOp::Add { address, via, link } = op;
    let index = link::find(socket, link.as_str()).ok().map(|link| link.index);
    rule::delete(socket, index, *address, *via)
}

/// See the room's head.
pub fn reply_by_hand(op: &ReplyOp, ip: &str) -> String {
    let ReplyOp::Add { address, .. } = op;
    format!("{ip} rule del from {}", address.addr())
}
