//! The one error of rcr. The code that fails says what it was doing, on which object; its callers may add what that was
//! part of. A front prints the error, or sends it to another program, which goes by its kind.

use crate::errno::{errno_text, io_text};
use serde::{Deserialize, Serialize};
use std::io;

/// What every fallible function of the engine returns.
pub type Outcome<T> = Result<T, Error>;

/// An error that travels. As text it is one line, causes included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}{}", .causes.iter().map(|cause| format!(": {cause}")).collect::<String>())]
pub struct Error {
    /// What programs go by.
    pub kind: Kind,
    /// What was being done, on which object.
    pub message: String,
    /// The chain of causes, outermost first, errno names included.
    #[serde(default)]
    pub causes: Vec<String>,
    /// The way out.
    #[serde(default)]
    pub hint: Option<String>,
    /// What could not be undone, each with the command that removes it.
    #[serde(default)]
    pub left_behind: Vec<String>,
}

/// What kind of error: for programs; people read the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The request is wrong.
    Invalid,
    /// There is no such object.
    NotFound,
    /// Name, address or port taken.
    InUse,
    /// The object exists, but its state forbids it: it runs, or it does not.
    Conflict,
    /// A pool is empty.
    Exhausted,
    /// The caller is not allowed to.
    Permission,
    /// The kernel does not support it.
    Unsupported,
    /// Another protocol version.
    Version,
    /// netd, a shim or a registry had to answer, and does not run or does not answer.
    Unavailable,
    /// The container's program is there and can't be executed.
    CannotExecute,
    /// The container's program is not there.
    CommandNotFound,
    /// A signal ended the wait.
    Interrupted(i32),
    /// The kernel or the disk refused.
    System,
}

impl Kind {
    /// The kind of a system call's failure.
    pub fn of_errno(number: i32) -> Self {
        match number {
            libc::EACCES | libc::EPERM => Kind::Permission,
            _ => Kind::System,
        }
    }
}

impl Error {
    /// An error with a message alone.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), causes: Vec::new(), hint: None, left_behind: Vec::new() }
    }

    /// For people: `error:`, then `caused by:`, `left behind:` and `hint:`, each on a line of its own.
    pub fn told(&self) -> String {
        let lines = |what: &str, all: &[String]| all.iter().map(|one| format!("{what}: {one}\n")).collect::<String>();
        let (causes, left) = (lines("  caused by", &self.causes), lines("  left behind", &self.left_behind));
        let hint = lines("hint", self.hint.as_slice());
        format!("error: {}\n{causes}{left}{hint}", self.message)
    }

    /// A system call or a file that failed: the kind is the errno's.
    pub fn io(message: impl Into<String>, error: &io::Error) -> Self {
        Self::new(error.raw_os_error().map_or(Kind::System, Kind::of_errno), message).caused_by(io_text(error))
    }

    /// The same by the errno's number.
    pub fn errno(message: impl Into<String>, number: i32) -> Self {
        Self::new(Kind::of_errno(number), message).caused_by(errno_text(number))
    }

    /// The same with one more cause.
    pub fn caused_by(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// The same with a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same as another kind.
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Adds what an undo could not remove.
    pub fn leaving(mut self, what: impl IntoIterator<Item = String>) -> Self {
        self.left_behind.extend(what);
        self
    }

    /// The same inside a larger undertaking: the message becomes the first cause.
    pub fn during(mut self, message: impl Into<String>) -> Self {
        let inner = std::mem::replace(&mut self.message, message.into());
        self.causes.insert(0, inner);
        self
    }
}

/// Says what was being done when something failed.
pub trait Doing<T> {
    /// `message` is made only in case of failure.
    fn doing<M: Into<String>>(self, message: impl FnOnce() -> M) -> Outcome<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing<M: Into<String>>(self, message: impl FnOnce() -> M) -> Outcome<T> {
        self.map_err(|error| Error::io(message(), &error))
    }
}

impl<T> Doing<T> for Result<T, nix::errno::Errno> {
    fn doing<M: Into<String>>(self, message: impl FnOnce() -> M) -> Outcome<T> {
        self.map_err(|errno| Error::errno(message(), errno as i32))
    }
}

impl<T> Doing<T> for Result<T, rustix::io::Errno> {
    fn doing<M: Into<String>>(self, message: impl FnOnce() -> M) -> Outcome<T> {
        self.map_err(|errno| Error::errno(message(), errno.raw_os_error()))
    }
}

impl<T> Doing<T> for Outcome<T> {
    fn doing<M: Into<String>>(self, message: impl FnOnce() -> M) -> Outcome<T> {
        self.map_err(|error| error.during(message()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_kind_on_the_way_up() {
        let refused: io::Result<()> = Err(io::Error::from_raw_os_error(libc::EPERM));
        let error = refused.doing(|| "cannot open `x`").doing(|| "cannot start `web`").unwrap_err();
        assert_eq!(error.kind, Kind::Permission);
        assert_eq!(error.to_string(), "cannot start `web`: cannot open `x`: operation not permitted (EPERM)");
        let missing = Error::new(Kind::NotFound, "no such container: `x`").hint("look").during("cannot link");
        assert_eq!((missing.kind, missing.causes.len(), missing.hint.as_deref()), (Kind::NotFound, 1, Some("look")));
    }

    #[test]
    fn what_netd_sends_is_read_whatever_is_missing() {
        let error: Error = serde_json::from_str(r#"{"kind":"in_use","message":"m"}"#).unwrap();
        assert_eq!(error, Error::new(Kind::InUse, "m"));
        assert_eq!(serde_json::to_value(Kind::NotFound).unwrap(), "not_found");
    }
}
