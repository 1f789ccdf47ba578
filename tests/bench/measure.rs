//! What the benches of whole commands share: how long one takes, and many of them side by side.

use crate::table::{Row, milliseconds, worked};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tests::Host;

/// Commands that run side by side.
const TOGETHER: usize = 8;

/// The same work again and again.
pub fn timed<T>(name: &str, rounds: usize, work: impl Fn() -> T) -> Row {
    let before = worked();
    let one = |_| {
        let begin = Instant::now();
        work();
        begin.elapsed()
    };
    let took: Vec<Duration> = (0..rounds).map(one).collect();
    let worked = worked().saturating_sub(before).as_secs_f64() * 1e3 / rounds as f64;
    Row { processor: Some(worked), ..Row::new(name, &milliseconds(&took), &[]) }
}

/// Runs all of these, eight at a time; each must succeed.
pub fn side_by_side<A: AsRef<[S]>, S: AsRef<str>>(host: &Host, commands: &[A]) {
    for some in commands.chunks(TOGETHER) {
        let start = |args: &A| {
            let args: Vec<&str> = args.as_ref().iter().map(AsRef::as_ref).collect();
            quiet(&mut host.command(&args)).spawn().unwrap()
        };
        let started: Vec<_> = some.iter().map(start).collect();
        started.into_iter().for_each(|mut child| assert!(child.wait().unwrap().success()));
    }
}

/// A command that neither hears nor says anything.
pub fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}
