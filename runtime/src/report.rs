//! The only printer of errors: `error: / caused by: / hint:` and the exit code.

pub use rcr_base::{errno_text, io_text};
use std::fmt::Write as _;
use std::io;

/// The way out for everybody else.
const FOR_ROOT: &str = "containers and networks are root's: run it with sudo; members of the group `rcr` may list";

/// rcr itself failed.
pub const EXIT_RCR: i32 = 125;
/// The command can't be executed.
pub const EXIT_CANNOT_EXECUTE: i32 = 126;
/// The command is not there.
pub const EXIT_NOT_FOUND: i32 = 127;

/// An error on its way to the user.
#[derive(Debug)]
pub struct Failure {
    /// What we were doing, on which object.
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    /// What could not be undone, each with the command that removes it.
    left_behind: Vec<String>,
    pub code: i32,
}

/// What every verb returns.
pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// A failure of rcr's own (exit code 125).
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), hint: None, left_behind: Vec::new(), code: EXIT_RCR }
    }

    /// The same with one more cause.
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// The same with the way out.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An end without a word, as of a program whose output nobody reads any more.
    pub fn silent(code: i32) -> Self {
        Self::new("").code(code)
    }

    /// The same with another exit code.
    pub fn code(mut self, code: i32) -> Self {
        self.code = code;
        self
    }

    /// Adds what an undo could not remove.
    pub fn leaving(mut self, what: impl IntoIterator<Item = String>) -> Self {
        self.left_behind.extend(what);
        self
    }

    /// The same inside a larger undertaking: the message becomes the first cause.
    pub fn during(self, message: impl Into<String>) -> Self {
        let mut causes = vec![self.message];
        causes.extend(self.causes);
        Self { message: message.into(), causes, ..self }
    }

    /// The first line, for listings.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The text for the terminal.
    pub fn text(&self) -> String {
        let mut text = format!("error: {}\n", self.message);
        for cause in &self.causes {
            let _ = writeln!(text, "  caused by: {cause}");
        }
        for what in &self.left_behind {
            let _ = writeln!(text, "  left behind: {what}");
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "hint: {hint}");
        }
        printable(&text)
    }

    /// Prints to stderr.
    pub fn print(&self) {
        if self.message.is_empty() {
            return;
        }
        let mut text = self.text();
        if self.hint.is_none() && self.is_refused() && !rustix::process::geteuid().is_root() {
            let _ = writeln!(text, "hint: {FOR_ROOT}");
        }
        to_stderr(&text);
    }

    /// The kernel said that we may not.
    fn is_refused(&self) -> bool {
        self.causes.iter().any(|cause| cause.ends_with("(EACCES)") || cause.ends_with("(EPERM)"))
    }
}

/// A line that is neither output nor an error: `warning: …`.
pub fn warn(text: impl AsRef<str>) {
    to_stderr(&format!("warning: {}\n", printable(text.as_ref())));
}

/// An error that can't be told (a closed or hung-up terminal, a full disk) must not become a crash: the exit code still says it.
pub fn to_stderr(text: &str) {
    let _ = io::Write::write_all(&mut io::stderr(), text.as_bytes());
}

/// What `println!` panics with when the standard output can't be written.
const UNWRITTEN: &str = "failed printing to stdout";

/// A standard output that nobody reads any more ends the program as SIGPIPE would, without a word; one that can't be written is an error like
/// others. SIGPIPE itself stays ignored: at a socket of netd's or of a shim's it would end us before we can say what happened.
pub fn watch_stdout() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let Some(text) = panic.payload_as_str().filter(|text| text.starts_with(UNWRITTEN)) else {
            return others(panic);
        };
        let errno = text.rsplit("(os error ").next().and_then(|rest| rest.trim_end_matches(')').parse().ok());
        let errno = errno.unwrap_or(libc::EIO);
        if errno == libc::EPIPE {
            std::process::exit(128 + libc::SIGPIPE);
        }
        Failure::new("cannot write to the standard output").because(errno_text(errno)).print();
        std::process::exit(EXIT_RCR);
    }));
}

impl From<netd_api::ApiError> for Failure {
    fn from(error: netd_api::ApiError) -> Self {
        Self {
            message: error.message,
            causes: error.causes,
            hint: error.hint,
            left_behind: error.left_behind,
            code: EXIT_RCR,
        }
    }
}

impl From<rcr_images::Error> for Failure {
    fn from(error: rcr_images::Error) -> Self {
        let hint = error.hint();
        let failure = Self::new(error.to_string());
        let causes = error.causes().iter().cloned().chain(causes_of(&error));
        let failure = causes.fold(failure, Failure::because);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// The sources of an error, outermost first, with errno names where there are any.
fn causes_of(error: &dyn std::error::Error) -> Vec<String> {
    let mut causes = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push(cause.downcast_ref::<io::Error>().map_or_else(|| cause.to_string(), io_text));
        source = cause.source();
    }
    causes
}

/// Says what was being done when something failed.
pub trait Doing<T> {
    /// `message` is made only in case of failure.
    fn doing<M: Into<String>>(self, message: impl FnOnce() -> M) -> Outcome<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing<M: Into<String>>(self, message: impl FnOnce() -> M) -> Outcome<T> {
        self.map_err(|error| Failure::new(message()).because(io_text(&error)))
    }
}

impl<T> Doing<T> for Result<T, nix::errno::Errno> {
    fn doing<M: Into<String>>(self, message: impl FnOnce() -> M) -> Outcome<T> {
        self.map_err(|errno| Failure::new(message()).because(errno_text(errno as i32)))
    }
}

impl<T> Doing<T> for Outcome<T> {
    fn doing<M: Into<String>>(self, message: impl FnOnce() -> M) -> Outcome<T> {
        self.map_err(|failure| failure.during(message()))
    }
}

/// Text without what would steer a terminal: names, histories and error messages come out of images and from registries, too.
pub fn printable(text: &str) -> String {
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_designed() {
        let failure = Failure::new("cannot start `web`").because(errno_text(libc::ENOENT)).hint("create it");
        assert_eq!(printable("a\u{1b}[2Jb\u{9b}c\td\n"), "a\\u{1b}[2Jb\\u{9b}c\td\n");
        assert_eq!(
            failure.during("cannot run `web`").text(),
            "error: cannot run `web`\n  caused by: cannot start `web`\n  caused by: no such file or directory (ENOENT)\nhint: create it\n"
        );
    }
}
