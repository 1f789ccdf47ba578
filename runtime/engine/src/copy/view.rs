//! What a container's image and its own files make together, without its mounts, read-only: whether it runs or not. The
//! folder of what it has written is the topmost of the lower folders, so that no second mount writes to it.

use super::root::{mount_overlay, open_folder, private_mounts};
use crate::dirs::private_folder;
use crate::instance::Instance;
use crate::store::Container;
use rcr_base::{Doing, Error, Kind, Outcome};
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
    let work = || -> Outcome<T> {
        let view = view(instance, &container)
            .doing(|| format!("cannot look at the files of container `{}`", container.config.name))?;
        act(&view, &container)
    };
    let thread = std::thread::scope(|scope| scope.spawn(work).join());
    thread.unwrap_or_else(|_| Err(Error::new(Kind::System, "the copying thread ended without an answer")))
}

fn view(instance: &Instance, container: &Container) -> Outcome<View> {
    private_mounts()?;
    let id = &container.config.id;
    let on = instance.dirs.container_run(id).join("rootfs");
    let snapshot = instance.dirs.container(id).join("snapshot");
    let (upper, empty) = (snapshot.join("upper"), snapshot.join("empty"));
    // One that never ran has written nothing.
    for folder in [&on, &upper, &empty] {
        private_folder(folder).doing(|| format!("cannot create `{}`", folder.display()))?;
    }
    let layers: Vec<PathBuf> = container.config.image.layers.iter().rev().cloned().collect();
    let with = |top: PathBuf| [vec![top], layers.clone()].concat();
    // overlayfs takes no fewer than two folders where nothing is written.
    let of_image = if layers.is_empty() { open_folder(&empty) } else { mount_overlay(&on, &with(empty)) };
    let image = of_image.doing(|| "mount the image's layers")?;
    let merged = if layers.is_empty() { open_folder(&upper) } else { mount_overlay(&on, &with(upper.clone())) };
    let merged = merged.doing(|| "mount the container's files")?;
    Ok(View { merged, image, upper: open_folder(&upper).doing(|| format!("open `{}`", upper.display()))? })
}
