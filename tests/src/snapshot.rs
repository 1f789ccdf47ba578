//! Everything on a host as text: equal before and after means that nothing was left behind.

use crate::host::{Host, PREFIX, bury};
use crate::ruleset::sort_chains;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the kernel may take to finish what was asked of it.
const SETTLE: Duration = Duration::from_secs(5);

/// Sections by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    sections: BTreeMap<&'static str, String>,
    cgroups: BTreeSet<PathBuf>,
}

impl Snapshot {
    pub(crate) fn take(host: &Host) -> Self {
        bury();
        let ns = &host.netns;
        let sysctls = "sysctl -a --pattern ^net\\.(ipv4\\.(ip_forward|conf)|ipv6\\.conf)";
        let sections = [
            ("links", strip_volatile(&ns.ip("-d -o link"))),
            ("addresses", strip_volatile(&ns.ip("-o addr"))),
            ("routes", ns.ip("route show table all") + &ns.ip("-6 route show table all")),
            ("rules", ns.ip("rule") + &ns.ip("-6 rule")),
            ("neighbours", ns.ip("neigh show nud permanent")),
            ("nftables", sort_chains(&ns.run("nft -s list ruleset"))),
            ("sysctls", String::from_utf8_lossy(&ns.try_run(sysctls).stdout).into_owned()),
            ("mounts", mounts(host)),
            ("processes", processes(host)),
            ("files", files(&host.root(), &host.run_dir())),
        ];
        Self { sections: sections.into(), cgroups: cgroups(host) }
    }

    /// Asserts that the host returns to this state, within the kernel's time to settle.
    #[track_caller]
    pub fn assert_restored(&self, host: &Host) {
        let until = Instant::now() + SETTLE;
        loop {
            let now = Self::take(host);
            // Tests that run in parallel may have had some before, and removed them.
            if now.sections == self.sections && now.cgroups.is_subset(&self.cgroups) {
                return;
            }
            if Instant::now() > until {
                for (name, before) in &self.sections {
                    let after = &now.sections[name];
                    assert!(before == after, "{name} differ\nbefore:\n{before}\nafter:\n{after}");
                }
                let left: Vec<_> = now.cgroups.difference(&self.cgroups).collect();
                assert!(left.is_empty(), "cgroups are left: {left:?}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Interface numbers grow, and lifetimes change.
fn strip_volatile(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.split_once(": ").map_or(line, |(_, rest)| rest);
        let mut words = line.split_whitespace();
        let mut kept = Vec::new();
        while let Some(word) = words.next() {
            if word.ends_with("_timer") {
                words.next();
            } else if !word.starts_with("link-netns") && word != "tentative" {
                kept.push(word);
            }
        }
        kept.join(" ")
    });
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines.join("\n")
}

/// On the disk and in memory.
fn folders(host: &Host) -> [String; 2] {
    [host.root(), host.run_dir()].map(|folder| folder.parent().unwrap().to_str().unwrap().to_owned())
}

fn mounts(host: &Host) -> String {
    let folders = folders(host);
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    text.lines().filter(|line| folders.iter().any(|folder| line.contains(folder))).collect::<Vec<_>>().join("\n")
}

/// Empty cgroups of containers that no host of a parallel test knows: there a container may wait, with an empty cgroup,
/// for a netd that hangs. A cgroup that is empty for a moment is just being made or removed; one that stays empty is a
/// leak.
fn cgroups(host: &Host) -> BTreeSet<PathBuf> {
    let first = empty_cgroups();
    if first.is_empty() {
        return first;
    }
    std::thread::sleep(Duration::from_millis(500));
    let theirs = containers_of_others(host);
    let leaked = |cgroup: &&PathBuf| cgroup.file_name().is_none_or(|id| !theirs.contains(id));
    first.intersection(&empty_cgroups()).filter(leaked).cloned().collect()
}

/// The containers of all other tests' hosts.
fn containers_of_others(host: &Host) -> BTreeSet<OsString> {
    let own = host.root().parent().map(Path::to_owned);
    let folders = std::fs::read_dir("/tmp").into_iter().flatten().flatten();
    let hosts =
        folders.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)).map(|entry| entry.path());
    let others = hosts.filter(|folder| Some(folder) != own.as_ref());
    let all =
        others.flat_map(|folder| std::fs::read_dir(folder.join("root/containers")).into_iter().flatten().flatten());
    all.map(|container| container.file_name()).collect()
}

fn empty_cgroups() -> BTreeSet<PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    let hierarchies = std::fs::read_dir(top).into_iter().flatten().flatten().map(|entry| entry.path());
    let parents = hierarchies.chain([top.to_owned()]).map(|hierarchy| hierarchy.join("rcr"));
    let cgroups =
        parents.flat_map(|parent| std::fs::read_dir(parent).into_iter().flatten().flatten()).map(|entry| entry.path());
    cgroups
        .filter(|dir| std::fs::read_to_string(dir.join("cgroup.procs")).is_ok_and(|procs| procs.is_empty()))
        .collect()
}

/// Processes with this host's folder on their command line or in their environment: netd, shims' children.
fn processes(host: &Host) -> String {
    let folders = folders(host);
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let comm = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if stat.contains(") Z ") || pid == std::process::id() {
            continue;
        }
        let environ = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        let cmdline = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mentions = |bytes: &[u8]| folders.iter().any(|folder| String::from_utf8_lossy(bytes).contains(folder));
        if mentions(&environ) || mentions(&cmdline) {
            found.push(comm.trim().to_owned());
        }
    }
    // netd may run or not: it starts on demand and stays.
    found.retain(|name| name != "netd");
    found.sort();
    found.join("\n")
}

fn files(root: &Path, run: &Path) -> String {
    let mut found = Vec::new();
    // netd's own files and the images stay; all files of containers go.
    let below_root = ["containers", "names", "volumes", "removed"].map(|name| root.join(name));
    for folder in below_root.into_iter().chain([run.join("containers")]) {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            found.push(entry.path().display().to_string());
        }
    }
    found.sort();
    found.join("\n")
}
