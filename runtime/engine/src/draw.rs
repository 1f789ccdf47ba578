//! Pictures, by graphviz where it is installed.

use rcr_base::{Doing, Error, Kind, Outcome};
use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// What draws, found by `PATH`.
const DOT: &str = "dot";
/// How long a drawing may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// An SVG of a graph in graphviz's language.
pub fn svg(graph: &str) -> Outcome<Vec<u8>> {
    let doing = || format!("cannot draw by `{DOT}`");
    let mut command = Command::new(DOT);
    command.arg("-Tsvg").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::io(doing(), &error)
            .kind(Kind::Unsupported)
            .hint("install graphviz, or write a `.dot` or `.mmd` file and draw it elsewhere"),
        _ => Error::io(doing(), &error),
    })?;
    let drawn = talk(&mut child, graph.to_owned());
    if drawn.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().doing(doing)?;
    let (picture, said) = drawn.map_err(|error| error.during(doing()))?;
    if !status.success() || picture.is_empty() {
        return Err(Error::new(Kind::System, doing()).caused_by(said.lines().next().unwrap_or("it drew nothing")));
    }
    Ok(picture)
}

/// Sends all, and receives all that it says on both outputs. Three threads: whichever pipe is full first, the others go
/// on.
fn talk(child: &mut Child, graph: String) -> Outcome<(Vec<u8>, String)> {
    let (Some(mut input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(Error::new(Kind::System, "it has no pipes"));
    };
    let (sender, receiver) = channel();
    let (of_output, of_errors) = (sender.clone(), sender);
    // One that reads nothing says so at its end.
    std::thread::spawn(move || drop(input.write_all(graph.as_bytes())));
    std::thread::spawn(move || drop(of_output.send((true, all(output)))));
    std::thread::spawn(move || drop(of_errors.send((false, all(errors)))));
    let (mut picture, mut said) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        match receiver.recv_timeout(PATIENCE) {
            Ok((true, bytes)) => picture = bytes.doing(|| "cannot read the picture")?,
            Ok((false, bytes)) => said = bytes.unwrap_or_default(),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                return Err(Error::new(Kind::Unavailable, format!("it took longer than {} s", PATIENCE.as_secs())));
            }
        }
    }
    Ok((picture, String::from_utf8_lossy(&said).into_owned()))
}

fn all(mut from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).map(|_| bytes)
}
