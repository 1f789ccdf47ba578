//! Checks of a request without a look at the host: what is refused before an image is pulled, what deserves a warning,
//! and the resulting security.

use super::request::{Create, Mode, SecurityRequest, Source};
use crate::bundle::seccomp::profile;
use crate::bundle::{CgroupKind, caps};
use crate::cgroup::{self, abilities};
use crate::config::{Resources, Security};
use crate::limits::most;
use crate::parse::limits;
use crate::parse::security::SecurityOption;
use crate::reporter::Reporter;
use rcr_base::{Error, Kind, Outcome, SecurityConfig};
use rcr_shim::config::RestartPolicy;
use rcr_shim::init::plan::UserPlan;
use std::path::Path;

/// Below this a process can't even start (Docker's lower bound).
const LEAST_MEMORY: i64 = 6 << 20;

fn invalid(message: impl Into<String>) -> Error {
    Error::new(Kind::Invalid, message)
}

/// Refuses contradictions and values out of range.
pub(super) fn check(wanted: &Create) -> Outcome<()> {
    if let Some(user) = &wanted.user {
        UserPlan::parse(user).map_err(|why| invalid(format!("cannot use `{user}` as the user")).caused_by(why))?;
    }
    let SecurityRequest { cap_add, cap_drop, options, .. } = &wanted.security;
    options.iter().try_for_each(check_option)?;
    for name in cap_add.iter().chain(cap_drop).filter(|name| !name.eq_ignore_ascii_case("all")) {
        caps::parse(name).map_err(|error| invalid(error.to_string()))?;
    }
    if wanted.auto_remove && wanted.restart != RestartPolicy::No {
        return Err(invalid("a container that is removed when it ends can't be restarted")
            .caused_by("`--rm` and `--restart` exclude each other")
            .hint("leave one of them out"));
    }
    check_resources(&wanted.resources)?;
    check_mounts(wanted)
}

/// A profile that can't be used, and modules of the kernel that rcr gives no orders.
fn check_option(option: &SecurityOption) -> Outcome<()> {
    let ours = |what: &str, way: &str| {
        Err(invalid(format!("cannot use {what}"))
            .caused_by("this kernel has that module on, and rcr gives it no orders")
            .hint(way))
    };
    match option {
        SecurityOption::Profile(text) => {
            profile::filter(text, &[]).map(drop).map_err(|error| invalid(error.to_string()))
        }
        SecurityOption::AppArmor(Some(name)) if has_apparmor() => {
            ours(&format!("the AppArmor profile `{name}`"), "`--security-opt apparmor=unconfined`, or leave it out")
        }
        SecurityOption::Label(Some(label)) if Path::new("/sys/fs/selinux/enforce").exists() => {
            ours(&format!("the SELinux label `{label}`"), "`--security-opt label=disable`, or leave it out")
        }
        _ => Ok(()),
    }
}

fn has_apparmor() -> bool {
    std::fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.trim() == "Y")
}

pub(crate) fn check_resources(wanted: &Resources) -> Outcome<()> {
    if wanted.memory.is_some_and(|bytes| bytes < LEAST_MEMORY) {
        return Err(invalid("cannot limit memory to less than 6m"));
    }
    match (wanted.memory, wanted.memory_swap) {
        (None, Some(_)) => return Err(invalid("`--memory-swap` needs `--memory`")),
        (Some(memory), Some(both)) if both != -1 && both < memory => {
            return Err(invalid("`--memory-swap` counts memory and swap together: it can't be less than `--memory`"));
        }
        _ => {}
    }
    if let (Some(memory), Some(reserved)) = (wanted.memory, wanted.memory_reservation)
        && reserved > memory
    {
        return Err(invalid("`--memory-reservation` can't be more than `--memory`"));
    }
    let periods = [("--cpu-period", wanted.cpu_period.is_some()), ("--cpu-quota", wanted.cpu_quota.is_some())];
    if let (Some(_), Some((flag, _))) = (wanted.nano_cpus, periods.iter().find(|(_, given)| *given)) {
        return Err(invalid(format!("`--cpus` can't be combined with `{flag}`"))
            .caused_by("`--cpus 1.5` stands for a period of 100000 and a quota of 150000"));
    }
    match wanted.oom_score_adj {
        Some(value) if !(-1000..=1000).contains(&value) => {
            Err(invalid(format!("cannot use {value} as the OOM score's adjustment"))
                .caused_by("it is not between -1000 and 1000"))
        }
        _ => Ok(()),
    }
}

fn check_mounts(wanted: &Create) -> Outcome<()> {
    for volume in &wanted.volumes {
        if let Source::Path(path) = &volume.source
            && !path.is_absolute()
        {
            return Err(invalid(format!("cannot bind `{}`", path.display())).caused_by("it is not an absolute path"));
        }
    }
    let volumes = wanted.volumes.iter().map(|volume| volume.target.as_str());
    let mut targets: Vec<&str> = volumes.chain(wanted.tmpfs.iter().map(|mount| mount.target.as_str())).collect();
    targets.sort_unstable();
    match targets.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(twice) => Err(invalid(format!("cannot mount twice on `{}`", twice[0]))),
        None => Ok(()),
    }
}

/// Warns of what is legal but probably not meant.
pub(super) fn warn(wanted: &Create, reporter: &dyn Reporter) {
    let publishes = !wanted.network.publish.is_empty() || wanted.network.publish_all;
    if wanted.network.mode == Mode::Host && publishes {
        reporter
            .warning("published ports are discarded on the host's network: the container's ports are the host's own");
    }
    if wanted.security.privileged {
        reporter.warning("a privileged container is root on this host");
    }
    if wanted.resources.oom_kill_disable && wanted.resources.memory.is_none() {
        reporter.warning("`--oom-kill-disable` without `--memory`: the machine itself may run out of memory");
    }
    for limit in &wanted.rlimits {
        if let Some(most) = most(limit.resource).filter(|most| limit.hard > *most) {
            let given = limits::text(limit);
            reporter.warning(&format!(
                "`--ulimit {given}` can't be given: this process may raise the limit to {most} only"
            ));
        }
    }
}

/// Leaves out limits that this host's kernel lacks, and says so.
pub(crate) fn fit(wanted: &mut Resources, reporter: &dyn Reporter) -> Outcome<()> {
    if !abilities::matter(wanted) {
        return Ok(());
    }
    let kind = cgroup::kind()?;
    for flag in abilities::fit(&kind, wanted) {
        let version = if kind == CgroupKind::Unified { 2 } else { 1 };
        reporter.warning(&format!("{flag} is left out: this kernel has no such limit on cgroup v{version}"));
    }
    abilities::default_swap(&kind, wanted);
    Ok(())
}

/// The request's security, with the configuration's defaults.
pub(super) fn security(wanted: &SecurityRequest, defaults: &SecurityConfig) -> Security {
    let upper = |names: &[String]| names.iter().map(|name| name.to_uppercase()).collect();
    let mut all = Security {
        privileged: wanted.privileged,
        cap_add: upper(&wanted.cap_add),
        cap_drop: upper(&wanted.cap_drop),
        no_new_privs: defaults.no_new_privileges && !wanted.privileged,
        seccomp: true,
        ..Security::default()
    };
    for option in &wanted.options {
        match option {
            SecurityOption::NoNewPrivileges(on) => all.no_new_privs = *on,
            SecurityOption::Unconfined => all.seccomp = false,
            SecurityOption::BuiltIn => (all.seccomp, all.seccomp_profile) = (true, None),
            SecurityOption::Profile(text) => (all.seccomp, all.seccomp_profile) = (true, Some(text.clone())),
            SecurityOption::OpenPaths => all.open_paths = true,
            SecurityOption::WritableCgroups(on) => all.writable_cgroups = *on,
            // A front has read the file.
            SecurityOption::ProfileFile(_) | SecurityOption::AppArmor(_) | SecurityOption::Label(_) => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_contradict_each_other_are_refused() {
        let of = |memory, memory_swap, oom_score_adj| {
            check_resources(&Resources { memory, memory_swap, oom_score_adj, ..Resources::default() })
        };
        assert!(of(Some(64 << 20), Some(-1), Some(-1000)).is_ok() && of(None, None, None).is_ok());
        assert!(of(Some(1 << 20), None, None).is_err());
        assert!(of(Some(64 << 20), Some(32 << 20), None).is_err());
        assert!(of(None, Some(-1), None).is_err() && of(None, None, Some(1001)).is_err());
        let more = Resources { memory: Some(64 << 20), memory_reservation: Some(65 << 20), ..Resources::default() };
        assert!(check_resources(&more).is_err());
        let twice = Resources { nano_cpus: Some(1), cpu_quota: Some(1000), ..Resources::default() };
        assert!(check_resources(&twice).is_err());
    }

    #[test]
    fn options_of_security_come_over_the_configuration() {
        let defaults = SecurityConfig { no_new_privileges: true };
        let of = |privileged, options: &[SecurityOption]| {
            let wanted = SecurityRequest { privileged, options: options.to_vec(), ..SecurityRequest::default() };
            security(&wanted, &defaults)
        };
        assert!(of(false, &[]).no_new_privs && of(false, &[]).seccomp && !of(true, &[]).no_new_privs);
        let open = of(false, &[SecurityOption::NoNewPrivileges(false), SecurityOption::Unconfined]);
        assert!(!open.no_new_privs && !open.seccomp);
    }
}
