//! What a container's files stand on: new volumes, devices, targets of mounts.

// Calls what the container calls.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used)]

use tests::Host;
use tests::images::layered as image;

#[test]
fn a_new_volume_begins_with_what_the_image_has_there_once() {
    let host = Host::new();
    let script = "mkdir -p data/sub; echo one > data/file; ln data/file data/same; ln -s file data/link; \
                  echo x > data/sub/deep; setfattr -n user.note -v kept data/file; \
                  chown -R 1000:1001 data; chmod 1770 data; chmod 4711 data/sub/deep";
    image(&host, "seeded", script, r#"{"Cmd":["sh"],"User":"1000","Volumes":{"/data":{}}}"#);
    let look = "stat -c '%a %u %g' /data /data/sub/deep; readlink /data/link; cat /data/file; \
                test /data/file -ef /data/same && echo same; echo mine > /data/new && echo written";
    let want = "1770 1000 1001\n4711 1000 1001\nfile\none\nsame\nwritten";
    let sh = |flags: &[&str], script: &str| {
        let mut args = vec!["run", "--rm", "--network", "none"];
        args.extend(flags);
        args.extend(["seeded", "sh", "-c", script]);
        host.ok(&args)
    };
    // Anonymous by the image's VOLUME, anonymous by -v, named, and made beforehand.
    assert_eq!(sh(&[], look), want);
    assert_eq!(sh(&["-v", "/data"], look), want);
    assert_eq!(sh(&["-v", "named:/data"], look), want);
    host.ok(&["volume", "create", "made"]);
    assert_eq!(sh(&["--mount", "type=volume,source=made,target=/data"], look), want);
    let data = host.root().join("volumes/named/_data/file");
    let mut value = [0u8; 8];
    // SAFETY: the buffer and its length belong together; the name is a C string.
    let length = unsafe {
        let path = std::ffi::CString::new(data.to_str().unwrap()).unwrap();
        libc::getxattr(path.as_ptr(), c"user.note".as_ptr(), value.as_mut_ptr().cast(), value.len())
    };
    assert_eq!(&value[..usize::try_from(length).expect("the attribute came along")], b"kept");
    // Once: what was deleted stays deleted, what was written stays.
    sh(&["-v", "named:/data"], "rm /data/file");
    assert_eq!(sh(&["-v", "named:/data"], "ls /data"), "link\nnew\nsame\nsub");
    sh(&["-v", "named:/data"], "rm -r /data/*");
    assert_eq!(sh(&["-v", "named:/data"], "ls /data"), "");
    // Not where it is not wanted, and not over what is there.
    assert_eq!(sh(&["-v", "empty:/data:nocopy", "-u", "0"], "ls /data"), "");
    assert_eq!(sh(&["-v", "empty:/data", "-u", "0"], "ls /data"), "");
    host.ok(&["volume", "create", "filled"]);
    std::fs::write(host.root().join("volumes/filled/_data/mine"), "").unwrap();
    assert_eq!(sh(&["-v", "filled:/data", "-u", "0"], "ls /data"), "mine");
    // What was interrupted is begun again.
    host.ok(&["volume", "create", "cut"]);
    let cut = host.root().join("volumes/cut");
    std::fs::rename(cut.join("new"), cut.join("seeding")).unwrap();
    std::fs::write(cut.join("_data/half"), "").unwrap();
    assert_eq!(sh(&["-v", "cut:/data"], "ls /data"), "file\nlink\nsame\nsub");
}

#[test]
fn an_images_links_lead_a_volumes_seed_nowhere_else() {
    let host = Host::new();
    image(&host, "evil", "ln -s /etc/passwd data; mkdir out; ln -s /../../../etc out/etc", r#"{"Cmd":["sh"]}"#);
    // `/out/etc` is the image's own /etc, not the host's.
    let own = host.sh(&["--network", "none"], "cat /etc/group");
    let args = ["run", "--rm", "--network", "none", "-v", "v:/out/etc", "evil", "cat", "/out/etc/group"];
    assert_eq!(host.ok(&args), own);
    // A volume can't be mounted over a file, and takes nothing of it.
    let refused = host.rcr(&["run", "--rm", "--network", "none", "-v", "w:/data", "evil", "true"]);
    assert!(refused.code == 125 && refused.stderr.contains("ENOTDIR"), "{refused:?}");
    assert!(std::fs::read_dir(host.root().join("volumes/w/_data")).unwrap().next().is_none());
}

#[test]
fn devices_are_given_with_the_rights_that_were_named() {
    let host = Host::new();
    let sh = |flags: &[&str], script: &str| {
        let mut args = vec!["run", "--rm", "--network", "none"];
        args.extend(flags);
        args.extend(["alpine", "sh", "-c", script]);
        host.rcr(&args)
    };
    // /dev/fuse answers a read with EPERM or EINVAL from its own driver, once it may be opened.
    let open = "test -c /dev/fuse && exec 3<>/dev/fuse && echo open";
    assert_ne!(sh(&[], open).code, 0);
    assert_eq!(sh(&["--device", "/dev/fuse"], open).out(), "open");
    assert_eq!(
        sh(&["--device", "/dev/fuse:/dev/other"], "test -c /dev/other && exec 3<>/dev/other && echo open").out(),
        "open"
    );
    assert_ne!(sh(&["--device", "/dev/fuse:/dev/fuse:r"], open).code, 0);
    assert_eq!(sh(&["--device", "/dev/fuse:r"], "exec 3</dev/fuse && echo open").out(), "open");
    let node = "mknod /dev/made c 10 229 && exec 3<>/dev/made && echo open";
    assert_ne!(sh(&[], node).code, 0);
    assert_eq!(sh(&["--device-cgroup-rule", "c 10:229 rw"], node).out(), "open");
    assert_eq!(sh(&["--device-cgroup-rule", "c 10:* rwm"], node).out(), "open");
    // Owner and mode are the host's.
    let meta = std::fs::metadata("/dev/fuse").unwrap();
    use std::os::unix::fs::MetadataExt;
    let want = format!("{:o} {} {}", meta.mode() & 0o7777, meta.uid(), meta.gid());
    assert_eq!(sh(&["--device", "/dev/fuse"], "stat -c '%a %u %g' /dev/fuse").out(), want);
    // A folder gives what lies in it.
    assert_eq!(sh(&["--device", "/dev/net:/dev/links"], "test -c /dev/links/tun && echo there").out(), "there");
    // A device bound as a file works, or is refused with the way out; it is never there and dead.
    assert_eq!(sh(&["-v", "/dev/urandom:/dev/random"], "head -c 4 /dev/random | wc -c").out(), "4");
    assert_eq!(sh(&["-v", "/dev/null:/etc/motd"], "cat /etc/motd; echo x > /etc/motd && echo fine").out(), "fine");
    let error = host.refused(&["run", "--rm", "--network", "none", "-v", "/dev/fuse:/dev/fuse", "alpine", "true"]);
    assert!(error.contains("--device /dev/fuse:/dev/fuse"), "{error}");
    let bound = ["-v", "/dev/fuse:/dev/fuse", "--device-cgroup-rule", "c 10:229 rwm"];
    assert_eq!(sh(&bound, open).out(), "open");
    for (flag, value) in [
        ("--device", "/dev/missing"),
        ("--device", "/etc/passwd"),
        ("--device", "fuse"),
        ("--device", "/dev/fuse:/etc/x"),
        ("--device", "/dev/fuse:/dev/../x"),
        ("--device-cgroup-rule", "c 10 rwm"),
        ("--device-cgroup-rule", "d 1:2 r"),
    ] {
        host.refused(&["run", "--rm", "--network", "none", flag, value, "alpine", "true"]);
    }
    assert_eq!(host.ok(&["ps", "-aq"]), "");
}

/// As debootstrap looks whether it may build a root, and as servers fill the folder that they chroot to.
#[test]
fn nodes_in_the_root_are_open_as_far_as_the_rules_go() {
    let host = Host::new();
    let root = "mkdir -p /new/dev && cd /new/dev && mknod null c 1 3 && mknod zero c 1 5 && mknod disk b 8 0 && mknod mem c 1 1";
    assert_eq!(host.sh(&[], &format!("{root} && echo x > null && head -c 4 zero | wc -c")), "4");
    for node in ["disk", "mem"] {
        let ran = host.rcr(&["run", "--rm", "alpine", "sh", "-c", &format!("{root} && head -c 1 {node}")]);
        assert!(ran.code != 0 && ran.stderr.contains("not permitted"), "{node}: {ran:?}");
    }
}

#[test]
fn targets_of_mounts_resolve_as_the_kernel_would() {
    let host = Host::new();
    let script = "mkdir -p var; ln -s /run/lock var/lock; ln -s ../run var/run; ln -s /missing/place dangling; \
                  mkdir etc; ln -s /srv/real etc/conf; ln -s loop loop; ln -s /proc/sys etc/kernel";
    image(&host, "linked", script, r#"{"Cmd":["sh"]}"#);
    let file = host.scratch().join("bound");
    std::fs::write(&file, "bound").unwrap();
    let (file, folder) = (file.to_str().unwrap(), host.scratch().join("linked"));
    let sh = |flags: &[&str], script: &str| {
        let mut args = vec!["run", "--rm", "--network", "none"];
        args.extend(flags);
        args.extend(["linked", "sh", "-c", script]);
        host.rcr(&args)
    };
    let to = |target: &str| format!("{}:{target}", folder.display());
    let lock = to("/var/lock");
    assert_eq!(sh(&["--tmpfs", "/run", "-v", &lock], "ls /run/lock/image.tar").out(), "/run/lock/image.tar");
    assert_eq!(sh(&["--tmpfs", "/run", "-v", &to("/var/run/x")], "ls /run/x/image.tar").out(), "/run/x/image.tar");
    assert_eq!(sh(&["-v", &to("/dangling")], "ls /missing/place/image.tar").out(), "/missing/place/image.tar");
    assert_eq!(sh(&["-v", &format!("{file}:/etc/conf")], "cat /srv/real /etc/conf").out(), "boundbound");
    assert_eq!(sh(&["--tmpfs", "/dangling/deep"], "mount | grep -c /missing/place/deep").out(), "1");
    assert_eq!(sh(&["-w", "/dangling"], "pwd -P").out(), "/missing/place");
    assert_eq!(sh(&["-w", "/var/lock/new"], "pwd -P").out(), "/run/lock/new");
    // Neither for ever round, nor into procfs by an image's link.
    for target in ["/loop/x", "/etc/kernel/kernel"] {
        assert_eq!(sh(&["-v", &to(target)], "true").code, 125, "{target}");
    }
}

#[test]
fn every_controller_of_the_host_is_there_read_only_and_says_the_limits() {
    let host = Host::new();
    if !std::path::Path::new("/sys/fs/cgroup/memory").exists() {
        panic!("this machine has no cgroup v1; the lab tries v2");
    }
    let mine = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let mut controllers: Vec<&str> = mine.lines().filter_map(|line| line.split(':').nth(1)).collect();
    controllers.retain(|name| !name.is_empty());
    for network in ["none", "host"] {
        let flags = ["--network", network, "-m", "64m", "--cpus", "0.5", "--cpuset-cpus", "0"];
        for controller in &controllers {
            let name = controller.trim_start_matches("name=");
            let script =
                format!("test -d /sys/fs/cgroup/{name} && ! touch /sys/fs/cgroup/{name}/x 2>/dev/null && echo there");
            assert_eq!(host.sh(&flags, &script), "there", "{network} {controller}");
        }
        let read = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us cpuset/cpuset.cpus; nproc";
        assert_eq!(host.sh(&flags, read), "67108864\n50000\n0\n1", "{network}");
        // The container's own group is the root of what it sees.
        assert_eq!(host.sh(&flags, "cut -d: -f3 /proc/self/cgroup | sort -u"), "/");
    }
}

#[test]
fn a_privileged_container_with_groups_of_its_own_stops_and_starts_and_leaves_none() {
    let host = Host::new();
    let script = "mkdir -p /sys/fs/cgroup/pids/a/b /sys/fs/cgroup/memory/m; \
                  sh -c 'echo $$ > /sys/fs/cgroup/pids/a/b/cgroup.procs; exec sleep 1000' & \
                  trap 'exit 0' TERM; while :; do sleep 0.1; done";
    host.ok(&["run", "-d", "--privileged", "--name", "c", "--network", "none", "alpine", "sh", "-c", script]);
    let id = host.inspect("c", "/Id").as_str().unwrap().to_owned();
    let group = std::path::PathBuf::from(format!("/sys/fs/cgroup/pids/rcr/{id}"));
    tests::eventually("its groups are there", || group.join("a/b").exists());
    for _ in 0..2 {
        let begin = std::time::Instant::now();
        host.ok(&["stop", "c"]);
        assert!(begin.elapsed() < std::time::Duration::from_secs(5), "{:?}", begin.elapsed());
        assert!(!group.exists());
        host.ok(&["start", "c"]);
    }
    host.ok(&["rm", "-f", "c"]);
    assert!(!group.exists());
}
