//! Hosts with images of real programs (`tests/real/build`), and the table of results.
//!
//! A test writes commands as people type them, and notes what it has seen. A successful test leaves its row; the rows
//! become `docs/compatibility.md` (`tests/src/bin/compatibility.rs`).
//!
//! | room | what |
//! |---|---|
//! | [`loaded`] | images that are on a host before its test begins |
//! | [`life`] | the life that every program has, as data |
//! | [`row`] | the checks of a program, and what was seen beside them |

pub mod life;
pub mod loaded;
pub mod row;

pub use life::{Life, SHELL};
pub use loaded::load;
pub use row::{Check, Row, results};

use crate::host::HOST_V4;
use crate::host::bury;
use crate::terminal::Terminal;
use crate::{Host, Netns, Ran};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a program may take for anything; a bound for a loaded machine, not a measurement.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether something that began then has taken too long.
fn patience(began: Instant) -> bool {
    began.elapsed() >= PATIENCE
}

/// A host with images of real programs, and the row of the program that a test is about.
pub struct Real {
    pub host: Host,
    pub row: Row,
}

impl Real {
    /// A host with these images, and a row for a program that the first one has.
    pub fn new(program: &str, images: &[&str]) -> Self {
        let host = Host::bare();
        images.iter().for_each(|image| load(&host, image));
        Self { host, row: Row::of(program, images[0]) }
    }

    /// The same for a program whose package the image is not named after.
    pub fn package(program: &str, package: &str, images: &[&str]) -> Self {
        Self { row: Row::package(program, images[0], package), ..Self::new(program, images) }
    }

    /// Runs `rcr` with a line of words, of which some may be quoted.
    pub fn rcr(&self, line: &str) -> Ran {
        let words = words(line);
        self.host.rcr(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Runs `rcr`, which must succeed; its output without white space around it.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        let ran = self.rcr(line);
        assert_eq!(ran.code, 0, "`rcr {line}`\nstdout: {}\nstderr: {}", ran.stdout, ran.stderr);
        ran.stdout.trim().to_owned()
    }

    /// Runs `rcr` until it succeeds and its output (both streams) has this text.
    #[track_caller]
    pub fn until(&self, line: &str, want: &str) -> String {
        let began = Instant::now();
        loop {
            let ran = self.rcr(line);
            let said = format!("{}{}", ran.stdout, ran.stderr);
            if ran.code == 0 && said.contains(want) {
                return said;
            }
            assert!(!patience(began), "`rcr {line}` never said {want:?}: {ran:?}\n{}", self.tails());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Asks a published port from outside until the answer has this text.
    #[track_caller]
    pub fn outside(&self, port: u16, say: impl AsRef<[u8]>, want: &str) -> String {
        let began = Instant::now();
        loop {
            match ask(&self.host.outside, port, say.as_ref(), want) {
                Ok(said) if said.contains(want) => return said,
                other => {
                    let said = self.tails();
                    assert!(!patience(began), "port {port} never said {want:?}: {other:?}\n{said}");
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A web page on a published port, from outside.
    #[track_caller]
    pub fn page(&self, port: u16, path: &str, want: &str) -> String {
        self.outside(port, format!("GET {path} HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n"), want)
    }

    /// Runs `rcr` on a terminal: waits for a prompt, types as a keyboard does, and waits for a text that answers.
    #[track_caller]
    pub fn on_terminal(&self, line: &str, prompt: &str, keys: &str, want: &str) {
        let words = words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut terminal = Terminal::start(self.host.command(&words));
        terminal.expect(prompt);
        terminal.send(&format!("{keys}\r"));
        terminal.expect(want);
        terminal.end_of_input();
    }

    /// The last output of the containers, for a failure's message.
    pub fn tails(&self) -> String {
        let mut all = String::new();
        for name in self.rcr("ps -aq").stdout.split_whitespace() {
            let ran = self.rcr(&format!("logs --tail 30 {name}"));
            let state = self.rcr(&format!("inspect {name}")).stdout;
            let state = serde_json::from_str::<serde_json::Value>(&state).unwrap_or_default();
            all += &format!("--- {} {}\n{}{}", state[0]["Name"], state[0]["State"], ran.stdout, ran.stderr);
        }
        all
    }

    /// Removes a container, and reaps its orphans, which this process inherits.
    #[track_caller]
    pub fn remove(&self, name: &str) {
        self.ok(&format!("rm -f {name}"));
        bury();
    }
}

/// One connection from here to the host's published port: what arrived until the wanted text did, or the end.
fn ask(from: &Netns, port: u16, say: &[u8], want: &str) -> std::io::Result<String> {
    let (say, want) = (say.to_vec(), want.to_owned());
    from.inside(move || {
        let to = format!("{HOST_V4}:{port}").parse().expect("an address");
        let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(&say)?;
        let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let text = String::from_utf8_lossy(&said).into_owned();
            if !text.is_empty() && text.contains(&want) {
                return Ok(text);
            }
            match stream.read(&mut buffer)? {
                0 => return Ok(text),
                got => said.extend(&buffer[..got]),
            }
        }
    })
}

/// The files that an image's archive is made from, and the image's folder.
fn parts(image: &str) -> (Vec<String>, PathBuf) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("real/build");
    let output = Command::new(&script).args(["--parts", image]).output().expect("run tests/real/build");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the image `{image}` is not built, see `make real-images`: {error}");
    let parts: Vec<String> = text.lines().map(str::to_owned).collect();
    let folder = PathBuf::from(&parts[1]);
    (parts, folder)
}

/// Splits words as a shell does: at white space outside quotes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ' | '\n') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    assert!(quote.is_none(), "an open quote in {line}");
    words.extend(word);
    words
}
