//! Shares of disks' time. The kernel has them under four names: what `blkio.weight` was to CFQ is `blkio.bfq.weight` to
//! BFQ, and on v2 `io.bfq.weight`, or `io.weight` with a scale of its own (Documentation/admin-guide/cgroup-v2.rst,
//! "IO"; Documentation/block/bfq-iosched.rst).

use oci_spec::runtime::LinuxBlockIo;
use rcr_base::{Doing, Error, Kind, Outcome};
use std::path::Path;

/// Files of v1: for all disks, for single ones.
const LEGACY: [(&str, &str); 2] =
    [("blkio.weight", "blkio.weight_device"), ("blkio.bfq.weight", "blkio.bfq.weight_device")];

/// Writes the weights into the cgroup.
pub fn write(folder: &Path, is_unified: bool, io: &LinuxBlockIo) -> Outcome<()> {
    let devices = io.weight_device().iter().flatten();
    let devices: Vec<_> = devices.filter_map(|d| Some((d.major(), d.minor(), d.weight()?))).collect();
    if io.weight().is_none() && devices.is_empty() {
        return Ok(());
    }
    let (all, single, scale): (_, _, fn(u16) -> u32) = if !is_unified {
        let found = LEGACY.into_iter().find(|(all, _)| folder.join(all).exists());
        let (all, single) = found.ok_or_else(|| missing(folder, "blkio.bfq.weight"))?;
        (all, single, u32::from)
    } else if folder.join("io.bfq.weight").exists() {
        ("io.bfq.weight", "io.bfq.weight", u32::from)
    } else {
        ("io.weight", "io.weight", widened)
    };
    let put = |file: &str, text: String| {
        let path = folder.join(file);
        std::fs::write(&path, &text).doing(|| format!("cannot write `{text}` to `{}`", path.display()))
    };
    if let Some(weight) = io.weight() {
        put(all, scale(weight).to_string())?;
    }
    devices.into_iter().try_for_each(|(major, minor, weight)| {
        put(single, format!("{major}:{minor} {}", scale(weight)))
            .map_err(|failure| failure.hint("a disk has weights if its scheduler is bfq: /sys/block/*/queue/scheduler"))
    })
}

/// From 10 to 1000 to 1 to 10000, as runtimes agree.
fn widened(weight: u16) -> u32 {
    1 + u32::from(weight.saturating_sub(10)) * 9999 / 990
}

fn missing(folder: &Path, file: &str) -> Error {
    Error::new(Kind::System, format!("cannot give `{}` a share of disks' time", folder.display()))
        .caused_by(format!("the kernel has no `{file}` (CONFIG_BFQ_GROUP_IOSCHED)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::{LinuxBlockIoBuilder, LinuxWeightDeviceBuilder};

    #[test]
    fn each_file_gets_its_own_scale() {
        let disk = LinuxWeightDeviceBuilder::default().major(8).minor(0).weight(10u16).build().unwrap();
        let io = LinuxBlockIoBuilder::default().weight(1000u16).weight_device(vec![disk]).build().unwrap();
        let one = LinuxBlockIoBuilder::default().weight(500u16).build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let read = |file: &str| std::fs::read_to_string(dir.path().join(file)).unwrap();
        assert!(write(dir.path(), false, &io).is_err());
        std::fs::write(dir.path().join("blkio.bfq.weight"), "").unwrap();
        write(dir.path(), false, &io).unwrap();
        assert_eq!((read("blkio.bfq.weight"), read("blkio.bfq.weight_device")), ("1000".into(), "8:0 10".into()));
        write(dir.path(), true, &one).unwrap();
        assert_eq!(read("io.weight"), "4950");
        std::fs::write(dir.path().join("io.bfq.weight"), "").unwrap();
        write(dir.path(), true, &one).unwrap();
        assert_eq!(read("io.bfq.weight"), "500");
    }
}
