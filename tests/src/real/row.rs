//! A row of the table of programs: the checks for every program, and other observations.

use super::parts;
use crate::bin;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

/// The checks for every program. A row is complete when each was seen, or has a reason why it does not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// A client in another container reaches it by its name.
    Name,
    /// A client outside of the host reaches it by `-p`.
    Port,
    /// Data in a named volume survives `rm` and a new container.
    Volume,
    /// `logs` has its output.
    Logs,
    /// `exec -it` gives a terminal beside it.
    Terminal,
    /// It sees `--memory`.
    Memory,
    /// `stop` ends it the graceful way, within its time.
    Stop,
}

impl Check {
    pub const ALL: [Self; 7] =
        [Self::Name, Self::Port, Self::Volume, Self::Logs, Self::Terminal, Self::Memory, Self::Stop];

    /// The head of its column.
    pub fn title(self) -> &'static str {
        match self {
            Self::Name => "by name",
            Self::Port => "`-p`",
            Self::Volume => "volume",
            Self::Logs => "logs",
            Self::Terminal => "`exec -it`",
            Self::Memory => "memory",
            Self::Stop => "stop",
        }
    }
}

/// A row of the table.
pub struct Row {
    program: String,
    version: String,
    checks: Mutex<BTreeMap<Check, Option<String>>>,
    more: Mutex<Vec<String>>,
}

impl Row {
    /// A program, by its common name, with the version in this image.
    pub fn of(program: &str, image: &str) -> Self {
        let version = std::fs::read_to_string(parts(image).1.join("version")).expect("the image has a version");
        Self::new(program, version.trim())
    }

    /// The version of a package in an image, for a program other than the one that the image is named after.
    pub fn package(program: &str, image: &str, package: &str) -> Self {
        let versions = std::fs::read_to_string(parts(image).1.join("versions")).expect("the image has versions");
        let version = versions.lines().find_map(|line| line.strip_prefix(&format!("{package} ")));
        Self::new(program, version.unwrap_or_else(|| panic!("no package {package} in {image}")))
    }

    /// This project's own program.
    pub fn own() -> Self {
        Self::new("rcr", env!("CARGO_PKG_VERSION"))
    }

    fn new(program: &str, version: &str) -> Self {
        Self { program: program.into(), version: version.into(), checks: Mutex::default(), more: Mutex::default() }
    }

    /// A check was seen.
    pub fn holds(&self, check: Check) {
        self.checks.lock().unwrap().insert(check, None);
    }

    /// A check does not apply to this program, and why.
    pub fn without(&self, checks: &[Check], why: &str) {
        let mut all = self.checks.lock().unwrap();
        for check in checks {
            let before = all.insert(*check, Some(why.to_owned()));
            assert!(before.is_none(), "{}: {check:?} is answered twice", self.program);
        }
    }

    /// Notes another observation; once is enough.
    pub fn saw(&self, what: &str) {
        let mut more = self.more.lock().unwrap();
        if !more.iter().any(|known| known == what) {
            more.push(what.to_owned());
        }
    }

    /// Writes the row at the end of a successful test, which must not have left out a check.
    #[track_caller]
    pub fn end(&self) {
        let checks = std::mem::take(&mut *self.checks.lock().unwrap());
        let more = std::mem::take(&mut *self.more.lock().unwrap());
        let open: Vec<Check> = Check::ALL.into_iter().filter(|check| !checks.contains_key(check)).collect();
        assert!(open.is_empty(), "{}: neither seen nor without a reason: {open:?}", self.program);
        let checks: BTreeMap<&str, Option<String>> =
            checks.into_iter().map(|(check, why)| (check.title(), why)).collect();
        record(&json!({ "program": self.program, "version": self.version, "checks": checks, "more": more }));
    }
}

/// The folder of the rows until they are a table.
pub fn results() -> PathBuf {
    bin().join("compatibility-rows")
}

fn record(row: &serde_json::Value) {
    let folder = results();
    std::fs::create_dir_all(&folder).expect("a folder for rows");
    let program = row["program"].as_str().expect("a name");
    let name: String = program.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    std::fs::write(folder.join(name + ".json"), row.to_string()).expect("write the row");
}
