//! `pull`: from a registry into the store. Several layers come at once; each passes once through `rcr-unpack`.

use super::client::Remote;
use super::document::{self, Document, LayerPlan, check_bytes, digest_of};
use super::wire::{Call, RefusalKind};
use crate::folder::private_folder;
use crate::layer::{self, Passed, Stopped};
use crate::store::{Busy, Making};
use crate::unpack::wire::Job;
use crate::{Digest, Doing, Error, Image, Reference, Store, parallel};
use oci_spec::image::{Descriptor, ImageManifest, MediaType};
use rcr_base::ImagesConfig;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek};
use std::os::fd::OwnedFd;
use std::path::Path;

pub use super::document::Platform;

/// Progress of a pull or a push.
#[derive(Debug, Clone)]
pub enum Event {
    /// The image was found and has these layers: digest and packed bytes.
    Found(Vec<(Digest, u64)>),
    /// Another process may be making this layer.
    Waiting(Digest),
    /// It exists already.
    Exists(Digest),
    /// Packed bytes received, and unpacked bytes written.
    Progress(Digest, u64, u64),
    /// It has arrived.
    Done(Digest),
    /// Something failed and is tried again.
    Again(String),
}

/// A pulled image.
#[derive(Debug)]
pub struct Pulled {
    /// As it is in the store now.
    pub image: Image,
    /// Of the manifest or index that the name led to.
    pub digest: Digest,
    /// The name referred to this image before.
    pub known: bool,
}

/// Pulls an image and gives it its name. `verify`: existing packed layers are hashed again before they are trusted.
pub fn pull(
    store: &Store,
    name: &Reference,
    platform: Option<&Platform>,
    verify: bool,
    config: &ImagesConfig,
    watch: &(dyn Fn(Event) + Sync),
) -> Result<Pulled, Error> {
    whole(store, name, platform, verify, config, watch).map_err(|error| error.about(&name.to_string()))
}

fn whole(
    store: &Store,
    name: &Reference,
    platform: Option<&Platform>,
    verify: bool,
    config: &ImagesConfig,
    watch: &(dyn Fn(Event) + Sync),
) -> Result<Pulled, Error> {
    let busy = store.begin()?;
    let remote = Remote::open(name.host(), &name.path(), config)?;
    let again = |why: &str| watch(Event::Again(why.to_owned()));
    let found = find(&remote, name, platform, &again)?;
    let documents = Documents::fetch(&remote, store, found.manifest, &again)?;
    documents.fit(platform)?;
    watch(Event::Found(documents.layers.iter().map(|l| (l.digest.clone(), l.size)).collect()));
    let known = store.resolve(&name.to_string()).is_ok_and(|old| old.manifest == Digest::of(&documents.manifest));
    let work = Work { store, busy: &busy, remote: &remote, watch, verify };
    work.all(&documents.layers, config.parallel)?;
    let lock = store.lock()?;
    store.put_blob(&lock, &documents.config)?;
    store.put_blob(&lock, &documents.manifest)?;
    store.name(&lock, documents.descriptor()?, Some(name))?;
    drop(lock);
    Ok(Pulled { image: store.resolve(&name.to_string())?, digest: found.digest, known })
}

struct Found {
    manifest: Vec<u8>,
    digest: Digest,
}

/// Follows a name to the manifest for a platform: at most through an index within an index.
fn find(remote: &Remote, name: &Reference, platform: Option<&Platform>, again: &dyn Fn(&str)) -> Result<Found, Error> {
    let wanted = platform.cloned().unwrap_or_default();
    let mut bytes = remote.manifest(&name.target(), again)?;
    if let Some(digest) = &name.digest {
        check_bytes(&bytes, digest, None)?;
    }
    let digest = Digest::of(&bytes);
    for _ in 0..3 {
        match Document::parse(&bytes)? {
            Document::Manifest(_) => return Ok(Found { manifest: bytes, digest }),
            Document::Index(index) => {
                let entry = document::choose(&index, &wanted)?;
                let digest = digest_of(entry)?;
                bytes = remote.manifest(&digest.to_string(), again)?;
                check_bytes(&bytes, &digest, Some(entry.size()))?;
            }
        }
    }
    Err(Error::Hostile("its indexes are nested too deeply".into()))
}

/// The documents of one image, checked against each other.
struct Documents {
    manifest: Vec<u8>,
    media_type: MediaType,
    config: Vec<u8>,
    platform: Platform,
    layers: Vec<LayerPlan>,
}

impl Documents {
    /// Without an index to choose from, the image itself must be for the requested platform.
    fn fit(&self, wanted: Option<&Platform>) -> Result<(), Error> {
        match wanted.filter(|wanted| !wanted.takes(&self.platform)) {
            Some(wanted) => Err(Error::Platform { wanted: wanted.to_string(), known: vec![self.platform.to_string()] }),
            None => Ok(()),
        }
    }

    fn fetch(remote: &Remote, store: &Store, bytes: Vec<u8>, again: &dyn Fn(&str)) -> Result<Self, Error> {
        let Document::Manifest(manifest) = Document::parse(&bytes)? else {
            return Err(Error::Hostile("an index arrived instead of a manifest".into()));
        };
        let (digest, size) = (digest_of(manifest.config())?, manifest.config().size());
        if size > store.limits().document {
            return Err(Error::limit(
                "document",
                format!("its config has more than {} bytes", store.limits().document),
            ));
        }
        let config = match store.document(&digest) {
            Ok(config) => config,
            Err(_) => remote.small_blob(&digest.to_string(), size, again)?,
        };
        check_bytes(&config, &digest, Some(size))?;
        let (parsed, _) = document::config(&config)?;
        let layers = document::layers(&manifest, &parsed, store.limits())?;
        let platform = Platform::of(&parsed);
        Ok(Self { media_type: kind(&manifest), manifest: bytes, config, platform, layers })
    }

    fn descriptor(&self) -> Result<Descriptor, Error> {
        let digest = Digest::of(&self.manifest);
        crate::import::descriptor(self.media_type.clone(), &digest, self.manifest.len() as u64)
    }
}

fn kind(manifest: &ImageManifest) -> MediaType {
    manifest.media_type().clone().unwrap_or(MediaType::ImageManifest)
}

/// What all layers of one pull share.
struct Work<'a> {
    store: &'a Store,
    busy: &'a Busy,
    remote: &'a Remote,
    watch: &'a (dyn Fn(Event) + Sync),
    verify: bool,
}

impl Work<'_> {
    /// All layers, several at once. The first error stops the others.
    fn all(&self, layers: &[LayerPlan], threads: usize) -> Result<(), Error> {
        let mut seen = BTreeSet::new();
        let todo: Vec<&LayerPlan> = layers.iter().filter(|layer| seen.insert(layer.diff_id.clone())).collect();
        parallel::each(&todo, threads, &|| self.remote.stop(), &|layer| self.layer(layer)).map(drop)
    }

    fn layer(&self, layer: &LayerPlan) -> Result<(), Error> {
        let tell = |event: fn(Digest) -> Event| (self.watch)(event(layer.digest.clone()));
        tell(Event::Waiting);
        let (making, _other) = self.makings(layer)?;
        let unpacked = self.store.layer(&layer.diff_id).is_dir();
        let blob = self.store.blob(&layer.digest);
        if self.store.has_blob(&layer.digest, layer.size) {
            if unpacked && (!self.verify || self.store.verify_blob(&layer.digest, layer.size).is_ok()) {
                tell(Event::Exists);
                return Ok(());
            }
            if !unpacked && let Some(passed) = self.unpack_blob(&making, layer, &blob)? {
                return self.done(&making, layer, &passed, true);
            }
            (self.watch)(Event::Again(format!("`{}` is damaged and is fetched again", blob.display())));
        }
        match fs::remove_file(&blob) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).doing(|| format!("cannot remove `{}`", blob.display()));
            }
            _ => {}
        }
        let passed = self.fetch(&making, layer, !unpacked)?;
        self.done(&making, layer, &passed, !unpacked)
    }

    /// The rights to make the unpacked layer and the packed one; for an uncompressed layer they are the same. Two
    /// rights are taken in the order of their digests: a manifest may say that one layer's packed digest is another's
    /// diff id and vice versa, and both would wait for each other.
    fn makings(&self, layer: &LayerPlan) -> Result<(Making, Option<Making>), Error> {
        let making = |digest| self.store.begin_making(self.busy, digest);
        match layer.digest.cmp(&layer.diff_id) {
            Ordering::Equal => Ok((making(&layer.diff_id)?, None)),
            Ordering::Greater => Ok((making(&layer.diff_id)?, Some(making(&layer.digest)?))),
            Ordering::Less => {
                let packed = making(&layer.digest)?;
                Ok((making(&layer.diff_id)?, Some(packed)))
            }
        }
    }

    /// From the packed layer in the store; `None` if that is damaged.
    fn unpack_blob(&self, making: &Making, layer: &LayerPlan, blob: &Path) -> Result<Option<Passed>, Error> {
        let file = File::open(blob).doing(|| format!("cannot read `{}`", blob.display()))?;
        match self.pass(making, layer, file.into(), None, true) {
            Ok(passed) => Ok(Some(passed)),
            Err(stopped) if stopped.packed.as_ref().is_some_and(|(digest, _)| *digest != layer.digest) => Ok(None),
            Err(stopped) => Err(stopped.error),
        }
    }

    fn done(&self, making: &Making, layer: &LayerPlan, passed: &Passed, unpacked: bool) -> Result<(), Error> {
        if unpacked {
            self.store.commit_layer(making.path(), passed)?;
        }
        (self.watch)(Event::Done(layer.digest.clone()));
        Ok(())
    }

    /// From the registry. Bytes kept from an earlier pull come first; if they prove wrong, everything is fetched again.
    fn fetch(&self, making: &Making, layer: &LayerPlan, unpack: bool) -> Result<Passed, Error> {
        let partial = self.store.partial(&layer.digest);
        let kept = partial.parent().map_or(Ok(()), private_folder);
        kept.doing(|| "cannot create the folder of partial layers".into())?;
        for first in [true, false] {
            let open = || -> io::Result<(File, u64)> {
                let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&partial)?;
                let mut size = file.metadata()?.len();
                if size > layer.size || !first {
                    file.set_len(0)?;
                    size = 0;
                }
                file.rewind()?;
                Ok((file, size))
            };
            let (file, offset) = open().doing(|| format!("cannot open `{}`", partial.display()))?;
            let stopped = match self.transfer(making, layer, file, offset, unpack) {
                Ok(passed) => {
                    self.store.commit_blob(&partial, &layer.digest)?;
                    return Ok(passed);
                }
                Err(stopped) => stopped,
            };
            // An incomplete transfer can be resumed; wrong bytes can't.
            let wrong = stopped.packed.as_ref().is_some_and(|(digest, _)| *digest != layer.digest);
            if wrong || !matches!(stopped.error, Error::Io { .. } | Error::Registry(_)) {
                let _ = fs::remove_file(&partial);
            }
            if !(wrong && first && offset > 0) {
                return Err(stopped.error);
            }
            (self.watch)(Event::Again(format!(
                "the kept part of layer {} is damaged and is fetched again",
                layer.digest
            )));
        }
        Err(Error::Hostile(format!("layer {} arrived damaged twice", layer.digest)))
    }

    fn transfer(
        &self,
        making: &Making,
        layer: &LayerPlan,
        file: File,
        offset: u64,
        unpack: bool,
    ) -> Result<Passed, Stopped> {
        let (read, write) = io::pipe().doing(|| "cannot make a pipe".into())?;
        let call = Call::Blob { digest: layer.digest.to_string(), offset, size: layer.size };
        let pending = self.remote.ask(call, Some(write.into()))?;
        let passed = self.pass(making, layer, read.into(), Some(file), unpack);
        let sent = pending.wait(&|why| (self.watch)(Event::Again(why.to_owned())));
        match (passed, sent) {
            (Ok(passed), _) => Ok(passed),
            // A broken transfer explains a layer that ends early; one that nobody read to its end explains nothing.
            (Err(_), Err(Error::Registry(refusal))) if refusal.kind != RefusalKind::Unread => {
                Err(Stopped { error: Error::Registry(refusal), packed: None })
            }
            (Err(stopped), _) => Err(stopped),
        }
    }

    /// Through the unpacker: the result is the expected layer, or an error.
    fn pass(
        &self,
        making: &Making,
        layer: &LayerPlan,
        input: OwnedFd,
        kept: Option<File>,
        unpack: bool,
    ) -> Result<Passed, Stopped> {
        let job = Job { limits: *self.store.limits(), size: Some(layer.size), keep: kept.is_some(), unpack };
        let mut tell = |packed, unpacked| (self.watch)(Event::Progress(layer.digest.clone(), packed, unpacked));
        let passed = match layer::pass(making.folder()?, input, kept, &job, &mut tell) {
            Ok(passed) => passed,
            Err(stopped) => {
                let Some((digest, size)) = &stopped.packed else { return Err(stopped) };
                if *digest == layer.digest {
                    return Err(stopped);
                }
                let error = layer.wrong(digest, *size);
                return Err(Stopped { error, packed: stopped.packed });
            }
        };
        let packed = Some((passed.digest.clone(), passed.size));
        if passed.digest != layer.digest || passed.size != layer.size {
            return Err(Stopped { error: layer.wrong(&passed.digest, passed.size), packed });
        }
        if passed.diff_id != layer.diff_id {
            let error = Error::Hostile(format!(
                "layer {} unpacks to {}, not to {} as the image's config says",
                layer.digest, passed.diff_id, layer.diff_id
            ));
            return Err(Stopped { error, packed });
        }
        Ok(passed)
    }
}
