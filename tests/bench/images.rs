//! `make bench-images`: one layer of many files, unpacked by `tar`, by us, and by the peers, rounds interleaved. Each has
//! a fresh ext4 of its own: on one without a journal the kernel passes over inodes that were deleted lately, and who comes
//! after somebody else would pay for what was removed.

use crate::peers::{Peers, works};
use crate::table::{Row, Table};
use flate2::Compression;
use flate2::write::GzEncoder;
use nix::libc;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tests::Host;
use tests::registry::Real;

const ROUNDS: usize = 3;
const FOLDERS: usize = 3000;
const FILES: usize = 36_000;

/// What one command took.
struct Took {
    wall: Duration,
    /// User and system, of it and all that it waited for.
    processor: Duration,
    /// Of the largest process, in KiB.
    peak: i64,
}

type Make = Box<dyn Fn(&Path) -> Command>;

pub fn main() {
    let host = Host::bare();
    let layer = host.scratch().join("layer.tar.gz");
    let unpacked = write_layer(&layer);
    let packed = std::fs::metadata(&layer).map(|meta| meta.len()).unwrap_or_default();
    println!("one layer: {} entries, {} MB packed, {} MB unpacked", FILES + FOLDERS, packed >> 20, unpacked >> 20);
    let registry = Real::start(&host, None);
    let name = format!("{}/many:1", registry.name);
    let archive = host.scratch().join("many.tar");
    host.ok(&["image", "import", layer.to_str().unwrap(), &name]);
    host.ok(&["push", "-q", &name]);
    host.ok(&["save", "-o", archive.to_str().unwrap(), &name]);
    host.ok(&["rmi", &name]);
    let peers = Peers::in_netns(host.netns.clone());
    let mut took: Vec<(&str, Make, Vec<Took>)> = candidates(&host, &peers, &layer, &name, &archive);
    let disk = Disk { host: &host, peers: &peers, state: host.scratch().join("state") };
    for _ in 0..ROUNDS {
        for (_, make, took) in &mut took {
            disk.insert();
            took.extend(measure(make(&disk.state)));
            disk.remove();
        }
    }
    let seconds = |took: &[Took]| took.iter().map(|took| took.wall.as_secs_f64()).collect::<Vec<_>>();
    let floor = seconds(took.first().map(|(.., took)| took.as_slice()).unwrap_or_default());
    let row = |(name, _, took): &(&str, Make, Vec<Took>)| {
        let processor = took.iter().map(|took| took.processor.as_secs_f64() * 1e3).sum::<f64>() / took.len() as f64;
        Row { processor: Some(processor).filter(|_| !took.is_empty()), ..Row::new(name, &seconds(took), &floor) }
    };
    let rows = took.iter().map(row).collect();
    Table::new(&format!("A layer of {} files and folders", FILES + FOLDERS), "s", rows).show();
    for (name, _, took) in &took {
        println!("{name}: {} MB at most", took.iter().map(|took| took.peak / 1024).max().unwrap_or_default());
    }
}

/// A gzipped tar of files whose content compresses to about half. The number of unpacked bytes.
fn write_layer(path: &Path) -> u64 {
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let file = File::create(path).expect("the layer's file");
    let mut tar = tar::Builder::new(GzEncoder::new(file, Compression::new(6)));
    let mut content = Vec::new();
    let mut all = 0;
    for n in 0..FILES {
        let folder = n * FOLDERS / FILES;
        if n * FOLDERS % FILES < FOLDERS {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            tar.append_data(&mut header, format!("usr/d{}/d{folder}", folder % 50), &[][..]).expect("a folder");
        }
        content.clear();
        let size = (random() % 15_000) as usize;
        while content.len() < size {
            let word = random();
            content.extend_from_slice(format!("{:x} is {} ", word >> 32, word % 100).as_bytes());
        }
        all += content.len() as u64;
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        let path = format!("usr/d{}/d{folder}/f{n}", folder % 50);
        tar.append_data(&mut header, path, content.as_slice()).expect("a file");
    }
    tar.into_inner().and_then(GzEncoder::finish).and_then(|mut file| file.flush()).expect("the layer's end");
    all
}

fn candidates(
    host: &Host,
    peers: &Peers,
    layer: &Path,
    name: &str,
    archive: &Path,
) -> Vec<(&'static str, Make, Vec<Took>)> {
    let (layer, archive, name) = (layer.to_owned(), archive.to_owned(), name.to_owned());
    let mut all: Vec<(&'static str, Make, Vec<Took>)> = Vec::new();
    let tar = |line: &'static str| -> Make {
        let from = layer.clone();
        Box::new(move |state| {
            let mut command = Command::new("sh");
            command.args(["-c", line, "sh"]).arg(&from).arg(state);
            command
        })
    };
    all.push(("tar -xz (no sync)", tar("exec tar -xzf $1 -C $2"), Vec::new()));
    all.push(("tar -xz, then sync", tar("tar -xzf $1 -C $2 && sync -f $2"), Vec::new()));
    let rcr = |args: Vec<String>| -> Make {
        let netns = host.netns.clone();
        Box::new(move |state| {
            let mut command = netns.command(tests::bin().join("rcr"));
            command.args(&args).env("RCR_ROOT", state.join("root")).env("RCR_RUN", state.join("run"));
            command
        })
    };
    let text = |path: &PathBuf| path.display().to_string();
    all.push(("rcr image import", rcr(vec!["image".into(), "import".into(), text(&layer)]), Vec::new()));
    all.push(("rcr pull (registry on loopback)", rcr(vec!["pull".into(), "-q".into(), name.clone()]), Vec::new()));
    all.push((
        "rcr load (docker-archive)",
        rcr(vec!["load".into(), "-q".into(), "-i".into(), text(&archive)]),
        Vec::new(),
    ));
    if !works(peers.inside("podman").arg("--version")) {
        println!("podman: not installed");
        return all;
    }
    let podman = peers.podman_maker();
    let (make, name2) = (podman.clone(), name.clone());
    let pull = move |state: &Path| make(state, &["pull", "-q", "--tls-verify=false", &name2]);
    all.push(("podman pull", Box::new(pull), Vec::new()));
    let load = move |state: &Path| podman(state, &["load", "-q", "-i", &archive.display().to_string()]);
    all.push(("podman load", Box::new(load), Vec::new()));
    all.push(("umoci unpack (of a folder, no sync)", umoci(host, &name), Vec::new()));
    let skopeo = peers.maker("skopeo");
    let copy = move |state: &Path| {
        let (from, to) = (format!("docker://{name}"), format!("oci:{}/oci:x", state.display()));
        skopeo(&["--insecure-policy", "copy", "-q", "--src-tls-verify=false", &from, &to])
    };
    all.push(("skopeo copy to a folder (unpacks nothing)", Box::new(copy), Vec::new()));
    all
}

/// umoci, which unpacks out of a layout of OCI's, into which skopeo puts the image before anything is measured.
fn umoci(host: &Host, name: &str) -> Make {
    let layout = host.scratch().join("layout").display().to_string();
    host.netns.run(&format!("skopeo --insecure-policy copy -q --src-tls-verify=false docker://{name} oci:{layout}:x"));
    Box::new(move |state| {
        let mut command = Command::new("umoci");
        command.args(["unpack", "--image", &format!("{layout}:x")]).arg(state.join("bundle"));
        command
    })
}

/// Runs it to its end; `None` if it fails.
fn measure(mut command: Command) -> Option<Took> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begin = Instant::now();
    let child = command.spawn().ok()?;
    // SAFETY: zeroes are a valid rusage; wait4 writes into the two places it is given, and nobody else waits for this
    // child.
    let (status, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let mut status = 0;
        if libc::wait4(child.id() as i32, &mut status, 0, &mut usage) < 0 {
            return None;
        }
        (status, usage)
    };
    let wall = begin.elapsed();
    let time = |t: libc::timeval| Duration::from_secs(t.tv_sec as u64) + Duration::from_micros(t.tv_usec as u64);
    let took = Took { wall, processor: time(usage.ru_utime) + time(usage.ru_stime), peak: usage.ru_maxrss };
    (status == 0).then_some(took)
}

/// A fresh ext4 in a file, for one candidate. Peers see it in their own mount namespace.
struct Disk<'a> {
    host: &'a Host,
    peers: &'a Peers,
    /// Where it is mounted.
    state: PathBuf,
}

impl Disk<'_> {
    fn image(&self) -> PathBuf {
        self.state.with_extension("ext4")
    }

    fn insert(&self) {
        std::fs::create_dir(&self.state).expect("a folder");
        let (image, state) = (self.image().display().to_string(), self.state.display());
        self.host.netns.run(&format!("truncate -s 8G {image}"));
        self.host.netns.run(&format!("mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 {image}"));
        let device = self.host.netns.run(&format!("losetup --find --show {image}"));
        let device = device.trim();
        self.host.netns.run(&format!("mount {device} {state}"));
        assert!(works(self.peers.inside("mount").arg(device).arg(&self.state)), "a loop device for the peers");
        // It goes with its last mount.
        self.host.netns.run(&format!("losetup --detach {device}"));
        // SAFETY: a system call without arguments.
        unsafe { libc::sync() };
    }

    /// podman leaves a mount of its storage behind.
    fn remove(&self) {
        works(self.peers.inside("umount").args(["--recursive", "--lazy"]).arg(&self.state));
        self.host.netns.run(&format!("umount --lazy {}", self.state.display()));
        std::fs::remove_dir(&self.state).expect("an empty folder");
        std::fs::remove_file(self.image()).expect("its file");
    }
}
