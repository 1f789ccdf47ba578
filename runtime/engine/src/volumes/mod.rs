//! Volumes: folders that outlive their containers; and a container's mounts beside its image.

mod copy;
mod local;
mod record;
pub mod seed;
pub(crate) mod uses;

use crate::config::{Config, MountKind};
use crate::dirs::private_folder;
use crate::events::subjects;
use crate::instance::Instance;
use crate::names;
use crate::parse::filter::{PruneFilter, Test, VolumeFilter, fits_all};
use crate::size;
use jiff::Timestamp;
use netd_api::NetworkName;
use rcr_base::events::Object;
use rcr_base::{Doing, Error, Kind, Outcome, command};
use rcr_shim::cleanup::remove_folder;
use record::Record;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The folder of a volume, made if it is new; a mark says so until its first use.
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
            subjects::volume(&instance.dirs, name).note("create");
        }
        Ok(())
    };
    make().doing(|| format!("cannot create the volume `{name}`"))?;
    Ok(data)
}

fn open_up(folder: &Path) -> std::io::Result<()> {
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))
}

fn check(name: &str) -> Outcome<()> {
    let checked = name.parse::<NetworkName>();
    checked.map(drop).map_err(|e| {
        Error::new(Kind::Invalid, format!("cannot use `{name}` as a volume name")).caused_by(format!("it {}", e.why))
    })
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// The folder of its content.
    pub mountpoint: PathBuf,
    /// When it was made.
    pub created: Timestamp,
    /// The user's labels.
    pub labels: BTreeMap<String, String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Nobody gave it a name.
    pub anonymous: bool,
}

/// What a new volume is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateVolume {
    /// Absent: one is chosen.
    pub name: Option<String>,
    /// The user's labels.
    pub labels: BTreeMap<String, String>,
    /// Options of the driver: `type`, `o`, `device`.
    pub options: BTreeMap<String, String>,
}

/// Makes a volume. One that is there stays as it is.
pub fn create(instance: &Instance, request: CreateVolume) -> Outcome<Volume> {
    instance.dirs.ensure()?;
    let anonymous = request.name.is_none();
    let name = match request.name {
        Some(name) => name,
        None => names::new_id().doing(|| "cannot make a volume name")?.to_string(),
    };
    check(&name)?;
    local::Content::of(&request.options).doing(|| format!("cannot create the volume `{name}`"))?;
    let folder = instance.dirs.volumes().join(&name);
    if !folder.join(seed::DATA).is_dir() {
        let record = Record { labels: request.labels, options: request.options, anonymous };
        record.write(&folder).doing(|| format!("cannot create the volume `{name}`"))?;
    }
    make_volume(instance, &name)?;
    Ok(read(instance, name))
}

fn read(instance: &Instance, name: String) -> Volume {
    let folder = instance.dirs.volumes().join(&name);
    let Record { labels, options, anonymous } = Record::read(&folder);
    // A name of 64 hexadecimal digits was chosen for a container.
    let anonymous = anonymous || name.parse::<netd_api::ContainerId>().is_ok();
    let (created, mountpoint) = (record::created(&folder), folder.join(seed::DATA));
    Volume { mountpoint, created, labels, options, anonymous, name }
}

/// Writes the addresses of servers into what mounts their file systems: a start asks for them anew.
pub(crate) fn find_servers(config: &mut Config) -> Outcome<()> {
    config.mounts.iter_mut().try_for_each(|mount| {
        if let MountKind::Volume { file_system: Some(mounted), .. } = &mut mount.kind {
            mounted.options = local::with_addresses(mounted)?;
        }
        Ok(())
    })
}

/// A volume by name.
pub fn find(instance: &Instance, name: &str) -> Outcome<Volume> {
    check(name)?;
    match instance.dirs.volumes().join(name).join(seed::DATA).is_dir() {
        true => Ok(read(instance, name.to_owned())),
        false => Err(Error::new(Kind::NotFound, format!("no such volume: `{name}`"))
            .hint(format!("{} lists all volumes", command::list_volumes()))),
    }
}

/// All volumes, sorted by name.
pub fn list(instance: &Instance) -> Outcome<Vec<Volume>> {
    let entries = match std::fs::read_dir(instance.dirs.volumes()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.doing(|| "cannot list volumes")?,
    };
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names.into_iter().map(|name| read(instance, name)).collect())
}

/// The volumes that fit.
pub fn select(instance: &Instance, filters: &[VolumeFilter]) -> Outcome<Vec<Volume>> {
    let containers = match filters.iter().any(|filter| matches!(filter, VolumeFilter::Dangling(_))) {
        true => instance.containers().list()?,
        false => Vec::new(),
    };
    let used = move |name: &str| containers.iter().any(|c| uses(&c.config, name));
    let used = std::rc::Rc::new(used);
    let test = |filter: &VolumeFilter| -> Test<Volume> {
        match filter.clone() {
            VolumeFilter::Name(name) => Test { kind: "name", fits: Box::new(move |v| name.is_match(&v.name)) },
            VolumeFilter::Dangling(wanted) => {
                let used = used.clone();
                Test { kind: "dangling", fits: Box::new(move |v| used(&v.name) != wanted) }
            }
            VolumeFilter::Driver(name) => Test { kind: "driver", fits: Box::new(move |_| name == "local") },
            VolumeFilter::Label(label) => Test { kind: "label", fits: Box::new(move |v| label.fits(&v.labels)) },
        }
    };
    let tests: Vec<_> = filters.iter().map(test).collect();
    let mut all = list(instance)?;
    all.retain(|volume| fits_all(volume, &tests));
    Ok(all)
}

/// Whether a container mounts a volume.
pub fn uses(config: &Config, volume: &str) -> bool {
    config.mounts.iter().any(|m| matches!(&m.kind, MountKind::Volume { name, .. } if name == volume))
}

/// Removes a volume that no container uses. `force`: one that is not there is fine.
pub fn remove(instance: &Instance, name: &str, force: bool) -> Outcome<()> {
    match find(instance, name) {
        Err(failure) if force && failure.kind == Kind::NotFound => return Ok(()),
        other => other?,
    };
    let all = instance.containers().list()?;
    let users: Vec<String> = all.into_iter().map(|c| c.config).filter(|c| uses(c, name)).map(|c| c.name).collect();
    if !users.is_empty() {
        return Err(Error::new(Kind::InUse, format!("cannot remove the volume `{name}`"))
            .caused_by(format!("it is used by {}", users.join(", ")))
            .hint(format!("remove them first: {}", command::rm(&users.join(" ")))));
    }
    remove_folder(&instance.dirs.volumes().join(name)).doing(|| format!("cannot remove the volume `{name}`"))?;
    subjects::volume(&instance.dirs, name).note("destroy");
    Ok(())
}

/// Removes the volumes that no container uses: those without a name of the user's, or with `all` every one. `removed`
/// is called for each with the bytes that it took.
pub fn prune(
    instance: &Instance,
    all: bool,
    filters: &[PruneFilter],
    mut removed: impl FnMut(&str, u64),
) -> Outcome<()> {
    let mut reclaimed = 0;
    for volume in select(instance, &[VolumeFilter::Dangling(true)])? {
        let chosen = all || volume.anonymous;
        if chosen && PruneFilter::all_fit(filters, volume.created.as_second(), &volume.labels) {
            let size = size::folder(&volume.mountpoint);
            remove(instance, &volume.name, true)?;
            removed(&volume.name, size);
            reclaimed += size;
        }
    }
    subjects::pruned(&instance.dirs, Object::Volume, reclaimed);
    Ok(())
}
