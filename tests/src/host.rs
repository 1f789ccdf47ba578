//! A host: a network namespace with an uplink to a world outside, and an rcr with its own state.

use crate::netns::Netns;
use crate::snapshot::Snapshot;
use crate::{bin, eventually, rootfs};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A host. Dropping it ends what was started and removes its folders.
pub struct Host {
    pub netns: Netns,
    /// The world outside: 198.51.100.2 and 2001:db8::2.
    pub outside: Netns,
    folder: tempfile::TempDir,
    run_folder: tempfile::TempDir,
    config: Option<PathBuf>,
}

/// The prefix of hosts' folders in `/tmp`.
pub const PREFIX: &str = "rcr-t";
/// A tmpfs, as `/run` is one on most machines.
const MEMORY: &str = "/dev/shm";
/// The host's own addresses on the uplink.
pub const HOST_V4: &str = "198.51.100.1";
pub const HOST_V6: &str = "2001:db8::1";

/// The result of a program.
#[derive(Debug)]
pub struct Ran {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

impl Ran {
    /// Asserts the exit code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Its output, trimmed.
    pub fn out(&self) -> &str {
        self.stdout.trim()
    }
}

fn folder(below: &str) -> tempfile::TempDir {
    tempfile::Builder::new().prefix(PREFIX).tempdir_in(below).unwrap_or_else(|error| panic!("{below}: {error}"))
}

impl Host {
    /// A host with the image `alpine`.
    pub fn new() -> Self {
        let host = Self::bare();
        host.ok(&["image", "import", rootfs("alpine").to_str().unwrap(), "alpine"]);
        host
    }

    /// A host without images.
    pub fn bare() -> Self {
        // SAFETY: prctl with integers. Orphans (shims, netd) then are this process's to bury, as a machine's init
        // would.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
        let (netns, outside) = (Netns::new(), Netns::new());
        netns.link("up0", &outside, "world");
        for (ns, name, v4, v6) in
            [(&netns, "up0", HOST_V4, HOST_V6), (&outside, "world", "198.51.100.2", "2001:db8::2")]
        {
            // No link-local address, which could appear, or lose its tentative flag, during a comparison.
            ns.ip(&format!("link set {name} addrgenmode none"));
            ns.ip(&format!("addr add {v4}/24 dev {name}"));
            ns.ip(&format!("addr add {v6}/64 dev {name} nodad"));
            ns.ip(&format!("link set {name} up"));
        }
        netns.ip("route add default via 198.51.100.2");
        netns.ip("-6 route add default via 2001:db8::2");
        Self { netns, outside, folder: folder("/tmp"), run_folder: folder(MEMORY), config: None }
    }

    /// The machine outside as a host of its own: containers there with `--network host` reach this host from outside.
    pub fn neighbour(&self) -> Self {
        let (netns, outside) = (self.outside.clone(), Netns::new());
        Self { netns, outside, folder: folder("/tmp"), run_folder: folder(MEMORY), config: None }
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    pub fn run_dir(&self) -> PathBuf {
        self.run_folder.path().join("run")
    }

    /// A folder for the test's own files.
    pub fn scratch(&self) -> PathBuf {
        let dir = self.folder.path().join("scratch");
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// Writes a configuration, which all later commands here use.
    pub fn configure(&mut self, text: &str) {
        let path = self.folder.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        self.config = Some(path);
    }

    /// Loads the nginx image.
    pub fn import_nginx(&self) {
        self.ok(&["load", "-i", crate::cached("nginx", "image.tar").to_str().unwrap()]);
    }

    /// A command that runs `rcr` on this host.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.netns.command(bin().join("rcr"));
        command.args(args).env("RCR_ROOT", self.root()).env("RCR_RUN", self.run_dir()).env_remove("RCR_CONFIG");
        if let Some(config) = &self.config {
            command.env("RCR_CONFIG", config);
        }
        command
    }

    /// Runs `rcr`.
    pub fn rcr(&self, args: &[&str]) -> Ran {
        self.rcr_with(args, "")
    }

    /// Runs `rcr` with something on its stdin.
    pub fn rcr_with(&self, args: &[&str], input: &str) -> Ran {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("rcr is needed in {}: {e}", bin().display()));
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        // In parallel with reading: more than a pipe holds may go both ways. A program that reads nothing closes the
        // pipe.
        let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Ran {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or(-1),
        }
    }

    /// Runs `rcr`, which must succeed; its output, trimmed.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        let ran = self.rcr(args);
        assert_eq!(ran.code, 0, "`rcr {}`\nstdout: {}\nstderr: {}", args.join(" "), ran.stdout, ran.stderr);
        ran.stdout.trim().to_owned()
    }

    /// Starts `rcr` in the background; its output is kept.
    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start rcr")
    }

    /// Runs `rcr`, which must fail by itself: with 125 if it is `run` or the words are not understood, else with 1.
    /// Nothing may be on stdout. Its stderr.
    #[track_caller]
    pub fn refused(&self, args: &[&str]) -> String {
        let ran = self.rcr(args);
        let codes: &[i32] = if args.contains(&"run") && args[0] != "healthcheck" { &[125] } else { &[1, 125] };
        let said = format!("`rcr {}`\nstdout: {}\nstderr: {}", args.join(" "), ran.stdout, ran.stderr);
        assert!(codes.contains(&ran.code), "{}: {said}", ran.code);
        assert!(ran.stdout.is_empty(), "{said}");
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
        ran.stderr
    }

    /// Runs a shell's command line in a new container that is removed at its end; its output.
    #[track_caller]
    pub fn sh(&self, flags: &[&str], script: &str) -> String {
        let mut args = vec!["run", "--rm"];
        args.extend(flags);
        args.extend(["alpine", "sh", "-c", script]);
        self.ok(&args)
    }

    /// One value of `rcr inspect`, by JSON pointer.
    #[track_caller]
    pub fn inspect(&self, name: &str, pointer: &str) -> serde_json::Value {
        let text = self.ok(&["inspect", name]);
        let all: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        all[0].pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {text}")).clone()
    }

    /// The first IPv4 address of a container on a network.
    #[track_caller]
    pub fn address(&self, name: &str, network: &str) -> String {
        let value = self.inspect(name, &format!("/NetworkSettings/Networks/{network}/IPAddress"));
        value.as_str().unwrap().to_owned()
    }

    /// A running container's network namespace.
    pub fn container_netns(&self, name: &str) -> Netns {
        Netns::of(self.inspect(name, "/State/Pid").as_i64().expect("a pid"))
    }

    /// Waits until a container has this status.
    #[track_caller]
    pub fn await_status(&self, name: &str, status: &str) {
        eventually(&format!("{name} is {status}"), || self.inspect(name, "/State/Status") == status);
    }

    /// A snapshot of everything on this host.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::take(self)
    }

    /// What netd has logged.
    #[track_caller]
    pub fn netd_log(&self) -> String {
        std::fs::read_to_string(self.run_dir().join("netd.log")).expect("netd has logged")
    }

    /// netd's pid, if it runs.
    pub fn netd_pid(&self) -> Option<i32> {
        let text = std::fs::read_to_string(self.run_dir().join("netd.pid")).ok()?;
        let pid: i32 = text.trim().parse().ok()?;
        // The pid file of a dead netd may name another process.
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (name.trim() == "netd").then_some(pid)
    }

    /// Kills netd.
    pub fn kill_netd(&self) {
        let pid = self.netd_pid().expect("netd runs");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
        // Another command may start the next one at once.
        eventually("netd is gone", || {
            bury();
            self.netd_pid() != Some(pid)
        });
    }

    /// Removes all containers.
    pub fn remove_containers(&self) {
        let ids = self.rcr(&["ps", "-aq"]).stdout;
        let ids: Vec<&str> = ids.split_whitespace().collect();
        if !ids.is_empty() {
            let mut args = vec!["rm", "-f", "-v"];
            args.extend(ids);
            self.rcr(&args);
        }
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

/// Reaps orphans that have ended; children that are waited for elsewhere are not orphans.
pub fn bury() {
    let me = format!(" Z {} ", std::process::id());
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let ours = ["(rcr-shim)", "(netd)"].iter().any(|name| stat.contains(name));
        if ours && stat.contains(&me) {
            let _ =
                nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), Some(nix::sys::wait::WaitPidFlag::WNOHANG));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.remove_containers();
        if let Some(pid) = self.netd_pid() {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
            for _ in 0..200 {
                bury();
                if self.netd_pid().is_none() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
        let left = self.netd_pid();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.run_dir().join("netd.log")).unwrap_or_default();
            eprintln!("netd.log:\n{log}");
        } else if let Some(pid) = left {
            panic!("netd (pid {pid}) does not end on SIGTERM");
        }
    }
}

/// Starts a container that only sleeps.
pub fn sleeper(host: &Host, name: &str, flags: &[&str]) {
    let mut args = vec!["run", "-d", "--name", name];
    args.extend(flags);
    args.extend(["alpine", "sleep", "1000"]);
    host.ok(&args);
}

/// The output of a script in a container.
pub fn exec(host: &Host, name: &str, script: &str) -> String {
    host.ok(&["exec", name, "sh", "-c", script])
}

/// Whether a container reaches a name or an address.
pub fn pings(host: &Host, from: &str, to: &str) -> bool {
    host.rcr(&["exec", from, "ping", "-c", "1", "-W", "1", to]).code == 0
}
