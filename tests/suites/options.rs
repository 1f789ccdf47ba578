//! Flags of `run` and `exec` about security, devices by name, and what is noted of a container.
#![allow(clippy::unwrap_used)]

use tests::Host;
use tests::host::sleeper;
use tests::images::layered;
use tests::terminal::Terminal;

fn sh(host: &Host, flags: &[&str], script: &str) -> String {
    let mut all = vec!["--network", "none"];
    all.extend(flags);
    host.sh(&all, script)
}

fn refused(host: &Host, flags: &[&str]) -> String {
    let mut all = vec!["run", "--network", "none"];
    all.extend(flags);
    all.extend(["alpine", "true"]);
    host.refused(&all)
}

#[test]
fn a_seccomp_profile_of_the_users_is_the_filter() {
    let host = Host::new();
    let file = host.scratch().join("profile.json");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    let option = format!("seccomp={}", file.display());
    // As people write them: everything, but for one call.
    write(
        r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],
            "syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":28},
                        {"names":["chmod","fchmodat","fchmodat2"],"action":"SCMP_ACT_KILL_PROCESS",
                         "excludes":{"caps":["CAP_SYS_ADMIN"]}}]}"#,
    );
    let script = "mkdir /x 2>&1; grep Seccomp: /proc/self/status; chmod 700 /tmp; echo $?";
    let own = sh(&host, &["--security-opt", &option], script);
    assert!(own.contains("No space left") && own.contains("Seccomp:\t2") && own.ends_with("159"), "{own}");
    let admin = sh(&host, &["--security-opt", &option, "--cap-add", "SYS_ADMIN"], script);
    assert!(admin.ends_with('0'), "{admin}");
    // A further program has the same.
    host.ok(&["run", "-d", "--name", "c", "--network", "none", "--security-opt", &option, "alpine", "sleep", "1000"]);
    std::fs::remove_file(&file).unwrap();
    assert!(host.rcr(&["exec", "c", "mkdir", "/x"]).stderr.contains("No space left"));
    host.ok(&["restart", "-t", "0", "c"]);
    assert!(host.rcr(&["exec", "c", "mkdir", "/x"]).stderr.contains("No space left"));
    // Docker's own profile runs a container.
    let docker = std::path::Path::new(&std::env::var("RCR_CACHE").unwrap()).join("docker-seccomp.json");
    let docker = format!("seccomp={}", docker.display());
    assert_eq!(sh(&host, &["--security-opt", &docker], "mkdir /x && unshare -U true 2>/dev/null; echo $?"), "1");
    assert!(sh(&host, &["--security-opt", "seccomp=builtin"], "grep Seccomp: /proc/self/status").ends_with('2'));
    assert!(sh(&host, &["--security-opt", "seccomp=unconfined"], "grep Seccomp: /proc/self/status").ends_with('0'));
    write(r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#);
    assert!(refused(&host, &["--security-opt", &option]).contains("needs a program that answers"));
    assert!(refused(&host, &["--security-opt", "seccomp=/no/such"]).contains("cannot read the seccomp profile"));
}

#[test]
fn paths_of_the_system_are_open_and_cgroups_writable_where_that_is_asked_for() {
    let host = Host::new();
    let look = "grep -c ' /proc/sys ' /proc/mounts; true";
    assert_eq!(sh(&host, &[], look), "1");
    assert_eq!(sh(&host, &["--security-opt", "systempaths=unconfined"], look), "0");
    let make = "mkdir /sys/fs/cgroup/pids/own 2>/dev/null && rmdir /sys/fs/cgroup/pids/own && echo made; true";
    assert_eq!(sh(&host, &[], make), "");
    assert_eq!(sh(&host, &["--security-opt", "writable-cgroups=true"], make), "made");
    let powers = "grep NoNewPrivs /proc/self/status | cut -f2";
    for (option, value) in [("no-new-privileges", "1"), ("no-new-privileges:true", "1"), ("no-new-privileges=0", "0")] {
        assert_eq!(sh(&host, &["--security-opt", option], powers), value, "{option}");
    }
    // Modules that this kernel does not have on, as with Docker: there is nothing to be done.
    for option in ["label=disable", "apparmor=unconfined"] {
        assert_eq!(sh(&host, &["--security-opt", option], "echo ran"), "ran", "{option}");
    }
    let apparmor = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|t| t.trim() == "Y");
    let named =
        host.rcr(&["run", "--rm", "--network", "none", "--security-opt", "apparmor=docker-default", "alpine", "true"]);
    assert_eq!(named.code, if apparmor { 125 } else { 0 }, "{named:?}");
    let selinux = std::path::Path::new("/sys/fs/selinux/enforce").exists();
    let label = host.rcr(&["run", "--rm", "--network", "none", "--security-opt", "label=type:t", "alpine", "true"]);
    assert_eq!(label.code, if selinux { 125 } else { 0 }, "{label:?}");
    for bad in ["seccomp", "label=x", "systempaths=none", "apparmor="] {
        assert!(refused(&host, &["--security-opt", bad]).contains("known are no-new-privileges"), "{bad}");
    }
}

#[test]
fn devices_have_names_by_their_vendors_specs() {
    let mut host = Host::new();
    let specs = host.scratch().join("cdi");
    std::fs::create_dir_all(&specs).unwrap();
    host.configure(&format!("[devices]\nspecs = [\"{}\"]\n", specs.display()));
    let library = host.scratch().join("library");
    std::fs::write(&library, "lib").unwrap();
    let spec = |kind: &str, hooks: &str| {
        format!(
            r#"{{"cdiVersion":"0.6.0","kind":"{kind}","containerEdits":{{"env":["VENDOR=yes"],
              "mounts":[{{"hostPath":"{}","containerPath":"/usr/lib/vendor.so","options":["ro","nosuid","bind"]}}]}},
              "devices":[{{"name":"0","containerEdits":{{"deviceNodes":[{{"path":"/dev/vendor0","hostPath":"/dev/fuse"}}],
                "env":["DEVICE=0"],"additionalGIDs":[4242]{hooks}}}}},
                {{"name":"all","containerEdits":{{"deviceNodes":[{{"path":"/dev/fuse","permissions":"r"}}]}}}}]}}"#,
            library.display()
        )
    };
    std::fs::write(specs.join("v.json"), spec("vendor.com/card", "")).unwrap();
    let look = "echo $VENDOR $DEVICE; cat /usr/lib/vendor.so; exec 3<>/dev/vendor0 && echo open; id -G | grep -o 4242";
    assert_eq!(sh(&host, &["--device", "vendor.com/card=0"], look), "yes 0\nlibopen\n4242");
    // With the rights of the spec.
    let read = "exec 3</dev/fuse && echo open; (exec 3<>/dev/fuse) 2>/dev/null || echo shut";
    assert_eq!(sh(&host, &["--device", "vendor.com/card=all"], read), "open\nshut");
    let said = refused(&host, &["--device", "vendor.com/card=7"]);
    assert!(said.contains("`vendor.com/card=7`") && said.contains("its kind has 0, all"), "{said}");
    // `--gpus` is the same with NVIDIA's names.
    let none = refused(&host, &["--gpus", "all"]);
    assert!(none.contains("`nvidia.com/gpu=all`") && none.contains("hint: `nvidia-ctk cdi generate"), "{none}");
    std::fs::write(specs.join("nvidia.json"), spec("nvidia.com/gpu", "")).unwrap();
    assert_eq!(sh(&host, &["--gpus", "1"], "echo $DEVICE; ls /dev/vendor0"), "0\n/dev/vendor0");
    assert_eq!(sh(&host, &["--gpus", "device=0"], "echo $DEVICE"), "0");
    assert_eq!(sh(&host, &["--gpus=all"], "ls /dev/fuse"), "/dev/fuse");
    host.ok(&["create", "--name", "shown", "--gpus", "all", "alpine"]);
    assert_eq!(host.inspect("shown", "/HostConfig/DeviceRequests/0/DeviceIDs/0"), "nvidia.com/gpu=all");
    host.ok(&["rm", "shown"]);
    // A hook would be a program of the host's: it is named.
    let hooks = r#","hooks":[{"hookName":"createContainer","path":"/usr/bin/vendor-hook"}]"#;
    std::fs::write(specs.join("v.json"), spec("vendor.com/card", hooks)).unwrap();
    let said = refused(&host, &["--device", "vendor.com/card=0"]);
    assert!(said.contains("`/usr/bin/vendor-hook`") && said.contains("rcr runs no hooks"), "{said}");
    std::fs::write(specs.join("v.json"), "{").unwrap();
    let said = refused(&host, &["--gpus", "all"]);
    assert!(said.contains("cannot read the device spec"), "{said}");
    assert!(refused(&host, &["--gpus", "some"]).contains("neither `all` nor a number"));
    assert_eq!(host.ok(&["ps", "-aq"]), "");
}

#[test]
fn labels_come_from_files_and_notes_are_kept() {
    let host = Host::new();
    let file = host.scratch().join("labels");
    std::fs::write(&file, "# comment\na=1\nb=2\nalone\n").unwrap();
    let file = file.to_str().unwrap();
    let flags = ["--network", "none", "--label-file", file, "-l", "b=3", "--annotation", "org.example/x=y"];
    sleeper(&host, "c", &flags);
    for (label, value) in [("a", "1"), ("b", "3"), ("alone", "")] {
        assert_eq!(host.inspect("c", &format!("/Config/Labels/{label}")), value);
    }
    assert_eq!(host.inspect("c", "/HostConfig/Annotations/org.example~1x"), "y");
    assert!(refused(&host, &["--label-file", "/no/such"]).contains("cannot read `--label-file /no/such`"));
    assert!(refused(&host, &["--annotation", "x"]).contains("expected name=value"));
}

#[test]
fn streams_are_attached_one_by_one() {
    let host = Host::new();
    let run = |flags: &[&str], input: &str| {
        let mut args = vec!["run", "--rm", "--network", "none"];
        args.extend(flags);
        args.extend(["alpine", "sh", "-c", "cat; echo out; echo err >&2; exit 3"]);
        let ran = host.rcr_with(&args, input);
        assert_eq!(ran.code, 3, "{ran:?}");
        (ran.stdout, ran.stderr)
    };
    let of = |out: &str, err: &str| (out.to_owned(), err.to_owned());
    assert_eq!(run(&["-a", "stdout"], ""), of("out\n", ""));
    assert_eq!(run(&["--attach", "STDERR"], ""), of("", "err\n"));
    assert_eq!(run(&["-i", "-a", "stdin", "-a", "stdout"], "in\n"), of("in\nout\n", ""));
    assert_eq!(run(&["-a", "stdout", "-a", "stderr"], ""), of("out\n", "err\n"));
    let said = refused(&host, &["-d", "-a", "stdout"]);
    assert!(said.contains("`--detach` can't be combined with `--attach`"), "{said}");
    assert!(refused(&host, &["-a", "stdall"]).contains("expected stdin, stdout or stderr"));
}

#[test]
fn docker_s_other_words_are_known() {
    let host = Host::new();
    assert_eq!(sh(&host, &["--quiet", "--runtime", "rcr"], "echo ran"), "ran");
    assert_eq!(
        sh(&host, &["-q", "--privileged=false", "--init=true"], "cat /proc/1/cmdline | tr '\\0' ' ' | cut -c1-13"),
        "/dev/rcr-init"
    );
    assert!(refused(&host, &["--runtime", "nvidia"]).contains("there is no runtime `nvidia`"));
    for (flag, value, way) in [
        ("--kernel-memory", "1m", "`-m` limits both"),
        ("--cpu-rt-runtime", "1", "SYS_NICE"),
        ("--isolation", "hyperv", "leave it out"),
        ("--storage-opt", "size=1g", "--tmpfs"),
        ("--link-local-ip", "169.254.1.1", "--ip"),
    ] {
        let said = refused(&host, &[flag, value]);
        assert!(said.starts_with(&format!("error: `rcr run` has no `{flag}`")) && said.contains(way), "{said}");
    }
    // Groups of the image by name.
    layered(&host, "grouped", "mkdir etc; echo audio:x:63: > etc/group", r#"{"Cmd":["sh"]}"#);
    let groups =
        ["run", "--rm", "--network", "none", "--group-add", "audio", "--group-add", "4242", "grouped", "id", "-G"];
    assert_eq!(host.ok(&groups), "0 63 4242");
    assert!(refused(&host, &["--group-add", "no-such-group"]).contains("group"));
}

#[test]
fn exec_has_variables_powers_and_keys_of_its_own() {
    let host = Host::new();
    sleeper(&host, "c", &["--network", "none", "-e", "A=container"]);
    let file = host.scratch().join("env");
    std::fs::write(&file, "A=file\nB=file\n").unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(host.ok(&["exec", "--env-file", file, "-e", "B=flag", "c", "sh", "-c", "echo $A $B"]), "file flag");
    assert!(host.refused(&["exec", "--env-file", "/no/such", "c", "true"]).contains("--env-file /no/such"));
    let caps = ["exec", "c", "sh", "-c", "grep -E 'CapEff|Seccomp:' /proc/self/status | cut -f2 | tr '\\n' ' '"];
    let plain = host.ok(&caps);
    let powerful = host.ok(&[&caps[..1], &["--privileged"], &caps[1..]].concat());
    assert!(plain.ends_with('2') && powerful.ends_with('0'), "{plain} {powerful}");
    let mask = |text: &str| u64::from_str_radix(text.split(' ').next().unwrap(), 16).unwrap();
    assert!(mask(&powerful).count_ones() > mask(&plain).count_ones());
    let mut terminal = Terminal::start(host.command(&["exec", "-it", "--detach-keys", "ctrl-x,x", "c", "sh"]));
    terminal.send("echo here-$((1+1))\n");
    terminal.expect("here-2");
    terminal.send("\x18x");
    terminal.wait();
    assert_eq!(host.inspect("c", "/State/Status"), "running");
}
