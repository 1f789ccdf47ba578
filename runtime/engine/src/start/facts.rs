//! What a plan needs to know of this host.

use crate::bundle::{self, Device, Disks, Facts};
use crate::cgroup;
use crate::config::{BlockIo, Config};
use crate::dirs::Dirs;
use crate::mountpoints;
use crate::spawn;
use rcr_base::{Doing, Error, Kind, Outcome};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Looks at the host. Errors: cgroups are not mounted, capabilities can't be read, a device does not exist.
pub fn facts(dirs: &Dirs, config: &Config, files_dir: PathBuf, host_network: bool) -> Outcome<Facts> {
    let privileged = config.security.privileged;
    Ok(Facts {
        container_dir: dirs.container(&config.id),
        lower: mountpoints::layers(dirs, config),
        run_dir: dirs.container_run(&config.id),
        cgroup: cgroup::kind()?,
        capabilities: own_capabilities()?,
        devices: if privileged { host_devices(Path::new("/dev")) } else { given_devices(config)? },
        disks: disks(&config.resources.block_io)?,
        init_program: spawn::shim_program(),
        files_dir,
        host_network,
    })
}

/// The capabilities that this process could pass on, as a bit mask.
pub fn own_capabilities() -> Outcome<u64> {
    let set = caps::read(None, caps::CapSet::Bounding)
        .map_err(|e| Error::new(Kind::System, "cannot read this process's capabilities").caused_by(e.to_string()))?;
    Ok(set.into_iter().map(bundle::caps::bit).sum())
}

/// The host's device nodes, for `--privileged`; those of terminals are the container's own.
fn host_devices(folder: &Path) -> Vec<Device> {
    const OWN: [&str; 4] = ["pts", "shm", "mqueue", "console"];
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if OWN.iter().any(|name| path.as_path() == Path::new("/dev").join(name)) {
            continue;
        }
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.is_dir() {
            all.extend(host_devices(&path));
        } else {
            all.extend(device(&path, &meta, "rwm"));
        }
    }
    all
}

/// A device node of the host as `inside` in the container, if `meta` is one's.
pub fn device(inside: &Path, meta: &fs::Metadata, access: &str) -> Option<Device> {
    let kind = meta.file_type();
    let is_device = kind.is_char_device() || kind.is_block_device();
    is_device.then(|| Device {
        block: kind.is_block_device(),
        major: rustix::fs::major(meta.rdev()),
        minor: rustix::fs::minor(meta.rdev()),
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        path: inside.to_owned(),
        access: access.to_owned(),
    })
}

/// The numbers of the disks whose reading and writing is limited.
pub fn disks(limits: &BlockIo) -> Outcome<Disks> {
    let numbers = |disk: &PathBuf| {
        let doing = || format!("cannot limit the disk `{}`", disk.display());
        let meta = fs::metadata(disk).doing(doing)?;
        match meta.file_type().is_block_device() {
            true => Ok((disk.clone(), (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev())))),
            false => Err(Error::new(Kind::Invalid, doing())
                .caused_by("it is not a block device")
                .hint("`lsblk` shows the disks")),
        }
    };
    limits.disks().map(numbers).collect()
}

/// The devices of `--device`: their numbers are looked up at every start, since they may change at boot.
fn given_devices(config: &Config) -> Outcome<Vec<Device>> {
    let mut all = Vec::new();
    for wanted in &config.devices {
        let host = &wanted.host;
        let doing = || format!("cannot give the device `{}`", host.display());
        let meta = fs::metadata(host).doing(doing)?;
        if !meta.is_dir() {
            let found = device(&wanted.container, &meta, &wanted.access);
            all.push(found.ok_or_else(|| {
                Error::new(Kind::Invalid, doing()).caused_by("it is not a device").hint("`-v` binds files and folders")
            })?);
            continue;
        }
        let below = host_devices(host);
        if below.is_empty() {
            return Err(Error::new(Kind::Invalid, doing()).caused_by("there is no device in this folder"));
        }
        for mut device in below {
            let inside = device.path.strip_prefix(host).map(|rest| wanted.container.join(rest));
            device.path = inside.unwrap_or_else(|_| device.path.clone());
            device.access.clone_from(&wanted.access);
            all.push(device);
        }
    }
    Ok(all)
}
