//! crun, podman and docker where they are installed: in a network and a mount namespace of their own, with state of
//! their own, because they change forwarding, rules and mounts of wherever they run. The machine's own podman and
//! docker see nothing of it.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::resource::{Resource, setrlimit};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tests::Netns;

/// The image's name with the peers.
const IMAGE: &str = "rcr-bench";
/// Open files and processes that a peer starts with: podman raises higher limits further, which takes CAP_SYS_RESOURCE.
const LIMITS: [(Resource, u64); 2] = [(Resource::RLIMIT_NOFILE, 1024), (Resource::RLIMIT_NPROC, 4096)];

/// Where the peers live.
pub struct Peers {
    netns: Netns,
    mounts: Arc<File>,
    folder: tempfile::TempDir,
    docker: Option<Child>,
}

/// One peer's way to run `true`.
pub struct Peer {
    pub name: &'static str,
    pub run: Box<dyn Fn() -> bool>,
}

impl Peers {
    pub fn new() -> Self {
        Self::in_netns(Netns::new())
    }

    /// Peers that share a network with somebody.
    pub fn in_netns(netns: Netns) -> Self {
        let mounts = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).expect("a mount namespace needs root");
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
                .expect("private");
            // crun and podman refuse a hybrid tree; without its unified part it is a plain v1 tree.
            let _ = umount2("/sys/fs/cgroup/unified", MntFlags::MNT_DETACH);
            File::open("/proc/thread-self/ns/mnt").expect("open the new mount namespace")
        });
        let mounts = Arc::new(mounts.join().expect("thread"));
        let folder = tempfile::Builder::new().prefix("rcr-bench").tempdir_in("/tmp").expect("a folder in /tmp");
        Self { netns, mounts, folder, docker: None }
    }

    /// Those that can run a container here; the others say why they can't.
    pub fn all(&mut self) -> Vec<Peer> {
        let mut all = self.crun();
        all.extend(self.podman());
        all.extend(self.docker());
        all
    }

    pub fn inside(&self, program: &str) -> Command {
        inside(&self.netns, &self.mounts, program)
    }

    /// Makes commands of a program, also when the peers are out of reach.
    pub fn maker(&self, program: &'static str) -> impl Fn(&[&str]) -> Command + Clone + use<> {
        let (netns, mounts) = (self.netns.clone(), self.mounts.clone());
        move |args| {
            let mut command = inside(&netns, &mounts, program);
            command.args(args);
            command
        }
    }

    /// podman with its state in the folder it is given.
    pub fn podman_maker(&self) -> impl Fn(&Path, &[&str]) -> Command + Clone + use<> {
        let podman = self.maker("podman");
        move |state, args| {
            let (root, run) = (state.join("podman").display().to_string(), state.join("run").display().to_string());
            podman(&[&["--root", &root, "--runroot", &run], args].concat())
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A prepared bundle: no image, no network but an empty namespace, no DNS.
    fn crun(&self) -> Vec<Peer> {
        let bundle = self.path("bundle");
        let prepared = std::fs::create_dir_all(bundle.join("rootfs")).is_ok()
            && works(Command::new("tar").arg("-xzf").arg(tests::rootfs("alpine")).arg("-C").arg(bundle.join("rootfs")))
            && works(self.inside("crun").args(["spec", "--bundle"]).arg(&bundle))
            && adapt(&bundle.join("config.json")).is_some();
        if !prepared {
            println!("crun: not installed");
            return Vec::new();
        }
        let (netns, mounts, root) = (self.netns.clone(), self.mounts.clone(), self.path("crun"));
        let run = move || {
            let mut command = inside(&netns, &mounts, "crun");
            works(command.arg("--root").arg(&root).args(["run", "-b"]).arg(&bundle).arg("rcr-bench"))
        };
        tried("crun run of a prepared bundle, empty netns", run).into_iter().collect()
    }

    fn podman(&self) -> Vec<Peer> {
        let global = [
            "--root".into(),
            self.path("podman").display().to_string(),
            "--runroot".into(),
            self.path("podman-run").display().to_string(),
        ];
        if !works(self.inside("podman").args(&global).arg("import").arg(tests::rootfs("alpine")).arg(IMAGE)) {
            println!("podman: not installed, or it can't import an image here");
            return Vec::new();
        }
        let candidate = |name, network: &'static str| {
            let (netns, mounts, global) = (self.netns.clone(), self.mounts.clone(), global.clone());
            tried(name, move || {
                let mut command = inside(&netns, &mounts, "podman");
                command.args(&global).args(["run", "--rm", "--ulimit", "host", "--network", network, IMAGE, "true"]);
                works(&mut command)
            })
        };
        [candidate("podman run --rm (bridge)", "podman"), candidate("podman run --rm --network none", "none")]
            .into_iter()
            .flatten()
            .collect()
    }

    /// A dockerd of our own.
    fn docker(&mut self) -> Vec<Peer> {
        let socket = format!("unix://{}", self.path("docker.sock").display());
        let mut command = self.inside("dockerd");
        command.arg("--host").arg(&socket).arg("--data-root").arg(self.path("docker"));
        command.arg("--exec-root").arg(self.path("docker-run")).arg("--pidfile").arg(self.path("docker.pid"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            println!("docker: not installed");
            return Vec::new();
        };
        self.docker = Some(child);
        let client = |netns: &Netns, mounts: &Arc<File>| {
            let mut command = inside(netns, mounts, "docker");
            command.arg("--host").arg(&socket);
            command
        };
        let until = Instant::now() + Duration::from_secs(30);
        while !works(client(&self.netns, &self.mounts).arg("info")) {
            if Instant::now() > until {
                println!("docker: dockerd does not come up on this machine");
                return Vec::new();
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        works(client(&self.netns, &self.mounts).arg("import").arg(tests::rootfs("alpine")).arg(IMAGE));
        let candidate = |name, network: &'static str| {
            let (netns, mounts, socket) = (self.netns.clone(), self.mounts.clone(), socket.clone());
            tried(name, move || {
                let mut command = inside(&netns, &mounts, "docker");
                works(command.args(["--host", &socket, "run", "--rm", "--network", network, IMAGE, "true"]))
            })
        };
        [candidate("docker run --rm (bridge)", "bridge"), candidate("docker run --rm --network none", "none")]
            .into_iter()
            .flatten()
            .collect()
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        let Some(mut child) = self.docker.take() else { return };
        let _ =
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGTERM);
        let _ = child.wait();
    }
}

/// A program in the peers' namespaces.
fn inside(netns: &Netns, mounts: &Arc<File>, program: &str) -> Command {
    let mut command = netns.command(program);
    let mounts = mounts.clone();
    let enter = move || {
        setns(mounts.as_fd(), CloneFlags::CLONE_NEWNS)?;
        LIMITS.iter().try_for_each(|(resource, limit)| setrlimit(*resource, *limit, *limit))?;
        Ok(())
    };
    // SAFETY: system calls only, between fork and execve.
    unsafe { command.pre_exec(enter) };
    command
}

pub fn works(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A peer, if its first run works.
fn tried(name: &'static str, run: impl Fn() -> bool + 'static) -> Option<Peer> {
    if run() {
        return Some(Peer { name, run: Box::new(run) });
    }
    println!("{name}: installed, but it can't run a container on this machine");
    None
}

/// Makes `crun spec`'s example run `true` without a terminal, with the limits that we have ourselves.
fn adapt(path: &Path) -> Option<()> {
    let mut spec: serde_json::Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let process = spec.get_mut("process")?.as_object_mut()?;
    process.insert("terminal".into(), false.into());
    process.insert("args".into(), serde_json::json!(["true"]));
    process.remove("rlimits");
    std::fs::write(path, serde_json::to_vec(&spec).ok()?).ok()
}
