//! Layers: what comes out is what GNU tar makes of the same bytes, and nothing outside changes, whatever the bytes are.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::archive::Archive;
use tests::images::base;
use tests::registry::Fake;
use tests::{Host, Ran};

fn sh(folder: &Path, script: &str) {
    let status = Command::new("sh").args(["-ec", script]).current_dir(folder).status().unwrap();
    assert!(status.success(), "{script}");
}

/// Everything that find(1) and getfattr(1) can tell of a tree.
fn listing(folder: &Path) -> Vec<String> {
    let script = "find . -printf '%p|%y|%m|%U|%G|%s|%l|%n|%T@\\n' | grep -v '|d|' || true; find . -type d -printf '%p|%y|%m|%U|%G|%n|%T@\\n'; \
                  find . -type f -exec sha256sum {} +; find . \\( -type b -o -type c \\) -exec stat -c '%n %t:%T' {} +; \
                  getfattr -R -h -d -m - -e hex . 2>/dev/null || true";
    let output = Command::new("sh").args(["-ec", script]).current_dir(folder).output().unwrap();
    let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// The same lines, or only what differs.
#[track_caller]
fn same(theirs: &[String], ours: &[String], what: &str) {
    let lacking = |a: &[String], b: &[String]| a.iter().filter(|line| !b.contains(line)).cloned().collect::<Vec<_>>();
    let (only_theirs, only_ours) = (lacking(theirs, ours), lacking(ours, theirs));
    assert!(only_theirs.is_empty() && only_ours.is_empty(), "{what}\ntheirs: {only_theirs:#?}\nours: {only_ours:#?}");
}

fn layer(host: &Host) -> PathBuf {
    std::fs::read_dir(host.root().join("images/layers")).unwrap().next().unwrap().unwrap().path().join("fs")
}

#[test]
fn every_form_of_tar_comes_out_as_gnu_tar_makes_it() {
    let host = Host::bare();
    let tree = host.scratch().join("tree");
    std::fs::create_dir(&tree).unwrap();
    let long = "long-name-".repeat(12);
    sh(
        &tree,
        &format!(
            "umask 022; mkdir -p a/b {long}/{long}/{long}; echo text > a/b/f; echo deep > {long}/{long}/{long}/file; ln a/b/f hard; ln -s ../a/b sym; \
             ln -s /{long}/{long}/{long}/file longlink; ln {long}/{long}/{long}/file longhard; ln -s nowhere dangling; mkfifo fifo; mknod dev c 1 3; \
             mknod blk b 7 200; echo s > suid; chown 1000:1001 suid; chmod 6755 suid; mkdir sgid; chgrp 50 sgid; chmod 2775 sgid; mkdir sgid/in; echo x > sgid/file; \
             chown -h 12:34 sym; mkdir -m 1777 sticky; chmod 750 a; echo big > ids; chown 3000000:2100000 ids; truncate -s 5M holes; \
             printf end | dd of=holes bs=1 seek=4000000 conv=notrunc 2>/dev/null; : > empty; chmod 000 empty; printf '\\303\\244 b\\nc' > 'name with \\ and ä'; \
             setfattr -n user.one -v two a/b/f; touch -d @1000000000.123456789 a/b/f; touch -d @-5 empty; touch -d @1500000000 a a/b sgid; touch -hd @1200000000 sym"
        ),
    );
    for (format, flags) in [
        ("gnu", ""),
        ("gnu", "--sparse"),
        ("oldgnu", ""),
        ("posix", "--sparse --sparse-version=0.0"),
        ("posix", "--sparse --sparse-version=0.1"),
        ("posix", "--sparse --sparse-version=1.0"),
        ("posix", "--xattrs --xattrs-include=*"),
        ("posix", "--xattrs --xattrs-include=* -b 1"),
    ] {
        let (tar, theirs) = (host.scratch().join("t.tar"), host.scratch().join("theirs"));
        let _ = std::fs::remove_dir_all(&theirs);
        std::fs::create_dir(&theirs).unwrap();
        sh(&tree, &format!("tar --format={format} {flags} -cf {} .", tar.display()));
        sh(&theirs, &format!("tar --xattrs --xattrs-include='*' --numeric-owner -xpf {}", tar.display()));
        host.ok(&["image", "import", tar.to_str().unwrap(), "t"]);
        same(&listing(&theirs), &listing(&layer(&host)), &format!("{format} {flags}"));
        if flags.contains("--sparse") {
            let holes = std::fs::metadata(layer(&host).join("holes")).unwrap();
            assert!(holes.blocks() * 512 < 1 << 20, "{} blocks", holes.blocks());
        }
        host.ok(&["rmi", "t"]);
    }
    // The oldest form, where a folder is a name that ends in a slash.
    let small = host.scratch().join("small");
    std::fs::create_dir(&small).unwrap();
    sh(&small, "mkdir d; echo x > d/f; tar --format=v7 -cf ../v7.tar .");
    host.ok(&["image", "import", host.scratch().join("v7.tar").to_str().unwrap(), "t"]);
    assert_eq!(std::fs::read_to_string(layer(&host).join("d/f")).unwrap(), "x\n");
    host.ok(&["rmi", "t"]);
    // Numbers that were left out are zeros.
    let mut bytes = Archive::new().file("f", b"x").end();
    bytes[108..124].fill(0);
    let sum: u32 =
        bytes[..512].iter().enumerate().map(|(at, b)| if (148..156).contains(&at) { 32 } else { (*b).into() }).sum();
    bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert_eq!(import(&host, bytes).code, 0);
    assert_eq!(std::fs::metadata(layer(&host).join("f")).unwrap().uid(), 0);
}

#[test]
fn umoci_and_we_agree_on_a_good_image() {
    let host = Host::bare();
    let fake = Fake::start(&host, "127.0.0.1:5001");
    fake.image("1", &[base()], |_, _| ());
    host.ok(&["pull", "-q", &fake.name("x:1")]);
    let dir = host.scratch();
    host.ok(&["save", "--format", "oci-dir", "-o", dir.join("oci").to_str().unwrap(), &fake.name("x:1")]);
    host.netns.run(&format!("skopeo --insecure-policy copy oci:{0}/oci oci:{0}/named:x", dir.display()));
    host.netns.run(&format!("umoci unpack --image {0}/named:x {0}/bundle", dir.display()));
    same(&listing(&dir.join("bundle/rootfs")), &listing(&layer(&host)), "umoci");
}

/// Runs a command in a container of an image of these layers.
fn stacked(host: &Host, layers: &[Vec<u8>], script: &str) -> String {
    let fake = Fake::start(host, "127.0.0.1:5002");
    let all: Vec<Vec<u8>> = [base()].into_iter().chain(layers.iter().cloned()).collect();
    fake.image("1", &all, |_, _| ());
    let name = fake.name("x:1");
    let said = host.ok(&["run", "--rm", "--network", "none", "--pull", "always", &name, "sh", "-c", script]);
    host.ok(&["image", "prune", "-af"]);
    said
}

#[test]
fn whiteouts_hide_what_lies_below_and_only_that() {
    let host = Host::bare();
    let below = Archive::new()
        .folder("d")
        .file("d/old", b"old")
        .file("f", b"old")
        .folder("e")
        .file("e/old", b"old")
        .file("g", b"old");
    let below = below.file("h/old", b"old").file("i/old", b"old").end();
    let above = Archive::new()
        .file(".wh.f", b"")
        // A folder that is emptied, before and after something is put into it.
        .file("d/new", b"new")
        .file("d/.wh..wh..opq", b"")
        // A folder that is hidden and made anew, in either order.
        .file(".wh.e", b"")
        .folder("e")
        .file("e/new", b"new")
        .file("h/new", b"new")
        .file(".wh.h", b"")
        // Made anew by what is put into it.
        .file(".wh.i", b"")
        .file("i/new", b"new")
        // A whiteout is about the layers below: what this layer has stays.
        .file("g", b"new")
        .file(".wh.g", b"")
        .file(".wh.never-was", b"")
        .end();
    let script = "cd /; ls d e h i; cat g; ls f never-was 2>&1 | grep -c 'No such'";
    assert_eq!(stacked(&host, &[below, above], script), "d:\nnew\n\ne:\nnew\n\nh:\nnew\n\ni:\nnew\nnew2");
}

#[test]
fn a_layer_may_write_through_its_own_symlinks_and_stays_inside() {
    let host = Host::bare();
    let archive = Archive::new()
        .folder("usr")
        .folder("usr/lib")
        .entry("lib", b'2', "usr/lib", b"")
        .file("lib/one", b"1")
        .entry("abs", b'2', "/usr/lib", b"")
        .file("abs/two", b"2")
        .entry("up", b'2', "../../../../../usr/lib", b"")
        .file("up/three", b"3")
        .entry("hard", b'1', "lib/one", b"")
        .end();
    let file = host.scratch().join("t.tar");
    std::fs::write(&file, archive).unwrap();
    host.ok(&["image", "import", file.to_str().unwrap(), "t"]);
    let root = layer(&host);
    for (name, content) in [("one", "1"), ("two", "2"), ("three", "3")] {
        assert_eq!(std::fs::read_to_string(root.join("usr/lib").join(name)).unwrap(), content);
    }
    assert_eq!(std::fs::metadata(root.join("hard")).unwrap().nlink(), 2);
}

fn import(host: &Host, bytes: Vec<u8>) -> Ran {
    let file = host.scratch().join("evil.tar");
    std::fs::write(&file, bytes).unwrap();
    host.rcr(&["image", "import", file.to_str().unwrap(), "evil"])
}

/// Layers that can't be, each with its name.
fn impossible() -> Vec<(&'static str, Vec<u8>)> {
    let pax = |key: &str, value: &[u8]| Archive::new().pax(&[(key, value)]).file("f", b"f").end();
    vec![
        ("a uid that wraps to root", pax("uid", b"4294967296")),
        ("no uid at all", pax("gid", b"-1")),
        ("the uid that means none", pax("uid", b"4294967295")),
        ("a path with a null byte", pax("path", b"a\0b")),
        ("a pax path that leaves", pax("path", b"../../x")),
        (
            "a pax link path that leaves",
            Archive::new().pax(&[("linkpath", b"../../etc/passwd")]).entry("l", b'1', "x", b"").end(),
        ),
        ("a file larger than its archive", Archive::new().raw(b"f", b'0', "", b"", 1 << 32, "0000644").end()),
        ("a pax size that is no size", pax("size", b"99999999999999999999")),
        ("a sparse file without a size", pax("GNU.sparse.major", b"1")),
        ("a sparse file of a version to come", pax("GNU.sparse.minor", b"7")),
        (
            "a sparse file whose extents overlap",
            Archive::new().pax(&[("GNU.sparse.size", b"9"), ("GNU.sparse.map", b"0,3,1,3")]).file("f", b"abcdef").end(),
        ),
        (
            "a sparse file with a name that leaves",
            Archive::new()
                .pax(&[("GNU.sparse.size", b"6"), ("GNU.sparse.map", b"0,6"), ("GNU.sparse.name", b"../../x")])
                .file("f", b"abcdef")
                .end(),
        ),
        ("a hard link to nothing", Archive::new().entry("l", b'1', "nothing", b"").end()),
        ("a hard link to a folder", Archive::new().folder("d").entry("l", b'1', "d", b"").end()),
        ("a file below a file", Archive::new().file("f", b"").file("f/g", b"").end()),
        (
            "a loop of symlinks",
            Archive::new().entry("a", b'2', "b", b"").entry("b", b'2', "a", b"").file("a/f", b"").end(),
        ),
        ("a name that moves the cursor", Archive::new().file("\u{1b}[2J/../x", b"").end()),
    ]
}

#[test]
fn forged_marks_sizes_and_owners_are_refused_or_ignored() {
    let host = Host::bare();
    // overlayfs's own marks cannot be forged: they would show other layers' secrets, or another container's files.
    let forged = Archive::new()
        .pax(&[("SCHILY.xattr.trusted.overlay.opaque", b"y"), ("SCHILY.xattr.trusted.overlay.redirect", b"/etc")])
        .folder("d")
        .pax(&[("SCHILY.xattr.security.selinux", b"x"), ("SCHILY.xattr.security.capabilityx", b"x")])
        .file("d/f", b"f")
        .end();
    assert_eq!(import(&host, forged).code, 0);
    assert!(!listing(&layer(&host)).iter().any(|line| line.contains("trusted") || line.contains("capabilityx")));
    host.ok(&["rmi", "evil"]);
    // What such headers say of a size means nothing: what follows is the next header, as for Docker.
    for (what, archive) in [
        ("a link", Archive::new().entry("l", b'2', "target", &[0; 512]).end()),
        ("a hard link", Archive::new().file("f", b"f").entry("l", b'1', "f", &[0; 512]).end()),
        ("a folder", Archive::new().entry("d", b'5', "", &[0; 512]).end()),
        ("a device", Archive::new().entry("d", b'3', "", &[0; 512]).end()),
    ] {
        assert_eq!(import(&host, archive).code, 0, "{what} with content");
        host.ok(&["rmi", "evil"]);
    }
    for (name, bytes) in impossible() {
        let ran = import(&host, bytes);
        assert_eq!(ran.code, 1, "{name}: {ran:?}");
        assert!(ran.stderr.starts_with("error: ") && !ran.stderr.contains("panicked"), "{name}: {ran:?}");
        assert!(!ran.stderr.contains('\u{1b}'), "{name}: {ran:?}");
        assert_eq!(std::fs::read_dir(host.root().join("images/layers")).unwrap().count(), 0, "{name}");
        assert_eq!(std::fs::read_dir(host.root().join("images/tmp")).unwrap().count(), 0, "{name}");
    }
}

#[test]
fn bombs_are_defused() {
    let host = Host::bare();
    // A tree deeper than any path, built through symlinks; nobody could remove it again.
    let steps = "d/".repeat(200);
    let mut archive = Archive::new();
    let mut above = String::new();
    for n in 0..30 {
        let path = format!("{above}{steps}");
        archive = archive.pax(&[("path", path.as_bytes())]).folder("x");
        let link = format!("s{n}");
        archive = archive.pax(&[("linkpath", format!("{above}{steps}").as_bytes())]).entry(&link, b'2', "x", b"");
        above = format!("{link}/");
    }
    let ran = import(&host, archive.end());
    assert!(ran.code == 1 && ran.stderr.contains("deeper"), "{ran:?}");
    // More than a GiB out of next to nothing.
    let config = host.scratch().join("c.toml");
    std::fs::write(&config, "[images.limits]\nratio = 2").unwrap();
    let tar = host.scratch().join("big.tar.gz");
    sh(&host.scratch(), &format!("truncate -s 1100M zeros; tar -cf - zeros | gzip -1 > {}; rm zeros", tar.display()));
    let ran = host.rcr(&["--config", config.to_str().unwrap(), "image", "import", tar.to_str().unwrap(), "x"]);
    assert!(ran.code == 1 && ran.stderr.contains("`ratio` in [images.limits]"), "{ran:?}");
    assert_eq!(std::fs::read_dir(host.root().join("images/tmp")).unwrap().count(), 0);
}
