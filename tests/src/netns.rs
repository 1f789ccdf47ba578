//! Network namespaces, kept by a descriptor.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

/// A network namespace; it ends with its last holder.
#[derive(Debug, Clone)]
pub struct Netns {
    file: Arc<File>,
}

impl Netns {
    /// A new one, with its loopback up.
    pub fn new() -> Self {
        let file = std::thread::spawn(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("a new network namespace needs root");
            File::open("/proc/thread-self/ns/net").expect("open the new network namespace")
        });
        let netns = Self { file: Arc::new(file.join().expect("thread")) };
        netns.ip("link set lo up");
        // A new namespace inherits this from the machine, whatever its setting.
        netns.run("sysctl -qw net.ipv4.ip_forward=0");
        netns
    }

    /// The namespace of a process.
    pub fn of(pid: i64) -> Self {
        Self { file: Arc::new(File::open(format!("/proc/{pid}/ns/net")).expect("the process runs")) }
    }

    /// The descriptor's number in this process; others reach it as `/proc/PID/fd/NUMBER`.
    pub fn fd(&self) -> i32 {
        self.file.as_raw_fd()
    }

    /// A command that runs in here.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let file = self.file.clone();
        // SAFETY: setns(2) is async-signal-safe; the descriptor is kept open by the closure.
        unsafe {
            command.pre_exec(move || Ok(nix::sched::setns(file.as_fd(), nix::sched::CloneFlags::CLONE_NEWNET)?));
        }
        command
    }

    /// Runs a line of words; it must succeed. Returns its output.
    pub fn run(&self, line: &str) -> String {
        let output = self.try_run(line);
        assert!(output.status.success(), "`{line}`: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a line of words.
    pub fn try_run(&self, line: &str) -> Output {
        let mut words = line.split_whitespace();
        let program = words.next().expect("a program");
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        self.command(program)
            .args(words)
            .env("PATH", path)
            .output()
            .unwrap_or_else(|e| panic!("`{program}` is needed: {e}"))
    }

    /// `ip …`, which must succeed.
    pub fn ip(&self, line: &str) -> String {
        self.run(&format!("ip {line}"))
    }

    /// Links this namespace with another by a veth pair.
    pub fn link(&self, name: &str, other: &Netns, other_name: &str) {
        let fd = other.file.as_raw_fd();
        // The path names this process's folder: the program inherits no descriptors.
        let path = format!("/proc/{}/fd/{fd}", std::process::id());
        self.ip(&format!("link add {name} type veth peer name {other_name} netns {path}"));
    }

    /// Runs a closure on a thread in here.
    pub fn inside<T: Send + 'static>(&self, act: impl FnOnce() -> T + Send + 'static) -> T {
        let file = self.file.clone();
        let thread = std::thread::spawn(move || {
            nix::sched::setns(file.as_fd(), nix::sched::CloneFlags::CLONE_NEWNET).expect("enter the network namespace");
            act()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// One request over TCP from in here: the answer, or the error.
    pub fn tcp(&self, to: &str, say: &str) -> std::io::Result<String> {
        let (to, say): (SocketAddr, String) = (to.parse().expect("an address"), say.to_owned());
        self.inside(move || {
            let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(say.as_bytes())?;
            stream.shutdown(std::net::Shutdown::Write)?;
            let mut said = String::new();
            stream.read_to_string(&mut said)?;
            Ok(said)
        })
    }

    /// One datagram from in here, and the answer.
    pub fn udp(&self, to: &str, say: &str) -> std::io::Result<String> {
        let (to, say): (SocketAddr, String) = (to.parse().expect("an address"), say.to_owned());
        self.inside(move || {
            let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
            socket.set_read_timeout(Some(Duration::from_secs(2)))?;
            socket.send_to(say.as_bytes(), to)?;
            let mut buffer = [0u8; 2048];
            let (got, _) = socket.recv_from(&mut buffer)?;
            Ok(String::from_utf8_lossy(&buffer[..got]).into_owned())
        })
    }
}

impl Default for Netns {
    fn default() -> Self {
        Self::new()
    }
}
