//! An image of one layer from a root file system: a tar, plain or packed by gzip or zstd.
//!
//! Reading, hashing and unpacking overlap: one thread reads the input, hashes it, keeps it as a blob and unpacks the
//! compression; this one hashes the unpacked bytes and writes files.

use crate::digest::Hasher;
use crate::store::{WriteLock, private_folder};
use crate::unpack::{self, Limits};
use crate::{Digest, Doing, Error, Image, Reference, Store};
use flate2::read::MultiGzDecoder;
use oci_spec::image::{
    Arch, ConfigBuilder, DescriptorBuilder, HistoryBuilder, ImageConfigurationBuilder, ImageManifestBuilder, MediaType,
    Os, RootFsBuilder,
};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::str::FromStr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// What the image's config should say (`--change`).
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    pub cmd: Option<Vec<String>>,
    pub entrypoint: Option<Vec<String>>,
    /// `NAME=value`
    pub env: Vec<String>,
    pub workdir: Option<String>,
    pub user: Option<String>,
    /// `port/proto`
    pub exposed: Vec<String>,
    pub message: String,
}

/// Bytes handed from one thread to the other at a time, and how many such pieces may wait.
const PIECE: usize = 256 << 10;
const PIECES: usize = 8;

impl Store {
    /// Imports a root file system. `progress` is called with the bytes unpacked so far. On failure nothing is left.
    pub fn import(
        &self,
        tar: &mut (dyn Read + Send),
        name: Option<&str>,
        options: &ImportOptions,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Image, Error> {
        let name = name.map(str::parse::<Reference>).transpose()?;
        let lock = self.lock()?;
        let folder = self.temporary(&lock, "layer");
        let blob = self.temporary(&lock, "blob");
        let layer = unpack_stream(tar, &folder, &blob, progress).and_then(|layer| {
            self.commit(&folder, &blob, &layer)?;
            Ok(layer)
        });
        if layer.is_err() {
            let _ = fs::remove_dir_all(&folder);
            let _ = fs::remove_file(&blob);
        }
        self.describe(&lock, &layer?, name.as_ref(), options)
    }

    /// Makes a layer visible: synced first, then renamed.
    fn commit(&self, folder: &Path, blob: &Path, layer: &Layer) -> Result<(), Error> {
        let commit = || -> io::Result<()> {
            rustix::fs::syncfs(File::open(folder)?)?;
            let target = self.layer(&layer.diff_id);
            let parent = target.parent().unwrap_or(&target);
            if target.is_dir() {
                // The same layer is there already; one copy is enough.
                fs::remove_dir_all(folder)?;
            } else {
                fs::rename(folder, parent)?;
            }
            fs::rename(blob, self.blob(&layer.digest))
        };
        commit().doing(|| "cannot put the layer into the store".into())
    }

    fn describe(
        &self,
        lock: &WriteLock,
        layer: &Layer,
        name: Option<&Reference>,
        options: &ImportOptions,
    ) -> Result<Image, Error> {
        let wrong = |e: oci_spec::OciSpecError| Error::Hostile(e.to_string());
        let json = |e: serde_json::Error| Error::Hostile(e.to_string());
        let created = format!("{:.0}", jiff::Timestamp::now());
        let mut config = ConfigBuilder::default()
            .env(options.env.clone())
            .exposed_ports(options.exposed.clone())
            .cmd(options.cmd.clone().unwrap_or_else(|| vec!["/bin/sh".into()]));
        if let Some(entrypoint) = &options.entrypoint {
            config = config.entrypoint(entrypoint.clone());
        }
        if let Some(workdir) = &options.workdir {
            config = config.working_dir(workdir);
        }
        if let Some(user) = &options.user {
            config = config.user(user);
        }
        let history =
            HistoryBuilder::default().created(&created).created_by("rcr image import").comment(&options.message);
        let configuration = ImageConfigurationBuilder::default()
            .created(&created)
            .architecture(Arch::default())
            .os(Os::default())
            .config(config.build().map_err(wrong)?)
            .rootfs(
                RootFsBuilder::default()
                    .typ("layers")
                    .diff_ids(vec![layer.diff_id.to_string()])
                    .build()
                    .map_err(wrong)?,
            )
            .history(vec![history.build().map_err(wrong)?])
            .build()
            .map_err(wrong)?;
        let config_bytes = serde_json::to_vec(&configuration).map_err(json)?;
        let config_digest = self.put_blob(lock, &config_bytes)?;
        let descriptor = |kind: MediaType, digest: &Digest, size: u64| {
            let digest = oci_spec::image::Digest::from_str(&digest.to_string()).map_err(wrong)?;
            DescriptorBuilder::default().media_type(kind).digest(digest).size(size).build().map_err(wrong)
        };
        let manifest = ImageManifestBuilder::default()
            .schema_version(2u32)
            .media_type(MediaType::ImageManifest)
            .config(descriptor(MediaType::ImageConfig, &config_digest, config_bytes.len() as u64)?)
            .layers(vec![descriptor(layer.kind.clone(), &layer.digest, layer.size)?])
            .build()
            .map_err(wrong)?;
        let manifest_bytes = serde_json::to_vec(&manifest).map_err(json)?;
        let manifest_digest = self.put_blob(lock, &manifest_bytes)?;
        let entry = descriptor(MediaType::ImageManifest, &manifest_digest, manifest_bytes.len() as u64)?;
        self.name(lock, entry, name)?;
        self.resolve(&config_digest.to_string())
    }
}

/// A layer that was unpacked.
struct Layer {
    digest: Digest,
    diff_id: Digest,
    /// Bytes as they came.
    size: u64,
    kind: MediaType,
}

fn unpack_stream(
    tar: &mut (dyn Read + Send),
    folder: &Path,
    blob: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<Layer, Error> {
    let root = folder.join("fs");
    private_folder(&root).doing(|| format!("cannot create `{}`", root.display()))?;
    fs::set_permissions(&root, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .doing(|| "cannot prepare the layer".into())?;
    let (sender, receiver) = sync_channel(PIECES);
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || decompress(tar, blob, sender));
        let mut stream = Pieces { receiver, piece: Vec::new(), at: 0, hasher: Hasher::default(), total: 0, progress };
        let unpacked = unpack::unpack(&mut stream, &root, Limits::default());
        // What follows the archive's end counts for the digest.
        let drained =
            unpacked.and_then(|()| io::copy(&mut stream, &mut io::sink()).doing(|| "cannot read the image".into()));
        let Pieces { hasher, receiver, .. } = stream;
        drop(receiver);
        let read = reader.join().map_err(|_| Error::Hostile("the reader failed".into()))?;
        // A broken stream explains a broken archive better than the archive does.
        let (digest, size, kind) = match (read, drained) {
            (Ok(read), Ok(_)) => read,
            (Err(error), Ok(_)) => return Err(error),
            (Err(Error::Io { source, .. }), Err(error)) if source.kind() == io::ErrorKind::BrokenPipe => {
                return Err(error);
            }
            (Err(error), Err(_)) | (Ok(_), Err(error)) => return Err(error),
        };
        Ok(Layer { digest, diff_id: hasher.finish(), size, kind })
    })
}

/// Reads the input to its end: hashed, kept, and its unpacked bytes sent on.
fn decompress(tar: &mut dyn Read, blob: &Path, sender: SyncSender<Vec<u8>>) -> Result<(Digest, u64, MediaType), Error> {
    let reading = || "cannot read the image".to_owned();
    let file = File::create(blob).doing(|| format!("cannot create `{}`", blob.display()))?;
    let mut tee = Tee { inner: tar, hasher: Hasher::default(), copy: BufWriter::with_capacity(PIECE, file), size: 0 };
    let mut magic = [0u8; 4];
    let mut got = 0;
    while got < magic.len() {
        match tee.read(&mut magic[got..]).doing(reading)? {
            0 => break,
            n => got += n,
        }
    }
    if got < magic.len() {
        return Err(Error::Hostile("it is no tar archive: it ends at once".into()));
    }
    let kind = {
        let whole = BufReader::with_capacity(PIECE, (&magic[..]).chain(&mut tee));
        match magic {
            [0x1f, 0x8b, ..] => {
                send(MultiGzDecoder::new(whole), &sender)?;
                MediaType::ImageLayerGzip
            }
            [0x28, 0xb5, 0x2f, 0xfd] => {
                let decoder =
                    ruzstd::decoding::StreamingDecoder::new(whole).map_err(|e| Error::Hostile(format!("zstd: {e}")))?;
                send(decoder, &sender)?;
                MediaType::ImageLayerZstd
            }
            _ => {
                send(whole, &sender)?;
                MediaType::ImageLayer
            }
        }
    };
    io::copy(&mut tee, &mut io::sink()).doing(reading)?;
    let Tee { hasher, mut copy, size, .. } = tee;
    copy.flush().and_then(|()| copy.get_ref().sync_all()).doing(|| format!("cannot write `{}`", blob.display()))?;
    Ok((hasher.finish(), size, kind))
}

fn send(mut from: impl Read, sender: &SyncSender<Vec<u8>>) -> Result<(), Error> {
    loop {
        let mut piece = vec![0; PIECE];
        let got = match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.raw_os_error().is_none() => {
                return Err(Error::Hostile(format!("its compression is damaged: {error}")));
            }
            Err(error) => return Err(error).doing(|| "cannot read the image".into()),
        };
        piece.truncate(got);
        if sender.send(piece).is_err() {
            // The other side has failed and says why.
            return Err(Error::Io { doing: "cannot unpack".into(), source: io::ErrorKind::BrokenPipe.into() });
        }
    }
}

/// Hashes and keeps what is read through it.
struct Tee<'a> {
    inner: &'a mut dyn Read,
    hasher: Hasher,
    copy: BufWriter<File>,
    size: u64,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.hasher.write_all(&buffer[..got])?;
        self.copy.write_all(&buffer[..got])?;
        self.size += got as u64;
        Ok(got)
    }
}

/// The unpacked bytes, hashed as they are read.
struct Pieces<'a> {
    receiver: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
    hasher: Hasher,
    total: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            let Ok(piece) = self.receiver.recv() else { return Ok(0) };
            self.hasher.write_all(&piece)?;
            self.total += piece.len() as u64;
            (self.progress)(self.total);
            (self.piece, self.at) = (piece, 0);
        }
        let got = buffer.len().min(self.piece.len() - self.at);
        buffer[..got].copy_from_slice(&self.piece[self.at..self.at + got]);
        self.at += got;
        Ok(got)
    }
}
