//! The container's cgroup: folders made and limits written here, processes moved by the shim.
//!
//! On v2 the container is cloned into its cgroup; on v1 it is moved before it goes on. On v1 it enters every hierarchy
//! of the host: a runtime such as Java's takes limits for absent if a controller that it knows is missing.

pub mod abilities;
mod devices;
mod settings;
mod weights;

use crate::bundle::CgroupKind;
use crate::config::Config;
use crate::sys::bpf::{attach_device_program, load_device_program};
use nix::errno::Errno;
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, TMPFS_MAGIC, statfs};
use oci_spec::runtime::{LinuxBlockIo, LinuxResources};
use rcr_base::{Doing, Error, Kind, Outcome, command, errno_text};
use rcr_shim::cleanup;
use rcr_shim::config::CgroupPaths;
use rustix::fs::{Mode, OFlags};
use settings::Setting;
use std::fs;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Where cgroups are mounted by convention (cgroups(7)).
const MOUNT_POINT: &str = "/sys/fs/cgroup";

/// Controllers that are delegated to our cgroups on v2.
const UNIFIED: [&str; 5] = ["cpu", "cpuset", "memory", "pids", "io"];

const NOT_MOUNTED: &str =
    "`ls /sys/fs/cgroup` should show them; `ip netns exec` hides them: `nsenter --net=/run/netns/NAME rcr …` does not";

/// How this host mounts cgroups.
pub fn kind() -> Outcome<CgroupKind> {
    let unknown = || Error::new(Kind::System, "cannot find out how cgroups are mounted").hint(NOT_MOUNTED);
    let mounted = statfs(MOUNT_POINT).map_err(|errno| unknown().caused_by(errno_text(errno as i32)))?.filesystem_type();
    if mounted == CGROUP2_SUPER_MAGIC {
        return Ok(CgroupKind::Unified);
    }
    let mounts = fs::read_to_string("/proc/self/mounts").doing(|| "cannot read `/proc/self/mounts`")?;
    let hierarchies = legacy_hierarchies(&mounts);
    if mounted != TMPFS_MAGIC || hierarchies.is_empty() {
        return Err(unknown().caused_by(format!("`{MOUNT_POINT}` has neither cgroup v2 nor hierarchies of v1")));
    }
    Ok(CgroupKind::Legacy(hierarchies))
}

/// The v1 hierarchies in `/proc/self/mounts`: folder name and mount options that name the controllers, or the
/// hierarchy.
fn legacy_hierarchies(mounts: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(target), Some("cgroup"), Some(options)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        if Path::new(target).parent() != Some(Path::new(MOUNT_POINT)) {
            continue;
        }
        let named = |option: &&str| CONTROLLERS.contains(option) || option.starts_with("name=");
        let controllers: Vec<&str> = options.split(',').filter(named).collect();
        let name = Path::new(target).file_name().and_then(|name| name.to_str());
        if let Some(name) = name.filter(|_| !controllers.is_empty()) {
            all.push((name.to_owned(), controllers.join(",")));
        }
    }
    all
}

/// Names that a v1 mount's options may hold (cgroups(7)).
const CONTROLLERS: [&str; 12] = [
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
];

/// The path of a container's cgroup, from the root of each hierarchy.
fn path(config: &Config) -> PathBuf {
    let parent = config.resources.cgroup_parent.as_deref().unwrap_or(cleanup::CGROUP_PARENT);
    Path::new(parent).join(config.id.as_str())
}

/// The folders of one container's cgroup.
pub fn paths(kind: &CgroupKind, config: &Config) -> CgroupPaths {
    let below = |base: PathBuf| base.join(path(config));
    match kind {
        CgroupKind::Unified => CgroupPaths { unified: Some(below(MOUNT_POINT.into())), legacy: Vec::new() },
        CgroupKind::Legacy(hierarchies) => CgroupPaths {
            unified: None,
            legacy: hierarchies.iter().map(|(name, _)| below(Path::new(MOUNT_POINT).join(name))).collect(),
        },
    }
}

/// Makes the folders and applies the limits.
pub fn create(kind: &CgroupKind, config: &Config, resources: &LinuxResources) -> Outcome<CgroupPaths> {
    let paths = paths(kind, config);
    let doing = || format!("cannot create the cgroup of container `{}`", config.id.short());
    let applied = || {
        for folder in paths.legacy.iter().chain(&paths.unified) {
            make_folder(folder).doing(doing)?;
        }
        if let Some(folder) = hierarchy(kind, &paths, "cpuset") {
            inherit_cpuset(folder).doing(doing)?;
        }
        if let Some(folder) = &paths.unified {
            delegate(folder);
        }
        apply(kind, config, resources)?;
        let Some(folder) = &paths.unified else { return Ok(()) };
        let rules = devices::rules(resources.devices().as_deref().unwrap_or_default());
        devices::program(&rules).map_or(Ok(()), |program| bind_devices(folder, &program))
    };
    match applied() {
        Ok(()) => Ok(paths),
        Err(failure) => {
            cleanup::remove_cgroups(&paths, cleanup::CGROUP_PATIENCE);
            Err(failure)
        }
    }
}

/// Applies limits to a container's cgroup, which exists.
pub fn apply(kind: &CgroupKind, config: &Config, resources: &LinuxResources) -> Outcome<()> {
    if let Some(io) = resources.block_io() {
        weights(kind, config, io)?;
    }
    let paths = paths(kind, config);
    let settings = match kind {
        CgroupKind::Unified => settings::unified(resources),
        CgroupKind::Legacy(_) => {
            let now = resources.memory().and_then(|_| memory_now(kind, &paths));
            settings::legacy(resources, now)
        }
    };
    let doing = || format!("cannot apply the limits of container `{}`", config.id.short());
    let hint = || {
        format!("the kernel refuses a value, or its cgroups lack a controller; {} shows this host's", command::info())
    };
    // Neighbours in the list are often for one file: it is opened once.
    for same in settings.chunk_by(|a, b| (a.controller, a.file) == (b.controller, b.file)) {
        let Setting { controller, file, .. } = same[0];
        let Some(folder) = paths.unified.as_deref().or_else(|| hierarchy(kind, &paths, controller)) else {
            let why = format!("the kernel has no `{controller}` controller for us");
            return Err(Error::new(Kind::System, doing()).caused_by(why).hint(hint()));
        };
        write_all(&folder.join(file), same).map_err(|failure| failure.during(doing()).hint(hint()))?;
    }
    Ok(())
}

/// Each value takes effect with a write(2) of its own.
fn write_all(path: &Path, settings: &[Setting]) -> Outcome<()> {
    let opened = fs::OpenOptions::new().write(true).open(path).doing(|| format!("cannot open `{}`", path.display()));
    let mut file = opened?;
    settings.iter().try_for_each(|Setting { text, .. }| {
        file.write_all(text.as_bytes()).doing(|| format!("cannot write `{text}` to `{}`", path.display()))
    })
}

/// The container's folder in the v1 hierarchy of a controller.
fn hierarchy<'a>(kind: &CgroupKind, paths: &'a CgroupPaths, controller: &str) -> Option<&'a Path> {
    let CgroupKind::Legacy(hierarchies) = kind else { return None };
    let at = hierarchies.iter().position(|(_, options)| options.split(',').any(|option| option == controller))?;
    paths.legacy.get(at).map(PathBuf::as_path)
}

/// The memory limit in force on v1, in bytes.
fn memory_now(kind: &CgroupKind, paths: &CgroupPaths) -> Option<i64> {
    let folder = hierarchy(kind, paths, "memory")?;
    fs::read_to_string(folder.join("memory.limit_in_bytes")).ok()?.trim().parse().ok()
}

/// Shares of disks' time, on the hierarchy that has them.
fn weights(kind: &CgroupKind, config: &Config, io: &LinuxBlockIo) -> Outcome<()> {
    let is_unified = *kind == CgroupKind::Unified;
    let paths = paths(kind, config);
    let is_it = |folder: &&PathBuf| is_unified || folder.join("blkio.reset_stats").exists();
    paths
        .legacy
        .iter()
        .chain(&paths.unified)
        .find(is_it)
        .map_or(Ok(()), |folder| weights::write(folder, is_unified, io))
}

/// Binds the device program to the cgroup. No container starts without it: it could read the host's disks.
fn bind_devices(folder: &Path, program: &[u64]) -> Outcome<()> {
    let attach = || -> Result<(), Errno> {
        let cgroup = rustix::fs::open(folder, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| Errno::from_raw(e.raw_os_error()))?;
        attach_device_program(cgroup.as_fd(), load_device_program(program)?.as_fd())
    };
    attach()
        .doing(|| format!("cannot load the device rules of cgroup `{}` as a BPF program", folder.display()))
        .map_err(|failure| {
            failure.hint("the kernel needs CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF, and rcr the capability CAP_BPF")
        })
}

/// As mkdir -p; another container's end may remove the parent in between.
fn make_folder(folder: &Path) -> io::Result<()> {
    for _ in 0..16 {
        match fs::create_dir_all(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
    }
    fs::create_dir_all(folder)
}

/// A new cpuset of v1 has no CPU and no memory node, and takes no process (cpuset(7)): it gets its parent's.
fn inherit_cpuset(folder: &Path) -> io::Result<()> {
    let base = Path::new(MOUNT_POINT);
    let levels: Vec<&Path> = folder.ancestors().take_while(|dir| dir.starts_with(base) && *dir != base).collect();
    // The hierarchy's own root is full.
    for dir in levels.into_iter().rev().skip(1) {
        for name in ["cpuset.cpus", "cpuset.mems"] {
            let file = dir.join(name);
            if fs::read_to_string(&file).is_ok_and(|list| list.trim().is_empty()) {
                let parent = dir.parent().unwrap_or(dir).join(name);
                fs::write(&file, fs::read_to_string(parent)?.trim())?;
            }
        }
    }
    Ok(())
}

/// Makes controllers available to our cgroups. If one can't be enabled, applying its limit fails and names it.
fn delegate(folder: &Path) {
    let parents = folder.ancestors().skip(1).take_while(|dir| dir.starts_with(MOUNT_POINT)).collect::<Vec<_>>();
    for dir in parents.into_iter().rev() {
        for controller in UNIFIED {
            let _ = fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_read_off_the_mount_table() {
        let mounts = "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0\n\
                      cgroup /sys/fs/cgroup/freezer cgroup rw,freezer 0 0\n\
                      cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n\
                      cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0";
        let want =
            [("cpu,cpuacct", "cpu,cpuacct"), ("freezer", "freezer"), ("systemd", "name=systemd"), ("pids", "pids")];
        assert_eq!(legacy_hierarchies(mounts), want.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }
}
