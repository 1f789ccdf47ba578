//! Requests in, answers out: one thread reads the socket, each request has a thread. They are few, and busy hashing and
//! decrypting.

use crate::context::{Context, Teller};
use crate::credentials::Store as Credentials;
use crate::endpoint::Endpoints;
use crate::{refusal, transfer};
use rcr_base::{FrameError, recv_frame};
use rcr_images::remote::wire::{Answer, Call, Refusal, RefusalKind, Request, Session};
use rcr_images::unpack::sandbox;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

/// Serves until the other side closes.
pub fn serve(socket: UnixStream) -> Result<(), String> {
    let (session, _) = recv_frame::<Session>(&socket).map_err(|e| format!("rcr-registry is started by rcr: {e}"))?;
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "no TLS provider")?;
    // While we can still read the user's files, whoever owns them, and run helpers with the user's rights.
    let credentials = Credentials::load();
    let endpoints = Endpoints::new(&session, &credentials)?;
    sandbox::for_network(session.config.limits.memory).map_err(|e| format!("cannot give up powers: {e}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start a thread: {e}"))?;
    let answers = socket.try_clone().map_err(|e| e.to_string())?;
    let context = Arc::new(Context { session, endpoints, credentials, socket: Mutex::new(answers) });
    loop {
        match recv_frame::<Request>(&socket) {
            Ok((request, mut fds)) => {
                let context = context.clone();
                let handle = runtime.handle().clone();
                std::thread::spawn(move || handle.block_on(one(&context, request, fds.pop())));
            }
            Err(FrameError::Closed) => break,
            Err(error) => return Err(error.to_string()),
        }
    }
    // Transfers in progress have lost their reader.
    runtime.shutdown_background();
    Ok(())
}

async fn one(context: &Context, Request { id, call }: Request, fd: Option<OwnedFd>) {
    let teller = Teller { context, id };
    let missing = || refusal::other("a descriptor is missing");
    let answer = match (call, fd) {
        (Call::Manifest { target }, Some(fd)) => transfer::manifest(context, &target, fd, &teller).await,
        (Call::Blob { digest, offset, size }, Some(fd)) => {
            transfer::blob(context, &digest, offset, size, fd, &teller).await
        }
        (Call::HasBlob { digest }, _) => transfer::has_blob(context, &digest, &teller).await,
        (Call::PushBlob { digest, size }, Some(fd)) => transfer::push_blob(context, &digest, size, fd, &teller).await,
        (Call::PushManifest { target, media_type }, Some(fd)) => {
            transfer::push_manifest(context, &target, &media_type, fd, &teller).await
        }
        (Call::Login { user, password }, _) => login(context, user, password).await,
        (Call::Logout, _) => context.credentials.forget(&context.session.host).map(Answer::Exists),
        _ => Err(missing()),
    };
    context.answer(id, answer.unwrap_or_else(Answer::Failed));
}

async fn login(context: &Context, user: String, password: String) -> Result<Answer, Refusal> {
    context.endpoints.check_login(&user, &password).await?;
    let kept = context.credentials.keep(&context.session.host, &user, &password);
    kept.map(|()| Answer::Done).map_err(|refusal| Refusal { kind: RefusalKind::Other, ..refusal })
}
