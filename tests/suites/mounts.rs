//! `-v`, `--mount`, `--tmpfs` and `--volumes-from`, by what a container sees.
#![allow(clippy::unwrap_used)]

use tests::Host;
use tests::host::{exec, sleeper};
use tests::images::layered;

fn sh(host: &Host, flags: &[&str], script: &str) -> String {
    let mut all = vec!["--network", "none"];
    all.extend(flags);
    host.sh(&all, script)
}

/// The options of what is mounted on a path.
fn options(host: &Host, flags: &[&str], target: &str) -> String {
    sh(host, flags, &format!("grep ' {target} ' /proc/mounts | cut -d' ' -f4"))
}

#[test]
fn binds_have_options_in_both_spellings() {
    let host = Host::new();
    let dir = host.scratch().join("outer");
    std::fs::create_dir_all(dir.join("inner")).unwrap();
    std::fs::write(dir.join("file"), "data").unwrap();
    let path = dir.to_str().unwrap();
    // A mount below the source.
    let inner = dir.join("inner");
    let mounted = |on: bool| {
        let args: &[&str] = if on { &["mount", "-t", "tmpfs", "x"] } else { &["umount"] };
        let done = std::process::Command::new(args[0]).args(&args[1..]).arg(&inner).status().unwrap();
        assert!(done.success());
    };
    mounted(true);
    let writes = |flags: &[&str]| {
        sh(&host, flags, "touch /v/x 2>/dev/null && echo outer; touch /v/inner/x 2>/dev/null && echo inner; true")
    };
    let spelled = |more: &str| format!("type=bind,source={path},target=/v{more}");
    assert_eq!(writes(&["-v", &format!("{path}:/v")]), "outer\ninner");
    assert_eq!(writes(&["-v", &format!("{path}:/v:ro")]), "");
    assert_eq!(writes(&["-v", &format!("{path}:/v:ro,z,cached,rprivate")]), "");
    assert_eq!(writes(&["--mount", &spelled(",readonly")]), "");
    assert_eq!(writes(&["--mount", &spelled(",readonly,bind-recursive=readonly")]), "");
    assert_eq!(writes(&["--mount", &spelled(",readonly,bind-recursive=writable")]), "inner");
    let below = |flags: &[&str]| sh(&host, flags, "grep -c ' /v/inner ' /proc/mounts; true");
    assert_eq!(below(&["--mount", &spelled("")]), "1");
    for alone in [",bind-nonrecursive", ",bind-nonrecursive=true", ",bind-recursive=disabled"] {
        assert_eq!(below(&["--mount", &spelled(alone)]), "0", "{alone}");
    }
    mounted(false);
    // A file of the host on a file of the container.
    let one = format!("{path}/file:/etc/made/here:ro");
    assert_eq!(sh(&host, &["-v", &one], "cat /etc/made/here"), "data");
    let missing = host.refused(&["run", "--rm", "--mount", "type=bind,source=/no/such,target=/x", "alpine", "true"]);
    assert!(missing.contains("does not exist"), "{missing}");
}

#[test]
fn later_mounts_of_the_host_are_seen_where_that_is_asked_for() {
    let host = Host::new();
    let dir = host.scratch().join("shared");
    std::fs::create_dir_all(dir.join("later")).unwrap();
    let run = |args: &[&str]| assert!(std::process::Command::new("mount").args(args).status().unwrap().success());
    let path = dir.to_str().unwrap();
    run(&["--bind", path, path]);
    run(&["--make-shared", path]);
    sleeper(&host, "deaf", &["--network", "none", "-v", &format!("{path}:/v")]);
    sleeper(&host, "slave", &["--network", "none", "-v", &format!("{path}:/v:rslave")]);
    let spelled = format!("type=bind,source={path},target=/v,bind-propagation=rshared");
    sleeper(&host, "both", &["--network", "none", "--privileged", "--mount", &spelled]);
    run(&["-t", "tmpfs", "x", dir.join("later").to_str().unwrap()]);
    std::fs::write(dir.join("later/file"), "").unwrap();
    let sees = |name: &str| exec(&host, name, "ls /v/later");
    assert_eq!((sees("deaf"), sees("slave"), sees("both")), (String::new(), "file".into(), "file".into()));
    exec(&host, "both", "mkdir /v/mine && mount -t tmpfs x /v/mine && touch /v/mine/up");
    let up = dir.join("mine/up").exists();
    host.remove_containers();
    for below in ["mine", "later", "."] {
        std::process::Command::new("umount").arg(dir.join(below)).status().unwrap();
    }
    assert!(up, "the container's mount is seen on the host");
}

#[test]
fn volumes_have_labels_options_and_parts() {
    let host = Host::new();
    let mount = "type=volume,source=v,target=/d,volume-label=tier=db,volume-driver=local";
    sh(&host, &["--mount", mount], "mkdir -p /d/a/b && echo deep > /d/a/b/file && ln -s /etc /d/out");
    let labels = host.ok(&["volume", "inspect", "v"]);
    assert!(labels.contains("\"tier\": \"db\""), "{labels}");
    let part = |path: &str| format!("type=volume,source=v,target=/d,volume-subpath={path}");
    assert_eq!(sh(&host, &["--mount", &part("a/b")], "ls /d; cat /d/file"), "file\ndeep");
    assert_eq!(sh(&host, &["--mount", &part("a/b/file")], "cat /d"), "deep");
    // A link in a volume leads to what the volume has there, never to the host's.
    let said = host.refused(&["run", "--rm", "--network", "none", "--mount", &part("out"), "alpine", "true"]);
    assert!(said.contains("bind `out`") && said.contains("ENOENT"), "{said}");
    let said = host.refused(&["run", "--rm", "--network", "none", "--mount", &part("none"), "alpine", "true"]);
    assert!(said.contains("ENOENT"), "{said}");
    // Options of mount(8): a folder of the host, and memory.
    let folder = host.scratch().join("given");
    std::fs::create_dir_all(&folder).unwrap();
    let device = format!("device={}", folder.display());
    host.ok(&["volume", "create", "--opt", "type=none", "-o", "o=bind", "--opt", &device, "bound"]);
    sh(&host, &["-v", "bound:/d"], "echo here > /d/file");
    assert_eq!(std::fs::read_to_string(folder.join("file")).unwrap(), "here\n");
    let memory = "source=mem,target=/d,volume-opt=type=tmpfs,volume-opt=device=tmpfs,\"volume-opt=o=size=1m,mode=700\"";
    let shown = options(&host, &["--mount", memory], "/d");
    assert!(shown.contains("size=1024k") && shown.contains("mode=700") && shown.contains("nosuid"), "{shown}");
    // It stays what it was made as.
    assert!(options(&host, &["-v", "mem:/d"], "/d").contains("size=1024k"));
    // Any file system that the kernel has is mounted for the container alone (the lab has NFS and a disk).
    host.ok(&["volume", "create", "-o", "type=nonesuch", "-o", "device=server:/x", "far"]);
    let said = host.refused(&["run", "--name", "none", "--network", "none", "-v", "far:/d", "alpine", "true"]);
    assert!(said.contains("mount nonesuch `server:/x` on `/d`") && said.contains("ENODEV"), "{said}");
    assert!(said.contains("hint: the kernel has no such file system"), "{said}");
    let part = "type=volume,source=far,target=/d,volume-subpath=a";
    let said = host.refused(&["run", "--network", "none", "--mount", part, "alpine", "true"]);
    assert!(said.contains("mounted anew for each container"), "{said}");
    let said = host.refused(&["volume", "create", "-o", "type=nfs", "-o", "o=addr=10.0.0.1", "deviceless"]);
    assert!(said.contains("a volume of type `nfs` needs `device=`"), "{said}");
    host.ok(&["volume", "rm", "far"]);
    let said = host.refused(&["run", "--volume-driver", "rexray", "alpine", "true"]);
    assert!(said.contains("no volume driver `rexray`"), "{said}");
    assert_eq!(sh(&host, &["--volume-driver", "local", "-v", "w:/d"], "test -d /d && echo yes"), "yes");
    host.ok(&["volume", "rm", "bound", "mem", "v", "w"]);
    assert!(folder.join("file").exists(), "the folder is the user's");
}

#[test]
fn volumes_of_another_container_are_ones_own() {
    let host = Host::new();
    let dir = host.scratch();
    let bound = format!("{}:/bound", dir.display());
    let flags = ["--network", "none", "-v", "named:/n", "-v", "/anonymous", "-v", &bound, "--tmpfs", "/t"];
    sleeper(&host, "a", &flags);
    exec(&host, "a", "echo 1 > /n/f; echo 2 > /anonymous/f; echo 3 > /bound/f; touch /t/f");
    let all = "cat /n/f /anonymous/f /bound/f; ls /t 2>/dev/null; true";
    assert_eq!(sh(&host, &["--volumes-from", "a"], all), "1\n2\n3");
    let write = "touch /n/x 2>/dev/null && echo written; true";
    assert_eq!(sh(&host, &["--volumes-from", "a:ro"], write), "");
    assert_eq!(sh(&host, &["--volumes-from", "a:rw"], write), "written");
    // What it has of its own comes first.
    assert_eq!(sh(&host, &["--volumes-from", "a", "-v", "other:/n"], "ls /n; cat /bound/f"), "3");
    sleeper(&host, "b", &["--network", "none", "--volumes-from", "a"]);
    // The volume without a name is not gone with the container that it was made for.
    host.ok(&["rm", "-f", "-v", "a"]);
    assert_eq!(exec(&host, "b", "cat /anonymous/f"), "2");
    host.ok(&["stop", "-t", "0", "b"]);
    host.ok(&["start", "b"]);
    assert_eq!(exec(&host, "b", "cat /anonymous/f"), "2");
    let said = host.refused(&["run", "--volumes-from", "nobody", "alpine", "true"]);
    assert!(said.contains("cannot take the volumes of `nobody`"), "{said}");
    assert!(host.refused(&["run", "--volumes-from", "b:rx", "alpine", "true"]).contains("known are ro, rw"));
}

#[test]
fn an_image_is_mounted_whole_or_in_part_and_kept() {
    let host = Host::new();
    layered(
        &host,
        "tools",
        "mkdir -p opt/deep; echo tool > opt/deep/file; ln -s /opt/deep opt/link",
        r#"{"Cmd":["sh"]}"#,
    );
    let mount = |more: &str| format!("type=image,source=tools,target=/img{more}");
    assert_eq!(sh(&host, &["--mount", &mount("")], "cat /img/opt/deep/file; ls -d /img/bin"), "tool\n/img/bin");
    assert_eq!(sh(&host, &["--mount", &mount(",image-subpath=opt/link")], "cat /img/file"), "tool");
    assert_eq!(sh(&host, &["--mount", &mount(",image-subpath=opt/deep/file")], "cat /img"), "tool");
    assert_eq!(sh(&host, &["--mount", &mount("")], "touch /img/x 2>/dev/null && echo written; true"), "");
    // One layer alone.
    assert!(sh(&host, &["--mount", "type=image,source=alpine,target=/img"], "ls /img").contains("bin"));
    sleeper(&host, "c", &["--network", "none", "--mount", &mount("")]);
    let said = host.rcr(&["image", "rm", "tools"]);
    assert!(said.code != 0 && said.stderr.contains('c'), "{said:?}");
    host.ok(&["rm", "-f", "c"]);
    host.ok(&["image", "rm", "tools"]);
    let said = host.refused(&["run", "--mount", "type=image,source=nothing,target=/i", "alpine", "true"]);
    assert!(said.contains("cannot mount the image `nothing`"), "{said}");
}

#[test]
fn memory_file_systems_have_options() {
    let host = Host::new();
    let of = |given: &str| options(&host, &["--tmpfs", &format!("/t{given}")], "/t");
    let plain = of("");
    assert!(["nosuid", "nodev", "noexec", "rw"].iter().all(|flag| plain.split(',').any(|had| had == *flag)), "{plain}");
    let open = of(":exec,suid,dev,size=2m,mode=1700,uid=7,gid=8,noatime");
    assert!(["nosuid", "nodev", "noexec"].iter().all(|flag| !open.contains(flag)), "{open}");
    for value in ["size=2048k", "mode=1700", "uid=7", "gid=8", "noatime"] {
        assert!(open.contains(value), "{value}: {open}");
    }
    assert!(of(":ro").starts_with("ro,"));
    let spelled = options(&host, &["--mount", "type=tmpfs,target=/t,tmpfs-size=3m,tmpfs-mode=0750"], "/t");
    assert!(spelled.contains("size=3072k") && spelled.contains("mode=750"), "{spelled}");
    for bad in [
        &["--tmpfs", "/t:sise=1m"][..],
        &["--mount", "type=tmpfs,target=/t,tmpfs-mode=9"],
        &["--mount", "type=tmpfs,target=/t,bind-propagation=rslave"],
        &["--mount", "type=bind,source=/a,target=/t,tmpfs-size=1m"],
    ] {
        let mut args = vec!["run"];
        args.extend(bad);
        args.extend(["alpine", "true"]);
        host.refused(&args);
    }
}
