//! Listing containers, with what netd knows of them.

mod filter;
mod known;

pub use known::{health, networks, sandbox, sandboxes};

use crate::instance::Instance;
use crate::parse::filter::{ContainerFilter, fits_all};
use crate::store::Container;
use crate::usage::{self, Size};
use netd_api::PublishedPort;
use rcr_base::Outcome;

/// Which containers a listing is about.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Stopped ones, too. Filters by status or exit code and `last` imply it.
    pub all: bool,
    /// At most so many, the newest.
    pub last: Option<usize>,
    /// What they must fit.
    pub filters: Vec<ContainerFilter>,
}

/// All containers that match, oldest first.
pub fn list(instance: &Instance, selection: &Selection) -> Outcome<Vec<Container>> {
    let ended = |f: &ContainerFilter| matches!(f, ContainerFilter::Status(_) | ContainerFilter::Exited(_));
    let all = selection.all || selection.last.is_some() || selection.filters.iter().any(ended);
    let tests = selection.filters.iter().map(|filter| filter::test(instance, filter)).collect::<Outcome<Vec<_>>>()?;
    let mut list = instance.containers().list()?;
    list.retain(|c| (all || c.state.status.is_alive()) && fits_all(c, &tests));
    if let Some(last) = selection.last {
        list.drain(..list.len().saturating_sub(last));
    }
    Ok(list)
}

/// What a container takes on the disk.
pub fn size(instance: &Instance, container: &Container) -> Size {
    usage::container(instance, container)
}

/// A container with its ports as they are published; none if it does not run.
pub fn published(instance: &Instance, name: &str) -> Outcome<(Container, Vec<PublishedPort>)> {
    let container = instance.containers().find(name)?;
    let sandbox = sandboxes(instance).remove(&container.config.id).filter(|_| container.state.status.is_alive());
    Ok((container, sandbox.map(|sandbox| sandbox.ports).unwrap_or_default()))
}
