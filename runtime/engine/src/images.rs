//! Images, as containers stand on them. The store itself is `rcr_images`; here it meets the containers of this
//! instance.

use crate::events::Reporter;
use crate::instance::Instance;
use crate::store::Container;
use rcr_base::{Error, Kind, Outcome};
use rcr_images::remote::{self, Platform, Pulled};
use rcr_images::{Check, Digest, Fault, Image, Reference, Store, Users};
use std::path::PathBuf;

/// The image store of this instance.
pub fn store(instance: &Instance) -> Outcome<Store> {
    instance.dirs.ensure()?;
    Ok(Store::open(&instance.dirs.images(), instance.config.images.limits)?)
}

/// Containers, as users of images. With `-f` only those that run keep an image; the layers of all of them stay.
pub struct Containers {
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
        let uses = self.all.iter().filter(|c| c.config.image.id == id);
        uses.filter(|c| !self.running_only || c.state.status.is_alive()).map(|c| c.config.name.clone()).collect()
    }

    fn layers(&self) -> Vec<PathBuf> {
        self.all.iter().flat_map(|c| c.config.image.layers.clone()).collect()
    }
}

/// What an addition that failed has put into the store, and no image needs, goes.
pub fn collect(instance: &Instance, store: &Store) {
    // What can't be removed now is removed by the next one that removes something.
    if let Ok(users) = Containers::of(instance, false) {
        let _ = store.collect(&users);
    }
}

/// When an image is pulled for a new container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    Always,
    /// If it is not here, or not whole.
    #[default]
    Missing,
    Never,
}

/// How a pull is done.
#[derive(Debug, Clone, Default)]
pub struct Fetch {
    pub platform: Option<Platform>,
    /// Packed layers that are here are hashed again.
    pub verify: bool,
}

/// Pulls an image.
pub fn pull(instance: &Instance, name: &Reference, how: &Fetch, reporter: &dyn Reporter) -> Outcome<Pulled> {
    let (store, images) = (store(instance)?, &instance.config.images);
    let event = |event| reporter.transfer(event);
    let pulled = remote::pull(&store, name, how.platform.as_ref(), how.verify, images, &event);
    reporter.transfer_ended();
    pulled.map_err(|error| {
        let offline = error.is_unreachable();
        let failure = Error::from(error).during(format!("cannot pull `{name}`"));
        if offline { failure.hint(rcr_images::OFFLINE) } else { failure }
    })
}

/// Pushes an image; the digest it has at the registry.
pub fn push(instance: &Instance, name: &Reference, reporter: &dyn Reporter) -> Outcome<Digest> {
    let event = |event| reporter.transfer(event);
    let pushed = remote::push(&store(instance)?, name, &instance.config.images, &event);
    reporter.transfer_ended();
    pushed.map_err(|error| Error::from(error).during(format!("cannot push `{name}`")))
}

/// The image of a new container, pulled as `policy` says.
pub fn image_for(
    instance: &Instance,
    wanted: &str,
    policy: Policy,
    platform: Option<&Platform>,
    reporter: &dyn Reporter,
) -> Outcome<Image> {
    let store = store(instance)?;
    let here = || -> Result<Image, rcr_images::Error> {
        let image = store.resolve(wanted)?;
        if platform.is_some_and(|wish| !wish.takes(&Platform::of(&image.config))) {
            return Err(rcr_images::Error::NotFound { name: wanted.to_owned(), near: Vec::new() });
        }
        // An image of which layers are missing is as good as none.
        store.layers(&image).map(|_| image)
    };
    let local = if policy == Policy::Always { None } else { Some(here()) };
    let missing = match local {
        Some(Ok(image)) => {
            let (has, own) = (Platform::of(&image.config), Platform::default());
            if platform.is_none() && !own.takes(&has) {
                reporter.warning(&format!("`{wanted}` is an image for {has}, this machine is {own}"));
            }
            return Ok(image);
        }
        Some(Err(error)) => Some(error),
        None => None,
    };
    let name = match (wanted.parse::<Reference>(), missing) {
        (Err(error), missing) => return Err(missing.unwrap_or(error).into()),
        (Ok(_), Some(error)) if policy == Policy::Never || !worth_pulling(&error, wanted) => return Err(error.into()),
        (Ok(name), missing) => (name, missing),
    };
    // What was missing is the error; that it could not be pulled, either, is why it stays one.
    let (name, missing) = name;
    let how = Fetch { platform: platform.cloned(), verify: false };
    pull(instance, &name, &how, reporter).map(|pulled| pulled.image).map_err(|failure| match missing {
        Some(missing) => failure.during(missing.to_string()),
        None => failure,
    })
}

/// Missing or damaged, and no id: ids are not known to registries.
fn worth_pulling(error: &rcr_images::Error, wanted: &str) -> bool {
    use rcr_images::Error;
    let id = wanted.starts_with("sha256:");
    !id && matches!(error, Error::NotFound { .. } | Error::Damaged { .. } | Error::Io { .. })
}

/// Pulls an image whose packed layers were damaged, for its own platform, by the first name that it has.
fn fetch_again(instance: &Instance, image: &Image, wanted: &str, reporter: &dyn Reporter) -> Outcome<()> {
    let name = image.names.first().ok_or_else(|| {
        Error::new(Kind::NotFound, format!("cannot pull `{wanted}` again"))
            .caused_by("it has no name")
            .hint("import or load it once more")
    })?;
    let how = Fetch { platform: Some(Platform::of(&image.config)), verify: false };
    pull(instance, &name.parse()?, &how, reporter).map(drop)
}

/// What a check of images found.
#[derive(Debug, Default)]
pub struct Checked {
    pub images: usize,
    /// Layers, each counted once.
    pub layers: usize,
    pub faults: Vec<Fault>,
    /// Images that had to be pulled again, and could not be.
    pub refused: Vec<Error>,
}

/// Checks images, all of them where none is named, and repairs what can be repaired if that is wanted.
pub fn check(instance: &Instance, wanted: &[String], repair: bool, reporter: &dyn Reporter) -> Outcome<Checked> {
    let store = store(instance)?;
    let wanted = match wanted {
        [] => store.list()?.into_iter().map(|image| image.id.to_string()).collect(),
        some => some.to_vec(),
    };
    let running = Containers::of(instance, true)?;
    let mounted = running.all.iter().filter(|c| c.state.status.is_alive());
    let mounted: Vec<PathBuf> = mounted.flat_map(|c| c.config.image.layers.clone()).collect();
    let how = Check { repair, mounted: &mounted };
    let (mut seen, mut checked) = (Vec::new(), Checked { images: wanted.len(), ..Checked::default() });
    for name in &wanted {
        let image = store.resolve(name)?;
        let mut faults = store.check(&image, &how, &mut seen)?;
        if repair && faults.iter().any(|fault| !fault.repaired) {
            match fetch_again(instance, &image, name, reporter) {
                Ok(()) if store.check(&image, &how, &mut Vec::new())?.is_empty() => {
                    faults.iter_mut().for_each(|fault| fault.repaired = true);
                }
                Ok(()) => {}
                Err(error) => checked.refused.push(error),
            }
        }
        checked.faults.append(&mut faults);
    }
    checked.layers = seen.len();
    Ok(checked)
}
