//! The applier: does what a plan says (`undo` has the inverses, `ops` what each op is).
//!
//! A plan's journal is durable before the first step. On an error everything that was made is undone in reverse; an object
//! that isn't there any more is undone; what can't be undone is reported with the command that removes it. Undo after a
//! crash treats a step that was only intended as done, and so touches only what carries our mark.

use super::KernelError;
use super::failpoint::{Failpoint, guarded};
use super::hands::Kernel;
use super::journal::LeftBehind;
use super::netlink::Netlink;
use super::netns::within;
use super::ops::{address, firewall, lan, link, port, route, set, sysctl, vxlan, wireguard};
use netd_core::plan::{ContainerOp, HostOp, Op, Outcome, Plan, Step};
use std::os::fd::BorrowedFd;

/// A plan that could not be applied. What it had made is undone, but for `left`.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct ApplyError {
    pub what: String,
    #[source]
    pub cause: KernelError,
    pub left: Vec<LeftBehind>,
}

impl Kernel {
    /// Applies a plan. Container steps need `netns`.
    pub fn apply(&mut self, plan: &Plan, netns: Option<BorrowedFd<'_>>) -> Result<Vec<Outcome>, ApplyError> {
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(plan.steps.len());
        let mut rest = plan.steps.as_slice();
        while let Some(first) = rest.first() {
            let failed = match &first.op {
                Op::Host(op) => {
                    rest = &rest[1..];
                    self.do_here(op, first, netns).map(|done| outcomes.push(done))
                }
                Op::Container(_) => {
                    let run = rest.iter().map_while(container_op).collect::<Vec<_>>();
                    rest = &rest[run.len()..];
                    do_inside(&mut self.failpoint, &run, netns, &mut outcomes)
                }
            };
            if let Err(cause) = failed {
                let at = outcomes.len();
                // The step that failed may have done a part of its work.
                outcomes.push(Outcome::Intended);
                let left = self.undo(&plan.steps[..=at], &outcomes, netns);
                return Err(ApplyError { what: plan.steps[at].op.describe(), cause, left });
            }
        }
        Ok(outcomes)
    }

    fn do_here(&mut self, op: &HostOp, step: &Step, netns: Option<BorrowedFd<'_>>) -> Result<Outcome, KernelError> {
        let mut failpoint = self.failpoint.take();
        let done = guarded(&mut failpoint, &step.op, || self.ensure(op, netns));
        self.failpoint = failpoint;
        done
    }

    fn ensure(&mut self, op: &HostOp, netns: Option<BorrowedFd<'_>>) -> Result<Outcome, KernelError> {
        match op {
            HostOp::Link(op) => link::ensure(&mut self.route, op, netns),
            HostOp::Set(op) => set::ensure(&mut self.route, op),
            HostOp::Port(op) => port::ensure(self, op, netns),
            HostOp::Address(op) => address::ensure(&mut self.route, op),
            HostOp::Route(op) => route::ensure(&mut self.route, op),
            HostOp::Sysctl(op) => sysctl::ensure(op),
            HostOp::Lan(op) => lan::ensure(&mut self.route, op),
            HostOp::Firewall(op) => firewall::ensure(self, op),
            HostOp::Vxlan(op) => vxlan::ensure(&mut self.route, op),
            HostOp::WireGuard(op) => wireguard::ensure(self, op),
        }
    }
}

fn container_op(step: &Step) -> Option<(&Step, &ContainerOp)> {
    if let Op::Container(op) = &step.op { Some((step, op)) } else { None }
}

/// Steps of a container, one after the other on one thread in its namespace.
fn do_inside(
    failpoint: &mut Option<Failpoint>,
    steps: &[(&Step, &ContainerOp)],
    netns: Option<BorrowedFd<'_>>,
    outcomes: &mut Vec<Outcome>,
) -> Result<(), KernelError> {
    within(netns.ok_or(KernelError::NoNetns)?, || {
        let mut socket = Netlink::route()?;
        steps.iter().try_for_each(|(step, op)| {
            outcomes.push(guarded(failpoint, &step.op, || ensure_inside(&mut socket, op))?);
            Ok(())
        })
    })
}

fn ensure_inside(socket: &mut Netlink, op: &ContainerOp) -> Result<Outcome, KernelError> {
    match op {
        ContainerOp::Set(op) => set::ensure(socket, op),
        ContainerOp::Address(op) => address::ensure(socket, op),
        ContainerOp::Route(op) => route::ensure(socket, op),
        ContainerOp::Reply(op) => route::ensure_reply(socket, op),
        ContainerOp::Sysctl(op) => sysctl::ensure(op),
        ContainerOp::Lan(op) => lan::ensure(socket, op),
    }
}
