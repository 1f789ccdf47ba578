//! The process that talks to one repository of one registry, for `rcr`. It has the network, and no power over this
//! machine: no capability, no store, no path. It writes what it fetches into pipes, and reads what it sends from files
//! that it is handed.
//!
//! | room | what is in it |
//! |---|---|
//! | [`session`] | requests in, answers out |
//! | [`endpoint`] | the registry and its mirrors; which one to ask |
//! | [`transfer`] | manifests and blobs, resumed and retried |
//! | [`credentials`] | docker's config.json and credential helpers |
//! | [`refusal`] | what the client crate's errors mean to a user |
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod context;
mod credentials;
mod endpoint;
mod refusal;
mod session;
mod transfer;

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Err(error) = rcr_images::unpack::sandbox::close_inherited() {
        eprintln!("error: cannot close what was inherited\n  caused by: {error}");
        return ExitCode::FAILURE;
    }
    let socket = std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from);
    match socket.map_err(|e| e.to_string()).and_then(session::serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
