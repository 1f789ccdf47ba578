//! The floor: what the kernel alone takes for a container with a network, by system calls.

use crate::netlink;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, chdir, execv, fork, pivot_root};
use std::ffi::CString;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Command;
use tests::Netns;

/// cgroup v1 hierarchies, as rcr enters them; on v2 one folder does.
const HIERARCHIES: [&str; 5] = ["cpu", "cpuacct", "devices", "memory", "pids"];

/// A bridge in a network namespace of its own, and an unpacked root.
pub struct Floor {
    network: bool,
    /// A netlink socket that was opened in the host's namespace.
    netlink: OwnedFd,
    bridge: u32,
    _host: Netns,
    folder: tempfile::TempDir,
}

impl Floor {
    pub fn new(network: bool) -> Self {
        let host = Netns::new();
        host.ip("link add br0 type bridge");
        host.ip("addr add 10.255.0.1/24 dev br0");
        host.ip("link set br0 up");
        let folder = tempfile::tempdir().unwrap();
        for name in ["lower", "upper", "work", "root"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let rootfs = tests::rootfs("alpine");
        let status = Command::new("tar").arg("-xzf").arg(rootfs).arg("-C").arg(folder.path().join("lower")).status();
        assert!(status.unwrap().success());
        let (netlink, bridge) =
            host.inside(|| (netlink::open().unwrap(), nix::net::if_::if_nametoindex("br0").unwrap()));
        Self { network, netlink, bridge, _host: host, folder }
    }

    /// One container that runs `true`.
    pub fn run(&self) -> bool {
        let cgroups = self.cgroups();
        for cgroup in &cgroups {
            fs::create_dir_all(cgroup).unwrap();
        }
        let (go_read, go_write) = nix::unistd::pipe().unwrap();
        let (up_read, up_write) = nix::unistd::pipe().unwrap();
        // SAFETY: the bench has one thread at this time; the child runs system calls and ends by execv or _exit.
        let child = match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                let _ = self.child(&cgroups, &go_read, up_write);
                // SAFETY: _exit never returns.
                unsafe { libc::_exit(1) }
            }
            ForkResult::Parent { child } => child,
        };
        drop(up_write);
        // The child has its namespaces when it says so.
        let _ = nix::unistd::read(&up_read, &mut [0]);
        if self.network {
            netlink::veth(&self.netlink, &format!("v{child}"), self.bridge, child.as_raw()).unwrap();
        }
        nix::unistd::write(&go_write, b"g").unwrap();
        let ended = waitpid(child, None).is_ok_and(|status| matches!(status, WaitStatus::Exited(_, 0)));
        for cgroup in &cgroups {
            let _ = fs::remove_dir(cgroup);
        }
        ended
    }

    fn cgroups(&self) -> Vec<PathBuf> {
        let name = format!("rcr-bench-{}", std::process::id());
        let legacy: Vec<PathBuf> =
            HIERARCHIES.iter().map(|h| PathBuf::from("/sys/fs/cgroup").join(h)).filter(|path| path.is_dir()).collect();
        let tops = if legacy.is_empty() { vec![PathBuf::from("/sys/fs/cgroup")] } else { legacy };
        tops.into_iter().map(|top| top.join(&name)).collect()
    }

    fn child(&self, cgroups: &[PathBuf], go: &OwnedFd, up: OwnedFd) -> nix::Result<()> {
        for cgroup in cgroups {
            // Of version 1, a thread moves itself without waiting for anybody.
            let tasks = cgroup.join("tasks");
            let file = if tasks.exists() { tasks } else { cgroup.join("cgroup.procs") };
            fs::write(file, "0").map_err(|_| nix::Error::EIO)?;
        }
        let spaces = CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWCGROUP;
        unshare(spaces)?;
        nix::unistd::write(&up, b"u")?;
        nix::unistd::read(go, &mut [0])?;
        if self.network {
            netlink::configure().map_err(|_| nix::Error::EIO)?;
        }
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
        let dir = |name: &str| self.folder.path().join(name);
        let data = format!(
            "lowerdir={},upperdir={},workdir={},volatile",
            dir("lower").display(),
            dir("upper").display(),
            dir("work").display()
        );
        let _ = fs::remove_dir_all(dir("work/work/incompat"));
        mount(Some("overlay"), &dir("root"), Some("overlay"), MsFlags::empty(), Some(data.as_str()))?;
        mount(Some("proc"), &dir("root/proc"), Some("proc"), MsFlags::empty(), none)?;
        mount(Some("tmpfs"), &dir("root/dev"), Some("tmpfs"), MsFlags::empty(), none)?;
        chdir(&dir("root"))?;
        pivot_root(".", ".")?;
        umount2(".", MntFlags::MNT_DETACH)?;
        let program = CString::new("/bin/true").map_err(|_| nix::Error::EINVAL)?;
        execv(&program, std::slice::from_ref(&program)).map(drop)
    }
}
