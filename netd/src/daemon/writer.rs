//! A connection's way to the writer: it asks, and waits where an answer is true only later.

use super::input::{Answer, Input};
use super::shim_link::reach_shim;
use netd_api::{ApiError, Call, ErrorKind, Reply};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Sender, sync_channel};

/// The writer, as one connection sees it.
pub struct Writer {
    pub inbox: Sender<Input>,
    pub connection: u64,
}

impl Writer {
    /// Asks, and waits for the answer.
    pub fn ask(&self, call: Call, fds: Vec<OwnedFd>) -> Answer {
        let held = match &call {
            Call::SandboxHold { id, socket } => match reach_shim(id, socket) {
                Ok(shim) => Some(shim),
                Err(error) => return (Reply::Error(error), Vec::new()),
            },
            _ => None,
        };
        let (sender, answer) = sync_channel(1);
        let input = Input::Call { call: Box::new(call), fds, shim: held, connection: self.connection, answer: sender };
        let gone = || (Reply::Error(ApiError::new(ErrorKind::System, "netd is ending")), Vec::new());
        if self.inbox.send(input).is_err() {
            return gone();
        }
        let Ok((mut answer, waits)) = answer.recv() else {
            return gone();
        };
        for wait in waits {
            // Wait here, so that the writer can serve everybody else.
            let (sender, settled) = sync_channel(1);
            if self.inbox.send(Input::WaitOver(Box::new(wait.settle()), sender)).is_err() {
                return gone();
            }
            answer.0 = match settled.recv() {
                Ok(((Reply::Error(error), _), _)) => return (Reply::Error(error), Vec::new()),
                Ok(((reply, _), _)) => reply,
                Err(_) => return gone(),
            };
        }
        answer
    }
}
