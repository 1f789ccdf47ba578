//! `push`: from the store to a registry.

use super::client::Remote;
use super::pull::Event;
use super::wire::Call;
use crate::{Digest, Doing, Error, Reference, Store, parallel};
use rcr_base::ImagesConfig;
use std::fs::File;

/// Pushes an image to the registry in its name: first the blobs that are missing there, then the manifest. Returns the
/// manifest's digest.
pub fn push(
    store: &Store,
    name: &Reference,
    config: &ImagesConfig,
    watch: &(dyn Fn(Event) + Sync),
) -> Result<Digest, Error> {
    let image = store.resolve(&name.to_string())?;
    let manifest = store.manifest(&image)?;
    let mut blobs: Vec<(Digest, u64)> = Vec::new();
    for descriptor in manifest.layers().iter().chain([manifest.config()]) {
        let digest = super::document::digest_of(descriptor)?;
        if !blobs.iter().any(|(known, _)| *known == digest) {
            blobs.push((digest, descriptor.size()));
        }
    }
    watch(Event::Found(blobs.clone()));
    let remote = Remote::open(name.host(), &name.path(), config)?;
    let send = |(digest, size): &(Digest, u64)| blob(store, &remote, digest, *size, watch);
    let about = |error: Error| error.about(&name.to_string());
    parallel::each(&blobs, config.parallel, &|| remote.stop(), &send).map_err(about)?;
    let path = store.blob(&image.manifest);
    let file = File::open(&path).doing(|| format!("cannot read `{}`", path.display()))?;
    let media_type = manifest
        .media_type()
        .as_ref()
        .map_or_else(|| "application/vnd.oci.image.manifest.v1+json".to_owned(), ToString::to_string);
    let call = Call::PushManifest { target: name.target(), media_type };
    remote.ask(call, Some(file.into()))?.wait(&|why| watch(Event::Again(why.to_owned()))).map_err(about)?;
    Ok(image.manifest)
}

fn blob(
    store: &Store,
    remote: &Remote,
    digest: &Digest,
    size: u64,
    watch: &(dyn Fn(Event) + Sync),
) -> Result<(), Error> {
    let again = |why: &str| watch(Event::Again(why.to_owned()));
    if remote.ask(Call::HasBlob { digest: digest.to_string() }, None)?.wait(&again)? {
        watch(Event::Exists(digest.clone()));
        return Ok(());
    }
    // The registry would refuse a damaged blob only after all of it was sent.
    store.verify_blob(digest, size)?;
    let path = store.blob(digest);
    let file = File::open(&path).doing(|| format!("cannot read `{}`", path.display()))?;
    let call = Call::PushBlob { digest: digest.to_string(), size };
    remote.ask(call, Some(file.into()))?.wait(&again)?;
    watch(Event::Done(digest.clone()));
    Ok(())
}
