//! Images: import, listing, removal; and archives that mean harm.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use tests::Host;

#[test]
fn import_from_file_and_stdin_list_tag_inspect_remove() {
    let host = Host::bare();
    let file = tests::rootfs("alpine");
    let id = host.ok(&[
        "image",
        "import",
        "-c",
        "ENV A=b",
        "-c",
        "WORKDIR /tmp",
        "-c",
        "CMD [\"sh\",\"-c\",\"echo $A $(pwd)\"]",
        file.to_str().unwrap(),
        "one:1",
    ]);
    assert_eq!(host.ok(&["run", "--rm", "--network", "none", "one:1"]), "b /tmp");
    let mut child = host.command(&["image", "import", "-", "two"]);
    let status = child.stdin(std::fs::File::open(&file).unwrap()).stdout(std::process::Stdio::null()).status().unwrap();
    assert!(status.success());
    host.ok(&["image", "tag", "one:1", "three"]);
    let table = host.ok(&["images"]);
    assert!(
        table.starts_with("REPOSITORY") && ["one", "two", "three"].iter().all(|name| table.contains(name)),
        "{table}"
    );
    assert_eq!(host.inspect("one:1", "/Id"), id.as_str());
    host.ok(&["create", "--name", "c", "two", "true"]);
    assert!(host.rcr(&["image", "rm", "two"]).stderr.contains("used by c"));
    host.ok(&["rm", "c"]);
    assert!(host.ok(&["image", "rm", "two"]).contains("Deleted"));
    assert!(host.ok(&["image", "rm", "one:1"]).contains("Untagged: one:1"));
    assert!(host.ok(&["rmi", "three"]).contains("Deleted"));
    assert_eq!(host.ok(&["images", "-q"]), "");
    let layers = std::fs::read_dir(host.root().join("images/layers")).unwrap().count();
    assert_eq!(layers, 0);
}

#[test]
fn a_tree_comes_out_as_tar_would_have_it() {
    let host = Host::bare();
    let tree = host.scratch().join("tree");
    let script = "mkdir -p a/b && echo text > a/b/f && ln a/b/f hard && ln -s ../a/b sym && mkfifo fifo && mknod dev c 1 3 && chmod 4755 a/b/f && \
                  chown 12:34 sym -h && setfattr -n user.k -v v a/b/f 2>/dev/null; touch -d @1000000000 a/b a/b/f && mkdir -m 1777 sticky && chmod 750 a";
    std::fs::create_dir(&tree).unwrap();
    assert!(Command::new("sh").args(["-c", script]).current_dir(&tree).status().unwrap().success());
    let tar = host.scratch().join("t.tar");
    let made = Command::new("tar")
        .args(["--format=pax", "-C", tree.to_str().unwrap(), "-cf", tar.to_str().unwrap(), "."])
        .status();
    assert!(made.unwrap().success());
    host.ok(&["image", "import", tar.to_str().unwrap(), "t"]);
    let layer = layer(&host);
    let list = |dir: &Path| {
        let output = Command::new("find")
            .args([".", "-printf", "%p %y %m %U %G %s %l %n %Ts\\n"])
            .current_dir(dir)
            .output()
            .unwrap();
        let mut lines: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(list(&tree), list(&layer));
}

fn layer(host: &Host) -> PathBuf {
    std::fs::read_dir(host.root().join("images/layers")).unwrap().next().unwrap().unwrap().path().join("fs")
}

/// Archives as an attacker would write them: each entry a raw header.
struct Archive(Vec<u8>);

impl Archive {
    fn entry(mut self, name: &str, kind: u8, link: &str, content: &[u8]) -> Self {
        let mut header = [0u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..108].copy_from_slice(b"0000644\0");
        header[108..116].copy_from_slice(b"0000000\0");
        header[116..124].copy_from_slice(b"0000000\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        header[136..148].copy_from_slice(b"00000000000\0");
        header[156] = kind;
        header[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn import(mut self, host: &Host) -> tests::Ran {
        self.0.extend_from_slice(&[0; 1024]);
        let file = host.scratch().join("evil.tar");
        std::fs::write(&file, &self.0).unwrap();
        host.rcr(&["image", "import", file.to_str().unwrap(), "evil"])
    }
}

#[test]
fn hostile_archives_change_nothing_outside() {
    let host = Host::bare();
    let victim = host.scratch().join("victim");
    std::fs::create_dir(&victim).unwrap();
    std::fs::write(victim.join("file"), "safe").unwrap();
    let target = victim.to_str().unwrap();
    let up = format!("{}{}", "../".repeat(20), &target[1..]);
    let attacks: Vec<(&str, Archive)> = vec![
        ("a path with ..", Archive(Vec::new()).entry("../../escaped", b'0', "", b"x")),
        ("an absolute path", Archive(Vec::new()).entry(&format!("{target}/file"), b'0', "", b"owned")),
        (
            "a symlink, then through it",
            Archive(Vec::new()).entry("l", b'2', target, b"").entry("l/file", b'0', "", b"owned"),
        ),
        ("a relative symlink out", Archive(Vec::new()).entry("l", b'2', &up, b"").entry("l/file", b'0', "", b"owned")),
        (
            "a folder over a symlink",
            Archive(Vec::new())
                .entry("l", b'2', target, b"")
                .entry("l", b'5', "", b"")
                .entry("l/file", b'0', "", b"owned"),
        ),
        (
            "a file over a symlink",
            Archive(Vec::new()).entry("l", b'2', &format!("{target}/file"), b"").entry("l", b'0', "", b"owned"),
        ),
        (
            "a hard link out",
            Archive(Vec::new()).entry("h", b'1', &format!("{target}/file"), b"").entry("h", b'0', "", b"owned"),
        ),
        ("a hard link with ..", Archive(Vec::new()).entry("h", b'1', &up, b"")),
        (
            "a hard link through a symlink",
            Archive(Vec::new())
                .entry("l", b'2', target, b"")
                .entry("h", b'1', "l/file", b"")
                .entry("h", b'0', "", b"owned"),
        ),
        ("a whiteout of ..", Archive(Vec::new()).entry("a/.wh...", b'0', "", b"")),
        (
            "a whiteout through a symlink",
            Archive(Vec::new()).entry("l", b'2', target, b"").entry("l/.wh.file", b'0', "", b""),
        ),
        (
            "an opaque mark through a symlink",
            Archive(Vec::new()).entry("l", b'2', target, b"").entry("l/.wh..wh..opq", b'0', "", b""),
        ),
        ("the root as a file", Archive(Vec::new()).entry("./", b'0', "", b"x")),
        ("the root as a symlink", Archive(Vec::new()).entry(".", b'2', target, b"").entry("file", b'0', "", b"owned")),
        ("an empty symlink", Archive(Vec::new()).entry("l", b'2', "", b"")),
        ("an unknown kind", Archive(Vec::new()).entry("x", b'Z', "", b"")),
    ];
    for (name, archive) in attacks {
        let ran = archive.import(&host);
        assert!([0, 125].contains(&ran.code), "{name}: {ran:?}");
        assert!(!ran.stderr.contains("panicked"), "{name}: {ran:?}");
        assert_eq!(std::fs::read_to_string(victim.join("file")).unwrap(), "safe", "{name}");
        assert_eq!(std::fs::read_dir(&victim).unwrap().count(), 1, "{name}");
        host.rcr(&["rmi", "evil"]);
        let left: Vec<_> = std::fs::read_dir(host.root().join("images/tmp")).unwrap().collect();
        assert!(left.is_empty(), "{name}: {left:?}");
    }
}

#[test]
fn damaged_and_cut_archives_are_clear_errors_and_leave_nothing() {
    let host = Host::bare();
    let good = std::fs::read(tests::rootfs("alpine")).unwrap();
    let file = host.scratch().join("x.tar.gz");
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    for bytes in [
        &good[..good.len() / 2],
        &good[..100],
        &good[..2],
        b"",
        b"no archive at all, just some text that goes on for a while",
        &flipped,
    ] {
        std::fs::write(&file, bytes).unwrap();
        let error = host.refused(&["image", "import", file.to_str().unwrap(), "bad"]);
        assert!(error.contains("cannot"), "{error}");
        assert_eq!(std::fs::read_dir(host.root().join("images/layers")).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(host.root().join("images/blobs/sha256")).unwrap().count(), 0);
    }
    assert!(host.refused(&["image", "import", "/no/such/file", "x"]).contains("ENOENT"));
    assert!(
        host.refused(&["image", "import", file.to_str().unwrap(), "Bad/../Name"])
            .contains("cannot understand the image name")
    );
}

#[test]
fn a_real_alpine_runs_if_one_is_given() {
    // The project's own image stands for it everywhere else; a real one is used where a clone has it beside itself, or RCR_TEST_ALPINE names one.
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/images");
    let found = std::fs::read_dir(beside)
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .find(|p| p.extension().is_some_and(|e| e == "gz"));
    let Some(file) = std::env::var_os("RCR_TEST_ALPINE").map(PathBuf::from).or(found) else {
        println!("no real Alpine root file system is here: this run tested the project's own image only");
        return;
    };
    println!("with {}", file.display());
    let host = Host::bare();
    host.ok(&["image", "import", file.to_str().unwrap(), "alpine"]);
    host.ok(&["network", "create", "eui_bridge"]);
    host.ok(&[
        "run",
        "-d",
        "--name",
        "c1",
        "--network",
        "eui_bridge",
        "-p",
        "5000:80",
        "alpine",
        "sh",
        "-c",
        "while :; do echo hi | nc -l -p 80; done",
    ]);
    let ping = host.ok(&["run", "--rm", "--network", "eui_bridge", "-u", "1000", "alpine", "ping", "-c", "1", "c1"]);
    assert!(ping.contains("1 packets received"), "{ping}");
    tests::eventually("it answers", || host.outside.tcp("198.51.100.1:5000", "").is_ok_and(|said| said.contains("hi")));
    assert_eq!(host.ok(&["exec", "c1", "cat", "/etc/os-release"]).lines().next(), Some("NAME=\"Alpine Linux\""));
}
