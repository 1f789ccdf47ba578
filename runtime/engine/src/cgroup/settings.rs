//! Limits as what is written into a cgroup's files. Pure: `cgroup` writes them.
//!
//! v1: Documentation/admin-guide/cgroup-v1; v2: Documentation/admin-guide/cgroup-v2.rst, "Controllers". What a limit of
//! one means on the other is the runtime spec's (config-linux.md, "Control groups").

use super::devices;
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources, LinuxThrottleDevice};

/// One value for one file of a cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The controller whose hierarchy has the file (v1).
    pub controller: &'static str,
    /// The file.
    pub file: &'static str,
    /// What is written.
    pub text: String,
}

fn set(controller: &'static str, file: &'static str, value: impl ToString) -> Setting {
    Setting { controller, file, text: value.to_string() }
}

/// For v1. `memory_now`: the limit in force, in bytes.
pub fn legacy(wanted: &LinuxResources, memory_now: Option<i64>) -> Vec<Setting> {
    let mut all = Vec::new();
    if let Some(rules) = wanted.devices() {
        all.extend(devices::rules(rules).iter().flat_map(|rule| {
            let file = if rule.allow { "devices.allow" } else { "devices.deny" };
            devices::lines(rule).into_iter().map(move |line| set("devices", file, line))
        }));
    }
    if let Some(memory) = wanted.memory() {
        all.extend(legacy_memory(memory, memory_now));
    }
    if let Some(cpu) = wanted.cpu() {
        all.extend(cpu.shares().filter(|shares| *shares != 0).map(|shares| set("cpu", "cpu.shares", shares)));
        all.extend(cpu.period().map(|period| set("cpu", "cpu.cfs_period_us", period)));
        all.extend(cpu.quota().map(|quota| set("cpu", "cpu.cfs_quota_us", quota)));
        all.extend(cpusets(cpu));
    }
    all.extend(pids(wanted));
    if let Some(io) = wanted.block_io() {
        let throttled = |file, list: &Option<Vec<LinuxThrottleDevice>>| {
            let line =
                |d: &LinuxThrottleDevice| set("blkio", file, format!("{}:{} {}", d.major(), d.minor(), d.rate()));
            list.iter().flatten().map(line).collect::<Vec<_>>()
        };
        all.extend(throttled("blkio.throttle.read_bps_device", io.throttle_read_bps_device()));
        all.extend(throttled("blkio.throttle.write_bps_device", io.throttle_write_bps_device()));
        all.extend(throttled("blkio.throttle.read_iops_device", io.throttle_read_iops_device()));
        all.extend(throttled("blkio.throttle.write_iops_device", io.throttle_write_iops_device()));
    }
    all
}

/// Memory can't have a higher limit than memory and swap together, at no moment: the one that makes room comes first.
fn legacy_memory(wanted: &LinuxMemory, now: Option<i64>) -> Vec<Setting> {
    let memory = wanted.limit().map(|bytes| set("memory", "memory.limit_in_bytes", bytes));
    let both = wanted.swap().map(|bytes| set("memory", "memory.memsw.limit_in_bytes", bytes));
    let grows = wanted.swap().is_some_and(|both| both == -1 || now.is_some_and(|now| now < both));
    let pair = if grows { [both, memory] } else { [memory, both] };
    let reserved = wanted.reservation().filter(|bytes| *bytes != 0);
    let reserved = reserved.map(|bytes| set("memory", "memory.soft_limit_in_bytes", bytes));
    let disabled = wanted.disable_oom_killer().filter(|is| *is).map(|_| set("memory", "memory.oom_control", 1));
    let swappiness = wanted.swappiness().map(|percent| set("memory", "memory.swappiness", percent));
    pair.into_iter().flatten().chain(reserved).chain(disabled).chain(swappiness).collect()
}

/// For v2, without devices, which have no file there.
pub fn unified(wanted: &LinuxResources) -> Vec<Setting> {
    let mut all = Vec::new();
    if let Some(memory) = wanted.memory() {
        all.extend(unified_memory(memory));
    }
    if let Some(cpu) = wanted.cpu() {
        all.extend(cpu.shares().filter(|shares| *shares != 0).map(|shares| set("cpu", "cpu.weight", weight(shares))));
        all.extend(processor_time(cpu).map(|text| set("cpu", "cpu.max", text)));
        all.extend(cpusets(cpu));
    }
    all.extend(pids(wanted));
    if let Some(io) = wanted.block_io() {
        all.extend(unified_throttles(io));
    }
    all
}

fn unified_memory(wanted: &LinuxMemory) -> Vec<Setting> {
    let most = |bytes: i64| if bytes < 0 { "max".into() } else { bytes.to_string() };
    let limit = wanted.limit().filter(|bytes| *bytes != 0);
    // There swap is counted by itself, here together with memory.
    let swap = match (limit, wanted.swap()) {
        (_, Some(both)) if both < 0 => Some("max".to_owned()),
        (Some(limit), Some(both)) if limit > 0 => Some(both.saturating_sub(limit).max(0).to_string()),
        _ => None,
    };
    let swap = swap.map(|text| set("memory", "memory.swap.max", text));
    let memory = limit.map(|bytes| set("memory", "memory.max", most(bytes)));
    let reserved = wanted.reservation().filter(|bytes| *bytes != 0);
    let reserved = reserved.map(|bytes| set("memory", "memory.low", most(bytes)));
    swap.into_iter().chain(memory).chain(reserved).collect()
}

/// `cpu.max`: microseconds in each period. Without a period the kernel keeps the one that is set.
fn processor_time(cpu: &LinuxCpu) -> Option<String> {
    let quota = |quota: i64| if quota > 0 { quota.to_string() } else { "max".into() };
    match (cpu.quota(), cpu.period()) {
        (None, None) => None,
        (Some(time), None) => Some(quota(time)),
        (time, Some(period)) => Some(format!("{} {period}", quota(time.unwrap_or(-1)))),
    }
}

/// Shares (2 to 262144, usually 1024) as a weight (1 to 10000, usually 100): the curve through these three points on
/// which runtimes agree.
fn weight(shares: u64) -> u64 {
    let log = (shares.clamp(2, 262_144) as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    (10f64.powf(exponent).ceil() as u64).clamp(1, 10_000)
}

/// Each disk's limits are one line.
fn unified_throttles(io: &LinuxBlockIo) -> Vec<Setting> {
    let kinds = [
        ("rbps", io.throttle_read_bps_device()),
        ("wbps", io.throttle_write_bps_device()),
        ("riops", io.throttle_read_iops_device()),
        ("wiops", io.throttle_write_iops_device()),
    ];
    let line = |(key, list): (&str, &Option<Vec<LinuxThrottleDevice>>)| {
        let one =
            |d: &LinuxThrottleDevice| set("io", "io.max", format!("{}:{} {key}={}", d.major(), d.minor(), d.rate()));
        list.iter().flatten().map(one).collect::<Vec<_>>()
    };
    kinds.into_iter().flat_map(line).collect()
}

fn cpusets(cpu: &LinuxCpu) -> Vec<Setting> {
    let cpus = cpu.cpus().as_ref().map(|list| set("cpuset", "cpuset.cpus", list));
    let mems = cpu.mems().as_ref().map(|list| set("cpuset", "cpuset.mems", list));
    cpus.into_iter().chain(mems).collect()
}

fn pids(wanted: &LinuxResources) -> Option<Setting> {
    let limit = wanted.pids().as_ref()?.limit();
    Some(set("pids", "pids.max", if limit > 0 { limit.to_string() } else { "max".into() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Disks;
    use crate::bundle::limits::limits;
    use crate::config::{BlockIo, DiskLimit, Resources};

    const MIB: i64 = 1 << 20;

    fn texts(all: &[Setting]) -> Vec<String> {
        all.iter().map(|s| format!("{} {}", s.file, s.text)).collect()
    }

    fn wanted(change: impl FnOnce(&mut Resources)) -> LinuxResources {
        let mut wanted = Resources { pids: -1, ..Resources::default() };
        change(&mut wanted);
        let disks = Disks::from([("/dev/vda".into(), (254, 0))]);
        limits(&wanted, &disks).unwrap()
    }

    #[test]
    fn no_limit_but_that_of_processes_is_one_word() {
        let none = wanted(|_| {});
        assert_eq!(texts(&legacy(&none, None)), ["pids.max max"]);
        assert_eq!(texts(&unified(&none)), ["pids.max max"]);
        assert_eq!(texts(&unified(&wanted(|w| w.pids = 100))), ["pids.max 100"]);
    }

    #[test]
    fn memory_and_swap_are_one_number_on_v1_and_two_on_v2() {
        let limited = wanted(|w| (w.memory, w.memory_swap) = (Some(64 * MIB), Some(96 * MIB)));
        let both = ["memory.limit_in_bytes 67108864", "memory.memsw.limit_in_bytes 100663296", "pids.max max"];
        assert_eq!(texts(&legacy(&limited, Some(i64::MAX))), both);
        assert_eq!(texts(&unified(&limited)), ["memory.swap.max 33554432", "memory.max 67108864", "pids.max max"]);
        let unlimited = wanted(|w| (w.memory, w.memory_swap) = (Some(64 * MIB), Some(-1)));
        assert_eq!(texts(&unified(&unlimited))[0], "memory.swap.max max");
        assert_eq!(texts(&legacy(&unlimited, Some(i64::MAX)))[0], "memory.memsw.limit_in_bytes -1");
    }

    #[test]
    fn a_higher_limit_makes_room_first_and_a_lower_one_last() {
        let limited = wanted(|w| (w.memory, w.memory_swap) = (Some(64 * MIB), Some(128 * MIB)));
        let first = |now: i64| legacy(&limited, Some(now))[0].file;
        assert_eq!(first(32 * MIB), "memory.memsw.limit_in_bytes");
        assert_eq!(first(256 * MIB), "memory.limit_in_bytes");
    }

    #[test]
    fn processor_time_is_two_files_on_v1_and_one_on_v2() {
        let half = wanted(|w| w.nano_cpus = Some(500_000_000));
        let two = ["cpu.cfs_period_us 100000", "cpu.cfs_quota_us 50000", "pids.max max"];
        assert_eq!(texts(&legacy(&half, None)), two);
        assert_eq!(texts(&unified(&half)), ["cpu.max 50000 100000", "pids.max max"]);
        let unlimited = wanted(|w| (w.cpu_quota, w.cpu_period) = (Some(-1), Some(50_000)));
        assert_eq!(texts(&unified(&unlimited))[0], "cpu.max max 50000");
        assert_eq!(texts(&unified(&wanted(|w| w.cpu_quota = Some(20_000))))[0], "cpu.max 20000");
    }

    #[test]
    fn usual_shares_are_the_usual_weight() {
        assert_eq!([2, 1024, 262_144].map(weight), [1, 100, 10_000]);
        assert_eq!([1, u64::MAX].map(weight), [1, 10_000]);
    }

    #[test]
    fn a_disk_is_named_by_its_numbers() {
        let limit = |value| vec![DiskLimit { disk: "/dev/vda".into(), value }];
        let io = BlockIo { read_bps: limit(1000), write_iops: limit(20), ..BlockIo::default() };
        let throttled = wanted(|w| w.block_io = io);
        let v1 =
            ["pids.max max", "blkio.throttle.read_bps_device 254:0 1000", "blkio.throttle.write_iops_device 254:0 20"];
        assert_eq!(texts(&legacy(&throttled, None)), v1);
        assert_eq!(texts(&unified(&throttled)), ["pids.max max", "io.max 254:0 rbps=1000", "io.max 254:0 wiops=20"]);
    }
}
