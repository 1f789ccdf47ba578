//! What there is: each look is a request to the engine, and its value as JSON.

use crate::records::{About, ContainerRow, LogLine, LogPage, NetworkPage, NodesPage, Overview};
use rcr_base::{Doing, Error, Outcome};
use rcr_engine::instance::Instance;
use rcr_engine::list::{self, Selection};
use rcr_engine::logs::{Wanted, logs};
use rcr_engine::parse::time::Tail;
use rcr_engine::{explain, info, inspect, networks, nodes};
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;

/// The most that is sent of a log, and of one line of it, in bytes.
const MOST_LOG: usize = 512 << 10;
const MOST_LINE: usize = 16 << 10;

/// The program itself.
pub fn about(instance: &Instance, changes: bool) -> About {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    About { version: env!("CARGO_PKG_VERSION"), host, changes, root: instance.dirs.root.display().to_string() }
}

/// All containers and networks. What netd does not tell is missing, with the reason.
pub fn overview(instance: &Instance) -> Outcome<Overview> {
    let mut failures = Vec::new();
    let all = match instance.dirs.containers().exists() {
        true => list::list(instance, &Selection { all: true, ..Selection::default() })?,
        false => Vec::new(),
    };
    let sandboxes = list::sandboxes(instance);
    let containers = all.iter().map(|one| ContainerRow::new(one, sandboxes.get(&one.config.id))).collect();
    let networks = told(networks::list(instance, &[]), &mut failures);
    // Who was not told the one is not told the other.
    let graph =
        if failures.is_empty() { told(explain::graph(instance, &[], None), &mut failures) } else { Default::default() };
    Ok(Overview { containers, networks, graph, failures })
}

fn told<T: Default>(asked: Outcome<T>, failures: &mut Vec<Error>) -> T {
    asked.unwrap_or_else(|failure| {
        failures.push(failure);
        T::default()
    })
}

/// One container, as `inspect` has it.
pub fn container(instance: &Instance, name: &str) -> Outcome<inspect::ContainerInspect> {
    inspect::container(instance, name, false)
}

/// One network, and its last questions for names.
pub fn network(instance: &Instance, name: &str) -> Outcome<NetworkPage> {
    let view = explain::show(instance, name)?;
    // The network may be gone since: it has no questions then.
    let queries = explain::queries(instance, view.network.id.as_str()).unwrap_or_default();
    Ok(NetworkPage { view, queries })
}

/// What `VersionInfo::store` says of a host that is in no cluster.
const OWN_STORE: &str = "embedded";

/// The hosts of the cluster; none where there is no cluster.
pub fn hosts(instance: &Instance) -> Outcome<NodesPage> {
    match info::netd(instance) {
        Some(netd) if netd.store != OWN_STORE => Ok(NodesPage { cluster: true, nodes: nodes::list(instance)? }),
        _ => Ok(NodesPage::default()),
    }
}

/// The end of a container's log. `seen`: what the last answer said of the file; if that is still so, there are no lines.
pub fn log(instance: &Instance, name: &str, tail: usize, seen: Option<&str>) -> Outcome<LogPage> {
    let container = instance.containers().find(name)?;
    let path = instance.dirs.log(&container.config.id);
    let now = match std::fs::metadata(&path) {
        Ok(meta) => format!("{}-{}-{tail}", meta.ino(), meta.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "none".to_owned(),
        Err(error) => Err(error).doing(|| format!("cannot look at the log of `{}`", container.config.name))?,
    };
    if seen == Some(now.as_str()) {
        return Ok(LogPage { seen: now, same: true, ..LogPage::default() });
    }
    let mut kept = Kept::default();
    // One more than is shown: then it is known whether there are others before.
    let wanted = Wanted { tail: Tail::Last(tail.saturating_add(1)), ..Wanted::default() };
    logs(instance, container.config.id.as_str(), &wanted, &mut |entry| {
        kept.keep(LogLine {
            time: entry.time.to_string(),
            stream: entry.stream.to_string(),
            text: cut(entry.log.trim_end_matches('\n'), MOST_LINE),
        });
        ControlFlow::Continue(())
    })?;
    while kept.lines.len() > tail {
        kept.drop_first();
    }
    Ok(LogPage { seen: now, same: false, lines: kept.lines.into(), cut: kept.cut })
}

/// The last lines of a log, no more than [`MOST_LOG`] of them.
#[derive(Default)]
struct Kept {
    lines: VecDeque<LogLine>,
    bytes: usize,
    cut: bool,
}

impl Kept {
    fn keep(&mut self, line: LogLine) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
        while self.bytes > MOST_LOG && self.lines.len() > 1 {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        self.bytes -= self.lines.pop_front().map_or(0, |line| line.text.len());
        self.cut = true;
    }
}

/// At most so many bytes of a text; one that is cut says so.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_log_the_end_is_kept() {
        let mut kept = Kept::default();
        for at in 0..100 {
            let text = cut(&format!("{at:03}{}", "é".repeat(MOST_LINE)), MOST_LINE);
            assert!(text.len() <= MOST_LINE + 3 && text.ends_with('…'));
            kept.keep(LogLine { time: String::new(), stream: "stdout".into(), text });
        }
        assert!(kept.cut && kept.bytes <= MOST_LOG);
        assert!(kept.lines.len() > 20 && kept.lines.back().is_some_and(|line| line.text.starts_with("099")));
    }
}
