//! What a container may not do, tried from inside.
#![allow(clippy::unwrap_used)]

use tests::Host;

fn fails(host: &Host, script: &str) -> String {
    let ran = host.rcr(&["run", "--rm", "--network", "none", "alpine", "sh", "-c", script]);
    assert_ne!(ran.code, 0, "`{script}` worked: {ran:?}");
    ran.stderr
}

#[test]
fn the_kernel_is_out_of_reach() {
    let host = Host::new();
    for script in [
        "mount -t tmpfs x /mnt",
        "unshare -m true",
        "unshare -U true",
        "mknod /tmp/sda b 8 0 && head -c 1 /tmp/sda",
        "mknod /dev/sda b 8 0 && head -c 1 /dev/sda",
        "echo 1 > /proc/sys/kernel/panic",
        "echo b > /proc/sysrq-trigger",
        "echo 1 > /sys/kernel/mm/ksm/run",
        "mkdir /sys/fs/cgroup/escape",
        "mount -o remount,rw /proc/sys",
        "umount /proc/kcore",
        "ip link add x type bridge",
        "ping -c 1 -W 1 192.0.2.1",
        "hostname other",
        "dd if=/dev/mem of=/dev/null count=1",
        "nsenter -t 1 -m true",
    ] {
        fails(&host, script);
    }
    let seen = host.sh(
        &["--network", "none"],
        "cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | wc -c; ls /sys/firmware | wc -l",
    );
    assert_eq!(seen, "0\n0");
}

#[test]
fn no_descriptor_of_ours_is_left_in_a_program() {
    let host = Host::new();
    // The shell's own listing holds one more, for the folder it reads.
    assert_eq!(host.sh(&["--network", "none"], "ls /proc/self/fd | tr '\\n' ' '"), "0 1 2 3");
    host.ok(&["run", "-d", "--name", "c", "--network", "none", "alpine", "sleep", "1000"]);
    assert_eq!(host.ok(&["exec", "c", "sh", "-c", "ls /proc/self/fd | tr '\\n' ' '"]), "0 1 2 3");
    for number in 3..12 {
        let folder = format!("/proc/self/fd/{number}");
        assert_eq!(
            host.rcr(&["run", "--rm", "-w", &folder, "--network", "none", "alpine", "true"]).code,
            125,
            "{folder}"
        );
        assert_eq!(host.rcr(&["exec", "-w", &folder, "c", "true"]).code, 1, "{folder}");
    }
}

#[test]
fn the_shims_file_cannot_be_written_through_proc() {
    let host = Host::new();
    let shim = tests::bin().join("rcr-shim");
    let before = std::fs::read(&shim).unwrap();
    // As the first program, `/proc/self/exe` is the shim: executed in the container it must not become a way to its
    // file.
    let ran = host.rcr(&["run", "--rm", "--network", "none", "alpine", "/proc/self/exe", "container"]);
    assert_ne!(ran.code, 0);
    host.ok(&["run", "-d", "--name", "c", "--privileged", "--init", "--network", "none", "alpine", "sleep", "1000"]);
    let write =
        host.rcr(&["exec", "--privileged", "c", "sh", "-c", "echo owned > /proc/1/exe || echo owned > /dev/rcr-init"]);
    assert_ne!(write.code, 0, "{write:?}");
    assert_eq!(std::fs::read(&shim).unwrap(), before);
}

#[test]
fn images_cannot_redirect_what_is_mounted() {
    let host = Host::bare();
    let tree = host.scratch().join("tree");
    std::fs::create_dir_all(&tree).unwrap();
    let victim = host.scratch().join("victim");
    std::fs::write(&victim, "safe").unwrap();
    let unpack = format!("tar -xzf {} -C {}", tests::rootfs("alpine").display(), tree.display());
    assert!(std::process::Command::new("sh").args(["-c", &unpack]).status().unwrap().success());
    for (path, to) in [("etc/resolv.conf", victim.to_str().unwrap()), ("etc/hosts", "../../../../../../etc/hosts")] {
        let _ = std::fs::remove_file(tree.join(path));
        std::os::unix::fs::symlink(to, tree.join(path)).unwrap();
    }
    let pack = |name: &str| {
        let tar = host.scratch().join(format!("{name}.tar"));
        let line = format!("tar -C {} -cf {} .", tree.display(), tar.display());
        assert!(std::process::Command::new("sh").args(["-c", &line]).status().unwrap().success());
        host.ok(&["image", "import", tar.to_str().unwrap(), name]);
    };
    pack("links");
    let own = host.ok(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--hostname",
        "me",
        "links",
        "sh",
        "-c",
        "echo x >> /etc/resolv.conf; cat /etc/hosts | head -1",
    ]);
    assert!(own.contains("localhost"));
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "safe");
    // `/proc`, `/sys` and `/dev` as symlinks are refused outright.
    for name in ["proc", "sys", "dev"] {
        std::fs::remove_dir(tree.join(name)).unwrap();
        std::os::unix::fs::symlink("/tmp", tree.join(name)).unwrap();
        pack(name);
        let error = host.refused(&["run", "--rm", "--network", "none", name, "true"]);
        assert!(error.contains(&format!("on `/{name}")) && error.contains("ELOOP"), "{error}");
        std::fs::remove_file(tree.join(name)).unwrap();
        std::fs::create_dir(tree.join(name)).unwrap();
    }
}

#[test]
fn groups_and_ids_are_what_was_asked_for() {
    let host = Host::new();
    assert_eq!(host.sh(&["-u", "1000", "--network", "none"], "id -G"), "0");
    assert_eq!(host.sh(&["-u", "1000:1000", "--group-add", "77", "--network", "none"], "id -G"), "1000 77");
    for bad in ["4294967296", "2147483648", "-1"] {
        let flag = format!("--user={bad}");
        assert_eq!(host.rcr(&["run", "--rm", &flag, "--network", "none", "alpine", "true"]).code, 125, "{bad}");
    }
}

#[test]
fn ordinary_programs_still_work() {
    let host = Host::new();
    let script = "su nobody -s /bin/sh -c true; chown nobody /tmp; mkdir /x && chmod 700 /x && touch /x/f && ln -s f /x/l && rm -r /x; \
                  (sleep 0.1 & wait); echo a | sort | grep a; chroot / true; kill -0 $$; nice true; sync; date >/dev/null; df >/dev/null && echo fine";
    assert!(host.sh(&["--network", "none"], script).ends_with("fine"));
}

/// `rcr` with a group file of the test's own; `who` is the argument list of setpriv(1).
fn rcr_as(host: &Host, who: &str, args: &[&str]) -> (i32, String) {
    let script = "mount --bind \"$1/group\" /etc/group; who=$2; shift 2; exec setpriv $who -- \"$@\"";
    let mut command = host.netns.command("unshare");
    command.args(["--mount", "sh", "-c", script, "sh", host.scratch().to_str().unwrap(), who]);
    command.arg(host.scratch().join("rcr")).args(args);
    command.env("RCR_ROOT", host.root()).env("RCR_RUN", host.run_dir()).env_remove("RCR_CONFIG");
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn members_of_the_group_may_look_and_nothing_else() {
    use std::os::unix::fs::PermissionsExt;
    let host = Host::bare();
    let scratch = host.scratch();
    // The way to the state is open, as /var/lib and /run are; the programs lie where everybody can execute it.
    std::fs::set_permissions(scratch.parent().unwrap(), PermissionsExt::from_mode(0o755)).unwrap();
    for program in ["rcr", "rcr-shim", "rcr-unpack", "netd"] {
        std::fs::copy(tests::bin().join(program), scratch.join(program)).unwrap();
    }
    std::fs::write(scratch.join("group"), "root:x:0:\nrcr:x:4711:\n").unwrap();
    let (root, member) = ("--clear-groups", "--reuid=1000 --regid=1000 --groups=4711");
    let stranger = "--reuid=1001 --regid=1001 --clear-groups";
    let root_does = |args: &[&str]| {
        let (code, text) = rcr_as(&host, root, args);
        assert_eq!(code, 0, "{text}");
    };
    // Nothing is there yet, and somebody who is not root asks for it.
    for args in [&["run", "--rm", "alpine", "true"][..], &["network", "create", "blue"], &["image", "ls"]] {
        let (code, text) = rcr_as(&host, stranger, args);
        assert!(
            code == if args[0] == "run" { 125 } else { 1 }
                && text.contains("(EACCES)")
                && text.contains("hint: containers and networks are root's"),
            "{text}"
        );
    }
    root_does(&["image", "import", tests::rootfs("alpine").to_str().unwrap(), "alpine"]);
    root_does(&["network", "create", "blue"]);
    root_does(&["run", "-d", "--name", "c1", "--network", "blue", "alpine", "sh", "-c", "echo hello; sleep 1000"]);
    for (args, shown) in [
        (&["network", "ls"][..], "blue"),
        (&["network", "inspect", "blue"], "c1"),
        (&["ps"], "c1"),
        (&["inspect", "c1"], "\"Running\": true"),
        (&["logs", "c1"], "hello"),
        (&["port", "c1"], ""),
    ] {
        let (code, text) = rcr_as(&host, member, args);
        assert!(code == 0 && text.contains(shown), "{args:?}: {text}");
        let (code, text) = rcr_as(&host, stranger, args);
        assert!(code != 0 && text.contains("error: ") && text.contains("EACCES"), "{args:?}: {text}");
    }
    for args in [
        &["network", "create", "green"][..],
        &["network", "rm", "blue"],
        &["network", "disconnect", "blue", "c1"],
        &["exec", "c1", "true"],
        &["kill", "c1"],
        &["rm", "-f", "c1"],
        &["run", "--rm", "alpine", "true"],
    ] {
        let (code, text) = rcr_as(&host, member, args);
        assert!(code != 0 && text.contains("error: "), "{args:?}: {text}");
    }
    assert_eq!(host.inspect("c1", "/State/Running"), true);
    // What a container's root makes setuid is out of their reach.
    let id = host.inspect("c1", "/Id").as_str().unwrap().to_owned();
    let snapshot = host.root().join("containers").join(id).join("snapshot");
    assert_eq!(std::fs::metadata(snapshot).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn every_namespace_and_mount_is_the_containers_own() {
    let host = Host::new();
    host.ok(&["run", "-d", "--name", "c", "--network", "none", "alpine", "sleep", "1000"]);
    for kind in ["mnt", "pid", "uts", "ipc", "net", "cgroup"] {
        let own = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        let theirs = host.ok(&["exec", "c", "readlink", &format!("/proc/self/ns/{kind}")]);
        assert!(theirs.trim().starts_with(kind), "{theirs}");
        assert_ne!(theirs.trim(), own.to_str().unwrap(), "{kind}");
    }
    let mounts = host.ok(&["exec", "c", "cat", "/proc/self/mounts"]);
    let mount = |target: &str| {
        let line = mounts.lines().rev().find(|line| line.split(' ').nth(1) == Some(target));
        let line = line.unwrap_or_else(|| panic!("no {target} in {mounts}"));
        (line.split(' ').nth(2).unwrap().to_owned(), line.split(' ').nth(3).unwrap().to_owned())
    };
    for (target, kind) in [
        ("/", "overlay"),
        ("/proc", "proc"),
        ("/sys", "sysfs"),
        ("/dev", "tmpfs"),
        ("/dev/pts", "devpts"),
        ("/dev/mqueue", "mqueue"),
        ("/dev/shm", "tmpfs"),
    ] {
        assert_eq!(mount(target).0, kind, "{target}");
    }
    assert!(mount("/sys").1.starts_with("ro"), "{mounts}");
    assert!(mount("/dev/shm").1.contains("size=65536k"), "{mounts}");
    // No path of the host, in no layer, in no mount.
    assert!(!mounts.contains(host.root().to_str().unwrap()), "{mounts}");
    let devices = host.ok(&["exec", "c", "sh", "-c", "cd /dev && find . -type b -o -type c | sort | tr '\\n' ' '"]);
    assert_eq!(
        devices.split_whitespace().filter(|d| !d.starts_with("./pts/")).collect::<Vec<_>>(),
        ["./full", "./null", "./random", "./tty", "./urandom", "./zero"],
    );
}
