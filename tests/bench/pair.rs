//! podman's two containers on a network of theirs, the second with a published port, on a host of their own.

use crate::peers::{Peers, works};
use std::net::SocketAddr;
use std::process::Command;
use tests::Netns;

/// podman with these arguments.
type Podman = Box<dyn Fn(&[&str]) -> Command>;

/// They end when it is dropped.
pub struct Pair {
    podman: Podman,
    _peers: Peers,
    _folder: tempfile::TempDir,
}

impl Pair {
    /// The two, and where the second listens; nothing, where podman is not installed or can't run them here.
    pub fn start(host: &Netns) -> Option<(Self, [Netns; 2], SocketAddr)> {
        let (peers, folder) = (Peers::in_netns(host.clone()), tempfile::tempdir().expect("a folder"));
        let podman = peers.podman_maker();
        let (state, networks) = (folder.path().to_owned(), folder.path().join("networks").display().to_string());
        let podman = move |args: &[&str]| podman(&state, &[&["--network-config-dir", &networks][..], args].concat());
        let pair = Self { podman: Box::new(podman), _peers: peers, _folder: folder };
        let image = tests::rootfs("alpine").display().to_string();
        let head = ["run", "-d", "--ulimit", "host", "--network", "packets", "--name"];
        let sleep = ["packets", "sleep", "100000"];
        let run = |own: &[&'static str]| [&head[..], own, &sleep].concat();
        let works = pair.works(&["import", &image, "packets"])
            && pair.works(&["network", "create", "packets"])
            && pair.works(&run(&["near"]))
            && pair.works(&run(&["far", "-p", "8080:80"]));
        if !works {
            println!("podman: not installed, or it can't run containers on a network here");
            return None;
        }
        let netns = |name| Some(Netns::of(pair.told(&["inspect", "-f", "{{.State.Pid}}", name])?.parse().ok()?));
        let both = [netns("near")?, netns("far")?];
        let address = pair.told(&["inspect", "-f", "{{.NetworkSettings.Networks.packets.IPAddress}}", "far"])?;
        let at = SocketAddr::new(address.parse().ok()?, 80);
        Some((pair, both, at))
    }

    fn works(&self, args: &[&str]) -> bool {
        works(&mut (self.podman)(args))
    }

    fn told(&self, args: &[&str]) -> Option<String> {
        let output = (self.podman)(args).output().ok()?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.works(&["rm", "--all", "--force", "--time", "0"]);
        self.works(&["network", "rm", "packets"]);
    }
}
