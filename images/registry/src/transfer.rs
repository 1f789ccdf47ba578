//! Manifests and blobs, resumed and retried.

use crate::context::{Context, Teller};
use crate::endpoint::Endpoint;
use crate::refusal::{Trouble, other, translate};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use oci_client::RegistryOperation;
use oci_client::client::{BlobResponse, SizedStream};
use rcr_images::remote::document::MANIFEST_TYPES;
use rcr_images::remote::wire::{Answer, Refusal, RefusalKind};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::Sender;

type Outcome = Result<Answer, Refusal>;

/// Bytes read from a file at a time.
const PIECE: usize = 256 << 10;

/// How long to wait before the n-th retry: 250 ms, doubled each time, at most 8 s.
fn pause(attempt: u32) -> Duration {
    Duration::from_millis(250 << attempt.min(5))
}

/// Tries a small request a few times. If nobody answers, it is not repeated: the user waits for it.
async fn few<T>(teller: &Teller<'_>, mut act: impl AsyncFnMut() -> Result<T, Trouble>) -> Result<T, Refusal> {
    for attempt in 0..2 {
        match act().await {
            Err(trouble) if trouble.again && trouble.refusal.kind != RefusalKind::Unreachable => {
                teller.again(why(&trouble.refusal));
                tokio::time::sleep(pause(attempt + 1)).await;
            }
            other => return other.map_err(|trouble| trouble.refusal),
        }
    }
    act().await.map_err(|trouble| trouble.refusal)
}

fn why(refusal: &Refusal) -> String {
    match refusal.causes.last() {
        Some(cause) => format!("{}: {cause}", refusal.message),
        None => refusal.message.clone(),
    }
}

/// A manifest or an index, from the first that has it.
pub async fn manifest(context: &Context, target: &str, fd: OwnedFd, teller: &Teller<'_>) -> Outcome {
    let client = &context.endpoints.client;
    let mut refused = None;
    for (index, endpoint) in context.endpoints.all() {
        let got = few(teller, async || {
            let (image, auth) = (endpoint.image(target), endpoint.auth()?);
            // First, so that a host that does not answer is waited for only once.
            endpoint.authenticate(client, RegistryOperation::Pull).await?;
            let got = client.pull_manifest_raw(&image, auth, &MANIFEST_TYPES).await;
            got.map_err(|error| translate(&endpoint.host, &error))
        });
        match got.await {
            Ok((bytes, _)) => {
                context.endpoints.prefer(index);
                let mut pipe = Sender::from_owned_fd(fd).map_err(|e| other(e.to_string()))?;
                return pipe.write_all(&bytes).await.map(|()| Answer::Done).map_err(unread);
            }
            Err(refusal) => refused = Some(refusal),
        }
    }
    // The registry itself was asked last: its answer counts.
    Err(refused.unwrap_or_else(|| other("there is no registry to ask")))
}

fn unread(error: std::io::Error) -> Refusal {
    Refusal { kind: RefusalKind::Unread, message: "nobody reads the data".into(), causes: vec![error.to_string()] }
}

/// A blob's bytes from `offset` on. A broken connection is resumed where it broke.
pub async fn blob(
    context: &Context,
    digest: &str,
    offset: u64,
    size: u64,
    fd: OwnedFd,
    teller: &Teller<'_>,
) -> Outcome {
    let mut pipe = Sender::from_owned_fd(fd).map_err(|e| other(e.to_string()))?;
    let (mut at, mut attempt) = (offset, 0);
    while at < size {
        let before = at;
        let endpoint = match attempt % 2 {
            0 => context.endpoints.preferred(),
            _ => context.endpoints.origin(),
        };
        let Err(trouble) = some_of_blob(context, endpoint, digest, &mut at, size, &mut pipe).await else { break };
        if at > before {
            attempt = 0;
        }
        let unreachable = trouble.refusal.kind == RefusalKind::Unreachable;
        if !(trouble.again || unreachable) || attempt >= context.session.config.retries {
            return Err(trouble.refusal);
        }
        teller.again(format!("{} after {at} of {size} bytes of {}", why(&trouble.refusal), short(digest)));
        tokio::time::sleep(pause(attempt)).await;
        attempt += 1;
    }
    Ok(Answer::Done)
}

fn short(digest: &str) -> &str {
    digest.strip_prefix("sha256:").and_then(|hex| hex.get(..12)).unwrap_or(digest)
}

async fn some_of_blob(
    context: &Context,
    endpoint: &Endpoint,
    digest: &str,
    at: &mut u64,
    size: u64,
    pipe: &mut Sender,
) -> Result<(), Trouble> {
    let client = &context.endpoints.client;
    let failed = |error| translate(&endpoint.host, &error);
    let image = endpoint.image(digest);
    client.store_auth_if_needed(&endpoint.host, endpoint.auth()?).await;
    // If the registry can't resume, we skip what we already have.
    let (SizedStream { mut stream, .. }, mut skip) = match *at {
        0 => (client.pull_blob_stream(&image, digest).await.map_err(failed)?, 0),
        offset => match client.pull_blob_stream_partial(&image, digest, offset, None).await.map_err(failed)? {
            BlobResponse::Partial(stream) => (stream, 0),
            BlobResponse::Full(stream) => (stream, offset),
        },
    };
    while let Some(piece) = stream.next().await {
        let piece: Bytes = match piece {
            Ok(piece) => piece,
            // All bytes arrived, but they are wrong: the reader of the pipe notices that, and explains it better.
            Err(_) if *at == size => return Ok(()),
            Err(error) => return Err(broken(endpoint, &error)),
        };
        let skipped = skip.min(piece.len() as u64);
        skip -= skipped;
        let piece = &piece[skipped as usize..];
        if *at + piece.len() as u64 > size {
            let message = format!("the registry `{}` sends more than the {size} bytes of {digest}", endpoint.host);
            return Err(other(message).into());
        }
        pipe.write_all(piece).await.map_err(unread)?;
        *at += piece.len() as u64;
    }
    match *at == size {
        true => Ok(()),
        false => Err(broken(endpoint, &std::io::ErrorKind::UnexpectedEof.into())),
    }
}

fn broken(endpoint: &Endpoint, error: &std::io::Error) -> Trouble {
    let causes = crate::refusal::causes(error);
    let refusal = Refusal { causes, ..other(format!("the connection to `{}` broke", endpoint.host)) };
    Trouble { refusal, again: true }
}

/// Whether the registry already has a blob.
pub async fn has_blob(context: &Context, digest: &str, teller: &Teller<'_>) -> Outcome {
    let (client, origin) = (&context.endpoints.client, context.endpoints.origin());
    let exists = few(teller, async || {
        origin.authenticate(client, RegistryOperation::Pull).await?;
        let exists = client.blob_exists(&origin.image(digest), digest).await;
        exists.map_err(|error| translate(&origin.host, &error))
    });
    exists.await.map(Answer::Exists)
}

/// Sends a blob. A broken transfer starts again.
pub async fn push_blob(context: &Context, digest: &str, size: u64, fd: OwnedFd, teller: &Teller<'_>) -> Outcome {
    let (client, origin) = (&context.endpoints.client, context.endpoints.origin());
    let file = File::from(fd);
    let sent = few(teller, async || {
        origin.authenticate(client, RegistryOperation::Push).await?;
        let mut file = file.try_clone().map_err(|e| other(e.to_string()))?;
        file.rewind().map_err(|e| other(e.to_string()))?;
        let sent = client.push_blob_stream(&origin.image("latest"), pieces(file), digest, Some(size)).await;
        sent.map_err(|error| translate(&origin.host, &error))
    });
    sent.await.map(|_| Answer::Done)
}

/// A file as a stream. Reading blocks a little: it comes from the page cache, or from a disk that is faster than the
/// network.
fn pieces(file: File) -> impl stream::Stream<Item = oci_client::errors::Result<Bytes>> + Send + 'static {
    stream::unfold(Some(file), |file| async move {
        let mut file = file?;
        let mut piece = vec![0; PIECE];
        match file.read(&mut piece) {
            Ok(0) => None,
            Ok(got) => {
                piece.truncate(got);
                Some((Ok(piece.into()), Some(file)))
            }
            Err(error) => Some((Err(error.into()), None)),
        }
    })
}

/// Sends a manifest.
pub async fn push_manifest(
    context: &Context,
    target: &str,
    media_type: &str,
    fd: OwnedFd,
    teller: &Teller<'_>,
) -> Outcome {
    let (client, origin) = (&context.endpoints.client, context.endpoints.origin());
    let mut bytes = Vec::new();
    File::from(fd).read_to_end(&mut bytes).map_err(|e| other(e.to_string()))?;
    let sent = few(teller, async || {
        origin.authenticate(client, RegistryOperation::Push).await?;
        let media_type = media_type.parse().map_err(|_| other("the manifest's media type cannot be sent"))?;
        let sent = client.push_manifest_raw(&origin.image(target), bytes.clone(), media_type).await;
        sent.map_err(|error| translate(&origin.host, &error))
    });
    sent.await.map(|_| Answer::Done)
}
