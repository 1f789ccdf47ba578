//! Limits of a container, as its kernel has them. cgroup v1 here; `tests/vm/scenarios/limits` is the same on v2.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use tests::Host;

/// Files of the container's own cgroup, by the paths that it sees.
fn read(host: &Host, flags: &[&str], files: &[&str]) -> Vec<String> {
    let mut all = vec!["--network", "none"];
    all.extend(flags);
    let script = files.iter().map(|file| format!("cat /sys/fs/cgroup/{file}")).collect::<Vec<_>>().join("; ");
    host.sh(&all, &script).lines().map(str::to_owned).collect()
}

/// What `inspect` says of a container that was made with these flags.
fn shown(host: &Host, flags: &[&str], field: &str) -> serde_json::Value {
    let mut args = vec!["create", "--name", "shown", "--network", "none"];
    args.extend(flags);
    args.extend(["alpine", "true"]);
    host.ok(&args);
    let value = host.inspect("shown", &format!("/HostConfig/{field}"));
    host.ok(&["rm", "shown"]);
    value
}

/// A disk of this machine.
fn disk() -> PathBuf {
    let table = std::fs::read_to_string("/proc/partitions").unwrap();
    let names = table.lines().skip(2).filter_map(|line| line.split_whitespace().nth(3));
    let whole = names.filter(|name| Path::new("/sys/block").join(name).exists());
    let found = whole.map(|name| Path::new("/dev").join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("no disk in /proc/partitions has its file in /dev"))
}

#[test]
fn memory_has_a_limit_a_reserve_and_swap() {
    let host = Host::new();
    let files =
        ["memory/memory.limit_in_bytes", "memory/memory.memsw.limit_in_bytes", "memory/memory.soft_limit_in_bytes"];
    let flags = ["-m", "64m", "--memory-reservation", "32m"];
    // As with Docker: as much swap as memory, where nothing is said.
    assert_eq!(read(&host, &flags, &files), ["67108864", "134217728", "33554432"]);
    assert_eq!(read(&host, &["-m", "64m", "--memory-swap", "64m"], &files[..2]), ["67108864", "67108864"]);
    let unlimited = read(&host, &["-m", "64m", "--memory-swap", "-1"], &files[1..2]);
    assert!(unlimited[0].parse::<u64>().unwrap() > 1 << 60, "{unlimited:?}");
    assert_eq!(read(&host, &["-m", "64m", "--memory-swappiness", "7"], &["memory/memory.swappiness"]), ["7"]);
    let oom = ["-m", "64m", "--oom-kill-disable"];
    assert_eq!(read(&host, &oom, &["memory/memory.oom_control"])[0], "oom_kill_disable 1");
    assert_eq!(shown(&host, &flags, "MemoryReservation"), 32 << 20);
    assert_eq!(shown(&host, &flags, "MemorySwap"), 128 << 20);
    assert_eq!(shown(&host, &["--memory-swappiness", "7"], "MemorySwappiness"), 7);
    assert_eq!(shown(&host, &oom, "OomKillDisable"), true);
    let said = host.rcr(&["run", "--rm", "--network", "none", "--oom-kill-disable", "alpine", "true"]);
    assert!(said.code == 0 && said.stderr.contains("warning: `--oom-kill-disable` without `--memory`"), "{said:?}");
}

#[test]
fn processors_have_shares_quotas_and_lists() {
    let host = Host::new();
    let files = ["cpu/cpu.shares", "cpu/cpu.cfs_period_us", "cpu/cpu.cfs_quota_us", "cpuset/cpuset.cpus"];
    let flags = ["--cpuset-cpus=0", "--cpu-shares=512", "--cpu-period", "50000", "--cpu-quota", "20000"];
    assert_eq!(read(&host, &flags, &files), ["512", "50000", "20000", "0"]);
    for (field, value) in [("CpuShares", 512), ("CpuPeriod", 50_000), ("CpuQuota", 20_000)] {
        assert_eq!(shown(&host, &flags, field), value, "{field}");
    }
    assert_eq!(read(&host, &["-c", "2048", "--cpu-quota=-1"], &files[..3]), ["2048", "100000", "-1"]);
    assert_eq!(read(&host, &["--cpuset-mems", "0"], &["cpuset/cpuset.mems"]), ["0"]);
}

#[test]
fn disks_have_shares_and_rates() {
    let host = Host::new();
    let disk = disk();
    let numbers = std::fs::read_to_string(Path::new("/sys/block").join(disk.file_name().unwrap()).join("dev")).unwrap();
    let (disk, numbers) = (disk.display(), numbers.trim());
    let limit = |value: &str| format!("{disk}:{value}");
    let flags = [
        "--device-read-bps".to_owned(),
        limit("1mb"),
        "--device-write-bps".to_owned(),
        limit("2m"),
        "--device-read-iops".to_owned(),
        limit("300"),
        "--device-write-iops".to_owned(),
        limit("400"),
    ];
    let files =
        ["read_bps", "write_bps", "read_iops", "write_iops"].map(|f| format!("blkio/blkio.throttle.{f}_device"));
    let rates = read(&host, &flags.each_ref().map(String::as_str), &files.each_ref().map(String::as_str));
    assert_eq!(rates, ["1048576", "2097152", "300", "400"].map(|rate| format!("{numbers} {rate}")));
    let write = shown(&host, &flags.each_ref().map(String::as_str), "BlkioDeviceWriteBps/0/Rate");
    assert_eq!(write, 2 << 20);
    assert_eq!(shown(&host, &["--blkio-weight", "300"], "BlkioWeight"), 300);
    let weight = read(&host, &["--blkio-weight", "300"], &["blkio/blkio.bfq.weight"]);
    assert!(weight[0].ends_with("300"), "{weight:?}");
    // A disk has weights of its own if its scheduler has.
    let scheduler = std::fs::read_to_string(format!("/sys/dev/block/{numbers}/queue/scheduler")).unwrap();
    let single = limit("200");
    let ran = host.rcr(&["run", "--rm", "--network", "none", "--blkio-weight-device", &single, "alpine", "true"]);
    match scheduler.contains("[bfq]") {
        true => assert_eq!(ran.code, 0, "{ran:?}"),
        false => assert!(ran.code == 125 && ran.stderr.contains("hint: a disk has weights if"), "{ran:?}"),
    }
    let before = host.snapshot();
    for bad in ["/dev/null:1m", "/dev/no-such-disk:1m"] {
        let said = host.refused(&["run", "--network", "none", "--device-read-bps", bad, "alpine", "true"]);
        assert!(said.contains("cannot limit the disk `/dev/n"), "{said}");
    }
    before.assert_restored(&host);
}

#[test]
fn a_cgroup_lies_below_the_parent_that_was_named() {
    let host = Host::new();
    let parent = format!("t{}-flags.slice", std::process::id());
    let of = |path: &str| Path::new("/sys/fs/cgroup/pids").join(path);
    let whole = format!("t{}.slice/{parent}", std::process::id());
    let start =
        ["run", "-d", "--name", "c", "--network", "none", "--cgroup-parent", &parent, "alpine", "sleep", "1000"];
    let id = host.ok(&start);
    assert_eq!(host.inspect("c", "/HostConfig/CgroupParent"), whole.as_str());
    let mine = of(&whole).join(&id);
    assert!(mine.join("cgroup.procs").exists());
    let pid = host.inspect("c", "/State/Pid").to_string();
    let processes = || std::fs::read_to_string(mine.join("cgroup.procs")).unwrap();
    assert!(processes().lines().any(|line| line == pid));
    // What is executed in it is in its cgroup, too.
    let exec = "cat /proc/self/cgroup | grep :pids: | cut -d: -f3";
    assert_eq!(host.ok(&["exec", "c", "sh", "-c", exec]), "/");
    host.ok(&["exec", "-d", "c", "sleep", "1000"]);
    tests::eventually("the second process is counted", || processes().lines().count() == 2);
    host.ok(&["rm", "-f", "c"]);
    // The parent is the user's.
    assert!(!mine.exists() && of(&whole).exists());
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        let _ = std::fs::remove_dir(hierarchy.path().join(&whole));
        let _ = std::fs::remove_dir(hierarchy.path().join(&whole).parent().unwrap());
    }
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    let host = Host::bare();
    for bad in [
        &["--cpu-shares", "1"][..],
        &["--cpu-period", "10"],
        &["--cpu-quota", "10"],
        &["--cpus", "1", "--cpu-quota", "50000"],
        &["--cpus", "1", "--cpu-period", "50000"],
        &["--cpuset-cpus", "a"],
        &["--memory-reservation", "64m", "-m", "32m"],
        &["--memory-swappiness", "101"],
        &["--memory-swap", "64m"],
        &["--blkio-weight", "5"],
        &["--blkio-weight-device", "/dev/sda:5"],
        &["--device-read-bps", "/dev/sda"],
        &["--device-write-bps", "/tmp/x:1m"],
        &["--device-read-iops", "/dev/sda:many"],
        &["--device-write-iops", "/dev/sda:0"],
        &["--cgroup-parent", "../up"],
        &["--oom-score-adj", "1001"],
    ] {
        let mut args = vec!["run"];
        args.extend(bad);
        args.extend(["alpine", "true"]);
        host.refused(&args);
    }
    // A processor that is not there is the kernel's to refuse; nothing is left of the container.
    let host = Host::new();
    let before = host.snapshot();
    let said = host.refused(&["run", "--network", "none", "--cpuset-cpus", "4000", "alpine", "true"]);
    assert!(said.contains("cannot apply the limits") && said.contains("hint: "), "{said}");
    before.assert_restored(&host);
}
