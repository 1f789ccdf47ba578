//! `-v`, `--mount` and `--tmpfs` → what a container's files stand on.

use super::text::flags;
use crate::cli::mounts::{self, MountFlag};
use crate::cli::run::StorageArgs;
use rcr_base::{Error, Kind, Outcome};
use rcr_engine::config::Mount;
use rcr_engine::volumes::VolumeUse;

pub fn storage(args: &StorageArgs) -> Outcome<(Vec<VolumeUse>, Vec<Mount>)> {
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
