//! `save`: images out of the store, as an archive or a folder.

use super::{CONTAINERD_NAME, DockerImage};
use crate::digest::Hasher;
use crate::remote::document::digest_of;
use crate::store::REF_NAME;
use crate::{Digest, Doing, Error, Image, Reference, Store};
use oci_spec::image::{Descriptor, ImageIndexBuilder, ImageManifest, MediaType};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An OCI layout with Docker's `manifest.json` in it: both kinds of readers take it.
    Docker,
    /// An OCI layout.
    Oci,
}

impl FromStr for Format {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "docker-archive" | "docker-dir" => Ok(Format::Docker),
            "oci-archive" | "oci-dir" => Ok(Format::Oci),
            _ => Err("known are docker-archive, docker-dir, oci-archive, oci-dir"),
        }
    }
}

/// Where to.
pub enum Target<'a> {
    /// A tar archive.
    Stream(&'a mut dyn Write),
    /// A folder, new or empty.
    Folder(PathBuf),
}

/// Writes images. Every blob is checked while it is written.
pub fn save(store: &Store, wanted: &[String], format: Format, target: Target<'_>) -> Result<(), Error> {
    let mut content = Content::default();
    for name in wanted {
        content.add(store, name)?;
    }
    let mut writer = match target {
        Target::Stream(stream) => Writer::Archive(tar::Builder::new(stream)),
        Target::Folder(path) => Writer::folder(path)?,
    };
    writer.bytes("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    writer.bytes("index.json", &content.index()?)?;
    if format == Format::Docker {
        writer.bytes("manifest.json", &json(&content.docker)?)?;
    }
    for (digest, size) in &content.blobs {
        writer.blob(store, digest, *size)?;
    }
    writer.end()
}

/// Everything to write.
#[derive(Default)]
struct Content {
    entries: Vec<Descriptor>,
    docker: Vec<DockerImage>,
    /// In the order of digests: the same images make the same bytes.
    blobs: BTreeMap<Digest, u64>,
    names: BTreeSet<String>,
}

impl Content {
    fn add(&mut self, store: &Store, wanted: &str) -> Result<(), Error> {
        let image = store.resolve(wanted)?;
        let manifest = store.manifest(&image)?;
        let size = store.document(&image.manifest)?.len() as u64;
        self.blobs.insert(image.manifest.clone(), size);
        for descriptor in manifest.layers().iter().chain([manifest.config()]) {
            self.blobs.insert(digest_of(descriptor)?, descriptor.size());
        }
        let media_type = manifest.media_type().clone().unwrap_or(MediaType::ImageManifest);
        let entry = crate::import::descriptor(media_type, &image.manifest, size)?;
        let names = names(&image, wanted);
        for name in &names {
            if self.names.insert(name.to_string()) {
                let full = format!("{}/{}:{}", name.host(), name.path(), name.tag);
                let mut named = entry.clone();
                named.set_annotations(Some([(REF_NAME.into(), full.clone()), (CONTAINERD_NAME.into(), full)].into()));
                self.entries.push(named);
            }
        }
        if names.is_empty() {
            self.entries.push(entry);
        }
        self.docker(&image, &manifest, names)
    }

    fn docker(&mut self, image: &Image, manifest: &ImageManifest, names: Vec<Reference>) -> Result<(), Error> {
        let layers: Result<Vec<String>, Error> =
            manifest.layers().iter().map(|d| digest_of(d).map(|d| path(&d))).collect();
        let config = path(&image.id);
        let tags: Vec<String> = names.iter().map(ToString::to_string).collect();
        // Two names of one image are one entry with two tags.
        match self.docker.iter_mut().find(|known| known.config == config) {
            Some(known) => known.repo_tags.get_or_insert_default().extend(tags),
            None => self.docker.push(DockerImage { config, repo_tags: Some(tags), layers: layers? }),
        }
        Ok(())
    }

    fn index(&self) -> Result<Vec<u8>, Error> {
        let index = ImageIndexBuilder::default()
            .schema_version(2u32)
            .media_type(MediaType::ImageIndex)
            .manifests(self.entries.clone())
            .build()
            .map_err(|e| Error::Hostile(e.to_string()))?;
        json(&index)
    }
}

/// The requested name; all names if an id was requested.
fn names(image: &Image, wanted: &str) -> Vec<Reference> {
    let asked = wanted.parse::<Reference>().ok().filter(|name| image.names.contains(&name.to_string()));
    let all = || image.names.iter().filter_map(|name| name.parse().ok()).collect();
    let names: Vec<Reference> = asked.map_or_else(all, |name| vec![name]);
    names.into_iter().filter(|name| name.digest.is_none()).collect()
}

/// With sorted keys: annotations come from a hash map, and the same images must give the same bytes.
fn json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    let value = serde_json::to_value(value).map_err(|e| Error::Hostile(e.to_string()))?;
    serde_json::to_vec(&ordered(value)).map_err(|e| Error::Hostile(e.to_string()))
}

/// serde_json's maps keep the order of insertion if any crate of the build asks for it.
fn ordered(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let map: BTreeMap<_, _> = map.into_iter().map(|(key, value)| (key, ordered(value))).collect();
            Value::Object(map.into_iter().collect())
        }
        Value::Array(all) => all.into_iter().map(ordered).collect(),
        other => other,
    }
}

fn path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

enum Writer<'a> {
    Archive(tar::Builder<&'a mut dyn Write>),
    Folder(PathBuf),
}

impl Writer<'_> {
    /// A new folder, or an empty one.
    fn folder(path: PathBuf) -> Result<Self, Error> {
        let make = || {
            fs::create_dir_all(&path)?;
            match fs::read_dir(&path)?.next() {
                Some(_) => Err(io::Error::from_raw_os_error(rustix::io::Errno::NOTEMPTY.raw_os_error())),
                None => fs::create_dir_all(path.join("blobs/sha256")),
            }
        };
        make().doing(|| format!("cannot save into `{}`", path.display()))?;
        Ok(Writer::Folder(path))
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.file(name, bytes.len() as u64, &mut &bytes[..])
    }

    fn file(&mut self, name: &str, size: u64, content: &mut dyn Read) -> Result<(), Error> {
        let written = match self {
            Writer::Archive(archive) => {
                let mut header = tar::Header::new_gnu();
                header.set_size(size);
                header.set_mode(0o644);
                header.set_mtime(0);
                header.set_uid(0);
                header.set_gid(0);
                archive.append_data(&mut header, name, content)
            }
            Writer::Folder(folder) => {
                let file = File::create_new(folder.join(name));
                file.and_then(|mut file| io::copy(content, &mut file).map(drop))
            }
        };
        written.doing(|| format!("cannot write `{name}`"))
    }

    /// A blob of the store, hashed on its way.
    fn blob(&mut self, store: &Store, digest: &Digest, size: u64) -> Result<(), Error> {
        let source = store.blob(digest);
        let damaged = |why: String| Error::Damaged { path: source.display().to_string(), why };
        let file = File::open(&source).doing(|| format!("cannot read `{}`", source.display()))?;
        let there = file.metadata().map(|meta| meta.len()).unwrap_or(0);
        if there != size {
            return Err(damaged(format!("it has {there} bytes instead of {size}")));
        }
        let mut hashed = Hashed { file, hasher: Hasher::default() };
        self.file(&path(digest), size, &mut hashed)?;
        match hashed.hasher.finish() {
            got if got == *digest => Ok(()),
            got => Err(damaged(format!("its content has the digest {got}"))),
        }
    }

    fn end(self) -> Result<(), Error> {
        match self {
            Writer::Archive(archive) => archive.into_inner().and_then(|stream| stream.flush()),
            Writer::Folder(folder) => sync(&folder),
        }
        .doing(|| "cannot write the archive's end".into())
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(folder)?)?)
}

struct Hashed {
    file: File,
    hasher: Hasher,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.file.read(buffer)?;
        self.hasher.update(&buffer[..got]);
        Ok(got)
    }
}
