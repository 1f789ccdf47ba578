//! Files between a container and the host: `cp`, `diff`, `export`, `commit`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Stdio;
use tests::Host;
use tests::host::{exec, sleeper};

#[test]
fn files_go_both_ways_whether_it_runs_or_not() {
    let host = Host::new();
    sleeper(&host, "c", &["--network", "none", "-v", "data:/data"]);
    let folder = host.scratch();
    let at = |path: &str| folder.join(path).to_str().unwrap().to_owned();
    fs::create_dir_all(folder.join("tree/deep")).unwrap();
    fs::write(folder.join("tree/deep/file"), "text").unwrap();
    fs::set_permissions(folder.join("tree/deep/file"), PermissionsExt::from_mode(0o751)).unwrap();
    symlink("deep/file", folder.join("tree/link")).unwrap();
    std::os::unix::fs::chown(folder.join("tree/deep/file"), Some(1234), Some(1234)).unwrap();
    for stopped in [false, true] {
        if stopped {
            host.ok(&["stop", "-t", "0", "c"]);
        }
        let to = if stopped { "/data/stopped" } else { "/data/running" };
        host.ok(&["cp", &at("tree"), &format!("c:{to}")]);
        host.ok(&["cp", &at("tree"), &format!("c:{to}")]);
        host.ok(&["cp", "-a", &at("tree/."), &format!("c:{to}/kept/")]);
        let back = at(if stopped { "back2" } else { "back1" });
        host.ok(&["cp", &format!("c:{to}"), &back]);
        let meta = fs::symlink_metadata(format!("{back}/deep/file")).unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o751, 0), "{stopped}");
        assert_eq!(fs::read_to_string(format!("{back}/tree/deep/file")).unwrap(), "text");
        assert_eq!(fs::read_link(format!("{back}/link")).unwrap(), std::path::Path::new("deep/file"));
        host.ok(&["cp", "-a", &format!("c:{to}/kept/deep/file"), &format!("{back}/owned")]);
        assert_eq!(fs::metadata(format!("{back}/owned")).unwrap().uid(), 1234);
        host.ok(&["cp", "-L", &format!("c:{to}/link"), &format!("{back}/followed")]);
        assert!(fs::symlink_metadata(format!("{back}/followed")).unwrap().is_file());
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(host.root().to_str().unwrap()), "{mounts}");
    host.ok(&["start", "c"]);
    assert_eq!(exec(&host, "c", "stat -c %u /data/running/deep/file /data/stopped/kept/deep/file"), "0\n1234");
    // What docker's users try first.
    host.ok(&["cp", "c:/etc/hosts", &at("hosts")]);
    assert!(fs::read_to_string(at("hosts")).unwrap().contains("localhost"));
    host.ok(&["cp", &at("hosts"), "c:/etc/hosts"]);
    for (args, why) in [
        (["cp", "c:/none", &at("x")], "ENOENT"),
        (["cp", &at("none"), "c:/x"], "ENOENT"),
        (["cp", &at("tree"), "c:/etc/passwd"], "can't be copied to a file"),
        (["cp", &at("hosts"), "c:/new/"], "must exist"),
        (["cp", &at("hosts"), "c:/none/new"], "ENOENT"),
        (["cp", "c:/a", "c:/b"], "exactly one"),
        (["cp", "a", "b"], "exactly one"),
        (["cp", "nobody:/a", "b"], "no such container"),
    ] {
        let said = host.refused(&args);
        assert!(said.contains(why), "{args:?} {said}");
    }
    sleeper(&host, "ro", &["--network", "none", "--read-only"]);
    assert!(host.refused(&["cp", &at("hosts"), "ro:/x"]).contains("EROFS"));
    host.ok(&["stop", "-t", "0", "ro"]);
    assert!(host.refused(&["cp", &at("hosts"), "ro:/x"]).contains("EROFS"));
}

#[test]
fn a_stopped_container_has_its_volumes_where_they_were() {
    let host = Host::new();
    let mounts = ["--mount", "type=volume,source=data,target=/x,volume-subpath=inner", "--tmpfs", "/memory"];
    host.ok(&["run", "--rm", "--network", "none", "-v", "data:/d", "alpine", "mkdir", "/d/inner"]);
    host.ok(&[&["run", "--name", "c", "--network", "none"][..], &mounts, &["alpine", "touch", "/x/own"]].concat());
    let file = host.scratch().join("file");
    fs::write(&file, "text").unwrap();
    host.ok(&["cp", file.to_str().unwrap(), "c:/x/copied"]);
    let list = host.ok(&["run", "--rm", "--network", "none", "-v", "data:/d", "alpine", "ls", "/d", "/d/inner"]);
    assert_eq!(list, "/d:\ninner\n\n/d/inner:\ncopied\nown");
}

#[test]
fn archives_as_streams() {
    let host = Host::new();
    sleeper(&host, "c", &["--network", "none"]);
    exec(
        &host,
        "c",
        "mkdir -p /src/deep; echo one > /src/deep/file; ln /src/deep/file /src/second; chown 7:8 /src/second",
    );
    let mut out = host.command(&["cp", "c:/src", "-"]).stdout(Stdio::piped()).spawn().unwrap();
    let into = host.command(&["cp", "-", "c:/tmp"]).stdin(out.stdout.take().unwrap()).status().unwrap();
    assert!(into.success() && out.wait().unwrap().success());
    assert_eq!(exec(&host, "c", "cat /tmp/src/second; stat -c '%u %h' /tmp/src/deep/file"), "one\n7 2");
    let hostile = host.scratch().join("hostile.tar");
    for (entry, why) in [("../out", "leads out"), ("/abs/../../out", "leads out")] {
        fs::write(&hostile, tests::archive::Archive::new().file(entry, b"x").end()).unwrap();
        let ran = host.command(&["cp", "-", "c:/tmp"]).stdin(fs::File::open(&hostile).unwrap()).output().unwrap();
        assert!(String::from_utf8_lossy(&ran.stderr).contains(why), "{entry} {ran:?}");
    }
    let garbage = host.rcr_with(&["cp", "-", "c:/tmp"], &"no tar at all, but long enough to be read. ".repeat(100));
    assert!(garbage.code == 1 && garbage.stderr.contains("cannot read the archive"), "{garbage:?}");
}

/// A container swaps a folder and a link to the host's own path all the time: nothing outside may be read or written.
#[test]
fn a_container_that_swaps_links_leads_nobody_astray() {
    let host = Host::new();
    let secret = host.scratch().join("secret");
    fs::create_dir_all(&secret).unwrap();
    fs::write(secret.join("file"), "the host's").unwrap();
    sleeper(&host, "c", &["--network", "none"]);
    let swap = format!(
        "mkdir -p /a /b{s}; echo mine > /a/file; echo mine > /b{s}/file; ln -s {s} /l; \
         while :; do mv /a /a2; mv /l /a; mv /a /l; mv /a2 /a; done",
        s = secret.display()
    );
    host.ok(&["exec", "-d", "c", "sh", "-c", &swap]);
    fs::write(host.scratch().join("new"), "copied").unwrap();
    let (new, out) = (host.scratch().join("new"), host.scratch().join("out"));
    for _ in 0..60 {
        let _ = fs::remove_dir_all(&out);
        fs::create_dir_all(&out).unwrap();
        host.rcr(&["cp", "c:/a", out.to_str().unwrap()]);
        host.rcr(&["cp", "c:/a/.", out.to_str().unwrap()]);
        host.rcr(&["cp", new.to_str().unwrap(), "c:/a/file2"]);
        // The link itself may be copied; what it leads to is the host's business.
        let linked = fs::symlink_metadata(out.join("a")).is_ok_and(|meta| meta.is_symlink());
        let inside = (!linked).then(|| out.join("a/file"));
        for file in inside.into_iter().chain([out.join("file")]) {
            let text = fs::read_to_string(&file).unwrap_or_default();
            assert!(!text.contains("the host's"), "{}", file.display());
        }
    }
    let names: Vec<_> = fs::read_dir(&secret).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!((names.len(), fs::read_to_string(secret.join("file")).unwrap().as_str()), (1, "the host's"));
}

#[test]
fn a_link_in_an_archive_is_no_way_out_of_the_folder_on_the_host() {
    let host = Host::new();
    let outside = host.scratch().join("outside");
    fs::create_dir_all(&outside).unwrap();
    sleeper(&host, "c", &["--network", "none"]);
    exec(&host, "c", &format!("mkdir -p /src/d; ln -s {} /src/l; echo x > /src/d/f", outside.display()));
    let to = host.scratch().join("to");
    fs::create_dir_all(&to).unwrap();
    host.ok(&["cp", "c:/src/.", to.to_str().unwrap()]);
    // The link is there now; a folder of its name must not be written through it.
    exec(&host, "c", "rm /src/l; mkdir /src/l; echo evil > /src/l/evil");
    let ran = host.rcr(&["cp", "c:/src/.", to.to_str().unwrap()]);
    assert!(ran.code == 1 && fs::read_dir(&outside).unwrap().next().is_none(), "{ran:?}");
}

#[test]
fn what_a_container_has_changed() {
    let host = Host::new();
    sleeper(&host, "c", &["--network", "none", "-v", "data:/data"]);
    exec(
        &host,
        "c",
        "echo x > /new; mkdir -p /etc/deep; echo y > /etc/deep/f; rm /etc/motd; touch /data/unseen; chmod 600 /etc/passwd",
    );
    for stopped in [false, true] {
        if stopped {
            host.ok(&["stop", "-t", "0", "c"]);
        }
        let diff = host.ok(&["diff", "c"]);
        let lines: Vec<&str> = diff.lines().collect();
        for want in ["A /new", "C /etc", "A /etc/deep", "A /etc/deep/f", "C /etc/passwd"] {
            assert!(lines.contains(&want), "{want}: {diff}");
        }
        assert!(!diff.contains("unseen"), "{diff}");
        let tar = host.scratch().join("root.tar");
        host.ok(&["export", "-o", tar.to_str().unwrap(), "c"]);
        let list = std::process::Command::new("tar").arg("-tf").arg(&tar).output().unwrap();
        let list = String::from_utf8_lossy(&list.stdout).into_owned();
        assert!(list.contains("etc/deep/f") && list.contains("bin/busybox") && !list.contains("unseen"), "{list}");
    }
    host.ok(&["image", "import", host.scratch().join("root.tar").to_str().unwrap(), "again:1"]);
    assert_eq!(host.ok(&["run", "--rm", "--network", "none", "again:1", "cat", "/etc/deep/f"]), "y");
}

#[test]
fn an_image_of_what_was_changed() {
    let host = Host::new();
    sleeper(&host, "c", &["--network", "none", "-e", "KEPT=1", "--label", "a=b"]);
    exec(
        &host,
        "c",
        "echo x > /new; rm -r /etc/apk || true; rm -r /home; mkdir /home; echo z > /home/only; echo changed >> /etc/passwd",
    );
    let before = host.ok(&["images", "-q"]);
    let args = ["commit", "-a", "me", "-m", "why", "-c", "CMD [\"cat\", \"/new\"]", "-c", "ENV MORE=2", "c", "mine:1"];
    let id = host.ok(&args);
    assert!(id.starts_with("sha256:"), "{id}");
    assert_eq!(host.inspect("c", "/State/Running"), true);
    assert_eq!(host.ok(&["run", "--rm", "--network", "none", "mine:1"]), "x");
    let script = "ls /home; tail -n 1 /etc/passwd; echo $KEPT$MORE; test -e /etc/apk || echo gone";
    let seen = host.ok(&["run", "--rm", "--network", "none", "mine:1", "sh", "-c", script]);
    assert!(seen.starts_with("only\nchanged\n12"), "{seen}");
    assert_eq!(host.inspect("mine:1", "/Config/Labels/a"), "b");
    assert_eq!(host.inspect("mine:1", "/RootFS/Layers").as_array().unwrap().len(), 2);
    assert!(host.ok(&["history", "mine:1", "--format", "{{.Comment}}"]).starts_with("why"));
    assert_eq!(host.ok(&["commit", "c"]).len(), 71);
    let bad = host.refused(&["commit", "-c", "RUN x", "c"]);
    assert!(bad.contains("unknown instruction `RUN`"), "{bad}");
    assert!(host.refused(&["commit", "c", "Bad Name"]).contains("Bad Name"));
    // An entrypoint that was taken away stays away.
    host.ok(&["commit", "-c", "ENTRYPOINT [\"echo\"]", "c", "echo:1"]);
    host.ok(&["run", "--name", "d", "--network", "none", "--entrypoint", "", "echo:1", "true"]);
    host.ok(&["commit", "d", "plain:1"]);
    assert_eq!(
        host.ok(&["image", "inspect", "-f", "{{json .Config.Entrypoint}} {{json .Config.Cmd}}", "plain:1"]),
        "null [\"true\"]"
    );
    assert!(host.ok(&["images", "-q"]).contains(&before));
}
