//! What a container's files stand on: `-v`, `--mount` and `--tmpfs` → mounts, and the volumes that are made for them.

use super::create::flags;
use crate::cli::container::StorageArgs;
use crate::cli::mounts::{self, MountFlag, Source, VolumeFlag};
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_engine::config::{Config, Mount, MountKind};
use rcr_engine::dirs::private_folder;
use rcr_engine::instance::Instance;
use rcr_engine::names;
use rcr_engine::volumes::seed;
use std::path::{Path, PathBuf};

pub(super) fn storage(args: &StorageArgs) -> Outcome<(Vec<VolumeFlag>, Vec<Mount>)> {
    let mut volumes = flags("--volume", &args.volume, mounts::volume)?;
    let mut tmpfs = flags("--tmpfs", &args.tmpfs, mounts::tmpfs)?;
    for mount in flags("--mount", &args.mount, mounts::mount)? {
        match mount {
            MountFlag::Volume(volume) => volumes.push(volume),
            MountFlag::Tmpfs(mount) => tmpfs.push(mount),
        }
    }
    let mut targets: Vec<&str> =
        volumes.iter().map(|v| v.target.as_str()).chain(tmpfs.iter().map(|t| t.target.as_str())).collect();
    targets.sort_unstable();
    if let Some(twice) = targets.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::new(Kind::Invalid, format!("cannot mount twice on `{}`", twice[0])));
    }
    Ok((volumes, tmpfs))
}

pub(super) fn add_volumes(
    instance: &Instance,
    config: &mut Config,
    given: Vec<VolumeFlag>,
    image: &[String],
) -> Outcome<()> {
    for volume in given {
        let kind = match volume.source {
            Source::Path(ref path) => bind(path.clone(), &volume, config)?,
            Source::Volume(name) => MountKind::Volume { source: make_volume(instance, &name)?, name, anonymous: false },
            Source::Anonymous => anonymous(instance)?,
        };
        config.mounts.push(Mount { target: volume.target, kind, read_only: volume.read_only });
        seed(config, volume.copy)?;
    }
    for target in image {
        let target = target.trim_end_matches('/').to_owned();
        if target.starts_with('/') && !config.mounts.iter().any(|m| m.target == target) {
            config.mounts.push(Mount { target, kind: anonymous(instance)?, read_only: false });
            seed(config, true)?;
        }
    }
    Ok(())
}

/// A new volume begins with what the image has there: the last one of the config's mounts.
fn seed(config: &Config, copy: bool) -> Outcome<()> {
    let Some(Mount { target, kind: MountKind::Volume { source, .. }, .. }) = config.mounts.last() else {
        return Ok(());
    };
    let folder = source.parent().unwrap_or(source);
    seed::first_use(folder, &config.image.layers, target, copy)
}

/// Device files that every container has; bound to another name (`-v /dev/null:/etc/x`) they work as they are.
const COMMON_DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

fn bind(source: PathBuf, flag: &VolumeFlag, config: &Config) -> Outcome<MountKind> {
    let doing = || format!("cannot bind `{}`", source.display());
    if !source.exists() {
        if !flag.create_source {
            return Err(Error::new(Kind::Invalid, doing())
                .caused_by("it does not exist on the host")
                .hint("create it, or use `-v`, which makes a folder"));
        }
        std::fs::create_dir_all(&source).doing(doing)?;
    }
    let source = source.canonicalize().doing(doing)?;
    let kind = std::fs::metadata(&source).doing(doing)?.file_type();
    let is_device =
        std::os::unix::fs::FileTypeExt::is_char_device(&kind) || std::os::unix::fs::FileTypeExt::is_block_device(&kind);
    let opened = config.security.privileged || !config.device_rules.is_empty() || !config.devices.is_empty();
    if is_device && !opened && !COMMON_DEVICES.iter().any(|common| source == Path::new(common)) {
        let (from, to) = (source.display(), &flag.target);
        return Err(Error::new(Kind::Invalid, doing())
            .caused_by("it is a device, which a container may not open unless it is given")
            .hint(format!("`--device {from}:{to}` gives it; `--device-cgroup-rule` opens what is bound")));
    }
    // With rules of the user's own, what they open must not be shut by the mount.
    let (dev, suid) = (flag.dev || is_device || opened, flag.suid || config.security.privileged);
    Ok(MountKind::Bind { source, recursive: flag.recursive, propagation: flag.propagation, dev, suid })
}

fn anonymous(instance: &Instance) -> Outcome<MountKind> {
    let name = names::new_id().doing(|| "cannot make a volume name")?.to_string();
    Ok(MountKind::Volume { source: make_volume(instance, &name)?, name, anonymous: true })
}

/// The folder of a volume, made if it is new; a mark then says so until its first use.
pub fn make_volume(instance: &Instance, name: &str) -> Outcome<PathBuf> {
    let volumes = instance.dirs.volumes();
    let folder = volumes.join(name);
    let data = folder.join(seed::DATA);
    let make = || -> std::io::Result<()> {
        private_folder(&volumes)?;
        if !data.is_dir() {
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join(seed::NEW), [])?;
            std::fs::create_dir_all(&data)?;
            open_up(&data)?;
        }
        Ok(())
    };
    make().doing(|| format!("cannot create the volume `{name}`"))?;
    Ok(data)
}

fn open_up(folder: &Path) -> std::io::Result<()> {
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))
}
