//! A container's mounts out of its request: folders of the host, volumes, images, and what another container has.

use super::local::Content;
use super::{CreateVolume, create, make_volume, read, seed};
use crate::config::{Config, Mount, MountKind};
use crate::create::request::{Source, VolumeUse, VolumesFrom};
use crate::images::{self, Policy};
use crate::instance::Instance;
use crate::names;
use crate::reporter::Reporter;
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_shim::cleanup::KEPT;
use std::path::{Path, PathBuf};

/// Adds the requested mounts, then what other containers have, then the image's volumes that nothing covers.
pub(crate) fn add_volumes(
    instance: &Instance,
    config: &mut Config,
    given: Vec<VolumeUse>,
    from: &[VolumesFrom],
    image: &[String],
    reporter: &dyn Reporter,
) -> Outcome<()> {
    for volume in given {
        let mount = mount(instance, config, volume, reporter)?;
        config.mounts.push(mount);
    }
    add_volumes_from(instance, config, from)?;
    for target in image {
        let target = target.trim_end_matches('/').to_owned();
        if target.starts_with('/') && !config.mounts.iter().any(|m| m.target == target) {
            let mount = Mount { kind: anonymous(instance)?, target, read_only: false };
            seed(config, &mount, true)?;
            config.mounts.push(mount);
        }
    }
    Ok(())
}

/// Adds what other containers have of folders, volumes and images, where this one has nothing of its own.
fn add_volumes_from(instance: &Instance, config: &mut Config, from: &[VolumesFrom]) -> Outcome<()> {
    for VolumesFrom { container, read_only } in from {
        let doing = || format!("cannot take the volumes of `{container}`");
        let other = instance.containers().find(container).doing(doing)?.config;
        for mut mount in other.mounts {
            if matches!(mount.kind, MountKind::Tmpfs { .. }) || config.mounts.iter().any(|m| m.target == mount.target) {
                continue;
            }
            mount.read_only |= read_only;
            if let MountKind::Volume { name, anonymous, .. } = &mut mount.kind
                && std::mem::take(anonymous)
            {
                // It no longer goes with the container that it was made for.
                let kept = instance.dirs.volumes().join(name).join(KEPT);
                std::fs::write(kept, []).doing(doing)?;
            }
            config.mounts.push(mount);
        }
    }
    Ok(())
}

fn mount(instance: &Instance, config: &Config, wanted: VolumeUse, reporter: &dyn Reporter) -> Outcome<Mount> {
    let mut read_only = wanted.read_only;
    let kind = match &wanted.source {
        Source::Path(path) => bind(path.clone(), &wanted, config)?,
        Source::Volume(name) => {
            let kind = volume(instance, name, &wanted)?;
            read_only |= kind.1;
            kind.0
        }
        Source::Anonymous => match (wanted.options.is_empty(), wanted.labels.is_empty()) {
            (true, true) => anonymous(instance)?,
            _ => {
                let name = names::new_id().doing(|| "cannot make a volume name")?.to_string();
                let (kind, always) = volume(instance, &name, &wanted)?;
                read_only |= always;
                kind
            }
        },
        Source::Image(name) => image(instance, name, &wanted, reporter)?,
    };
    let mount = Mount { target: wanted.target, kind, read_only };
    seed(config, &mount, wanted.copy)?;
    Ok(mount)
}

/// A volume by name, made if it is new; and whether it is always read-only.
fn volume(instance: &Instance, name: &str, wanted: &VolumeUse) -> Outcome<(MountKind, bool)> {
    if !wanted.options.is_empty() || !wanted.labels.is_empty() {
        let (labels, options) = (wanted.labels.clone(), wanted.options.clone());
        create(instance, CreateVolume { name: Some(name.to_owned()), labels, options })?;
    }
    let own = make_volume(instance, name)?;
    let anonymous = wanted.source == Source::Anonymous;
    let of = |source, memory, file_system| MountKind::Volume {
        name: name.to_owned(),
        source,
        anonymous,
        subpath: wanted.subpath.clone(),
        memory,
        file_system,
    };
    let content = Content::of(&read(instance, name.to_owned()).options)?;
    if wanted.subpath.is_some() && matches!(content, Content::Memory(_) | Content::FileSystem(_)) {
        return Err(Error::new(Kind::Invalid, format!("cannot mount a folder of the volume `{name}`"))
            .caused_by("the volume is mounted anew for each container")
            .hint("leave out `volume-subpath`"));
    }
    match content {
        Content::Own => Ok((of(own, None, None), false)),
        Content::Memory(options) => Ok((of(own, Some(options), None), false)),
        Content::FileSystem(mounted) => {
            let read_only = mounted.options.iter().any(|option| option == "ro");
            Ok((of(own, None, Some(mounted)), read_only))
        }
        Content::Folder { device, read_only } => {
            let doing = || format!("cannot mount the volume `{name}`");
            let device =
                device.canonicalize().doing(|| format!("find its folder `{}`", device.display())).doing(doing)?;
            Ok((of(device, None, None), read_only))
        }
    }
}

fn image(instance: &Instance, name: &str, wanted: &VolumeUse, reporter: &dyn Reporter) -> Outcome<MountKind> {
    let doing = || format!("cannot mount the image `{name}`");
    let found = images::image_for(instance, name, Policy::Missing, None, reporter).doing(doing)?;
    let layers = images::store(instance)?.layers(&found)?;
    match layers.is_empty() {
        true => Err(Error::new(Kind::Invalid, doing()).caused_by("it has no files")),
        false => Ok(MountKind::Image {
            reference: name.to_owned(),
            id: found.id.to_string(),
            layers,
            subpath: wanted.subpath.clone(),
        }),
    }
}

/// Fills a new volume from the image.
fn seed(config: &Config, mount: &Mount, copy: bool) -> Outcome<()> {
    let MountKind::Volume { source, memory: None, file_system: None, subpath, .. } = &mount.kind else { return Ok(()) };
    // What the image has at the target is not what belongs at the volume's root.
    let copy = copy && subpath.is_none();
    match source.file_name().is_some_and(|name| name == seed::DATA) {
        true => seed::first_use(source.parent().unwrap_or(source), &config.image.layers, &mount.target, copy),
        false => Ok(()),
    }
}

/// Device files that every container has; bound to another name (`-v /dev/null:/etc/x`) they work without permission.
const COMMON_DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

fn bind(source: PathBuf, flag: &VolumeUse, config: &Config) -> Outcome<MountKind> {
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
            .caused_by("it is a device, and the container has no permission to open it")
            .hint(format!("`--device {from}:{to}` gives it; `--device-cgroup-rule` opens what is bound")));
    }
    // If the user gave device rules, the mount must not block what they allow.
    let (dev, suid) = (flag.dev || is_device || opened, flag.suid || config.security.privileged);
    Ok(MountKind::Bind {
        source,
        recursive: flag.recursive,
        propagation: flag.propagation,
        dev,
        suid,
        writable_below: flag.writable_below,
    })
}

fn anonymous(instance: &Instance) -> Outcome<MountKind> {
    let name = names::new_id().doing(|| "cannot make a volume name")?.to_string();
    let source = make_volume(instance, &name)?;
    Ok(MountKind::Volume { source, name, anonymous: true, subpath: None, memory: None, file_system: None })
}
