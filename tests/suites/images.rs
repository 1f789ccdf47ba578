//! Images: import, listing, removal; and archives that mean harm.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use tests::Host;
use tests::archive::Archive;

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
    let named = |args: &[&str]| host.ok(&[&["images"], args].concat()).lines().count() - 1;
    for (name, expected) in
        [("one", 1), ("one:1", 1), ("one:2", 0), ("docker.io/library/one", 1), ("on", 0), ("x.y:1/one", 0)]
    {
        assert_eq!(named(&[name]), expected, "{name}");
    }
    assert_eq!(named(&["-a"]), 3);
    assert_eq!(host.ok(&["images", "-aq", "three"]), id["sha256:".len()..][..12]);
    assert!(host.refused(&["images", "A/../B"]).contains("cannot understand the image name"));
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

fn import(archive: Archive, host: &Host) -> tests::Ran {
    let file = host.scratch().join("evil.tar");
    std::fs::write(&file, archive.end()).unwrap();
    host.rcr(&["image", "import", file.to_str().unwrap(), "evil"])
}

/// Ways out by a symlink to `target`, or by `up`, a path up to it.
fn through_symlinks(target: &str, up: &str) -> Vec<(&'static str, Archive)> {
    vec![
        (
            "a symlink, then through it",
            Archive::new().entry("l", b'2', target, b"").entry("l/file", b'0', "", b"owned"),
        ),
        ("a relative symlink out", Archive::new().entry("l", b'2', up, b"").entry("l/file", b'0', "", b"owned")),
        (
            "a folder over a symlink",
            Archive::new().entry("l", b'2', target, b"").entry("l", b'5', "", b"").entry("l/file", b'0', "", b"owned"),
        ),
        // What tar's unpacking once did: the mode of the folder that the symlink names was changed (RUSTSEC-2026-0067).
        (
            "a mode by way of a symlink",
            Archive::new().entry("l", b'2', target, b"").raw(b"l/", b'5', "", b"", 0, "0000777"),
        ),
        (
            "a mode of a file by way of a symlink",
            Archive::new().entry("l", b'2', target, b"").raw(b"l/file", b'0', "", b"x", 1, "0004777").raw(
                b"l/./file",
                b'0',
                "",
                b"x",
                1,
                "0004777",
            ),
        ),
        (
            "a name by a pax header, through a symlink by another",
            Archive::new()
                .pax(&[("path", b"l"), ("linkpath", target.as_bytes())])
                .entry("x", b'2', "x", b"")
                .pax(&[("path", b"l/file")])
                .entry("x", b'0', "", b"owned"),
        ),
        (
            "a symlink in place of a folder that is written to later",
            Archive::new().folder("d").file("d/x", b"").entry("d", b'2', target, b"").file("d/file", b"owned"),
        ),
        (
            "a device's file through a symlink",
            Archive::new().entry("l", b'2', target, b"").entry("l/file", b'3', "", b"").entry("l/fifo", b'6', "", b""),
        ),
        (
            "an attribute through a symlink",
            Archive::new().entry("l", b'2', target, b"").pax(&[("SCHILY.xattr.user.a", b"b")]).file("l/file", b"owned"),
        ),
    ]
}

/// The same by hard links, whiteouts, and entries that replace each other.
fn through_other_links(target: &str, up: &str) -> Vec<(&'static str, Archive)> {
    vec![
        ("a time through a symlink", Archive::new().entry("l", b'2', target, b"").pax(&[("mtime", b"1")]).folder("l")),
        (
            "a magic link",
            Archive::new().entry("l", b'2', "/proc/self/root", b"").file(&format!("l{target}/file"), b"owned"),
        ),
        (
            "a file over a symlink",
            Archive::new().entry("l", b'2', &format!("{target}/file"), b"").entry("l", b'0', "", b"owned"),
        ),
        (
            "a hard link out",
            Archive::new().entry("h", b'1', &format!("{target}/file"), b"").entry("h", b'0', "", b"owned"),
        ),
        ("a hard link with ..", Archive::new().entry("h", b'1', up, b"")),
        (
            "a hard link through a symlink",
            Archive::new().entry("l", b'2', target, b"").entry("h", b'1', "l/file", b"").entry("h", b'0', "", b"owned"),
        ),
        (
            "a whiteout through a symlink",
            Archive::new().entry("l", b'2', target, b"").entry("l/.wh.file", b'0', "", b""),
        ),
        (
            "an opaque mark through a symlink",
            Archive::new().entry("l", b'2', target, b"").entry("l/.wh..wh..opq", b'0', "", b""),
        ),
        ("the root as a symlink", Archive::new().entry(".", b'2', target, b"").entry("file", b'0', "", b"owned")),
        ("an empty symlink", Archive::new().entry("l", b'2', "", b"")),
    ]
}

/// Ways out by names alone, and entries that should not be.
fn by_names(target: &str, up: &str) -> Vec<(&'static str, Archive)> {
    vec![
        ("a path with ..", Archive::new().entry("../../escaped", b'0', "", b"x")),
        ("an absolute path", Archive::new().entry(&format!("{target}/file"), b'0', "", b"owned")),
        (
            "names by GNU headers",
            Archive::new()
                .entry("././@LongLink", b'K', "", format!("{target}\0").as_bytes())
                .entry("l", b'2', "x", b"")
                .entry("././@LongLink", b'L', "", b"l/file\0")
                .entry("x", b'0', "", b"owned"),
        ),
        (
            "a prefix that leaves",
            Archive::new().prefixed(&format!("..{}", "/..".repeat(12)), &format!("{}/file", &target[1..]), b"owned"),
        ),
        (
            "a size that hides an entry (RUSTSEC-2026-0068)",
            Archive::new()
                .pax(&[("size", b"0")])
                .file("f", &Archive::new().file(&format!("{up}/file"), b"owned").end()),
        ),
        ("a whiteout of ..", Archive::new().entry("a/.wh...", b'0', "", b"")),
        ("the root as a file", Archive::new().entry("./", b'0', "", b"x")),
        ("an unknown kind", Archive::new().entry("x", b'Z', "", b"")),
    ]
}

#[test]
fn hostile_archives_change_nothing_outside() {
    let host = Host::bare();
    let victim = host.scratch().join("victim");
    std::fs::create_dir(&victim).unwrap();
    std::fs::write(victim.join("file"), "safe").unwrap();
    // All that can be seen of it, times of change among it: nothing was even touched.
    let look = || {
        let output = Command::new("find").arg(&victim).args(["-printf", "%p %y %m %U %G %s %n %l %T@ %C@\\n"]).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let before = look();
    let target = victim.to_str().unwrap();
    let up = format!("{}{}", "../".repeat(20), &target[1..]);
    let attacks = [through_symlinks(target, &up), through_other_links(target, &up), by_names(target, &up)];
    for (name, archive) in attacks.into_iter().flatten() {
        let ran = import(archive, &host);
        assert!([0, 1].contains(&ran.code), "{name}: {ran:?}");
        assert!(!ran.stderr.contains("panicked"), "{name}: {ran:?}");
        assert_eq!(std::fs::read_to_string(victim.join("file")).unwrap(), "safe", "{name}");
        assert_eq!(look(), before, "{name}");
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
    // The project's own image stands for it everywhere else; a real one is used where a clone has it beside itself, or
    // RCR_TEST_ALPINE names one.
    let Some(file) = tests::images::real_alpine() else {
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
