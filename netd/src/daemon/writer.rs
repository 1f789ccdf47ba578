//! A connection's way to the writer: it asks, and waits where an answer is true only later.

use super::input::{Answer, Inbox, Input};
use super::shim_link::reach_shim;
use super::standing::Standing;
use crate::dns::lately::Asked;
use netd_api::{ApiError, Call, ContainerId, ErrorKind, Reply};
use netd_core::picture::Picture;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

/// The writer, as one connection sees it.
pub struct Writer {
    pub inbox: Inbox,
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

    /// This host's networks as they are now.
    pub fn picture(&self) -> Result<Picture, ApiError> {
        self.fetch(Input::Picture).map(|picture| *picture)
    }

    /// The same beside the number of debts; nothing, if the writer does not answer within the limit.
    pub fn measured(&self, limit: Duration) -> Option<(Picture, usize)> {
        let (answer, fetched) = sync_channel(1);
        self.inbox.send(Input::Measured(answer)).ok()?;
        fetched.recv_timeout(limit).ok().map(|(picture, debts)| (*picture, debts))
    }

    /// The namespaces of these containers.
    pub fn netns_of(&self, ids: Vec<ContainerId>) -> Result<Vec<Option<OwnedFd>>, ApiError> {
        self.fetch(|answer| Input::Netns(ids, answer))
    }

    /// The same; none, if the writer does not answer within the limit.
    pub fn netns_within(&self, ids: Vec<ContainerId>, limit: Duration) -> Vec<Option<OwnedFd>> {
        let (answer, fetched) = sync_channel(1);
        let asked = self.inbox.send(Input::Netns(ids, answer));
        asked.ok().and_then(|()| fetched.recv_timeout(limit).ok()).unwrap_or_default()
    }

    /// The last questions for names of these containers, of each oldest first.
    pub fn lately(&self, ids: Vec<ContainerId>) -> Result<Vec<Vec<Asked>>, ApiError> {
        self.fetch(|answer| Input::Lately(ids, answer))
    }

    /// Everything that stands in a journal.
    pub fn standing(&self) -> Result<Vec<Standing>, ApiError> {
        self.fetch(Input::Standing)
    }

    /// Does again what of these is missing.
    pub fn redo(&self, wanted: Vec<Standing>) -> Result<Vec<ApiError>, ApiError> {
        self.fetch(|answer| Input::Redo(wanted, answer))
    }

    fn fetch<T>(&self, input: impl FnOnce(SyncSender<T>) -> Input) -> Result<T, ApiError> {
        let (answer, fetched) = sync_channel(1);
        let ending = || ApiError::new(ErrorKind::System, "netd is ending");
        self.inbox.send(input(answer)).map_err(|_| ending())?;
        fetched.recv().map_err(|_| ending())
    }
}
