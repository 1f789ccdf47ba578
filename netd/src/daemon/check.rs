//! `rcr network check`: everything that stands in a journal, compared with what the kernel has now; and what it depends
//! on.

use super::standing::{Owner, Standing};
use super::writer::Writer;
use crate::cluster::Cluster;
use crate::kernel::{CheckWants, check_place, conntrack, sets_value};
use netd_api::{ApiError, AroundView, Call, CheckView, ContainerId, DifferenceView, IfName, Reply};
use netd_core::check::{CheckSeen, elements, encrypted, lacking, redirected, settings};
use netd_core::drivers::overlay;
use netd_core::picture::Picture;
use netd_core::plan::{HostOp, Op, Plan, Scope, Step, SysctlOp};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

/// From so many flows on, in percent of the most, it is said.
const NEARLY_FULL: u64 = 90;

/// Looks at this host and, if there is a cluster, has all others look at themselves meanwhile; each repairs its own
/// where that is asked for.
pub fn check(writer: &Writer, cluster: Option<&Cluster>, repair: bool) -> Result<Reply, ApiError> {
    let asked = cluster.map(|cluster| cluster.ask_all(repair));
    let mut view = check_here(writer, repair)?;
    match asked {
        Some(Ok(Some(question))) => view.others = question.answers(),
        Some(Ok(None)) | None => {}
        Some(Err(error)) => {
            let why = error.causes.first().unwrap_or(&error.message);
            view.unseen.push(format!("the other hosts of the cluster: {why}"));
        }
    }
    Ok(Reply::Checked(Box::new(view)))
}

/// Looks at this host, and repairs where that is asked for.
pub fn check_here(writer: &Writer, repair: bool) -> Result<CheckView, ApiError> {
    let picture = writer.picture()?;
    let mut view = CheckView::default();
    let found = look(writer, &picture, &mut view)?;
    view.around = around(writer, &picture);
    if repair && !found.is_empty() {
        for error in writer.redo(found)? {
            view.unseen.push(format!("not repaired: {error}"));
        }
        let mut after = CheckView::default();
        look(writer, &picture, &mut after)?;
        for one in &mut view.differences {
            one.repaired = !after.differences.contains(one);
        }
    }
    Ok(view)
}

/// What differs, told in `view`; the steps that make it again.
fn look(writer: &Writer, picture: &Picture, view: &mut CheckView) -> Result<Vec<Standing>, ApiError> {
    let standing = writer.standing()?;
    let host = host_seen(picture, &standing, view);
    let mut inside = Inside::new(writer);
    let mut again = Vec::new();
    for one in &standing {
        view.looked += one.plan.steps.len() as u64;
        let owner = named(picture, &one.owner);
        let mut plan = Plan::default();
        if let Some(host) = &host {
            compare(&one.plan, Scope::Host, host, &owner, "host", view, &mut plan);
        }
        if let Owner::Attachment(id, _) = &one.owner {
            let name = picture.containers.get(id).map_or_else(|| id.short().to_owned(), |c| c.name.clone());
            match inside.of(id, &one.plan) {
                Ok(Some(seen)) => compare(&one.plan, Scope::Container, &seen, &owner, &name, view, &mut plan),
                // It has ended meanwhile, or has the host's namespace.
                Ok(None) => {}
                Err(why) => view.unseen.push(format!("`{name}`: {why}")),
            }
        }
        if !plan.steps.is_empty() {
            again.push(Standing { owner: one.owner.clone(), plan });
        }
    }
    Ok(again)
}

fn compare(
    plan: &Plan,
    scope: Scope,
    seen: &CheckSeen,
    owner: &str,
    place: &str,
    view: &mut CheckView,
    again: &mut Plan,
) {
    for one in lacking(plan, scope, seen) {
        if let Some(what) = one.what {
            let (owner, place) = (owner.to_owned(), place.to_owned());
            let by = who_did(&one.step, seen, scope);
            view.differences.push(DifferenceView { owner, place, what, by, repaired: false });
        }
        again.steps.push(one.step);
    }
}

/// Who did it, where that can be known: on the host, the file that sets another value at every boot.
fn who_did(step: &Step, seen: &CheckSeen, scope: Scope) -> Option<String> {
    let Op::Host(HostOp::Sysctl(SysctlOp::Set { key, .. })) = &step.op else { return None };
    let now = seen.place.sysctls.get(key.as_str()).filter(|_| scope == Scope::Host)?;
    sets_value(key.as_str(), now).map(|file| format!("`{}` sets it", file.display()))
}

pub(super) fn host_seen(picture: &Picture, standing: &[Standing], view: &mut CheckView) -> Option<CheckSeen> {
    let tunnels: Vec<IfName> = picture.networks.values().filter_map(|n| overlay::link_name(&n.network)).collect();
    let plans = || standing.iter().map(|one| &one.plan);
    let wants = CheckWants {
        sysctls: plans().flat_map(|plan| settings(plan, Scope::Host)).collect(),
        tunnels,
        table: true,
        elements: plans().flat_map(elements).cloned().collect(),
        encrypted: plans().flat_map(encrypted).cloned().collect(),
        redirected: plans().flat_map(redirected).collect(),
    };
    match check_place(None, &wants) {
        Ok(seen) => Some(seen),
        Err(error) => {
            view.unseen.push(format!("the host: {error}"));
            None
        }
    }
}

/// Containers that were looked into already: one may be on several networks.
pub(super) struct Inside<'a> {
    writer: &'a Writer,
    seen: BTreeMap<ContainerId, OwnedFd>,
}

impl<'a> Inside<'a> {
    /// None so far.
    pub(super) fn new(writer: &'a Writer) -> Self {
        Self { writer, seen: BTreeMap::new() }
    }

    /// What a container has of this plan's; nothing: it has ended, or has the host's namespace.
    pub(super) fn of(&mut self, id: &ContainerId, plan: &Plan) -> Result<Option<CheckSeen>, String> {
        if !self.seen.contains_key(id) {
            let netns = self.writer.netns_of(vec![id.clone()]).map_err(|error| error.to_string())?;
            let Some(netns) = netns.into_iter().next().flatten() else { return Ok(None) };
            self.seen.insert(id.clone(), netns);
        }
        let Some(netns) = self.seen.get(id) else { return Ok(None) };
        let wants = CheckWants { sysctls: settings(plan, Scope::Container).collect(), ..CheckWants::default() };
        check_place(Some(netns.as_fd()), &wants).map(Some).map_err(|error| error.to_string())
    }
}

fn named(picture: &Picture, owner: &Owner) -> String {
    let network = |id| match picture.networks.get(id) {
        Some(network) => format!("network {}", network.network.name),
        None => "a network that is gone".to_owned(),
    };
    match owner {
        Owner::Base => "all networks".to_owned(),
        Owner::WireGuard => "encrypted networks".to_owned(),
        Owner::Network(id) => network(id),
        Owner::Peers(id) => format!("other hosts' containers on {}", network(id)),
        Owner::Attachment(id, on) => {
            let name = picture.containers.get(id).map_or(id.short(), |c| c.name.as_str());
            format!("{name} on {}", network(on))
        }
    }
}

/// What networks depend on, beside what was made for them.
fn around(writer: &Writer, picture: &Picture) -> Vec<AroundView> {
    let mut all = Vec::new();
    if let Reply::Version(version) = writer.ask(Call::Version, Vec::new()).0 {
        all.extend(version.obstacles.into_iter().map(|one| AroundView {
            what: format!(
                "chain `{}` of table `{} {}`, somebody else's, cuts network `{}` off",
                one.chain, one.family, one.table, one.network
            ),
            repair: Some(one.command),
        }));
    }
    if let Some((count, most)) = conntrack().filter(|(count, most)| count * 100 >= most * NEARLY_FULL) {
        all.push(AroundView {
            what: format!("the host tracks {count} flows, and can track {most}: further ones are dropped"),
            repair: Some(format!("sysctl -w net.netfilter.nf_conntrack_max={}", most * 2)),
        });
    }
    if let Some(why) = &picture.store_away {
        all.push(AroundView { what: format!("the cluster's store does not answer: {why}"), repair: None });
    }
    all
}
