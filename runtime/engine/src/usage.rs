//! How much room things take on the disk.

use crate::images;
use crate::instance::Instance;
use crate::size::folder;
use crate::store::Container;
use crate::volumes::{self, Volume};
use rcr_base::Outcome;
use rcr_images::{Digest, ImageSummary};

/// Bytes of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// What it has written.
    pub own: u64,
    /// That and its image.
    pub whole: u64,
}

/// What a container takes.
pub fn container(instance: &Instance, container: &Container) -> Size {
    let own = folder(&instance.dirs.container(&container.config.id).join("snapshot/upper"));
    let image = images::store(instance)
        .and_then(|store| Ok(store.size(&store.resolve(container.config.image.id.trim_start_matches("sha256:"))?)?));
    Size { own, whole: own + image.unwrap_or(0) }
}

/// What one kind of object takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// How many there are.
    pub count: usize,
    /// How many are used: a container that runs, an image of a container, a volume of one.
    pub active: usize,
    /// Bytes.
    pub size: u64,
    /// Bytes of those that are not used.
    pub reclaimable: u64,
}

/// An object, and what it takes.
#[derive(Debug, Clone)]
pub struct Taking<T> {
    /// The object.
    pub object: T,
    /// Bytes.
    pub size: u64,
    /// How many containers use it; of a container: 1 while it runs.
    pub users: usize,
}

/// Everything that takes room.
#[derive(Debug, Clone)]
pub struct DiskUsage {
    /// All images with their packed layers; layers that two share count in both.
    pub images: Vec<Taking<ImageSummary>>,
    /// Bytes of all packed layers, each once.
    pub layers: u64,
    /// All containers with what they have written.
    pub containers: Vec<Taking<Container>>,
    /// All volumes.
    pub volumes: Vec<Taking<Volume>>,
}

/// Looks at everything.
pub fn disk(instance: &Instance) -> Outcome<DiskUsage> {
    let containers = instance.containers().list()?;
    let store = images::store(instance)?;
    let using = |id: &Digest| containers.iter().filter(|c| c.config.image.id == id.to_string()).count();
    let images =
        store.list()?.into_iter().map(|image| Taking { size: image.size, users: using(&image.id), object: image });
    let volumes = volumes::list(instance)?.into_iter().map(|volume| Taking {
        size: folder(&volume.mountpoint),
        users: containers.iter().filter(|c| volumes::uses(&c.config, &volume.name)).count(),
        object: volume,
    });
    let (images, volumes) = (images.collect(), volumes.collect());
    let containers = containers.into_iter().map(|c| Taking {
        size: folder(&instance.dirs.container(&c.config.id).join("snapshot/upper")),
        users: usize::from(c.state.status.is_alive()),
        object: c,
    });
    Ok(DiskUsage { layers: store.usage(), images, volumes, containers: containers.collect() })
}

impl DiskUsage {
    /// Images; what they take and what can be had back count each layer once.
    pub fn image_room(&self) -> Room {
        let mut room = room(&self.images);
        room.size = self.layers;
        let used: u64 = self.images.iter().filter(|image| image.users > 0).map(|image| image.size).sum();
        room.reclaimable = self.layers.saturating_sub(used);
        room
    }

    /// Containers.
    pub fn container_room(&self) -> Room {
        room(&self.containers)
    }

    /// Volumes.
    pub fn volume_room(&self) -> Room {
        room(&self.volumes)
    }
}

fn room<T>(all: &[Taking<T>]) -> Room {
    let idle = |taking: &&Taking<T>| taking.users == 0;
    Room {
        count: all.len(),
        active: all.len() - all.iter().filter(idle).count(),
        size: all.iter().map(|taking| taking.size).sum(),
        reclaimable: all.iter().filter(idle).map(|taking| taking.size).sum(),
    }
}
