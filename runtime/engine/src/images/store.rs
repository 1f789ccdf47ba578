//! The store of this instance, and who uses what is in it.

use crate::instance::Instance;
use crate::store::Container;
use rcr_base::Outcome;
use rcr_images::{Digest, Store, Users};
use std::path::PathBuf;

/// The image store of this instance.
pub fn store(instance: &Instance) -> Outcome<Store> {
    instance.dirs.ensure()?;
    Ok(Store::open(&instance.dirs.images(), instance.config.images.limits)?)
}

/// Containers, as users of images. With `running_only` only those that run keep an image; all of them keep its layers.
pub struct Containers {
    /// All containers.
    pub all: Vec<Container>,
    running_only: bool,
}

impl Containers {
    /// Those of this instance.
    pub fn of(instance: &Instance, running_only: bool) -> Outcome<Self> {
        Ok(Self { all: instance.containers().list()?, running_only })
    }
}

impl Users for Containers {
    fn of(&self, image: &Digest) -> Vec<String> {
        let id = image.to_string();
        let uses = self.all.iter().filter(|c| c.config.uses_image(&id));
        uses.filter(|c| !self.running_only || c.state.status.is_alive()).map(|c| c.config.name.clone()).collect()
    }

    fn layers(&self) -> Vec<PathBuf> {
        self.all.iter().flat_map(|c| c.config.layers().cloned()).collect()
    }
}

/// Removes what a failed addition has put into the store and no image needs.
pub(super) fn collect(instance: &Instance, store: &Store) {
    // What can't be removed now is removed by the next one that removes something.
    if let Ok(users) = Containers::of(instance, false) {
        let _ = store.collect(&users);
    }
}
