//! Flags → a container's limits.

use crate::cli::resources::ResourceArgs;
use rcr_engine::config::{BlockIo, Resources};

/// With Docker, 0 stands for the default.
pub fn resources(args: &ResourceArgs, shm_size: i64) -> Resources {
    let list = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let bytes = |value: Option<i64>| value.filter(|bytes| *bytes != 0);
    Resources {
        memory: bytes(args.memory),
        memory_swap: bytes(args.memory_swap),
        memory_reservation: bytes(args.memory_reservation),
        memory_swappiness: args.memory_swappiness.and_then(|value| value.try_into().ok()),
        oom_kill_disable: args.oom_kill_disable,
        nano_cpus: args.cpus,
        cpu_shares: args.cpu_shares.filter(|shares| *shares != 0),
        cpu_period: args.cpu_period.filter(|period| *period != 0),
        cpu_quota: args.cpu_quota.filter(|quota| *quota > 0),
        cpuset_cpus: list(&args.cpuset_cpus),
        cpuset_mems: list(&args.cpuset_mems),
        pids: if args.pids_limit <= 0 { -1 } else { args.pids_limit },
        shm_size: shm_size.max(0) as u64,
        oom_score_adj: Some(args.oom_score_adj.unwrap_or(0)),
        block_io: BlockIo {
            weight: args.blkio_weight.filter(|weight| *weight != 0),
            weight_device: args.blkio_weight_device.clone(),
            read_bps: args.device_read_bps.clone(),
            write_bps: args.device_write_bps.clone(),
            read_iops: args.device_read_iops.clone(),
            write_iops: args.device_write_iops.clone(),
        },
        cgroup_parent: args.cgroup_parent.clone(),
    }
}
