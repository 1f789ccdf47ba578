//! What is in the store, by name.

use super::store::{Containers, store};
use crate::events::subjects;
use crate::instance::Instance;
use crate::parse::filter::{Fits, ImageFilter, PruneFilter, Test, fits_all};
use rcr_base::events::Object;
use rcr_base::{Error, Outcome};
use rcr_images::{Image, ImageSummary, Pruned, Reference, Removed};

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

/// The images that fit, each with the names that fit.
pub fn list(instance: &Instance, name: Option<&NameFilter>, filters: &[ImageFilter]) -> Outcome<Vec<ImageSummary>> {
    let store = store(instance)?;
    let mut all = store.list()?;
    if let Some(filter) = name {
        all.iter_mut().for_each(|image| image.names.retain(|name| filter.fits(name)));
        all.retain(|image| !image.names.is_empty());
    }
    let references: Vec<_> = filters.iter().filter_map(reference).collect();
    if !references.is_empty() {
        all.iter_mut().for_each(|image| image.names.retain(|name| references.iter().any(|r| r.is_match(name))));
        all.retain(|image| !image.names.is_empty());
    }
    let created = |name: &str| -> Outcome<i64> { Ok(store.resolve(name)?.created()) };
    let tests = filters.iter().map(|filter| test(filter, &created)).collect::<Outcome<Vec<_>>>()?;
    all.retain(|image| fits_all(image, &tests));
    Ok(all)
}

fn reference(filter: &ImageFilter) -> Option<&regex_lite::Regex> {
    match filter {
        ImageFilter::Reference(pattern) => Some(pattern),
        _ => None,
    }
}

/// The test that a filter stands for; `created` looks an image up.
fn test(filter: &ImageFilter, created: &dyn Fn(&str) -> Outcome<i64>) -> Outcome<Test<ImageSummary>> {
    let (kind, fits): (_, Fits<ImageSummary>) = match filter.clone() {
        ImageFilter::Dangling(wanted) => ("dangling", Box::new(move |image| image.names.is_empty() == wanted)),
        ImageFilter::Label(label) => ("label", Box::new(move |image| label.fits(&image.labels))),
        ImageFilter::Before(name) => {
            let time = created(&name)?;
            ("before", Box::new(move |image| image.created < time))
        }
        ImageFilter::Since(name) => {
            let time = created(&name)?;
            ("since", Box::new(move |image| image.created > time))
        }
        ImageFilter::Until(time) => ("until", Box::new(move |image| image.created < time.as_second())),
        ImageFilter::Reference(_) => ("reference", Box::new(|_| true)),
    };
    Ok(Test { kind, fits })
}

/// Gives an image (by name or id) another name, which is taken from the image that had it.
pub fn tag(instance: &Instance, source: &str, target: &str) -> Outcome<()> {
    let store = store(instance)?;
    store.tag(source, target)?;
    if let Ok(image) = store.resolve(target) {
        subjects::image(&instance.dirs, &image, target).note("tag");
    }
    Ok(())
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
    let remove = |name: &String| -> Outcome<Vec<Removed>> {
        let id = store.resolve(name).map(|image| image.id.to_string()).unwrap_or_default();
        let removed = store.remove(name, force, &users)?;
        note_removed(instance, &removed, &id);
        Ok(removed)
    };
    Ok(images.iter().map(remove).collect())
}

/// Removes images without a name, or with `all` every image, that no container uses and that the filters let go.
pub fn prune(instance: &Instance, all: bool, filters: &[PruneFilter]) -> Outcome<Pruned> {
    let wanted = |image: &Image| PruneFilter::all_fit(filters, image.created(), &image.labels());
    let pruned = store(instance)?.prune(all, &wanted, &Containers::of(instance, false)?)?;
    // Names come before the image that they were names of.
    for part in pruned.removed.chunk_by(|a, _| matches!(a, Removed::Untagged(_))) {
        if let Some(Removed::Deleted(id)) = part.last() {
            note_removed(instance, part, id);
        }
    }
    subjects::pruned(&instance.dirs, Object::Image, pruned.bytes);
    Ok(pruned)
}

/// What became of one image.
fn note_removed(instance: &Instance, removed: &[Removed], id: &str) {
    for one in removed {
        match one {
            Removed::Untagged(name) => subjects::image_gone(&instance.dirs, id, name).note("untag"),
            Removed::Deleted(id) => subjects::image_gone(&instance.dirs, id, id).note("delete"),
        }
    }
}
