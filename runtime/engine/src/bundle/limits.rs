//! A container's limits as the resources of an OCI runtime spec (config-linux.md, "Control groups"). Devices are
//! [`super::spec`]'s.

use super::{BundleError, Disks};
use crate::config::{DiskLimit, Resources};
use oci_spec::runtime::{
    LinuxBlockIo, LinuxBlockIoBuilder, LinuxCpu, LinuxMemory, LinuxPidsBuilder, LinuxResources, LinuxResourcesBuilder,
    LinuxThrottleDevice, LinuxThrottleDeviceBuilder, LinuxWeightDevice, LinuxWeightDeviceBuilder,
};

/// Microseconds over which `--cpus` is counted (cpu.cfs_period_us).
const CPU_PERIOD: u64 = 100_000;

/// The limits, for a container that starts and for one that runs. `disks`: the numbers of those that are named.
pub fn limits(wanted: &Resources, disks: &Disks) -> Result<LinuxResources, BundleError> {
    let mut all = LinuxResourcesBuilder::default().pids(LinuxPidsBuilder::default().limit(wanted.pids).build()?);
    if let Some(memory) = memory(wanted) {
        all = all.memory(memory);
    }
    if let Some(cpu) = cpu(wanted)? {
        all = all.cpu(cpu);
    }
    if !wanted.block_io.is_empty() {
        all = all.block_io(block_io(wanted, disks)?);
    }
    Ok(all.build()?)
}

fn memory(wanted: &Resources) -> Option<LinuxMemory> {
    let mut all = LinuxMemory::default();
    all.set_limit(wanted.memory)
        .set_swap(wanted.memory_swap)
        .set_reservation(wanted.memory_reservation)
        .set_swappiness(wanted.memory_swappiness)
        .set_disable_oom_killer(wanted.oom_kill_disable.then_some(true));
    (all != LinuxMemory::default()).then_some(all)
}

fn cpu(wanted: &Resources) -> Result<Option<LinuxCpu>, BundleError> {
    let mut all = LinuxCpu::default();
    all.set_shares(wanted.cpu_shares)
        .set_cpus(wanted.cpuset_cpus.clone())
        .set_mems(wanted.cpuset_mems.clone())
        .set_period(wanted.cpu_period)
        .set_quota(wanted.cpu_quota);
    if let Some(nano) = wanted.nano_cpus {
        let quota = (nano.saturating_mul(CPU_PERIOD) / 1_000_000_000).max(1_000);
        let quota = i64::try_from(quota).map_err(|_| BundleError::Invalid("--cpus is too large".into()))?;
        all.set_period(Some(CPU_PERIOD)).set_quota(Some(quota));
    }
    Ok((all != LinuxCpu::default()).then_some(all))
}

fn block_io(wanted: &Resources, disks: &Disks) -> Result<LinuxBlockIo, BundleError> {
    let io = &wanted.block_io;
    let throttled = |list: &[DiskLimit]| list.iter().map(|limit| throttle(limit, disks)).collect::<Result<Vec<_>, _>>();
    let weighted = io.weight_device.iter().map(|limit| weight(limit, disks)).collect::<Result<Vec<_>, _>>()?;
    let mut all = LinuxBlockIoBuilder::default()
        .weight_device(weighted)
        .throttle_read_bps_device(throttled(&io.read_bps)?)
        .throttle_write_bps_device(throttled(&io.write_bps)?)
        .throttle_read_iops_device(throttled(&io.read_iops)?)
        .throttle_write_iops_device(throttled(&io.write_iops)?);
    if let Some(weight) = io.weight {
        all = all.weight(weight);
    }
    Ok(all.build()?)
}

fn numbers(limit: &DiskLimit, disks: &Disks) -> Result<(i64, i64), BundleError> {
    let found = disks.get(&limit.disk).map(|(major, minor)| (i64::from(*major), i64::from(*minor)));
    found.ok_or_else(|| BundleError::Invalid(format!("`{}` is not a disk", limit.disk.display())))
}

fn throttle(limit: &DiskLimit, disks: &Disks) -> Result<LinuxThrottleDevice, BundleError> {
    let (major, minor) = numbers(limit, disks)?;
    Ok(LinuxThrottleDeviceBuilder::default().major(major).minor(minor).rate(limit.value).build()?)
}

fn weight(limit: &DiskLimit, disks: &Disks) -> Result<LinuxWeightDevice, BundleError> {
    let (major, minor) = numbers(limit, disks)?;
    let weight = u16::try_from(limit.value).map_err(|_| BundleError::Invalid("the weight is too large".into()))?;
    Ok(LinuxWeightDeviceBuilder::default().major(major).minor(minor).weight(weight).build()?)
}
