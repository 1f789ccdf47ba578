//! The processes of a container, as the host's ps(1) shows them.

use crate::cgroup;
use crate::events::subjects;
use crate::instance::Instance;
use rcr_base::{Error, Kind, Outcome, command};
use rcr_shim::cleanup::processes_below;
use std::io;
use std::process::{Command, Stdio};

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processes {
    /// Its columns.
    pub titles: Vec<String>,
    /// A row a process, with as many fields.
    pub rows: Vec<Vec<String>>,
}

/// Runs ps(1) with these options (`-ef` if there are none) and leaves the container's processes in.
pub fn top(instance: &Instance, name: &str, options: &[String]) -> Outcome<Processes> {
    let container = instance.containers().find(name)?;
    let name = &container.config.name;
    let doing = || format!("cannot list the processes of container `{name}`");
    if container.state.init.is_none() || !container.state.status.is_alive() {
        return Err(Error::new(Kind::Conflict, doing())
            .caused_by(format!("it is {}", container.state.status.name()))
            .hint(format!("start it with {}", command::start(name))));
    }
    let own = processes_below(&cgroup::paths(&cgroup::kind()?, &container.config));
    let options = if options.is_empty() { vec!["-ef".to_owned()] } else { options.to_vec() };
    let output = Command::new("ps").args(&options).env("LC_ALL", "C").stdin(Stdio::null()).output();
    let output = output.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::new(Kind::Unavailable, doing())
            .caused_by("this host has no `ps`")
            .hint(format!("install procps, or use the container's own: {}", command::exec(name, "ps"))),
        _ => Error::new(Kind::System, doing()).caused_by(rcr_base::io_text(&error)),
    })?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        let why = why.lines().find(|line| !line.trim().is_empty()).unwrap_or("ps failed").trim().to_owned();
        return Err(Error::new(Kind::Invalid, doing()).caused_by(format!("ps: {why}")));
    }
    subjects::container(&instance.dirs, &container.config).note("top");
    table(&String::from_utf8_lossy(&output.stdout), &own).ok_or_else(|| {
        Error::new(Kind::Invalid, doing())
            .caused_by("what ps prints has no column PID")
            .hint("with `-o`, name the column `pid`, too")
    })
}

/// The rows of these processes; the last column may hold spaces. `None`: there is no column PID.
fn table(text: &str, own: &[i32]) -> Option<Processes> {
    let mut lines = text.lines();
    let titles: Vec<String> = lines.next()?.split_whitespace().map(str::to_owned).collect();
    let at = titles.iter().position(|title| title == "PID")?;
    let rows = lines.map(|line| fields(line, titles.len()));
    let is_own = |row: &Vec<String>| row.get(at).and_then(|pid| pid.parse().ok()).is_some_and(|pid| own.contains(&pid));
    Some(Processes { rows: rows.filter(is_own).collect(), titles })
}

fn fields(line: &str, count: usize) -> Vec<String> {
    let mut all = Vec::with_capacity(count);
    let mut rest = line.trim();
    while all.len() + 1 < count && !rest.is_empty() {
        let (field, behind) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        all.push(field.to_owned());
        rest = behind.trim_start();
    }
    all.push(rest.to_owned());
    all.resize(count, String::new());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_container_alone() {
        let text = "UID   PID CMD\nroot    1 init\nroot   12 sleep  1 d\nroot   13\n";
        let found = table(text, &[12, 13]).unwrap();
        assert_eq!(found.titles, ["UID", "PID", "CMD"]);
        assert_eq!(found.rows, [["root", "12", "sleep  1 d"], ["root", "13", ""]]);
        assert_eq!(table("UID CMD\n", &[]), None);
        assert_eq!(table("", &[]), None);
    }
}
