//! What a running container takes of the host: counters of its cgroup (v1 and v2) and of its network interfaces.

use crate::cgroup;
use crate::config::{Config, NetworkMode};
use crate::instance::Instance;
use crate::store::Container;
use rcr_base::Outcome;
use rcr_shim::process::ProcessId;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Which containers to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// By name or id; none: those that run.
    pub names: Vec<String>,
    /// Those that don't run, too.
    pub all: bool,
}

/// A container, and what it has taken so far; absent: it does not run.
#[derive(Debug, Clone)]
pub struct Look {
    /// The container.
    pub container: Container,
    /// As the user named it; absent: nobody named it.
    pub asked: Option<String>,
    /// The counters.
    pub usage: Option<Usage>,
}

/// What a container has taken since its start, and what it has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// When this was so.
    pub at: Instant,
    /// Processors' time.
    pub cpu: Duration,
    /// Bytes of memory, without files that the kernel can forget at once.
    pub memory: u64,
    /// Bytes that it may have: its limit, or all of the host's.
    pub memory_limit: u64,
    /// Its network interfaces, but for the loopback; empty on the host's network.
    pub interfaces: Vec<Interface>,
    /// Bytes read from disks.
    pub read: u64,
    /// Bytes written to disks.
    pub written: u64,
    /// Processes and threads.
    pub pids: u64,
    /// How many it may have; absent: as many as it wants.
    pub pids_limit: Option<u64>,
}

/// The counters of a network interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name in the container.
    pub name: String,
    /// What it has received.
    pub received: Traffic,
    /// What it has sent.
    pub sent: Traffic,
}

/// One direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Packets with errors.
    pub errors: u64,
    /// Packets that were dropped.
    pub dropped: u64,
}

impl Usage {
    /// Percent of one processor since an earlier look.
    pub fn cpu_percent(&self, before: &Usage) -> f64 {
        let (used, passed) = (self.cpu.saturating_sub(before.cpu), self.at.saturating_duration_since(before.at));
        if passed.is_zero() { 0.0 } else { used.as_secs_f64() / passed.as_secs_f64() * 100.0 }
    }

    /// Percent of the memory that it may have.
    pub fn memory_percent(&self) -> f64 {
        if self.memory_limit == 0 { 0.0 } else { self.memory as f64 / self.memory_limit as f64 * 100.0 }
    }

    /// Bytes that all interfaces have received and sent.
    pub fn traffic(&self) -> (u64, u64) {
        self.interfaces.iter().fold((0, 0), |(received, sent), one| {
            (received.saturating_add(one.received.bytes), sent.saturating_add(one.sent.bytes))
        })
    }
}

/// Looks at containers, newest first, or as they were named. One that was named must be there.
pub fn look(instance: &Instance, choice: &Choice) -> Outcome<Vec<Look>> {
    let containers = instance.containers();
    let chosen: Vec<(Container, Option<String>)> = match &choice.names[..] {
        [] => {
            let all = containers.list()?.into_iter().rev();
            all.filter(|c| choice.all || c.state.status.is_alive()).map(|c| (c, None)).collect()
        }
        names => names.iter().map(|name| Ok((containers.find(name)?, Some(name.clone())))).collect::<Outcome<_>>()?,
    };
    let host = memory_of_host();
    let see = |(container, asked): (Container, Option<String>)| {
        let usage = usage(&container, host);
        Look { container, asked, usage }
    };
    Ok(chosen.into_iter().map(see).collect())
}

/// What one container has taken; absent: it does not run.
fn usage(container: &Container, host: u64) -> Option<Usage> {
    let init = container.state.init.filter(|_| container.state.status.is_alive())?;
    let paths = cgroup::paths(&cgroup::kind().ok()?, &container.config);
    let mut usage = match &paths.unified {
        Some(folder) => unified(folder, host),
        None => legacy(&paths.legacy, host),
    };
    usage.interfaces = interfaces(&container.config, init);
    // What was read after its end may be another's.
    init.is_alive().then_some(usage)
}

fn text(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_default()
}

/// A file of one number. `max`, and a file that is not there, are none.
fn number(folder: &Path, name: &str) -> Option<u64> {
    text(folder, name).trim().parse().ok()
}

/// The value behind a name, in a file of such lines.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

fn unified(folder: &Path, host: u64) -> Usage {
    let inactive = field(&text(folder, "memory.stat"), "inactive_file").unwrap_or_default();
    let (read, written) = disks_unified(&text(folder, "io.stat"));
    Usage {
        at: Instant::now(),
        cpu: Duration::from_micros(field(&text(folder, "cpu.stat"), "usage_usec").unwrap_or_default()),
        memory: number(folder, "memory.current").unwrap_or_default().saturating_sub(inactive),
        memory_limit: number(folder, "memory.max").map_or(host, |limit| limit.min(host)),
        interfaces: Vec::new(),
        read,
        written,
        pids: number(folder, "pids.current").unwrap_or_default(),
        pids_limit: number(folder, "pids.max"),
    }
}

/// `8:0 rbytes=1 wbytes=2 rios=3 …`.
fn disks_unified(stat: &str) -> (u64, u64) {
    let sum =
        |name: &str| stat.split_whitespace().filter_map(|word| word.strip_prefix(name)?.parse::<u64>().ok()).sum();
    (sum("rbytes="), sum("wbytes="))
}

fn legacy(folders: &[PathBuf], host: u64) -> Usage {
    // Which hierarchy has a controller, its files say.
    let having = |file: &str| folders.iter().find(|folder| folder.join(file).exists()).cloned().unwrap_or_default();
    let (memory, pids) = (having("memory.usage_in_bytes"), having("pids.current"));
    let inactive = field(&text(&memory, "memory.stat"), "total_inactive_file").unwrap_or_default();
    let (read, written) = disks_legacy(&having("blkio.throttle.io_service_bytes"));
    Usage {
        at: Instant::now(),
        cpu: Duration::from_nanos(number(&having("cpuacct.usage"), "cpuacct.usage").unwrap_or_default()),
        memory: number(&memory, "memory.usage_in_bytes").unwrap_or_default().saturating_sub(inactive),
        memory_limit: number(&memory, "memory.limit_in_bytes").map_or(host, |limit| limit.min(host)),
        interfaces: Vec::new(),
        read,
        written,
        pids: number(&pids, "pids.current").unwrap_or_default(),
        pids_limit: number(&pids, "pids.max"),
    }
}

/// `8:0 Read 1`, `8:0 Write 2`, with those of cgroups below where the kernel tells them.
fn disks_legacy(folder: &Path) -> (u64, u64) {
    let deep = text(folder, "blkio.throttle.io_service_bytes_recursive");
    let stat = if deep.is_empty() { text(folder, "blkio.throttle.io_service_bytes") } else { deep };
    disks_by_word(&stat)
}

fn disks_by_word(stat: &str) -> (u64, u64) {
    let sum = |wanted: &str| {
        let counts = stat.lines().filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            (words.next()? == wanted).then(|| words.next()?.parse::<u64>().ok())?
        });
        counts.sum()
    };
    (sum("Read"), sum("Write"))
}

/// The interfaces of the container's own namespace: the host's say nothing about it.
fn interfaces(config: &Config, init: ProcessId) -> Vec<Interface> {
    let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).ok();
    let own = namespace(&init.pid.to_string());
    // Who may only look sees no namespaces of others, but their counters.
    let is_host = own.is_some() && own == namespace("self");
    if is_host || config.network.mode == NetworkMode::Host {
        return Vec::new();
    }
    let table = fs::read_to_string(format!("/proc/{}/net/dev", init.pid)).unwrap_or_default();
    table.lines().filter_map(interface).filter(|one| one.name != "lo").collect()
}

/// A line of `/proc/net/dev` (proc_pid_net(5)): eight counters of what came in, then eight of what went out.
fn interface(line: &str) -> Option<Interface> {
    let (name, counters) = line.split_once(':')?;
    let counters: Vec<u64> = counters.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let traffic = |from: usize| {
        let [bytes, packets, errors, dropped] = *counters.get(from..from + 4)? else { return None };
        Some(Traffic { bytes, packets, errors, dropped })
    };
    Some(Interface { name: name.trim().to_owned(), received: traffic(0)?, sent: traffic(8)? })
}

/// Bytes of memory that the host has.
fn memory_of_host() -> u64 {
    let table = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total =
        table.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse().ok());
    total.map_or(0, |kilobytes: u64| kilobytes.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_tables_are_read() {
        let line = "  eth0: 1264 11 1 2 0 0 0 3 4096 13 4 5 0 0 0 0";
        let one = interface(line).unwrap();
        assert_eq!((one.name.as_str(), one.received.bytes, one.sent.packets), ("eth0", 1264, 13));
        assert_eq!((one.received.dropped, one.sent.errors), (2, 4));
        assert_eq!(interface(" face |bytes    packets errs"), None);
        assert_eq!(disks_by_word("8:0 Read 5\n8:0 Write 7\n8:0 Sync 9\n8:16 Read 1\nTotal 12\n"), (6, 7));
        assert_eq!(disks_unified("8:0 rbytes=5 wbytes=7 rios=1\n8:16 rbytes=1 wbytes=0\n"), (6, 7));
        assert_eq!(field("cache 1\ntotal_inactive_file 4096\n", "total_inactive_file"), Some(4096));
        assert_eq!(field("inactive_file_x 1\n", "inactive_file"), None);
    }

    #[test]
    fn percents_are_of_one_processor_and_of_the_limit() {
        let at = |milliseconds: u64, cpu: u64, memory: u64| Usage {
            at: Instant::now() + Duration::from_millis(milliseconds),
            cpu: Duration::from_millis(cpu),
            memory,
            memory_limit: 1000,
            interfaces: Vec::new(),
            read: 0,
            written: 0,
            pids: 1,
            pids_limit: None,
        };
        let (before, after) = (at(0, 100, 0), at(1000, 1600, 250));
        assert!((after.cpu_percent(&before) - 150.0).abs() < 1.0);
        assert!((after.memory_percent() - 25.0).abs() < 0.01);
        assert_eq!(before.cpu_percent(&after), 0.0);
    }
}
