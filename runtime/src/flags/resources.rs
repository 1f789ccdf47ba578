//! Flags → a container's limits.

use crate::cli::container::UpdateArgs;
use crate::cli::resources::ResourceArgs;
use rcr_engine::config::{BlockIo, Resources};
use rcr_engine::update::Change;

/// With Docker, 0 stands for the default.
pub fn resources(args: &ResourceArgs, shm_size: i64) -> Resources {
    Resources {
        memory: bytes(args.live.memory),
        memory_swap: bytes(args.live.memory_swap),
        memory_reservation: bytes(args.live.memory_reservation),
        memory_swappiness: args.memory_swappiness.and_then(|value| value.try_into().ok()),
        oom_kill_disable: args.oom_kill_disable,
        nano_cpus: args.live.cpus,
        cpu_shares: args.live.cpu_shares.filter(|shares| *shares != 0),
        cpu_period: args.live.cpu_period.filter(|period| *period != 0),
        cpu_quota: args.live.cpu_quota.filter(|quota| *quota > 0),
        cpuset_cpus: list(&args.live.cpuset_cpus),
        cpuset_mems: list(&args.live.cpuset_mems),
        pids: pids(args.pids_limit),
        shm_size: shm_size.max(0) as u64,
        oom_score_adj: Some(args.oom_score_adj.unwrap_or(0)),
        block_io: BlockIo {
            weight: args.live.blkio_weight.filter(|weight| *weight != 0),
            weight_device: args.blkio_weight_device.clone(),
            read_bps: args.device_read_bps.clone(),
            write_bps: args.device_write_bps.clone(),
            read_iops: args.device_read_iops.clone(),
            write_iops: args.device_write_iops.clone(),
        },
        cgroup_parent: args.cgroup_parent.clone(),
    }
}

fn bytes(value: Option<i64>) -> Option<i64> {
    value.filter(|bytes| *bytes != 0)
}

fn list(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

fn pids(number: i64) -> i64 {
    if number <= 0 { -1 } else { number }
}

/// What `update` changes: 0 stands for what there is.
pub fn change(args: &UpdateArgs) -> Change {
    let live = &args.live;
    Change {
        memory: bytes(live.memory),
        memory_swap: bytes(live.memory_swap),
        memory_reservation: bytes(live.memory_reservation),
        nano_cpus: live.cpus.filter(|cpus| *cpus != 0),
        cpu_shares: live.cpu_shares.filter(|shares| *shares != 0),
        cpu_period: live.cpu_period.filter(|period| *period != 0),
        cpu_quota: live.cpu_quota.filter(|quota| *quota != 0),
        cpuset_cpus: list(&live.cpuset_cpus),
        cpuset_mems: list(&live.cpuset_mems),
        pids: args.pids_limit.filter(|number| *number != 0).map(pids),
        block_weight: live.blkio_weight.filter(|weight| *weight != 0),
        restart: args.restart,
    }
}
