//! The part of `HostConfig` about limits and shared namespaces.

use crate::config::{Config, DiskLimit};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a container may take, and what it shares. Limits that it does not have are 0 or absent, as Docker has it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Shares {
    /// Bytes that it keeps when the machine runs short.
    pub memory_reservation: i64,
    /// 0 to 100.
    pub memory_swappiness: Option<u64>,
    /// It waits when its memory is full.
    pub oom_kill_disable: Option<bool>,
    /// Beside others; 1024 is everybody's.
    pub cpu_shares: u64,
    /// Microseconds.
    pub cpu_period: u64,
    /// Microseconds in each period.
    pub cpu_quota: i64,
    /// 10 to 1000.
    pub blkio_weight: u16,
    /// The same for single disks.
    pub blkio_weight_device: Vec<Weight>,
    /// Bytes a second.
    pub blkio_device_read_bps: Vec<Rate>,
    /// Bytes a second.
    pub blkio_device_write_bps: Vec<Rate>,
    /// Operations a second.
    #[serde(rename = "BlkioDeviceReadIOps")]
    pub blkio_device_read_iops: Vec<Rate>,
    /// Operations a second.
    #[serde(rename = "BlkioDeviceWriteIOps")]
    pub blkio_device_write_iops: Vec<Rate>,
    /// Where its cgroup lies; empty: below `rcr`.
    pub cgroup_parent: String,
    /// As `--cgroupns` has it.
    pub cgroupns_mode: &'static str,
    /// As `--pid` has it; empty: its own.
    pub pid_mode: String,
    /// As `--ipc` has it.
    pub ipc_mode: String,
    /// As `--uts` has it; empty: its own.
    #[serde(rename = "UTSMode")]
    pub uts_mode: &'static str,
    /// Empty: as the host has it.
    pub userns_mode: &'static str,
    /// Devices by their vendors' names.
    pub device_requests: Option<Vec<DeviceRequest>>,
    /// What other programs note.
    pub annotations: Option<BTreeMap<String, String>>,
    /// What is hidden; absent: as in every container.
    pub masked_paths: Option<Vec<String>>,
    /// What is read-only; absent: as in every container.
    pub readonly_paths: Option<Vec<String>>,
}

/// A disk's weight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Weight {
    /// The disk.
    pub path: String,
    /// 10 to 1000.
    pub weight: u64,
}

/// A disk's rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Rate {
    /// The disk.
    pub path: String,
    /// A second.
    pub rate: u64,
}

/// Devices of one vendor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeviceRequest {
    /// `cdi`.
    pub driver: &'static str,
    /// `vendor.com/class=name`.
    #[serde(rename = "DeviceIDs")]
    pub device_ids: Vec<String>,
}

/// From a container's own file.
pub fn shares(config: &Config) -> Shares {
    let (wanted, shared, io) = (&config.resources, &config.namespaces, &config.resources.block_io);
    let path = |limit: &DiskLimit| limit.disk.display().to_string();
    let rates = |list: &[DiskLimit]| list.iter().map(|limit| Rate { path: path(limit), rate: limit.value }).collect();
    let open = config.security.open_paths || config.security.privileged;
    Shares {
        memory_reservation: wanted.memory_reservation.unwrap_or(0),
        memory_swappiness: wanted.memory_swappiness,
        oom_kill_disable: Some(wanted.oom_kill_disable),
        cpu_shares: wanted.cpu_shares.unwrap_or(0),
        cpu_period: wanted.cpu_period.unwrap_or(0),
        cpu_quota: wanted.cpu_quota.unwrap_or(0),
        blkio_weight: io.weight.unwrap_or(0),
        blkio_weight_device: io.weight_device.iter().map(|l| Weight { path: path(l), weight: l.value }).collect(),
        blkio_device_read_bps: rates(&io.read_bps),
        blkio_device_write_bps: rates(&io.write_bps),
        blkio_device_read_iops: rates(&io.read_iops),
        blkio_device_write_iops: rates(&io.write_iops),
        cgroup_parent: wanted.cgroup_parent.clone().unwrap_or_default(),
        cgroupns_mode: if shared.cgroup_host { "host" } else { "private" },
        pid_mode: shared.pid.text(),
        ipc_mode: shared.ipc.text(),
        uts_mode: if shared.uts_host { "host" } else { "" },
        userns_mode: "",
        device_requests: (!config.named_devices.is_empty())
            .then(|| vec![DeviceRequest { driver: "cdi", device_ids: config.named_devices.clone() }]),
        annotations: Some(config.annotations.clone()).filter(|map| !map.is_empty()),
        masked_paths: open.then(Vec::new),
        readonly_paths: open.then(Vec::new),
    }
}
