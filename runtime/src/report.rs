//! The only printer of errors and warnings: `error: / caused by: / hint:`, and the exit code.

use rcr_base::{Error, Kind, errno_text};
use std::fmt::Write as _;
use std::io;

/// The hint for users other than root.
const FOR_ROOT: &str = "containers and networks are root's: run it with sudo; members of the group `rcr` may list";

/// Something failed that is not about a program in a container.
pub const EXIT_FAILED: i32 = 1;
/// rcr itself failed to run a container, or does not understand its command line.
pub const EXIT_RCR: i32 = 125;
/// The command can't be executed.
pub const EXIT_CANNOT_EXECUTE: i32 = 126;
/// The command is not there.
pub const EXIT_NOT_FOUND: i32 = 127;

/// Whose exit codes a verb has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `run`: its own failures must not be taken for the program's.
    Run,
    /// `exec`: the program's, too.
    Exec,
    /// All others.
    Other,
}

/// The exit code of an error, as Docker has it.
pub fn code(error: &Error, verb: Verb) -> i32 {
    match (error.kind, verb) {
        (Kind::Interrupted(signal), _) => 128 + signal,
        (Kind::CannotExecute, Verb::Run | Verb::Exec) => EXIT_CANNOT_EXECUTE,
        (Kind::CommandNotFound, Verb::Run | Verb::Exec) => EXIT_NOT_FOUND,
        (_, Verb::Run) => EXIT_RCR,
        (_, Verb::Exec | Verb::Other) => EXIT_FAILED,
    }
}

/// The text for the terminal.
pub fn text(error: &Error) -> String {
    printable(&error.told())
}

/// Prints an error to stderr. One without a message ends the program without a word.
pub fn print(error: &Error) {
    if error.message.is_empty() {
        return;
    }
    let mut text = text(error);
    if error.hint.is_none() && error.kind == Kind::Permission && !rustix::process::geteuid().is_root() {
        let _ = writeln!(text, "hint: {FOR_ROOT}");
    }
    to_stderr(&text);
}

/// A program whose output nobody reads any more ends as by SIGPIPE: without a word.
pub fn broken_pipe() -> Error {
    Error::new(Kind::Interrupted(libc::SIGPIPE), "")
}

/// A line that is neither output nor an error: `warning: …`.
pub fn warn(text: impl AsRef<str>) {
    to_stderr(&format!("warning: {}\n", printable(text.as_ref())));
}

/// An error that can't be printed (a closed or hung-up terminal, a full disk) must not become a crash: the exit code
/// still tells.
pub fn to_stderr(text: &str) {
    let _ = io::Write::write_all(&mut io::stderr(), text.as_bytes());
}

/// What `println!` panics with when the standard output can't be written.
const UNWRITTEN: &str = "failed printing to stdout";

/// A standard output that nobody reads any more ends the program as SIGPIPE would, without a word; one that can't be
/// written is an ordinary error. SIGPIPE itself stays ignored: on a socket of netd or of a shim it would end us before
/// we can say what happened.
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
        print(&Error::new(Kind::System, "cannot write to the standard output").caused_by(errno_text(errno)));
        std::process::exit(EXIT_FAILED);
    }));
}

/// Text without control characters that would steer a terminal: names, histories and error messages come from images
/// and registries, too.
pub fn printable(text: &str) -> String {
    let plain = |byte: u8| matches!(byte, b'\n' | b'\t' | b' '..=b'~');
    if text.bytes().all(plain) {
        return text.to_owned();
    }
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
        let error = Error::errno("cannot start `web`", libc::ENOENT).hint("create it").during("cannot run `web`");
        assert_eq!(printable("a\u{1b}[2Jb\u{9b}c\td\n"), "a\\u{1b}[2Jb\\u{9b}c\td\n");
        assert_eq!(
            text(&error),
            "error: cannot run `web`\n  caused by: cannot start `web`\n  caused by: no such file or directory (ENOENT)\nhint: create it\n"
        );
    }

    #[test]
    fn a_kind_has_one_exit_code_whatever_is_said_around_it() {
        let of = |kind, verb| code(&Error::new(kind, "x").during("y"), verb);
        for (kind, run, exec, other) in [
            (Kind::CannotExecute, 126, 126, 1),
            (Kind::CommandNotFound, 127, 127, 1),
            (Kind::Interrupted(2), 130, 130, 130),
            (Kind::NotFound, 125, 1, 1),
        ] {
            assert_eq!((of(kind, Verb::Run), of(kind, Verb::Exec), of(kind, Verb::Other)), (run, exec, other));
        }
    }
}
