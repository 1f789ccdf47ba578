//! What `run`, `create` and `update` take about a container's share of the machine.

use clap::Args;
use rcr_engine::config::{DiskLimit, RlimitPlan};
use rcr_engine::parse::limits;

#[derive(Debug, Args)]
#[command(next_help_heading = "Resources")]
pub struct ResourceArgs {
    #[command(flatten)]
    pub live: LiveArgs,
    /// How readily its memory is swapped out, 0 to 100; -1: the kernel's (cgroup v1)
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, value_parser = limits::swappiness)]
    pub memory_swappiness: Option<i64>,
    /// Let it wait, not die, when its memory is full (cgroup v1)
    #[arg(long)]
    pub oom_kill_disable: bool,
    /// Processes it may have; -1: unlimited
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, default_value_t = 2048)]
    pub pids_limit: i64,
    /// Resource limit
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = limits::ulimit)]
    pub ulimit: Vec<RlimitPlan>,
    /// Preference of the OOM killer, from -1000 (never) to 1000 (first)
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub oom_score_adj: Option<i32>,
    /// Share of one disk's time
    #[arg(long, value_name = "/dev/DISK:NUMBER", value_parser = limits::disk_weight)]
    pub blkio_weight_device: Vec<DiskLimit>,
    /// Bytes a second that it reads from a disk
    #[arg(long, value_name = "/dev/DISK:BYTES", value_parser = limits::disk_bytes)]
    pub device_read_bps: Vec<DiskLimit>,
    /// Bytes a second that it writes to a disk
    #[arg(long, value_name = "/dev/DISK:BYTES", value_parser = limits::disk_bytes)]
    pub device_write_bps: Vec<DiskLimit>,
    /// Operations a second in which it reads from a disk
    #[arg(long, value_name = "/dev/DISK:NUMBER", value_parser = limits::disk_operations)]
    pub device_read_iops: Vec<DiskLimit>,
    /// Operations a second in which it writes to a disk
    #[arg(long, value_name = "/dev/DISK:NUMBER", value_parser = limits::disk_operations)]
    pub device_write_iops: Vec<DiskLimit>,
    /// cgroup that its own lies in (default: rcr)
    #[arg(long, value_name = "CGROUP", value_parser = limits::cgroup_parent)]
    pub cgroup_parent: Option<String>,
}

/// Limits that can be changed while a container runs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Resources")]
pub struct LiveArgs {
    /// Memory limit
    #[arg(short, long, value_name = "BYTES", value_parser = limits::bytes)]
    pub memory: Option<i64>,
    /// Limit of memory and swap together; -1: unlimited
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, value_parser = limits::memory_swap)]
    pub memory_swap: Option<i64>,
    /// Memory that it keeps when the machine runs short
    #[arg(long, value_name = "BYTES", value_parser = limits::bytes)]
    pub memory_reservation: Option<i64>,
    /// CPUs it may use, e.g. 1.5
    #[arg(long, value_name = "NUMBER", value_parser = limits::nano_cpus)]
    pub cpus: Option<u64>,
    /// Share of CPU time beside others; 1024 is everybody's
    #[arg(short = 'c', long, value_name = "NUMBER", value_parser = limits::cpu_shares)]
    pub cpu_shares: Option<u64>,
    /// Microseconds over which --cpu-quota is counted (default: 100000)
    #[arg(long, value_name = "MICROSECONDS", value_parser = limits::cpu_period)]
    pub cpu_period: Option<u64>,
    /// Microseconds of CPU time in each period; -1: unlimited
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true, value_parser = limits::cpu_quota)]
    pub cpu_quota: Option<i64>,
    /// CPUs it may run on, e.g. 0-2,4
    #[arg(long, value_name = "LIST", value_parser = limits::cpuset)]
    pub cpuset_cpus: Option<String>,
    /// Memory nodes it may use, e.g. 0,1
    #[arg(long, value_name = "LIST", value_parser = limits::cpuset)]
    pub cpuset_mems: Option<String>,
    /// Share of busy disks' time, 10 to 1000
    #[arg(long, value_name = "NUMBER", value_parser = limits::block_weight)]
    pub blkio_weight: Option<u16>,
}
