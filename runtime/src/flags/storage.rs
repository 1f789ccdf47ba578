//! `-v`, `--mount` and `--tmpfs` → a container's mounts.

use crate::cli::run::StorageArgs;
use rcr_base::{Doing, Outcome};
use rcr_engine::config::Mount;
use rcr_engine::create::{Source, VolumeUse};
use rcr_engine::parse::mounts::MountText;

/// Volumes and folders, and tmpfs. A path that begins with a dot starts from the current folder.
pub fn storage(args: &StorageArgs) -> Outcome<(Vec<VolumeUse>, Vec<Mount>)> {
    let (mut volumes, mut tmpfs) = (args.volume.clone(), args.tmpfs.clone());
    for mount in args.mount.clone() {
        match mount {
            MountText::Volume(volume) => volumes.push(volume),
            MountText::Tmpfs(mount) => tmpfs.push(mount),
        }
    }
    for volume in &mut volumes {
        if let Source::Path(path) = &mut volume.source {
            *path = std::path::absolute(&*path).doing(|| format!("cannot use the source `{}`", path.display()))?;
        }
    }
    Ok((volumes, tmpfs))
}
