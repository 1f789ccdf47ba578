//! A device that fails for a while (EIO): what can't be written is refused, reading and traffic go on, and afterwards everything does.
//!
//! The kernel's answers are changed by strace(1), which lets go of netd for the device to be whole again.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::lab::*;
use netd_api::*;
use std::process::{Child, Command, Stdio};

/// What writes the store's file.
const WRITES: &str = "pwrite64,pwritev,pwritev2,fsync,fdatasync,ftruncate,fallocate,sync_file_range";

/// A device whose calls end with EIO, as long as this lives.
struct Broken {
    strace: Child,
    seen: std::path::PathBuf,
}

impl Broken {
    fn new(lab: &Lab, calls: &str) -> Self {
        let store = lab.lib_dir().join("netd/netd.redb");
        assert!(store.exists(), "the store is where it was");
        let seen = lab.lib_dir().join(format!("seen-{}", calls.len()));
        let mut strace = Command::new("strace");
        strace.args(["-f", "-p", &lab.netd_pid().to_string(), "-e", &format!("trace={calls}"), "-P"]).arg(store);
        strace.args(["-e", &format!("inject={calls}:error=EIO"), "-o"]).arg(&seen);
        let strace =
            strace.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("strace is needed: make setup-test");
        let pid = lab.netd_pid();
        eventually("strace holds every thread", || {
            std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten().all(|task| {
                // One that has just ended has nothing to be held by.
                let status = std::fs::read_to_string(task.path().join("status"));
                status.is_ok_and(|status| !status.contains("TracerPid:\t0"))
            })
        });
        Self { strace, seen }
    }

    /// The device is whole again. How many calls have failed until then.
    fn heal(mut self) -> usize {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.strace.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.strace.wait().unwrap();
        let seen = std::fs::read_to_string(&self.seen).unwrap();
        seen.lines().filter(|line| line.contains("(INJECTED)")).count()
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

#[test]
fn after_errors_of_the_device_everything_goes_on_without_a_restart() {
    let mut lab = Lab::new();
    let before = lab.dump();
    lab.network("blue");
    let a = lab.container("a", "blue");
    let pid = lab.netd_pid();
    // Writing alone, the promise alone, and both.
    for (round, calls) in
        [WRITES, "fsync,fdatasync", "pwrite64,pwritev,pwritev2,ftruncate,fallocate"].into_iter().enumerate()
    {
        let b = lab.container(&format!("b{round}"), "blue");
        let broken = Broken::new(&lab, calls);
        for n in 0..5 {
            let spec = network_spec(&format!("more{round}-{n}"), |_, _| {});
            let error =
                lab.try_call(Call::NetworkCreate { spec, dry_run: false }).expect_err("it can't be written down");
            assert!(causes(&error).contains("EIO"), "{error:?}");
        }
        // Reading goes on, and so does traffic; a container can end.
        let Reply::Networks(all) = lab.call(Call::NetworkList) else { panic!() };
        let refused = format!("more{round}-");
        assert!(all.iter().any(|n| n.name.as_str() == "blue"));
        assert!(!all.iter().any(|n| n.name.as_str().starts_with(&refused)), "what was refused is there");
        let Reply::Sandbox(_) = lab.call(Call::SandboxInspect { id: a.id.clone() }) else { panic!() };
        assert!(a.netns.ping(b.ip(false)));
        lab.end(b);
        assert!(lab.try_container("late", "blue", |_| {}).is_err(), "it can't be written down");
        assert!(broken.heal() > 0, "no call has failed");
        // It is whole again: nothing was restarted, nothing is left of what was refused.
        let c = lab.container(&format!("c{round}"), "blue");
        assert!(c.netns.ping(a.ip(false)));
        lab.network(&format!("more{round}-0"));
        assert_eq!(lab.netd_pid(), pid);
        lab.end(c);
    }
    // What the disk says is what netd says.
    lab.kill();
    lab.start();
    let Reply::Networks(all) = lab.call(Call::NetworkList) else { panic!() };
    let more: Vec<String> = all.iter().map(|n| n.name.to_string()).filter(|name| name.contains("more")).collect();
    assert_eq!(more, ["more0-0", "more1-0", "more2-0"]);
    let Reply::Sandboxes(there) = lab.call(Call::SandboxList) else { panic!() };
    assert_eq!(there.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["a"]);
    lab.end(a);
    for name in more {
        lab.call(Call::NetworkRemove { network: name });
    }
    lab.call(Call::NetworkRemove { network: "blue".into() });
    lab.clean(&before);
}
