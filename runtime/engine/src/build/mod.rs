//! Images out of Dockerfiles. `buildah` does that; here it gets its base images from our store, and what it makes goes
//! there.

mod context;
mod place;
mod request;
mod tool;

pub use request::{Build, Built, Context, RunNetwork, Source};

use crate::dirs::Dirs;
use crate::images::{self, Format, Input, Output, Platform, Policy, Reference};
use crate::instance::Instance;
use crate::parse::dockerfile::{Base, bases};
use crate::reporter::Reporter;
use context::Prepared;
use place::Place;
use rcr_base::{Doing, Error, Kind, Outcome};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::OwnedFd;
use tool::{Ended, Streams, Tool};

/// Builds an image. What the steps write goes to `output`.
pub fn build(instance: &Instance, wanted: Build, output: &OwnedFd, reporter: &dyn Reporter) -> Outcome<Built> {
    let doing = format!("cannot build {}", shown(&wanted.context));
    build_in_place(instance, wanted, output, reporter).map_err(|failure| failure.during(doing))
}

fn shown(context: &Context) -> String {
    match context {
        Context::Folder(path) => format!("`{}`", path.display()),
        Context::Stream(_) => "what comes on stdin".into(),
        Context::Remote(url) => format!("`{url}`"),
    }
}

fn build_in_place(instance: &Instance, mut wanted: Build, output: &OwnedFd, reporter: &dyn Reporter) -> Outcome<Built> {
    instance.dirs.ensure()?;
    let place = Place::enter(&instance.dirs)?;
    let tool = Tool::find(&place)?;
    place.tidy(|| tool.quiet(["rm", "--all"].map(OsString::from)).map(drop))?;
    let prepared = context::prepare(&place, std::mem::take(&mut wanted.context), wanted.file.take())?;
    let mut args = order(&wanted.args, &wanted.labels, &wanted.more);
    let stages = prepared.text.as_deref().map(|text| bases(text, &variables(&wanted), wanted.target.as_deref()));
    for (name, id) in stage_images(instance, &tool, &place, &stages.unwrap_or_default(), &wanted, reporter)? {
        args.push(format!("--build-context={name}=container-image://{id}").into());
    }
    let id_file = place.work.join("id");
    args.push(named("--iidfile=", &id_file));
    let switches = [("--no-cache", wanted.no_cache), ("--quiet", wanted.quiet)];
    args.extend(switches.iter().filter(|(_, given)| *given).map(|(flag, _)| (*flag).into()));
    args.extend(wanted.target.iter().map(|target| format!("--target={target}").into()));
    args.extend(wanted.platform.iter().map(|platform| format!("--platform={platform}").into()));
    let Prepared { file, folder, stdin, .. } = prepared;
    args.extend(file.map(|file| named("--file=", &file)));
    args.extend([OsString::from("--"), folder]);
    let streams = Streams { stdin, output, quiet: wanted.quiet };
    match tool.build(args, wanted.network, streams)? {
        Ended::Well => {}
        Ended::Badly(code) => return Ok(Built::Failed(code)),
    }
    let id = std::fs::read_to_string(&id_file).doing(|| "cannot read the id of the image")?;
    fetch(instance, &tool, &place, id.trim(), &wanted.names, reporter).map(Built::Image)
}

fn named(flag: &str, path: &std::path::Path) -> OsString {
    let mut text = OsString::from(flag);
    text.push(path);
    text
}

/// Values stand in one word with their flags: none is taken for a flag itself.
fn order(args: &[String], labels: &[String], more: &[(&'static str, String)]) -> Vec<OsString> {
    let args = args.iter().map(|arg| ("--build-arg", arg));
    let labels = labels.iter().map(|label| ("--label", label));
    let more = more.iter().map(|(flag, value)| (*flag, value));
    args.chain(labels).chain(more).map(|(flag, value)| format!("{flag}={value}").into()).collect()
}

/// What an ARG before the first FROM may say.
fn variables(wanted: &Build) -> BTreeMap<String, String> {
    let own = Platform::default().to_string();
    let target = wanted.platform.as_ref().map_or_else(|| own.clone(), ToString::to_string);
    let arch = |platform: &str| platform.split('/').nth(1).unwrap_or_default().to_owned();
    let mut all: BTreeMap<String, String> =
        [("BUILDARCH", arch(&own)), ("TARGETARCH", arch(&target)), ("BUILDPLATFORM", own), ("TARGETPLATFORM", target)]
            .map(|(name, value)| (name.to_owned(), value))
            .into();
    let given = wanted.args.iter().filter_map(|arg| match arg.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some((arg.clone(), std::env::var(arg).ok()?)),
    });
    all.extend(given);
    all
}

/// Gives buildah the images that the build begins with, out of our store: what the Dockerfile calls them, and their
/// ids. Those that are missing are pulled.
fn stage_images(
    instance: &Instance,
    tool: &Tool,
    place: &Place,
    bases: &[Base],
    wanted: &Build,
    reporter: &dyn Reporter,
) -> Outcome<Vec<(String, String)>> {
    let policy = if wanted.pull { Policy::Always } else { Policy::Missing };
    let mut found = Vec::new();
    let known = if bases.is_empty() { String::new() } else { tool.images()? };
    for base in bases {
        let platform = base.platform.as_deref().map(str::parse::<Platform>).transpose();
        let platform = platform.map_err(|why| {
            Error::new(Kind::Invalid, format!("cannot understand the platform of `{}`", base.name)).caused_by(why)
        })?;
        let platform = platform.as_ref().or(wanted.platform.as_ref());
        let image = images::image_for(instance, &base.name, policy, platform, reporter)?;
        let id = image.id.to_string();
        let hex = id.trim_start_matches("sha256:").to_owned();
        if !known.contains(&hex) {
            let archive = place.work.join("base.tar");
            images::save(instance, &[id], Format::Docker, Output::File(archive.clone()))?;
            tool.quiet(["pull".into(), "--quiet".into(), named("docker-archive:", &archive)])?;
            let _ = std::fs::remove_file(archive);
        }
        found.push((base.name.clone(), hex));
    }
    Ok(found)
}

/// Takes an image over into our store.
fn fetch(
    instance: &Instance,
    tool: &Tool,
    place: &Place,
    id: &str,
    names: &[Reference],
    reporter: &dyn Reporter,
) -> Outcome<String> {
    let archive = place.work.join("image.tar");
    tool.quiet(["push".into(), "--quiet".into(), id.into(), named("docker-archive:", &archive)])?;
    let file = File::open(&archive).doing(|| "cannot read what buildah has made")?;
    let loaded = images::load(instance, Input::Stream(file.into()), None, reporter)?;
    let Some(image) = loaded.first() else {
        return Err(Error::new(Kind::System, "cannot read what buildah has made").caused_by("there is no image in it"));
    };
    let id = image.image.id.to_string();
    for name in names {
        images::tag(instance, &id, &name.to_string())?;
    }
    Ok(id)
}

/// Removes the cache of all builds: the bytes that were freed. Refused while something is built.
pub fn prune(dirs: &Dirs) -> Outcome<u64> {
    Place::enter(dirs)?.remove()
}
