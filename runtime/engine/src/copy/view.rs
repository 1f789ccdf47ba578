//! What a container's image and its own files make together, without its mounts, read-only: whether it runs or not. The
//! folder of what it has written is the topmost of the lower folders, so that no second mount writes to it.

use crate::apart::{apart, open_folder, over_each_other};
use crate::dirs::private_folder;
use crate::instance::Instance;
use crate::mountpoints;
use crate::snapshot;
use crate::store::Container;
use rcr_base::{Doing, Outcome};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// A container's files.
pub struct View {
    /// As the container has them.
    pub merged: OwnedFd,
    /// As the image has them.
    pub image: OwnedFd,
    /// What was written, in overlayfs's form.
    pub upper: OwnedFd,
}

/// Looks at a container's files, in a thread of its own that alone sees the mounts.
pub fn with_view<T: Send>(
    instance: &Instance,
    name: &str,
    act: impl FnOnce(&View, &Container) -> Outcome<T> + Send,
) -> Outcome<T> {
    let container = instance.containers().find(name)?;
    apart(|| {
        let view = view(instance, &container)
            .doing(|| format!("cannot look at the files of container `{}`", container.config.name))?;
        act(&view, &container)
    })
}

fn view(instance: &Instance, container: &Container) -> Outcome<View> {
    let (dirs, config) = (&instance.dirs, &container.config);
    let on = dirs.container_run(&config.id).join("rootfs");
    private_folder(&on).doing(|| format!("cannot create `{}`", on.display()))?;
    // One that never ran has written nothing.
    let (upper, _) = snapshot::folders(dirs, config)?;
    mountpoints::ensure(dirs)?;
    let layers: Vec<PathBuf> = mountpoints::layers(dirs, config).into_iter().rev().collect();
    let image = over_each_other(&on, &layers).doing(|| "mount the image's layers")?;
    let merged = over_each_other(&on, &[vec![upper.clone()], layers].concat());
    let merged = merged.doing(|| "mount the container's files")?;
    Ok(View { merged, image, upper: open_folder(&upper).doing(|| format!("open `{}`", upper.display()))? })
}
