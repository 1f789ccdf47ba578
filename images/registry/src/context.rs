//! State shared by the requests of one session.

use crate::credentials::Store as Credentials;
use crate::endpoint::Endpoints;
use rcr_base::send_frame;
use rcr_images::remote::wire::{Answer, Reply, Session};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;

/// State shared by all tasks.
pub struct Context {
    pub session: Session,
    pub endpoints: Endpoints,
    pub credentials: Credentials,
    pub socket: Mutex<UnixStream>,
}

impl Context {
    /// Sends an answer. If nobody listens, nobody needs it.
    pub fn answer(&self, id: u64, answer: Answer) {
        if let Ok(socket) = self.socket.lock() {
            let _ = send_frame(&socket, &Reply { id, answer }, &[]);
        }
    }
}

/// Reports retries.
pub struct Teller<'a> {
    pub context: &'a Context,
    pub id: u64,
}

impl Teller<'_> {
    /// Reports the reason.
    pub fn again(&self, why: String) {
        self.context.answer(self.id, Answer::Again(why));
    }
}
