//! What a container may take of the machine.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// cgroup limits, and the two that go with them. A field that an older build did not write has its default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Bytes.
    pub memory: Option<i64>,
    /// Bytes of memory and swap together; -1: unlimited.
    pub memory_swap: Option<i64>,
    /// Bytes that it keeps when the machine runs short.
    pub memory_reservation: Option<i64>,
    /// How readily its memory is swapped out, 0 to 100; cgroup v1 alone has it.
    pub memory_swappiness: Option<u64>,
    /// It waits instead of being killed when its memory is full; cgroup v1 alone has it.
    pub oom_kill_disable: bool,
    /// Billionths of a processor.
    pub nano_cpus: Option<u64>,
    /// Its share of processor time beside others; 1024 is everybody's.
    pub cpu_shares: Option<u64>,
    /// Microseconds over which `cpu_quota` is counted.
    pub cpu_period: Option<u64>,
    /// Microseconds of processor time in each period; -1: unlimited.
    pub cpu_quota: Option<i64>,
    /// Lists such as `0-2,4` (cpuset(7)).
    pub cpuset_cpus: Option<String>,
    /// Memory nodes, as such a list.
    pub cpuset_mems: Option<String>,
    /// -1: unlimited.
    pub pids: i64,
    /// Bytes of `/dev/shm`.
    pub shm_size: u64,
    /// -1000 to 1000; absent: as this process has it.
    pub oom_score_adj: Option<i32>,
    /// Reading and writing of disks.
    pub block_io: BlockIo,
    /// The cgroup that its own lies in, from the root; absent: `rcr`.
    pub cgroup_parent: Option<String>,
}

/// Limits of reading and writing disks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockIo {
    /// Its share of a busy disk's time, 10 to 1000.
    pub weight: Option<u16>,
    /// The same for single disks.
    pub weight_device: Vec<DiskLimit>,
    /// Bytes a second.
    pub read_bps: Vec<DiskLimit>,
    /// Bytes a second.
    pub write_bps: Vec<DiskLimit>,
    /// Operations a second.
    pub read_iops: Vec<DiskLimit>,
    /// Operations a second.
    pub write_iops: Vec<DiskLimit>,
}

impl BlockIo {
    /// All disks that are named; some more than once.
    pub fn disks(&self) -> impl Iterator<Item = &PathBuf> {
        let all = [&self.weight_device, &self.read_bps, &self.write_bps, &self.read_iops, &self.write_iops];
        all.into_iter().flatten().map(|limit| &limit.disk)
    }

    /// Nothing is limited.
    pub fn is_empty(&self) -> bool {
        self.weight.is_none() && self.disks().next().is_none()
    }
}

/// A limit for one disk. Its numbers are looked up at every start: they may change at boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskLimit {
    /// The device's absolute path on the host.
    pub disk: PathBuf,
    /// The limit.
    pub value: u64,
}
