//! Effects without an entry of their own. Each of them does again what an entry says is there, or takes away what bears
//! our mark and stands in no entry, as the next start does, too: a crash in between leaves nothing that is not found.

use super::Ledger;
use super::dying::{Dying, GRACE};
use crate::kernel::{self, ApplyError, Journal, KernelError};
use netd_api::{ContainerId, IfName};
use netd_core::firewall::Element;
use netd_core::plan::{FirewallOp, HostOp, LinkOp, Op, Outcome, Plan, PortOp, missing};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::BorrowedFd;
use std::time::Instant;

/// Why a repair failed.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    #[error(transparent)]
    Look(#[from] KernelError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

impl Ledger {
    /// Applies again the steps of standing journals that the kernel lacks, and puts a bridge's ports back onto it;
    /// returns how many steps that took. `others`: what stands on the network's own links.
    pub fn repair(&mut self, network: &Journal, others: &[&Journal]) -> Result<usize, RepairError> {
        let table = self.table_exists().unwrap_or(false);
        let seen = self.observe(table)?;
        let mut whole = network.plan.clone();
        whole.steps.extend(others.iter().flat_map(|journal| journal.plan.steps.iter().cloned()));
        // Leave out pairs whose namespace is going away.
        whole.steps.retain(|s| veth(&s.op).is_none_or(|(host, _)| seen.links.contains_key(host)));
        let mut plan = missing(&whole, &seen);
        plan.steps.retain(|s| s.op.link().is_none_or(|link| seen.links.contains_key(link) || network.plan.makes(link)));
        // Elements are the table's business, see `Ledger::write_table`.
        plan.steps.retain(|step| !matches!(step.op, Op::Host(HostOp::Firewall(FirewallOp::Elements { .. }))));
        let steps = plan.steps.len();
        if steps > 0 {
            self.kernel.apply(&plan, None)?;
        }
        Ok(steps)
    }

    /// Does steps of a standing journal again, which somebody undid.
    pub fn redo(&mut self, steps: &Plan, netns: Option<BorrowedFd<'_>>) -> Result<(), ApplyError> {
        self.kernel.apply(steps, netns).map(drop)
    }

    /// Writes the table `inet rcr` whole, in one transaction, with the elements of all journals that are up.
    pub fn write_table(&mut self, elements: BTreeSet<Element>) -> Result<(), KernelError> {
        self.kernel.nft.write(elements)?;
        self.kernel.nft.add_user_table()?;
        self.kernel.follow_user_rules()
    }

    /// Writes the table again as it was, when somebody deleted from it.
    pub fn restore_table(&mut self) -> Result<(), KernelError> {
        self.kernel.nft.restore()
    }

    /// Tracks what neighbours say to each other while the administrator has rules, and no longer.
    pub fn follow_user_rules(&mut self) -> Result<(), KernelError> {
        self.kernel.follow_user_rules()
    }

    /// Deletes what is left of the table where no journal has it.
    pub fn drop_table(&mut self) -> Result<(), KernelError> {
        self.kernel.nft.delete()
    }

    /// Hands over this host's private keys by generation: plans and journals know no more than that.
    pub fn hand_over(&mut self, secrets: BTreeMap<u32, netd_core::keys::Secret>) {
        self.kernel.secrets = secrets;
    }

    /// A container has ended, and its namespace takes its links along, which is faster than deleting them: its ports
    /// are closed at once, and no frame bypasses its bridge, since its address may be another's in a moment. The journal leaves the links to the
    /// namespace then.
    pub fn leave_to_namespace(&mut self, of: &ContainerId, journal: &mut Journal) {
        for step in &journal.plan.steps {
            let Op::Host(HostOp::Port(PortOp::Redirect { link, mac, bridge })) = &step.op else { continue };
            if let Err(error) = self.kernel.stop_redirect(link, *mac, bridge) {
                self.log.line(format!("cannot stop frames for `{mac}` from bypassing bridge `{bridge}`: {error}"));
            }
        }
        for (step, outcome) in journal.plan.steps.iter().zip(&mut journal.outcomes) {
            let Some((host, alias)) = veth(&step.op) else { continue };
            if let Err(error) = self.kernel.close_port(host.as_str(), alias) {
                self.log.line(format!("cannot close the port of `{host}`: {error}"));
            }
            let due = Instant::now() + GRACE;
            self.dying.push(Dying { link: host.clone(), alias: alias.to_owned(), of: of.clone(), due });
            *outcome = Outcome::Skipped;
        }
    }

    /// The links of a container's last run, where its namespace is used again: they would be in the way.
    pub fn bury_links_of(&mut self, id: &ContainerId) {
        self.bury(|dying| dying.of == *id);
    }

    /// Links whose namespace should have taken them along by now.
    pub fn bury_overdue_links(&mut self, now: Instant) {
        self.bury(|dying| dying.due <= now);
    }

    fn bury(&mut self, which: impl Fn(&Dying) -> bool) {
        let (due, rest) = std::mem::take(&mut self.dying).into_iter().partition(which);
        self.dying = rest;
        let due: Vec<Dying> = due;
        for Dying { link, alias, .. } in due {
            match kernel::delete_marked(&mut self.kernel.route, link.as_str(), &alias, None) {
                Ok(false) => {}
                Ok(true) => self.log.line(format!("deleted link `{link}`: somebody keeps its container's namespace")),
                Err(error) => self.log.line(format!("cannot delete link `{link}`: {error}")),
            }
        }
    }

    /// Deletes links that bear our mark and are none of these.
    pub fn sweep(&mut self, known: &BTreeSet<IfName>) -> Result<(), KernelError> {
        for (name, seen) in self.observe(false)?.links {
            let Some(alias) = seen.alias.filter(|alias| alias.starts_with("rcr:")) else { continue };
            if !known.contains(&name) {
                self.log.line(format!("deleting link `{name}`: it belongs to nothing that is left"));
                kernel::delete_marked(&mut self.kernel.route, name.as_str(), &alias, None)?;
            }
        }
        Ok(())
    }
}

/// The host's end of a veth pair, with its mark.
fn veth(op: &Op) -> Option<(&IfName, &str)> {
    match op {
        Op::Host(HostOp::Link(LinkOp::Veth { host, alias, .. })) => Some((host, alias)),
        _ => None,
    }
}

/// All elements of these journals.
pub fn elements<'a>(journals: impl Iterator<Item = &'a Journal>) -> BTreeSet<Element> {
    journals.flat_map(|journal| journal.plan.elements().cloned()).collect()
}
