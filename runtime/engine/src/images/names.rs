//! What is in the store, by name.

use super::store::{Containers, store};
use crate::instance::Instance;
use rcr_base::{Error, Outcome};
use rcr_images::{ImageSummary, Pruned, Reference, Removed};

/// Which names a listing is about: one repository, with one tag or with any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameFilter {
    name: Reference,
    any_tag: bool,
}

impl std::str::FromStr for NameFilter {
    type Err = Error;
    fn from_str(text: &str) -> Outcome<Self> {
        let name: Reference = text.parse()?;
        // A colon in the last part is a tag's, one before it a port's.
        let any_tag = name.digest.is_none() && !text.rsplit('/').next().is_some_and(|last| last.contains(':'));
        Ok(Self { name, any_tag })
    }
}

impl NameFilter {
    fn fits(&self, name: &str) -> bool {
        match self.any_tag {
            true => name.parse::<Reference>().is_ok_and(|name| name.repository == self.name.repository),
            false => name == self.name.to_string(),
        }
    }
}

/// All images, or those with a name that fits, with these names alone.
pub fn list(instance: &Instance, filter: Option<&NameFilter>) -> Outcome<Vec<ImageSummary>> {
    let mut all = store(instance)?.list()?;
    if let Some(filter) = filter {
        all.iter_mut().for_each(|image| image.names.retain(|name| filter.fits(name)));
        all.retain(|image| !image.names.is_empty());
    }
    Ok(all)
}

/// Gives an image (by name or id) another name, which is taken from the image that had it.
pub fn tag(instance: &Instance, source: &str, target: &str) -> Outcome<()> {
    Ok(store(instance)?.tag(source, target)?)
}

/// One step of how an image was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The image's id at its last step; the steps before have no image of their own.
    pub id: Option<String>,
    /// RFC 3339; empty where the image does not say.
    pub created: String,
    /// The command.
    pub created_by: String,
    /// Bytes of its layer as it is packed; 0: it has none.
    pub size: u64,
    /// A remark.
    pub comment: String,
}

/// How an image was made, newest step first.
pub fn history(instance: &Instance, name: &str) -> Outcome<Vec<Step>> {
    let store = store(instance)?;
    let image = store.resolve(name)?;
    let mut sizes = store.manifest(&image)?.layers().iter().map(|layer| layer.size()).collect::<Vec<_>>().into_iter();
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut steps = Vec::new();
    for step in image.config.history().as_deref().unwrap_or_default() {
        steps.push(Step {
            id: None,
            created: text(step.created()),
            created_by: text(step.created_by()),
            size: if step.empty_layer() == Some(true) { 0 } else { sizes.next().unwrap_or(0) },
            comment: text(step.comment()),
        });
    }
    steps.reverse();
    if let Some(last) = steps.first_mut() {
        last.id = Some(image.id.to_string());
    }
    Ok(steps)
}

/// Removes images, each by name or id; one result for each, in order. Without `force` an image stays while any
/// container uses it; with `force`, while a running one does.
pub fn remove(instance: &Instance, images: &[String], force: bool) -> Outcome<Vec<Outcome<Vec<Removed>>>> {
    let store = store(instance)?;
    let users = Containers::of(instance, force)?;
    Ok(images.iter().map(|name| store.remove(name, force, &users).map_err(Error::from)).collect())
}

/// Removes images without a name, or with `all` every image, that no container uses.
pub fn prune(instance: &Instance, all: bool) -> Outcome<Pruned> {
    Ok(store(instance)?.prune(all, &Containers::of(instance, false)?)?)
}
