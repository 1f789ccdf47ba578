//! What an event says about its object, as Docker has it.

use crate::config::{Config, MountKind};
use crate::dirs::Dirs;
use rcr_base::events::{Object, Subject};
use rcr_images::Image;
use rcr_shim::config::{Noted, NotedVolume};

/// A container: its labels, its image and its name.
pub fn container(dirs: &Dirs, config: &Config) -> Subject {
    let mut subject = Subject::new(&dirs.root, Object::Container, config.id.as_str());
    subject.attributes = config.labels.clone();
    subject.with("image", &config.image.reference).with("name", &config.name)
}

/// What a container's shim writes about it, and about its volumes.
pub fn noted(dirs: &Dirs, config: &Config) -> Noted {
    let volumes = config.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Volume { name, anonymous, .. } => Some(NotedVolume {
            subject: volume(dirs, name).with("container", config.id.as_str()),
            mount: vec![
                ("destination".into(), mount.target.clone()),
                ("propagation".into(), String::new()),
                ("read/write".into(), (!mount.read_only).to_string()),
            ],
            goes_along: *anonymous && config.auto_remove,
        }),
        _ => None,
    });
    Noted { container: container(dirs, config), volumes: volumes.collect() }
}

/// A volume.
pub fn volume(dirs: &Dirs, name: &str) -> Subject {
    Subject::new(&dirs.root, Object::Volume, name).with("driver", "local")
}

/// An image by its id. `name`: what it was called by.
pub fn image(dirs: &Dirs, image: &Image, name: &str) -> Subject {
    image_as(dirs, image, &image.id.to_string(), name)
}

/// An image that is called something else than its id.
pub fn image_as(dirs: &Dirs, image: &Image, id: &str, name: &str) -> Subject {
    let mut subject = Subject::new(&dirs.root, Object::Image, id);
    subject.attributes = image.labels();
    subject.with("name", name)
}

/// An image that is gone: what is left is what it was called by.
pub fn image_gone(dirs: &Dirs, id: &str, name: &str) -> Subject {
    Subject::new(&dirs.root, Object::Image, id).with("name", name)
}

/// Many objects at once lost what nobody used: so many bytes.
pub fn pruned(dirs: &Dirs, object: Object, bytes: u64) {
    Subject::new(&dirs.root, object, "").with("reclaimed", bytes.to_string()).note("prune");
}
