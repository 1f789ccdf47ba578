//! Images and registries.

use super::store::store;
use crate::events::subjects;
use crate::instance::Instance;
use crate::reporter::Reporter;
use rcr_base::{Error, Kind, Outcome};
use rcr_images::reference::DOCKER_HUB;
use rcr_images::remote::{self, Platform, Pulled};
use rcr_images::{Digest, Image, Reference};

/// When an image is pulled for a new container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Every time.
    Always,
    /// If it is not here, or not whole.
    #[default]
    Missing,
    /// Never: a missing image is an error.
    Never,
}

impl std::str::FromStr for Policy {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "always" => Ok(Self::Always),
            "missing" => Ok(Self::Missing),
            "never" => Ok(Self::Never),
            _ => Err("known are always, missing, never"),
        }
    }
}

/// How a pull is done.
#[derive(Debug, Clone, Default)]
pub struct Fetch {
    /// Absent: this machine's.
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
    if let Ok(pulled) = &pulled {
        subjects::image_as(&instance.dirs, &pulled.image, &name.to_string(), &short(name)).note("pull");
    }
    pulled.map_err(|error| {
        let unreachable = error.is_unreachable();
        let failure = Error::from(error).during(format!("cannot pull `{name}`"));
        if unreachable { failure.hint(rcr_images::offline()) } else { failure }
    })
}

/// Pushes an image; the digest it has at the registry.
pub fn push(instance: &Instance, name: &Reference, reporter: &dyn Reporter) -> Outcome<Digest> {
    let event = |event| reporter.transfer(event);
    let store = store(instance)?;
    let pushed = remote::push(&store, name, &instance.config.images, &event);
    reporter.transfer_ended();
    if let (Ok(_), Ok(image)) = (&pushed, store.resolve(&name.to_string())) {
        subjects::image_as(&instance.dirs, &image, &name.to_string(), &short(name)).note("push");
    }
    pushed.map_err(|error| Error::from(error).during(format!("cannot push `{name}`")))
}

/// Docker's events of transfers call the repository the image's name.
fn short(name: &Reference) -> String {
    let text = name.to_string();
    let text = text.split('@').next().unwrap_or_default();
    match text.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository.to_owned(),
        _ => text.to_owned(),
    }
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
        // An image that lacks layers is no better than none.
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
    // The error is that the image is missing; the failed pull is its cause.
    let (name, missing) = name;
    let how = Fetch { platform: platform.cloned(), verify: false };
    pull(instance, &name, &how, reporter).map(|pulled| pulled.image).map_err(|failure| match missing {
        Some(missing) => failure.during(missing.to_string()),
        None => failure,
    })
}

/// Missing or damaged, and not an id: registries don't know our ids.
fn worth_pulling(error: &rcr_images::Error, wanted: &str) -> bool {
    use rcr_images::Error;
    let id = wanted.starts_with("sha256:");
    !id && matches!(error, Error::NotFound { .. } | Error::Damaged { .. } | Error::Io { .. })
}

/// Credentials for a registry.
#[derive(Clone)]
pub struct Login {
    /// `host` or `host:port`; absent: docker.io.
    pub registry: Option<String>,
    /// Neither may be empty.
    pub user: String,
    /// The password, or an access token in its place.
    pub password: String,
}

/// Tries credentials at a registry, and saves them where Docker saves its own.
pub fn login(instance: &Instance, wanted: &Login) -> Outcome<()> {
    let Login { registry, user, password } = wanted;
    let registry = registry.as_deref().unwrap_or(DOCKER_HUB);
    if user.is_empty() || password.is_empty() {
        return Err(Error::new(Kind::Invalid, "cannot log in without user and password"));
    }
    remote::login(registry, user, password, &instance.config.images)
        .map_err(|error| Error::from(error).during(format!("cannot log in at `{registry}`")))
}

/// Forgets the credentials for a registry (absent: docker.io): its name, and whether there were any.
pub fn logout(instance: &Instance, registry: Option<&str>) -> Outcome<(String, bool)> {
    let registry = registry.unwrap_or(DOCKER_HUB);
    let known = remote::logout(registry, &instance.config.images)
        .map_err(|error| Error::from(error).during(format!("cannot log out of `{registry}`")))?;
    Ok((registry.to_owned(), known))
}
