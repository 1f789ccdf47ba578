//! What `rcr` tells the shim: one frame (`rcr_base::send_frame`) on descriptor 3, with the netns beside it.

use crate::health::HealthPlan;
use crate::init::plan::{InitPlan, ProcessPlan};
use rcr_base::events::Subject;
use rcr_base::timings::Moment;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The descriptor of the socket to `rcr` that the shim is started with.
pub const CONTROL_FD: i32 = 3;

/// One container to run.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShimConfig {
    /// What the child does.
    pub plan: InitPlan,
    /// Holds `state.json`, `shim.sock` and the managed `/etc` files.
    pub run_dir: PathBuf,
    /// The folder of the state's copy, which outlives a reboot; absent: nobody asks for it then.
    pub keep_dir: Option<PathBuf>,
    /// `-i`: keep stdin open.
    pub stdin: bool,
    /// The end of the first client's input ends the container's.
    pub stdin_once: bool,
    /// Where the output is logged.
    pub log: LogConfig,
    /// What happens when the program ends.
    pub restart: RestartPolicy,
    /// The container's cgroup.
    pub cgroup: CgroupPaths,
    /// Other containers whose namespaces it joins.
    pub joins: Joins,
    /// What is removed at the end; absent: nothing.
    pub remove: Option<RemovePaths>,
    /// The signal of `rcr stop`, and the seconds until SIGKILL; -1: never.
    pub stop_signal: i32,
    /// Seconds between the stop signal and SIGKILL; -1: never.
    pub stop_timeout: i64,
    /// Its health check.
    #[serde(default)]
    pub health: Option<HealthPlan>,
    /// What is written down of what happens to it; absent: nothing.
    #[serde(default)]
    pub noted: Option<Noted>,
    /// Who starts it wants to know when what happened.
    #[serde(default)]
    pub timings: bool,
}

/// Whose events the shim writes down.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Noted {
    /// The container.
    pub container: Subject,
    /// Its volumes.
    pub volumes: Vec<NotedVolume>,
}

/// A volume that a container mounts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NotedVolume {
    /// The volume.
    pub subject: Subject,
    /// How it is mounted.
    pub mount: Vec<(String, String)>,
    /// It is removed with the container.
    pub goes_along: bool,
}

/// Other containers whose namespaces one joins.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Joins {
    /// Whose processes it sees.
    pub pid: Option<Other>,
    /// Whose shared memory it has.
    pub ipc: Option<Other>,
}

/// Another container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Other {
    /// Its name, for errors.
    pub name: String,
    /// Holds its `state.json`.
    pub run_dir: PathBuf,
}

/// Where lines of output go.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LogConfig {
    /// Files, which `rcr logs` reads; absent: nothing is kept.
    pub files: Option<LogFiles>,
    /// What is noted with each line.
    pub attrs: BTreeMap<String, String>,
    /// A log service of the host that gets them, too.
    pub service: Option<LogService>,
}

/// The JSON-lines log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogFiles {
    /// The current file; older ones have a number behind its name.
    pub path: PathBuf,
    /// Bytes a file may have before it is rotated.
    pub max_size: u64,
    /// Files kept, the current one included.
    pub max_files: u32,
    /// The program that compresses older ones; absent: they stay as they are.
    pub compressor: Option<PathBuf>,
}

/// A log service of the host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum LogService {
    /// syslog.
    Syslog(SyslogConfig),
    /// The systemd journal.
    Journal {
        /// Where it listens.
        socket: PathBuf,
        /// What stands in every entry.
        fields: Vec<(String, String)>,
    },
}

/// How lines go to a syslog.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SyslogConfig {
    /// Where it listens.
    pub target: SyslogTarget,
    /// The number of the facility (RFC 5424, 6.2.1).
    pub facility: u8,
    /// The program's name.
    pub tag: String,
    /// This host's name.
    pub host: String,
    /// The number beside the tag.
    pub pid: u32,
    /// How a line is written.
    pub form: SyslogForm,
}

/// Where a syslog listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SyslogTarget {
    /// A unix datagram socket.
    Unix(PathBuf),
    /// UDP.
    Udp(SocketAddr),
}

/// How a line for a syslog is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SyslogForm {
    /// The old form.
    Rfc3164,
    /// The new one.
    Rfc5424 {
        /// The time is exact to the microsecond.
        microseconds: bool,
    },
}

/// `--restart`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// After a failure; at most this many times, if given.
    OnFailure(Option<u32>),
    /// Whenever it ends, unless it is stopped.
    Always,
    /// The same; and a container that was stopped stays down at boot.
    UnlessStopped,
}

impl std::str::FromStr for RestartPolicy {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None => match text {
                "" | "no" => Ok(Self::No),
                "on-failure" => Ok(Self::OnFailure(None)),
                "always" => Ok(Self::Always),
                "unless-stopped" => Ok(Self::UnlessStopped),
                _ => Err("not one of no, on-failure[:n], always, unless-stopped".into()),
            },
            Some(("on-failure", n)) => {
                n.parse().map(|n| Self::OnFailure(Some(n))).map_err(|_| format!("`{n}` is not a number of retries"))
            }
            Some((name, _)) => Err(format!("`{name}` takes no number of retries")),
        }
    }
}

/// Folders of the container's cgroup.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CgroupPaths {
    /// cgroup v2: the child is born into it.
    pub unified: Option<PathBuf>,
    /// cgroup v1, one per hierarchy: the child is moved before it goes on.
    pub legacy: Vec<PathBuf>,
}

/// What is removed when the container ends: with `--rm`, or by `rcr rm -f`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovePaths {
    /// Removed first: from then on the name is free.
    pub files: Vec<PathBuf>,
    /// Removed with everything in them.
    pub folders: Vec<PathBuf>,
    /// Where folders of the same file system go first, so that they are gone at once.
    #[serde(default)]
    pub aside: Option<PathBuf>,
}

/// `rcr exec`: another process.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExecConfig {
    /// The program, its streams and its credentials.
    pub process: ProcessPlan,
    /// Which of stdin, stdout and stderr are pipes; those come beside this frame, in this order. The others are the
    /// container's `/dev/null`, or its terminal.
    pub streams: [bool; 3],
    /// The pid of the container's init, on the host.
    pub init_pid: i32,
    /// Field 22 of `/proc/PID/stat`: a reused pid has another.
    pub init_start: u64,
    /// The container's cgroup, which the process enters.
    pub cgroup: CgroupPaths,
    /// What is written down of its start and its end; absent: nothing.
    #[serde(default)]
    pub noted: Option<Subject>,
}

/// What the shim answers on the control socket.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The program runs.
    Started {
        /// Its pid on the host.
        pid: i32,
        /// When what happened on the way, if that was asked for.
        #[serde(default)]
        timings: Vec<Moment>,
    },
    /// The program could not be started.
    Failed(StartFailure),
    /// `exec` only: the process ended.
    Exited {
        /// Its exit code; 128 + the signal that killed it.
        code: i32,
    },
}

/// Why a container did not start.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StartFailure {
    /// What was being done, e.g. `mount proc on /proc`.
    pub doing: String,
    /// The failed call's errno.
    pub errno: i32,
    /// The command itself could not be executed: exit code 126 or 127.
    pub execute: bool,
    /// The user or group does not exist in the image.
    pub lookup: bool,
    /// A container that it joins does not run.
    pub other_gone: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restart_policies_parse() {
        assert_eq!("on-failure:3".parse(), Ok(RestartPolicy::OnFailure(Some(3))));
        assert_eq!("unless-stopped".parse(), Ok(RestartPolicy::UnlessStopped));
        for bad in ["sometimes", "always:3", "on-failure:x", "on-failure:-1"] {
            assert!(bad.parse::<RestartPolicy>().is_err(), "{bad}");
        }
    }
}
