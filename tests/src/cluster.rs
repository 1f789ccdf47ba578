//! Several hosts on one segment, with the test's own etcd among them.

use crate::{Host, Netns, eventually, rootfs};
use std::process::{Child, Stdio};

/// etcd's address on the segment; the hosts are .11, .12, …
pub const STORE: &str = "192.0.2.2";

/// A segment with hosts and etcd. The drop ends everything.
pub struct Cluster {
    pub hosts: Vec<Host>,
    pub segment: Netns,
    pub store: Netns,
    etcd: Option<Child>,
    data: tempfile::TempDir,
}

impl Cluster {
    /// Starts `count` hosts, with the image `alpine`, in one cluster. `v6`: IPv6 underneath.
    pub fn new(count: usize, v6: bool) -> Self {
        let (segment, store) = (Netns::new(), Netns::new());
        segment.ip("link add br0 type bridge stp_state 0 forward_delay 0");
        segment.ip("link set br0 up");
        let data = tempfile::Builder::new().prefix("rcr-etcd").tempdir_in("/tmp").expect("a folder in /tmp");
        let mut cluster = Self { hosts: Vec::new(), segment, store, etcd: None, data };
        cluster.plug(&cluster.store, "store", 2);
        cluster.start_store();
        for i in 0..count {
            let mut host = Host::bare();
            cluster.plug(&host.netns, &format!("h{i}"), 11 + i);
            let address = if v6 { format!("2001:db8:2::{}", 11 + i) } else { format!("192.0.2.{}", 11 + i) };
            host.configure(&format!(
                "[cluster]\nstore = \"etcd://{STORE}:2379\"\nnode_name = \"node{}\"\nnode_address = \"{address}\"\n",
                i + 1
            ));
            host.ok(&["image", "import", rootfs("alpine").to_str().unwrap(), "alpine"]);
            cluster.hosts.push(host);
        }
        cluster
    }

    /// A port of the segment, with addresses of both families.
    fn plug(&self, netns: &Netns, port: &str, number: usize) {
        self.segment.link(port, netns, "lan0");
        self.segment.ip(&format!("link set {port} master br0 up"));
        netns.ip("link set lan0 addrgenmode none");
        netns.ip(&format!("addr add 192.0.2.{number}/24 dev lan0"));
        netns.ip(&format!("addr add 2001:db8:2::{number}/64 dev lan0 nodad"));
        netns.ip("link set lan0 up");
    }

    /// Starts etcd on its data folder.
    pub fn start_store(&mut self) {
        self.start_store_with("http", &[]);
    }

    /// The same with another scheme, and more flags for etcd.
    pub fn start_store_with(&mut self, scheme: &str, flags: &[&str]) {
        let url = format!("{scheme}://{STORE}:2379");
        let mut command = self.store.command("etcd");
        command.arg("--data-dir").arg(self.data.path().join("etcd"));
        command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
        command.args(["--listen-peer-urls", "http://127.0.0.1:2380", "--log-level", "error"]).args(flags);
        let log = std::fs::File::create(self.data.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.etcd = Some(command.spawn().expect("etcd is needed: `make setup-test` installs it"));
        eventually("etcd answers", || self.store.tcp(&format!("{STORE}:2379"), "").is_ok());
    }

    /// Kills etcd; its data stays.
    pub fn stop_store(&mut self) {
        if let Some(mut etcd) = self.etcd.take() {
            let _ = etcd.kill();
            let _ = etcd.wait();
        }
    }

    /// Sends etcd a signal.
    pub fn signal_store(&self, signal: nix::sys::signal::Signal) {
        let pid = self.etcd.as_ref().expect("etcd runs").id();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), signal).unwrap();
    }

    /// etcd's data folder, for a copy while it is stopped.
    pub fn store_data(&self) -> std::path::PathBuf {
        self.data.path().join("etcd")
    }

    /// The answer of `etcdctl`.
    #[track_caller]
    pub fn etcdctl(&self, args: &[&str]) -> String {
        let mut command = self.store.command("etcdctl");
        command.env("ETCDCTL_API", "3").args(["--endpoints", &format!("{STORE}:2379")]).args(args);
        let output = command.output().expect("etcdctl is needed: `make setup-test` installs it");
        assert!(output.status.success(), "etcdctl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Writes a record by hand.
    #[track_caller]
    pub fn put(&self, key: &str, value: &str) {
        self.etcdctl(&["put", "--", key, value]);
    }

    /// How many keys begin with this.
    #[track_caller]
    pub fn etcd_count(&self, prefix: &str) -> usize {
        self.etcdctl(&["get", "--prefix", "--keys-only", prefix]).lines().filter(|line| !line.is_empty()).count()
    }

    /// Compacts the store's history.
    #[track_caller]
    pub fn compact(&self) {
        let status = self.etcdctl(&["endpoint", "status", "--write-out", "json"]);
        let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
        let revision = status.pointer("/0/Status/header/revision").expect("a revision").to_string();
        self.etcdctl(&["compact", "--physical", &revision]);
    }

    /// Creates the network `mesh`, and waits until every host has it.
    #[track_caller]
    pub fn mesh(&self) {
        let subnets = ["--subnet", "10.4.0.0/16", "--subnet", "fd04::/64"];
        self.hosts[0].ok(&[&["network", "create", "-d", "overlay"], &subnets[..], &["mesh"]].concat());
        for host in &self.hosts {
            eventually("the network is there", || host.ok(&["network", "ls"]).contains("mesh"));
        }
    }

    /// Two hosts with `mesh`, and a container on each: c1 and c2. `v6`: IPv6 underneath.
    #[track_caller]
    pub fn pair(v6: bool) -> Self {
        let cluster = Self::new(2, v6);
        cluster.mesh();
        cluster.sleeper(0, "c1", &["--network", "mesh"]);
        cluster.sleeper(1, "c2", &["--network", "mesh"]);
        cluster
    }

    /// A container that sleeps, on host `i`.
    #[track_caller]
    pub fn sleeper(&self, i: usize, name: &str, flags: &[&str]) {
        let mut args = vec!["run", "-d", "--name", name];
        args.extend(flags);
        args.extend(["alpine", "sleep", "1000"]);
        self.hosts[i].ok(&args);
    }

    /// Whether a container on host `i` reaches a name or an address.
    pub fn pings(&self, i: usize, from: &str, to: &str) -> bool {
        self.hosts[i].rcr(&["exec", from, "ping", "-c", "1", "-W", "1", to]).code == 0
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.hosts.clear();
        self.stop_store();
    }
}
