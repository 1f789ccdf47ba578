//! Changing the limits and the restart policy of containers, running or not.

use crate::boot;
use crate::bundle::limits::limits;
use crate::cgroup;
use crate::config::{Config, Resources, RestartPolicy};
use crate::create::checks::{check_resources, fit};
use crate::events::subjects;
use crate::instance::Instance;
use crate::monitor::request;
use crate::reporter::Reporter;
use crate::start::facts::disks;
use rcr_base::{Error, Kind, Outcome};
use rcr_shim::protocol::{Request, Response};
use std::time::Duration;

/// How long the shim may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is to be changed; an absent field stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Bytes.
    pub memory: Option<i64>,
    /// Bytes of memory and swap together; -1: unlimited.
    pub memory_swap: Option<i64>,
    /// Bytes that it keeps when the machine runs short.
    pub memory_reservation: Option<i64>,
    /// Billionths of a processor.
    pub nano_cpus: Option<u64>,
    /// Its share of processor time beside others.
    pub cpu_shares: Option<u64>,
    /// Microseconds over which `cpu_quota` is counted.
    pub cpu_period: Option<u64>,
    /// Microseconds of processor time in each period; -1: unlimited.
    pub cpu_quota: Option<i64>,
    /// Lists such as `0-2,4`.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes, as such a list.
    pub cpuset_mems: Option<String>,
    /// Processes; -1: unlimited.
    pub pids: Option<i64>,
    /// Its share of a busy disk's time, 10 to 1000.
    pub block_weight: Option<u16>,
    /// What happens when it ends.
    pub restart: Option<RestartPolicy>,
}

impl Change {
    /// The limits with this change.
    fn resources(&self, before: &Resources) -> Resources {
        let mut all = before.clone();
        // Swap that nobody has asked for goes with memory, as at creation.
        let default_swap = before.memory.is_some_and(|memory| before.memory_swap == Some(memory.saturating_mul(2)));
        if let (Some(memory), true) = (self.memory, default_swap) {
            all.memory_swap = Some(memory.saturating_mul(2));
        }
        // Each says how much processor time it gets: the newer word holds.
        if self.nano_cpus.is_some() {
            (all.cpu_period, all.cpu_quota) = (None, None);
        }
        if self.cpu_period.is_some() || self.cpu_quota.is_some() {
            all.nano_cpus = None;
        }
        put(&mut all.memory, self.memory);
        put(&mut all.memory_swap, self.memory_swap);
        put(&mut all.memory_reservation, self.memory_reservation);
        put(&mut all.nano_cpus, self.nano_cpus);
        put(&mut all.cpu_shares, self.cpu_shares);
        put(&mut all.cpu_period, self.cpu_period);
        put(&mut all.cpu_quota, self.cpu_quota);
        put(&mut all.cpuset_cpus, self.cpuset_cpus.clone());
        put(&mut all.cpuset_mems, self.cpuset_mems.clone());
        put(&mut all.block_io.weight, self.block_weight);
        all.pids = self.pids.unwrap_or(all.pids);
        all
    }
}

fn put<T>(field: &mut Option<T>, new: Option<T>) {
    if new.is_some() {
        *field = new;
    }
}

/// Changes one container. A failure leaves it as it was.
pub fn update(instance: &Instance, name: &str, change: &Change, reporter: &dyn Reporter) -> Outcome<()> {
    let container = instance.containers().find(name)?;
    let old = container.config.clone();
    let doing = || format!("cannot update container `{}`", old.name);
    let mut new = old.clone();
    new.resources = change.resources(&old.resources);
    new.restart = change.restart.unwrap_or(old.restart);
    if new.auto_remove && new.restart != RestartPolicy::No {
        return Err(
            Error::new(Kind::Invalid, doing()).caused_by("it is removed when it ends, so it can't be restarted")
        );
    }
    check_resources(&new.resources).map_err(|failure| failure.during(doing()))?;
    fit(&mut new.resources, reporter)?;
    let runs = container.state.status.is_alive();
    let apply = |config: &Config| if runs { apply(config) } else { Ok(()) };
    let changed = apply(&new)
        .and_then(|()| match change.restart.filter(|_| runs) {
            Some(restart) => match request(instance, &container, &Request::Update { restart }, Some(PATIENCE))? {
                Response::Error(why) => Err(Error::new(Kind::System, "its shim refuses").caused_by(why)),
                Response::Ok | Response::Exit(_) => Ok(()),
            },
            None => Ok(()),
        })
        .and_then(|()| instance.containers().save(&new));
    if let Err(failure) = changed {
        // The kernel has taken these once.
        let _ = apply(&old);
        return Err(failure.during(doing()));
    }
    boot::policy_changed(&instance.dirs, &new, runs)?;
    subjects::container(&instance.dirs, &new).note("update");
    Ok(())
}

/// The limits of a container that runs.
fn apply(config: &Config) -> Outcome<()> {
    let resources = limits(&config.resources, &disks(&config.resources.block_io)?)
        .map_err(|error| Error::new(Kind::Invalid, error.to_string()))?;
    cgroup::apply(&cgroup::kind()?, config, &resources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newer_word_holds_and_the_rest_stays() {
        let before =
            Resources { memory: Some(64), memory_swap: Some(128), nano_cpus: Some(5), pids: 7, ..Resources::default() };
        let change = Change { memory: Some(100), cpu_quota: Some(9), ..Change::default() };
        let after = change.resources(&before);
        assert_eq!((after.memory, after.memory_swap, after.pids), (Some(100), Some(200), 7));
        assert_eq!((after.nano_cpus, after.cpu_quota), (None, Some(9)));
        let own = Resources { memory_swap: Some(64), ..before.clone() };
        assert_eq!(change.resources(&own).memory_swap, Some(64));
        assert_eq!(Change::default().resources(&before), before);
    }
}
