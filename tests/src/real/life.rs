//! The life of every program, as data: it starts with the flags that its users type, others reach it, it logs
//! something, somebody opens a terminal beside it, it ends in order, and a new container of it has what the first one
//! kept.

use super::{Check, Real, patience};
use std::time::{Duration, Instant};

/// One program's life. Lines are `rcr`'s, without `rcr`.
#[derive(Clone, Copy, Default)]
pub struct Life<'a> {
    /// Its container's name.
    pub name: &'a str,
    /// What its users type between `run -d --name NAME --network app --memory …m` and the image, which comes last with
    /// its command.
    pub start: &'a str,
    /// Its limit in MiB.
    pub memory: u64,
    /// A command that reports when it is up.
    pub ready: (&'a str, &'a str),
    /// A client in another container, and its expected output: image and command, after `run --rm --network app`.
    pub by_name: Option<(&'a str, &'a str)>,
    /// A published port, what a client outside sends there, and what comes back.
    pub by_port: Option<(u16, &'a [u8], &'a str)>,
    /// A command that makes what is kept, where the client did not.
    pub keep: Option<&'a str>,
    /// What a new container still has: a command, and its expected output.
    pub kept: Option<(&'a str, &'a str)>,
    /// What its log has.
    pub log: Option<&'a str>,
    /// What runs beside it on a terminal: the command, its prompt, the typed text, and the answer.
    pub terminal: (&'a str, &'a str, &'a str, &'a str),
    /// How it ends: its exit code, and its last words.
    pub stops: Option<(i64, &'a str)>,
}

/// A shell on a terminal, which has the size of the window.
pub const SHELL: (&str, &str, &str, &str) = ("sh", "", "stty size; test -t 0 && echo on-$((40+2))", "30 100\r\non-42");

impl Real {
    /// The whole life of a program, each check in its row.
    #[track_caller]
    pub fn lives(&self, life: &Life) {
        self.starts(life);
        self.serves(life);
        self.ends(life);
    }

    /// It starts, and is up.
    #[track_caller]
    pub fn starts(&self, life: &Life) {
        if self.rcr("network inspect app").code != 0 {
            self.ok("network create app");
        }
        self.run(life);
    }

    #[track_caller]
    fn run(&self, life: &Life) {
        let Life { name, memory, start, .. } = life;
        self.ok(&format!("run -d --name {name} --network app --memory {memory}m {start}"));
        self.until(life.ready.0, life.ready.1);
    }

    /// A container to work in, with a program that is no server: the checks that apply to it.
    #[track_caller]
    pub fn works_in(&self, start: &str, terminal: (&str, &str, &str, &str), keep: &str, kept: (&str, &str)) {
        self.lives(&Life {
            name: "box",
            start: &format!("--init -v work:/work {start} sh -c 'echo up; exec sleep 1000'"),
            memory: 256,
            ready: ("logs box", "up"),
            keep: Some(keep),
            kept: Some(kept),
            log: Some("up"),
            terminal,
            // By init, which forwards the signal.
            stops: Some((143, "up")),
            ..Life::default()
        });
        self.row.without(&[Check::Name, Check::Port], "no server");
        self.remove("box");
        self.ok("volume rm work");
    }

    /// Others reach it, by name and from outside; it sees its limit; its log can be read; somebody works beside it on a
    /// terminal.
    #[track_caller]
    pub fn serves(&self, life: &Life) {
        if let Some((client, want)) = life.by_name {
            self.until(&format!("run --rm --network app {client}"), want);
            self.row.holds(Check::Name);
        }
        if let Some((port, say, want)) = life.by_port {
            self.outside(port, say, want);
            self.row.holds(Check::Port);
        }
        self.sees_memory(life.name, life.memory << 20);
        if let Some(want) = life.log {
            self.logs(life.name, want);
        }
        let (command, prompt, keys, want) = life.terminal;
        self.on_terminal(&format!("exec -it {} {command}", life.name), prompt, keys, want);
        self.row.holds(Check::Terminal);
    }

    /// It ends in order; a new container of it has what this one kept.
    #[track_caller]
    pub fn ends(&self, life: &Life) {
        if let Some(keep) = life.keep {
            self.ok(keep);
        }
        if let Some((code, log)) = life.stops {
            self.stops(life.name, code, log);
        }
        self.remove(life.name);
        if let Some((command, want)) = life.kept {
            self.run(life);
            self.until(command, want);
            self.row.holds(Check::Volume);
        }
    }

    /// Stops a container, which must end by itself, well within its time, with this code, and log this.
    #[track_caller]
    pub fn stops(&self, name: &str, code: i64, log: &str) {
        let began = Instant::now();
        self.ok(&format!("stop -t 30 {name}"));
        let took = began.elapsed();
        assert!(took < Duration::from_secs(25), "{name} was killed after {took:?}\n{}", self.tails());
        assert_eq!(self.host.inspect(name, "/State/ExitCode"), code, "{}", self.tails());
        let logs = self.rcr(&format!("logs {name}"));
        let logs = format!("{}{}", logs.stdout, logs.stderr);
        assert!(logs.contains(log), "no {log:?} in the log of {name}: {logs}");
        self.row.holds(Check::Stop);
    }

    /// Asserts that the log has this text.
    #[track_caller]
    pub fn logs(&self, name: &str, want: &str) {
        self.until(&format!("logs {name}"), want);
        self.row.holds(Check::Logs);
    }

    /// The programs in the container see the memory limit, on either version of cgroups.
    #[track_caller]
    pub fn sees_memory(&self, name: &str, bytes: u64) {
        let read = "cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes";
        assert_eq!(self.ok(&format!("exec {name} sh -c '{read}'")), bytes.to_string());
        self.row.holds(Check::Memory);
    }

    /// Retries something until it is true.
    #[track_caller]
    pub fn wait_for(&self, what: &str, mut check: impl FnMut() -> bool) {
        let began = Instant::now();
        while !check() {
            assert!(!patience(began), "never became true: {what}\n{}", self.tails());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
