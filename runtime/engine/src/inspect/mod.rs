//! What `inspect` shows: containers, images, networks and volumes as values with Docker's names.

mod container;
mod image;
mod network;
mod volume;

pub use container::container;
pub use container::container_config;
pub use container::{
    ContainerConfig, ContainerInspect, ContainerState, DeviceMapping, Healthcheck, HostConfig, LogSettings,
    MountInspect, NetworkEndpoint, NetworkSettings, Own, PortBinding, RestartSettings, Ulimit,
};
pub use image::{ImageInspect, RootFs, image};
pub use network::{Endpoint, Ipam, NetworkInspect, ObstacleInspect, OwnNetwork, Pool, SubnetInspect, network};
pub use volume::{VolumeInspect, volume};

use crate::instance::Instance;
use rcr_base::{Error, Kind, Outcome, command};
use serde::Serialize;

/// An object of any kind.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Object {
    /// A container.
    Container(Box<ContainerInspect>),
    /// An image.
    Image(Box<ImageInspect>),
    /// A network.
    Network(Box<NetworkInspect>),
    /// A volume.
    Volume(VolumeInspect),
}

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A network.
    Network,
    /// A volume.
    Volume,
}

impl std::str::FromStr for ObjectKind {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "container" => Ok(Self::Container),
            "image" => Ok(Self::Image),
            "network" => Ok(Self::Network),
            "volume" => Ok(Self::Volume),
            _ => Err("known are container, image, network, volume"),
        }
    }
}

/// An object of one kind. `size`: a container's with what it takes on the disk.
pub fn of_kind(instance: &Instance, name: &str, kind: ObjectKind, size: bool) -> Outcome<Object> {
    match kind {
        ObjectKind::Container => container(instance, name, size).map(|found| Object::Container(Box::new(found))),
        ObjectKind::Image => image(instance, name).map(|found| Object::Image(Box::new(found))),
        ObjectKind::Network => network(instance, name).map(|found| Object::Network(Box::new(found))),
        ObjectKind::Volume => volume(instance, name).map(Object::Volume),
    }
}

/// Whatever has the name, or the id.
pub fn any(instance: &Instance, name: &str, size: bool) -> Outcome<Object> {
    use ObjectKind::{Container, Image, Network, Volume};
    // The beginning of an image's id may also be a name: names go first.
    let order = match could_be_an_id(name) {
        true => [Container, Network, Volume, Image],
        false => [Container, Image, Network, Volume],
    };
    for kind in order {
        match of_kind(instance, name, kind, size) {
            Ok(found) => return Ok(found),
            // Not allowed to look is not the same as not there.
            Err(failure) if kind == Container && failure.kind != Kind::NotFound => return Err(failure),
            Err(_) => {}
        }
    }
    Err(Error::new(Kind::NotFound, format!("no such object: `{name}`")).hint(format!(
        "{}, {}, {} and {} list what exists",
        command::list_containers(),
        command::list_images(),
        command::list_networks(),
        command::list_volumes()
    )))
}

fn could_be_an_id(name: &str) -> bool {
    name.len() < 12 && name.bytes().all(|b| b.is_ascii_hexdigit())
}
