//! Our seccomp answers, for every system call of both tables, beside those of Docker's default profile.
//!
//! `tests/setup.sh` takes Docker's profile out of Debian's package. A small interpreter runs our program on the same
//! calls. Each difference is listed here with its reason; the test fails on a difference that is not listed, and on a
//! reason that no longer applies.

#![allow(clippy::unwrap_used)]
#![cfg(target_arch = "x86_64")]

use caps::Capability;
use rcr_engine::bundle::{caps as bundle_caps, powers::powers};
use rcr_engine::config::Security;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0x8000_0000;
const ERRNO: u32 = 0x0005_0000;
const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;

/// Runs a classic BPF program on one call, as the kernel would.
fn run(program: &[u64], arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let word = |offset: u32| match offset {
        0 => number,
        4 => arch,
        _ if offset >= 16 && offset.is_multiple_of(8) => arguments[(offset as usize - 16) / 8] as u32,
        _ if offset >= 16 => (arguments[(offset as usize - 16) / 8] >> 32) as u32,
        _ => panic!("a load from {offset}"),
    };
    let (mut accumulator, mut at) = (0, 0usize);
    loop {
        let instruction = program[at];
        let (code, operand) = (instruction as u16, (instruction >> 32) as u32);
        let (if_true, if_false) = ((instruction >> 16) as u8, (instruction >> 24) as u8);
        at += 1;
        let jump = |yes: bool| usize::from(if yes { if_true } else { if_false });
        match code {
            0x20 => accumulator = word(operand),
            0x05 => at += operand as usize,
            0x15 => at += jump(accumulator == operand),
            0x25 => at += jump(accumulator > operand),
            0x45 => at += jump(accumulator & operand != 0),
            0x06 => return operand,
            other => panic!("an instruction {other:#x}"),
        }
    }
}

/// 0: allowed; else the errno.
fn ours(program: &[u64], arch: u32, number: u32, arguments: [u64; 6]) -> i32 {
    match run(program, arch, number, arguments) {
        ALLOW => 0,
        errno if errno & 0xffff_0000 == ERRNO => (errno & 0xffff) as i32,
        other => panic!("call {number}: {other:#x}"),
    }
}

fn default_program(add: &[&str]) -> Vec<u64> {
    let add = add.iter().map(|name| name.to_string()).collect();
    let security = Security { cap_add: add, seccomp: true, ..Security::default() };
    powers(&security, u64::MAX >> 23).unwrap().seccomp
}

fn profile() -> Value {
    let cache = std::env::var_os("RCR_CACHE").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/rcr"));
    let path = cache.join("docker-seccomp.json");
    let text = std::fs::read_to_string(&path);
    serde_json::from_str(&text.unwrap_or_else(|e| panic!("{}: {e}; run `make setup-test`", path.display()))).unwrap()
}

/// Docker's answer, by the rules of its format: 0 or an errno.
///
/// Its architectures are those of the machine: a rule for `amd64` holds for 32-bit programs on it, too.
fn docker(profile: &Value, name: &str, caps: &BTreeSet<String>, arguments: [u64; 6]) -> i32 {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().map(|v| v.as_str().unwrap().to_owned()).collect()
    };
    let mut refused = libc::EPERM;
    for rule in profile["syscalls"].as_array().unwrap() {
        let (includes, excludes) = (&rule["includes"], &rule["excludes"]);
        let arches = texts(&includes["arches"]);
        if !texts(&rule["names"]).iter().any(|n| n == name)
            || !texts(&includes["caps"]).iter().all(|cap| caps.contains(cap))
            || texts(&excludes["caps"]).iter().any(|cap| caps.contains(cap))
            || (!arches.is_empty() && !arches.iter().any(|a| a == "amd64"))
            || texts(&excludes["arches"]).iter().any(|a| a == "amd64")
        {
            continue;
        }
        let fits = rule["args"].as_array().into_iter().flatten().all(|test| {
            let (value, other) = (test["value"].as_u64().unwrap(), test["valueTwo"].as_u64().unwrap_or_default());
            let argument = arguments[test["index"].as_u64().unwrap() as usize];
            match test["op"].as_str().unwrap() {
                "SCMP_CMP_EQ" => argument == value,
                "SCMP_CMP_NE" => argument != value,
                "SCMP_CMP_MASKED_EQ" => argument & value == other,
                op => panic!("{op}"),
            }
        });
        match (rule["action"].as_str().unwrap(), fits) {
            ("SCMP_ACT_ALLOW", true) => return 0,
            ("SCMP_ACT_ERRNO", true) => refused = rule["errnoRet"].as_i64().unwrap() as i32,
            _ => {}
        }
    }
    refused
}

fn docker_caps(add: &[&str]) -> BTreeSet<String> {
    let security = Security { cap_add: add.iter().map(|name| name.to_string()).collect(), ..Security::default() };
    let mask = bundle_caps::masks(&security, u64::MAX >> 23).unwrap().bounding;
    let all: Vec<Capability> = caps::all().into_iter().collect();
    all.into_iter().filter(|c| mask & bundle_caps::bit(*c) != 0).map(|c| c.to_string()).collect()
}

/// Every call by name: (architecture in Docker's words, number, name).
fn calls() -> Vec<(&'static str, u32, &'static str)> {
    let name = |name: &'static str| name.trim_start_matches("r#");
    let native = (0..1000).filter_map(syscalls::Sysno::new).map(|call| ("amd64", call.id() as u32, name(call.name())));
    let compat = (0..1000).filter_map(syscalls::x86::Sysno::new);
    native.chain(compat.map(|call| ("x86", call.id() as u32, name(call.name())))).collect()
}

const NEWER: &str = "newer than the profile in Debian; Docker allows it since";
const ABSENT: &str = "the kernel has none (ENOSYS by itself), or it is newer than the programs: they fall back";
const OLD: &str = "an old form that old C libraries use; does no more than the newer one, which is allowed";
const READS: &str = "reads only; run-time libraries ask at their start";

/// Ours allows what Docker refuses.
const WIDER: &[(&str, &str)] = &[
    ("cachestat", NEWER),
    ("fchmodat2", NEWER),
    ("futex_requeue", NEWER),
    ("futex_wait", NEWER),
    ("futex_wake", NEWER),
    ("get_mempolicy", READS),
    ("getxattrat", NEWER),
    ("listmount", NEWER),
    ("listxattrat", NEWER),
    ("map_shadow_stack", NEWER),
    ("mseal", NEWER),
    ("name_to_handle_at", NEWER),
    ("nice", OLD),
    ("pkey_alloc", NEWER),
    ("pkey_free", NEWER),
    ("pkey_mprotect", NEWER),
    ("process_vm_readv", NEWER),
    ("process_vm_writev", NEWER),
    ("removexattrat", NEWER),
    ("setxattrat", NEWER),
    ("sgetmask", OLD),
    ("sigaction", OLD),
    ("signal", OLD),
    ("sigpending", OLD),
    ("sigsuspend", OLD),
    ("ssetmask", OLD),
    ("statmount", NEWER),
    ("uretprobe", NEWER),
];

/// Ours refuses what Docker allows.
const NARROWER: &[(&str, &str)] = &[
    ("io_uring_enter", "Docker refuses it since: a large surface"),
    ("io_uring_register", "Docker refuses it since: a large surface"),
    ("io_uring_setup", "Docker refuses it since: a large surface"),
];

/// Docker's EPERM is our ENOSYS.
#[rustfmt::skip]
const FALLS_BACK: &[&str] = &[
    "_sysctl", "afs_syscall", "bdflush", "break", "create_module", "file_getattr", "file_setattr", "ftime",
    "get_kernel_syms", "getpmsg", "gtty", "idle", "lock", "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr",
    "mpx", "oldfstat", "oldlstat", "oldolduname", "oldstat", "olduname", "open_tree_attr", "prof", "profil", "putpmsg",
    "query_module", "readdir", "security", "stty", "tuxcall", "ulimit", "uprobe", "vserver",
];

#[test]
fn every_call_is_answered_as_docker_does_or_the_difference_has_a_reason() {
    let (profile, caps, program) = (profile(), docker_caps(&[]), default_program(&[]));
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (arch, number, name) in calls() {
        let ours = ours(&program, if arch == "x86" { I386 } else { X86_64 }, number, [0; 6]);
        // Sockets of family 0 exist nowhere; families have a test of their own.
        if name == "socket" {
            continue;
        }
        match (ours, docker(&profile, name, &caps, [0; 6])) {
            (a, b) if a == b => {}
            (0, _) => drop(found.entry("wider").or_default().insert(name)),
            (_, 0) => drop(found.entry("narrower").or_default().insert(name)),
            (libc::ENOSYS, libc::EPERM) => drop(found.entry("falls back").or_default().insert(name)),
            (ours, docker) => panic!("{arch} {name}: ours {ours}, Docker's {docker}"),
        }
    }
    let names = |list: &[(&'static str, &str)]| list.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>();
    assert_eq!(found["wider"], names(WIDER), "allowed here, refused by Docker");
    assert_eq!(found["narrower"], names(NARROWER), "refused here, allowed by Docker");
    assert_eq!(found["falls back"], FALLS_BACK.iter().copied().collect(), "{ABSENT}");
}

#[test]
fn capabilities_open_the_same_calls_as_dockers() {
    const CAPS: [&str; 12] = [
        "SYS_ADMIN",
        "SYS_PTRACE",
        "SYS_MODULE",
        "SYS_TIME",
        "SYS_BOOT",
        "SYS_PACCT",
        "SYS_RAWIO",
        "SYS_NICE",
        "SYS_TTY_CONFIG",
        "SYSLOG",
        "DAC_READ_SEARCH",
        "NET_ADMIN",
    ];
    let (profile, plain) = (profile(), docker_caps(&[]));
    for cap in CAPS {
        let (caps, program) = (docker_caps(&[cap]), default_program(&[cap]));
        for (arch, number, name) in calls() {
            let code = if arch == "x86" { I386 } else { X86_64 };
            let with = docker(&profile, name, &caps, [0; 6]);
            let opened = docker(&profile, name, &plain, [0; 6]) != 0 && with == 0;
            assert!(!opened || ours(&program, code, number, [0; 6]) == 0, "{cap} opens {arch} {name} for Docker");
        }
    }
}

#[test]
fn what_programs_fall_back_from_is_enosys_and_what_is_refused_is_eperm() {
    let program = default_program(&[]);
    let answer = |call: syscalls::Sysno, arguments| ours(&program, X86_64, call.id() as u32, arguments);
    let first = |value: u64| [value, 0, 0, 0, 0, 0];
    use syscalls::Sysno as S;
    assert_eq!(answer(S::clone3, [0; 6]), libc::ENOSYS);
    for flag in [libc::CLONE_NEWNS, libc::CLONE_NEWUSER, libc::CLONE_NEWPID, libc::CLONE_NEWNET, libc::CLONE_NEWCGROUP]
    {
        assert_eq!(answer(S::clone, first(flag as u64 | libc::SIGCHLD as u64)), libc::EPERM, "{flag:#x}");
        assert_eq!(answer(S::unshare, first(flag as u64)), libc::EPERM);
    }
    assert_eq!(answer(S::clone, first((libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND) as u64)), 0);
    assert_eq!(answer(S::ioctl, [0, libc::TIOCSTI, 0, 0, 0, 0]), libc::EPERM);
    assert_eq!(answer(S::ioctl, [0, 0xffff_ffff_0000_0000 | libc::TIOCSTI, 0, 0, 0, 0]), libc::EPERM);
    assert_eq!(answer(S::ioctl, [0, libc::TIOCGWINSZ, 0, 0, 0, 0]), 0);
    assert_eq!((answer(S::personality, first(8)), answer(S::personality, first(0x40_0000))), (0, libc::EPERM));
    // x32 numbers, and numbers that no kernel knows yet.
    for number in [0x4000_0000, 0x4000_0000 + S::read.id() as u32, 999, u32::MAX] {
        assert_eq!(ours(&program, X86_64, number, [0; 6]), libc::ENOSYS, "{number:#x}");
    }
    // ARM code on x86-64 can't be.
    assert_eq!(run(&program, 0x4000_0028, 0, [0; 6]), KILL);
}

#[test]
fn socket_families_are_an_allow_list() {
    let answer = |program: &[u64], family: i32, protocol: i32| {
        let arguments = [family as u64, 0, protocol as u64, 0, 0, 0];
        let native = ours(program, X86_64, syscalls::Sysno::socket.id() as u32, arguments);
        assert_eq!(native, ours(program, I386, syscalls::x86::Sysno::socket.id() as u32, arguments));
        native
    };
    let default = default_program(&[]);
    for family in 0..64 {
        let want = match family {
            libc::AF_UNIX | libc::AF_INET | libc::AF_INET6 | libc::AF_NETLINK => 0,
            libc::AF_PACKET => libc::EPERM,
            _ => libc::EAFNOSUPPORT,
        };
        assert_eq!(answer(&default, family, 0), want, "family {family}");
    }
    assert_eq!(answer(&default_program(&["NET_RAW"]), libc::AF_PACKET, 0), 0);
    assert_eq!(answer(&default, libc::AF_NETLINK, libc::NETLINK_AUDIT), 0);
    let security = Security { cap_drop: vec!["AUDIT_WRITE".into()], seccomp: true, ..Security::default() };
    let without = powers(&security, u64::MAX >> 23).unwrap().seccomp;
    assert_eq!(answer(&without, libc::AF_NETLINK, libc::NETLINK_AUDIT), libc::EPROTONOSUPPORT);
    assert_eq!(answer(&without, libc::AF_NETLINK, libc::NETLINK_ROUTE), 0);
}

#[test]
fn the_program_fits_the_kernel() {
    let program = default_program(&[]);
    assert!((100..2048).contains(&program.len()), "{} instructions", program.len());
}
