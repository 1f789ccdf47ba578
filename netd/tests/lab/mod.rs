//! A host of its own for every test: a network namespace with an uplink to an "outside", a netd, containers.
//!
//! The calling thread moves into the namespace, and so does what it starts; nothing reaches the machine's own network.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../tests/src/ruleset.rs"]
mod ruleset;

use netd_api::*;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::unistd::Pid;
use rcr_base::{FrameError, recv_frame, send_frame};
use ruleset::sort_chains;
use std::fs::File;
use std::io::{BufRead, BufReader, IoSlice, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub const HOST: &str = "192.0.2.1";
pub const OUTSIDE: &str = "192.0.2.2";
pub const HOST6: &str = "2001:db8::1";

pub struct Lab {
    dir: tempfile::TempDir,
    pub host: Netns,
    pub outside: Netns,
    client: Option<UnixStream>,
    pid: Option<i32>,
    env: Vec<(String, String)>,
    mounted: bool,
}

#[derive(Clone)]
pub struct Netns(Arc<OwnedFd>);

impl Netns {
    pub fn new() -> Self {
        std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("root is needed");
            sh("ip link set lo up && sysctl -qw net.ipv4.ip_forward=0");
            Self::current()
        })
        .join()
        .unwrap()
    }

    fn current() -> Self {
        Self(Arc::new(File::open("/proc/thread-self/ns/net").unwrap().into()))
    }

    pub fn from(fd: OwnedFd) -> Self {
        Self(Arc::new(fd))
    }

    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Runs `work` inside.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let enter = || {
                setns(self.0.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
                work()
            };
            scope.spawn(enter).join().unwrap()
        })
    }

    /// Runs a shell line inside; says whether it went well, and what it printed.
    pub fn try_sh(&self, line: &str) -> (bool, String) {
        self.run(|| try_sh(line))
    }

    pub fn sh(&self, line: &str) -> String {
        let (ok, text) = self.try_sh(line);
        assert!(ok, "`{line}`: {text}");
        text
    }

    pub fn ping(&self, to: impl ToString) -> bool {
        self.try_sh(&format!("ping -n -c1 -W1 {}", to.to_string())).0
    }

    /// Connects, and returns the address that the server saw.
    pub fn fetch(&self, to: &str) -> Result<String, std::io::Error> {
        let to: SocketAddr = to.parse().unwrap();
        self.run(|| {
            let mut stream = TcpStream::connect_timeout(&to, Duration::from_millis(700))?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        })
    }

    pub fn ask_udp(&self, to: &str) -> Result<String, std::io::Error> {
        let to: SocketAddr = to.parse().unwrap();
        self.run(|| {
            let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any)?;
            socket.set_read_timeout(Some(Duration::from_millis(700)))?;
            socket.connect(to)?;
            socket.send(b"?")?;
            let mut buffer = [0; 100];
            let len = socket.recv(&mut buffer)?;
            Ok(String::from_utf8_lossy(&buffer[..len]).into_owned())
        })
    }
}

pub fn try_sh(line: &str) -> (bool, String) {
    let output = Command::new("sh").arg("-c").arg(line).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

pub fn sh(line: &str) -> String {
    let (ok, text) = try_sh(line);
    assert!(ok, "`{line}`: {text}");
    text
}

/// Waits up to five seconds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(5);
    while !holds() {
        assert!(Instant::now() < end, "not within 5 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A server inside a namespace, which answers with the address it sees.
pub struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Server {
    fn start(netns: &Netns, work: impl FnOnce(&AtomicBool, &dyn Fn()) + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, netns) = (stop.clone(), netns.clone());
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            setns(netns.0.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
            drop(netns);
            work(&seen, &|| ready.send(()).unwrap());
        });
        is_ready.recv().unwrap();
        Self { stop, thread: Some(thread) }
    }

    pub fn tcp(netns: &Netns, at: &str) -> Self {
        let at: SocketAddr = at.parse().unwrap();
        Self::start(netns, move |stop, ready| {
            let listener = TcpListener::bind(at).unwrap();
            listener.set_nonblocking(true).unwrap();
            ready();
            while !stop.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((mut stream, peer)) => {
                        let _ = write!(stream, "{} at {}", peer.ip().to_canonical(), at.port());
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(3)),
                }
            }
        })
    }

    pub fn udp(netns: &Netns, at: &str, says: &'static str) -> Self {
        let at: SocketAddr = at.parse().unwrap();
        Self::start(netns, move |stop, ready| {
            let socket = UdpSocket::bind(at).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            ready();
            let mut buffer = [0; 100];
            while !stop.load(Ordering::Relaxed) {
                if let Ok((_, peer)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(says.as_bytes(), peer);
                }
            }
        })
    }
}

/// What keeps a container's namespace, as the shim does.
pub struct Container {
    pub id: ContainerId,
    pub info: SandboxInfo,
    pub netns: Netns,
    shim: Option<Shim>,
}

impl Container {
    /// The first address of a family.
    pub fn ip(&self, v6: bool) -> IpAddr {
        self.ip_on(0, v6)
    }

    pub fn ip_on(&self, network: usize, v6: bool) -> IpAddr {
        let mut all = self.info.attachments[network].addresses.iter().map(|n| n.addr());
        all.find(|a| a.is_ipv6() == v6).expect("no address of the family")
    }
}

struct Shim {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
}

impl Shim {
    fn start(path: PathBuf, netns: Netns) -> Self {
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut kept = Vec::new();
            while !seen.load(Ordering::Relaxed) {
                let Ok((stream, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(3));
                    continue;
                };
                stream.set_nonblocking(false).unwrap();
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                assert_eq!(line, "netns\n");
                let fds = [netns.0.as_raw_fd()];
                let rights = [ControlMessage::ScmRights(&fds)];
                sendmsg::<()>(stream.as_raw_fd(), &[IoSlice::new(b"n")], &rights, MsgFlags::empty(), None).unwrap();
                kept.push(stream);
            }
        });
        Self { stop, thread: Some(thread), path }
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Lab {
    /// A host with an uplink; netd runs.
    pub fn new() -> Self {
        Self::with_env(&[])
    }

    pub fn with_env(env: &[(&str, &str)]) -> Self {
        let mut lab = Self::bare();
        lab.env = env.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        lab.start();
        lab
    }

    /// The host without netd.
    pub fn bare() -> Self {
        assert!(nix::unistd::geteuid().is_root(), "these tests need root");
        for tool in ["ip", "nft", "ping", "conntrack"] {
            assert!(try_sh(&format!("command -v {tool}")).0, "these tests need `{tool}`");
        }
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        // A new namespace takes the machine's own setting over.
        sh("ip link set lo up; echo 0 > /proc/sys/net/ipv4/ip_forward");
        let outside = Netns::new();
        sh(&format!("ip link add up0 mtu 1400 type veth peer name out0 mtu 1400 netns {}", outside.path()));
        // No link-local addresses: they come late, and would change the dumps.
        outside.sh("ip link set out0 addrgenmode none");
        sh(&format!(
            "ip link set up0 addrgenmode none && ip addr add {HOST}/24 dev up0 && ip addr add {HOST6}/64 dev up0 nodad && ip link set up0 up"
        ));
        outside.sh(&format!(
            "ip addr add {OUTSIDE}/24 dev out0 && ip addr add 2001:db8::2/64 dev out0 nodad && ip link set out0 up"
        ));
        sh(&format!("ip route add default via {OUTSIDE} && ip -6 route add default via 2001:db8::2"));
        eventually("the outside answers", || {
            try_sh(&format!("ping -n -c1 -W1 {OUTSIDE} && ping -n -c1 -W1 2001:db8::2")).0
        });
        Self {
            dir: tempfile::tempdir().unwrap(),
            host: Netns::current(),
            outside,
            client: None,
            pid: None,
            env: Vec::new(),
            mounted: false,
        }
    }

    /// Where netd's store lies.
    pub fn lib_dir(&self) -> PathBuf {
        self.dir.path().join("lib")
    }

    /// Puts the store onto a file system of this size, in the machine's mount namespace: the drop takes it away.
    pub fn mount_store(&mut self, size: &str) {
        let path = self.lib_dir();
        std::fs::create_dir_all(&path).unwrap();
        sh(&format!("mount -t tmpfs -o size={size} none {}", path.display()));
        self.mounted = true;
    }

    pub fn netd_pid(&self) -> i32 {
        self.pid.expect("netd runs")
    }

    fn run_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.run_dir().join("netd.log")).unwrap_or_default()
    }

    /// Begins with an empty log, while no netd runs.
    pub fn forget_log(&self) {
        std::fs::remove_file(self.run_dir().join("netd.log")).unwrap();
    }

    /// Starts netd; panics with what it says when it doesn't become ready.
    pub fn start(&mut self) {
        let env = self.env.clone();
        self.start_with(&env);
    }

    pub fn start_with(&mut self, env: &[(String, String)]) {
        let output = self.try_start(env);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.connect_socket();
    }

    pub fn try_start(&self, env: &[(String, String)]) -> std::process::Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netd"));
        command.arg("--daemon").arg("--root").arg(self.dir.path().join("lib")).arg("--run").arg(self.run_dir());
        command.env_remove("RCR_ROOT").envs(env.iter().cloned()).output().unwrap()
    }

    fn connect_socket(&mut self) {
        self.client = Some(UnixStream::connect(self.run_dir().join(SOCKET_NAME)).unwrap());
        let Reply::Version(version) = self.call(Call::Version) else { panic!() };
        self.pid = Some(version.pid as i32);
    }

    /// A further connection, for somebody who asks at the same time.
    pub fn another_connection(&self) -> UnixStream {
        UnixStream::connect(self.run_dir().join(SOCKET_NAME)).unwrap()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(pid) = self.pid.take() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            eventually("netd ends", || !Path::new(&format!("/proc/{pid}/status")).exists() || zombie(pid));
        }
        self.client = None;
    }

    /// Closes the connection and opens another.
    pub fn hang_up(&mut self) {
        self.client = None;
        self.connect_socket();
    }

    /// After a crash of its own.
    pub fn crashed(&mut self) -> bool {
        let Some(pid) = self.pid else { return true };
        // The connection ends a moment before the process does; on a busy machine the moment is long.
        let is_gone = || !Path::new(&format!("/proc/{pid}/status")).exists() || zombie(pid);
        let until = Instant::now() + Duration::from_secs(1);
        while !is_gone() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        let gone = is_gone();
        if gone {
            self.pid = None;
            self.client = None;
        }
        gone
    }

    pub fn request(&mut self, call: Call) -> Result<(Reply, Vec<OwnedFd>), FrameError> {
        self.request_with(call, &[])
    }

    /// A request with descriptors beside it.
    pub fn request_with(&mut self, call: Call, fds: &[BorrowedFd]) -> Result<(Reply, Vec<OwnedFd>), FrameError> {
        let client = self.client.as_ref().expect("netd runs");
        send_frame(client, &Request::new(call), fds)?;
        recv_frame(client)
    }

    /// A call that is answered, perhaps with an error.
    pub fn try_call(&mut self, call: Call) -> Result<Reply, ApiError> {
        match self.request(call).unwrap().0 {
            Reply::Error(error) => Err(error),
            reply => Ok(reply),
        }
    }

    pub fn call(&mut self, call: Call) -> Reply {
        self.try_call(call).unwrap_or_else(|error| panic!("{error:?}\n{}", self.log()))
    }

    pub fn network(&mut self, name: &str) -> NetworkInfo {
        self.network_with(name, |_, _| {})
    }

    pub fn network_with(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut NetworkCreate, &mut BridgeOptions),
    ) -> NetworkInfo {
        match self.call(Call::NetworkCreate { spec: network_spec(name, change), dry_run: false }) {
            Reply::Network(info) => info,
            other => panic!("{other:?}"),
        }
    }

    /// A held container on a network.
    pub fn container(&mut self, name: &str, network: &str) -> Container {
        self.container_with(name, network, |_| {})
    }

    pub fn container_with(&mut self, name: &str, network: &str, change: impl FnOnce(&mut SandboxRequest)) -> Container {
        self.try_container(name, network, change).unwrap_or_else(|error| panic!("{error:?}\n{}", self.log()))
    }

    pub fn try_container(
        &mut self,
        name: &str,
        network: &str,
        change: impl FnOnce(&mut SandboxRequest),
    ) -> Result<Container, ApiError> {
        let spec = sandbox_spec(name, network, change);
        let id = spec.id.clone();
        let (reply, fds) = self.request(Call::SandboxCreate { spec, dry_run: false }).unwrap();
        let info = match reply {
            Reply::Sandbox(info) => info,
            Reply::Error(error) => return Err(error),
            other => panic!("{other:?}"),
        };
        let netns = Netns::from(fds.into_iter().next().expect("no netns came"));
        let socket = self.dir.path().join(format!("{name}.sock"));
        let shim = Shim::start(socket.clone(), netns.clone());
        self.call(Call::SandboxHold { id: id.clone(), socket });
        Ok(Container { id, info, netns, shim: Some(shim) })
    }

    /// Ends a container: its shim goes, its namespace with it.
    pub fn end(&mut self, container: Container) {
        let id = container.id.clone();
        drop(container);
        eventually("the sandbox is released", || self.try_call(Call::SandboxInspect { id: id.clone() }).is_err());
    }

    /// Ends a container whose namespace somebody keeps.
    pub fn end_but_keep(&mut self, container: Container) -> Netns {
        let (id, kept) = (container.id.clone(), container.netns.clone());
        self.end(container);
        assert!(self.try_call(Call::SandboxInspect { id }).is_err());
        kept
    }

    /// Everything that netd could leave on the host.
    pub fn dump(&self) -> String {
        let sysctls = "for f in /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/*/forwarding \
            /proc/sys/net/ipv6/conf/*/forwarding /proc/sys/net/ipv6/conf/*/accept_ra; do echo $f $(cat $f); done";
        let links = "ip -d link | sed 's/[a-z_]*timer *[0-9.]*//g'";
        let dumps = [links, "ip addr", "ip route show table all", "ip -6 route show table all", sysctls];
        dumps.map(|line| self.host.sh(line)).join("\n") + &self.ruleset("list ruleset")
    }

    /// What `nft` lists, with chains in the order of their names.
    pub fn ruleset(&self, what: &str) -> String {
        sort_chains(&self.host.try_sh(&format!("nft {what}")).1)
    }

    pub fn clean(&self, before: &str) {
        let end = Instant::now() + Duration::from_secs(5);
        let mut now = self.dump();
        while now != before && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50));
            now = self.dump();
        }
        assert!(before == now, "{}\nlog:\n{}", difference(before, &now), self.log());
    }
}

/// The lines that differ.
pub fn difference(before: &str, now: &str) -> String {
    let only = |a: &str, b: &str, mark| {
        let lines = a.lines().filter(|line| !b.lines().any(|other| other == *line));
        lines.map(|line| format!("{mark} {line}\n")).collect::<String>()
    };
    only(before, now, '-') + &only(now, before, '+')
}

/// Whether nothing runs of it any more: its first thread may be a zombie while others still have its files.
fn zombie(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    status.is_ok_and(|s| s.contains("State:\tZ") && s.contains("Threads:\t1\n"))
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.kill();
        if self.mounted {
            let _ = try_sh(&format!("umount {}", self.lib_dir().display()));
        }
    }
}

pub fn network_spec(name: &str, change: impl FnOnce(&mut NetworkCreate, &mut BridgeOptions)) -> NetworkCreate {
    let mut options = BridgeOptions::default();
    let mut spec = NetworkCreate {
        name: name.parse().unwrap(),
        driver: DriverSpec::None,
        subnets: Vec::new(),
        ipv6: false,
        ipv4: true,
        internal: false,
        labels: Default::default(),
    };
    change(&mut spec, &mut options);
    spec.driver = DriverSpec::Bridge(options);
    spec
}

pub fn sandbox_spec(name: &str, network: &str, change: impl FnOnce(&mut SandboxRequest)) -> SandboxRequest {
    // An id that differs with the name.
    let hex: String = name.bytes().map(|b| format!("{b:02x}")).collect();
    let id = format!("{hex:0<64}").parse().unwrap();
    let mut spec = SandboxRequest {
        id,
        name: name.to_owned(),
        netns: NetnsSource::New,
        attachments: vec![AttachmentRequest::to(network)],
        publish: Vec::new(),
        dns: DnsRequest::default(),
        host_gateway: false,
    };
    change(&mut spec);
    spec
}

pub fn publish(host: u16, container: u16) -> PublishRequest {
    publish_range(host, container, 1)
}

pub fn publish_range(host: u16, container: u16, count: u16) -> PublishRequest {
    let host_port = HostPort::Exact(host);
    PublishRequest { host_ip: None, host_port, container_port: container, count, proto: Proto::Tcp }
}

pub fn causes(error: &ApiError) -> String {
    format!("{}: {}", error.message, error.causes.join(": "))
}
