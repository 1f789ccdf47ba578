//! Undoes steps, and says what finishes it where that fails.

use super::KernelError;
use super::failpoint::guarded;
use super::hands::Kernel;
use super::journal::LeftBehind;
use super::netlink::Netlink;
use super::netns::within;
use super::ops::{address, firewall, lan, link, port, route, set, sysctl, vxlan, wireguard};
use netd_core::plan::{ContainerOp, HostOp, Op, Outcome, SetOp, Step, SysctlOp};
use std::os::fd::BorrowedFd;

impl Kernel {
    /// Undoes steps in reverse, as far as it was we who did them. All errors are collected.
    pub fn undo(&mut self, steps: &[Step], outcomes: &[Outcome], netns: Option<BorrowedFd<'_>>) -> Vec<LeftBehind> {
        let mut left = Vec::new();
        for (step, outcome) in steps.iter().zip(outcomes).rev() {
            if matches!(outcome, Outcome::AlreadyThere | Outcome::Skipped) {
                continue;
            }
            let mut failpoint = self.failpoint.take();
            let undone = guarded(&mut failpoint, &step.op, || match &step.op {
                Op::Host(op) => self.undo_here(op, netns),
                // What was in a namespace that is gone went with it.
                Op::Container(op) => netns.map_or(Ok(()), |netns| undo_inside(op, outcome, netns)),
            });
            self.failpoint = failpoint;
            match undone {
                Ok(()) => {}
                Err(error) if error.is_gone() => {}
                Err(error) => left.push(left_behind(step, outcome, &error)),
            }
        }
        // At last: what was published is no more, so nothing makes them anew.
        for (step, _) in steps.iter().zip(outcomes).filter(|(_, outcome)| **outcome != Outcome::Skipped) {
            if let Op::Host(HostOp::Firewall(op)) = &step.op {
                firewall::forget_again(self, op);
            }
        }
        left
    }

    fn undo_here(&mut self, op: &HostOp, netns: Option<BorrowedFd<'_>>) -> Result<(), KernelError> {
        match op {
            HostOp::Link(op) => link::undo(&mut self.route, op, netns),
            HostOp::Set(op) => set::undo(&mut self.route, op),
            HostOp::Address(op) => address::undo(&mut self.route, op),
            HostOp::Route(op) => route::undo(&mut self.route, op),
            HostOp::Firewall(op) => firewall::undo(self, op),
            HostOp::Vxlan(op) => vxlan::undo(&mut self.route, op),
            HostOp::WireGuard(op) => wireguard::undo(self, op),
            HostOp::Sysctl(op) => lent(op).map_or(Ok(()), |old| sysctl::put_back(op, old)),
            HostOp::Port(op) => port::undo(self, op),
            HostOp::Lan(_) => Ok(()),
        }
    }
}

fn undo_inside(op: &ContainerOp, outcome: &Outcome, netns: BorrowedFd<'_>) -> Result<(), KernelError> {
    match op {
        // What a link is goes with it.
        ContainerOp::Set(SetOp::Up { .. }) | ContainerOp::Lan(_) => Ok(()),
        ContainerOp::Set(op) => within(netns, || set::undo(&mut Netlink::route()?, op)),
        ContainerOp::Address(op) => within(netns, || address::undo(&mut Netlink::route()?, op)),
        ContainerOp::Route(op) => within(netns, || route::undo(&mut Netlink::route()?, op)),
        ContainerOp::Reply(op) => within(netns, || route::undo_reply(&mut Netlink::route()?, op)),
        ContainerOp::Sysctl(op) => replaced(outcome).map_or(Ok(()), |old| within(netns, || sysctl::put_back(op, old))),
    }
}

/// The host's value that goes back to it; others go with their link.
fn lent(op: &SysctlOp) -> Option<&str> {
    let SysctlOp::Set { undo, .. } = op;
    undo.as_deref()
}

/// The value that was there before, where the namespace may outlive the container.
fn replaced(outcome: &Outcome) -> Option<&str> {
    if let Outcome::Replaced(old) = outcome { Some(old) } else { None }
}

fn left_behind(step: &Step, outcome: &Outcome, error: &KernelError) -> LeftBehind {
    let command = match &step.op {
        Op::Host(op) => by_hand(op),
        Op::Container(op) => by_hand_inside(op, outcome),
    };
    let what = format!("{}: {error}", step.op.describe());
    LeftBehind { what, command, step: step.clone(), outcome: outcome.clone() }
}

fn by_hand(op: &HostOp) -> String {
    match op {
        HostOp::Link(op) => link::by_hand(op),
        HostOp::Set(op) => set::by_hand(op, "ip"),
        HostOp::Port(op) => port::by_hand(op),
        HostOp::Address(op) => address::by_hand(op, "ip"),
        HostOp::Route(op) => route::by_hand(op, "ip"),
        HostOp::Sysctl(op) => sysctl::by_hand(op, lent(op)),
        HostOp::Lan(op) => lan::by_hand(op, "ip"),
        HostOp::Firewall(op) => firewall::by_hand(op),
        HostOp::Vxlan(op) => vxlan::by_hand(op),
        HostOp::WireGuard(op) => wireguard::by_hand(op),
    }
}

fn by_hand_inside(op: &ContainerOp, outcome: &Outcome) -> String {
    let ip = "ip -n NETNS";
    match op {
        ContainerOp::Set(op) => set::by_hand(op, ip),
        ContainerOp::Address(op) => address::by_hand(op, ip),
        ContainerOp::Route(op) => route::by_hand(op, ip),
        ContainerOp::Reply(op) => route::reply_by_hand(op, ip),
        ContainerOp::Sysctl(op) => format!("ip netns exec NETNS {}", sysctl::by_hand(op, replaced(outcome))),
        ContainerOp::Lan(op) => lan::by_hand(op, ip),
    }
}
