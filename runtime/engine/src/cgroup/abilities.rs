//! Limits that not every kernel has. As with Docker, what this host's lacks is left out of a request, with a warning.

use super::{MOUNT_POINT, delegate, make_folder};
use crate::bundle::CgroupKind;
use crate::config::{BlockIo, Resources};
use rcr_shim::cleanup::CGROUP_PARENT;
use std::path::{Path, PathBuf};

/// A limit, and the files that it needs: one of these on v1, one of those on v2.
struct Limit {
    what: &'static str,
    legacy: &'static [&'static str],
    unified: &'static [&'static str],
    asked_for: fn(&Resources) -> bool,
    leave_out: fn(&mut Resources),
}

const LIMITS: [Limit; 7] = [
    Limit {
        what: "--memory-swappiness",
        legacy: &["memory.swappiness"],
        unified: &[],
        asked_for: |wanted| wanted.memory_swappiness.is_some(),
        leave_out: |wanted| wanted.memory_swappiness = None,
    },
    Limit {
        what: "--oom-kill-disable",
        legacy: &["memory.oom_control"],
        unified: &[],
        asked_for: |wanted| wanted.oom_kill_disable,
        leave_out: |wanted| wanted.oom_kill_disable = false,
    },
    Limit {
        what: "--memory-swap",
        legacy: &["memory.memsw.limit_in_bytes"],
        unified: &["memory.swap.max"],
        asked_for: |wanted| wanted.memory_swap.is_some(),
        leave_out: |wanted| wanted.memory_swap = None,
    },
    Limit {
        what: "--memory-reservation",
        legacy: &["memory.soft_limit_in_bytes"],
        unified: &["memory.low"],
        asked_for: |wanted| wanted.memory_reservation.is_some(),
        leave_out: |wanted| wanted.memory_reservation = None,
    },
    Limit {
        what: "--blkio-weight",
        legacy: &["blkio.weight", "blkio.bfq.weight"],
        unified: &["io.bfq.weight", "io.weight"],
        asked_for: |wanted| wanted.block_io.weight.is_some(),
        leave_out: |wanted| wanted.block_io.weight = None,
    },
    Limit {
        what: "--blkio-weight-device",
        legacy: &["blkio.weight_device", "blkio.bfq.weight_device"],
        unified: &["io.bfq.weight", "io.weight"],
        asked_for: |wanted| !wanted.block_io.weight_device.is_empty(),
        leave_out: |wanted| wanted.block_io.weight_device.clear(),
    },
    Limit {
        what: "--device-read-bps, --device-write-bps, --device-read-iops and --device-write-iops",
        legacy: &["blkio.throttle.read_bps_device"],
        unified: &["io.max"],
        asked_for: |wanted| throttles(&wanted.block_io),
        leave_out: |wanted| {
            let BlockIo { weight, weight_device, .. } = std::mem::take(&mut wanted.block_io);
            wanted.block_io = BlockIo { weight, weight_device, ..BlockIo::default() };
        },
    },
];

fn throttles(io: &BlockIo) -> bool {
    [&io.read_bps, &io.write_bps, &io.read_iops, &io.write_iops].into_iter().any(|list| !list.is_empty())
}

/// Whether a request has a limit that some kernels lack, or swap that goes with its memory.
pub fn matter(wanted: &Resources) -> bool {
    wanted.memory.is_some() || LIMITS.iter().any(|limit| (limit.asked_for)(wanted))
}

/// Leaves out what this kernel lacks; returns the flags that are left out.
pub fn fit(kind: &CgroupKind, wanted: &mut Resources) -> Vec<&'static str> {
    let mut left_out = Vec::new();
    for limit in LIMITS {
        let files = if *kind == CgroupKind::Unified { limit.unified } else { limit.legacy };
        if (limit.asked_for)(wanted) && !has(kind, files) {
            (limit.leave_out)(wanted);
            left_out.push(limit.what);
        }
    }
    left_out
}

/// As Docker has it: without a word about swap, a container may use as much of it as of memory.
pub fn default_swap(kind: &CgroupKind, wanted: &mut Resources) {
    if let (Some(memory), None) = (wanted.memory, wanted.memory_swap) {
        wanted.memory_swap = Some(memory.saturating_mul(2));
        if !has(kind, &["memory.memsw.limit_in_bytes", "memory.swap.max"]) {
            wanted.memory_swap = None;
        }
    }
}

/// Whether a cgroup of ours has one of these files.
fn has(kind: &CgroupKind, files: &[&str]) -> bool {
    let mounted: Vec<PathBuf> = match kind {
        CgroupKind::Unified => vec![MOUNT_POINT.into()],
        CgroupKind::Legacy(all) => all.iter().map(|(name, _)| Path::new(MOUNT_POINT).join(name)).collect(),
    };
    let any = |folder: &Path| files.iter().any(|file| folder.join(file).exists());
    !files.is_empty() && (mounted.iter().any(|root| any(root)) || mounted.iter().any(|root| below(kind, root, any)))
}

/// Some files are in every cgroup but the root.
fn below(kind: &CgroupKind, root: &Path, look: impl Fn(&Path) -> bool) -> bool {
    let folder = root.join(CGROUP_PARENT);
    let mut found = false;
    // A container that ends may remove it between the two.
    for _ in 0..4 {
        if make_folder(&folder).is_err() {
            return false;
        }
        if *kind == CgroupKind::Unified {
            delegate(&folder);
        }
        found = look(&folder);
        if found || folder.exists() {
            break;
        }
    }
    // Fails while a container exists, as it should.
    let _ = std::fs::remove_dir(&folder);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_kernel_has_is_left_out_and_named() {
        let mut wanted = Resources { memory_swappiness: Some(1), oom_kill_disable: true, ..Resources::default() };
        let none = CgroupKind::Legacy(vec![("no-such-hierarchy".into(), "memory".into())]);
        assert_eq!(fit(&none, &mut wanted), ["--memory-swappiness", "--oom-kill-disable"]);
        assert_eq!(wanted, Resources::default());
        assert!(fit(&none, &mut wanted).is_empty());
    }
}
