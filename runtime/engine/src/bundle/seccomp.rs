//! The default seccomp filter.
//!
//! Three answers. A call that a container may make is allowed. One that exists, is refused for good, and has nothing to
//! fall back on is EPERM: programs then report a refusal. All others are ENOSYS, as a kernel without the call would
//! answer, so that programs fall back: glibc 2.34 makes threads by clone3(2) and takes clone(2) only after ENOSYS.
//! 32-bit x86 programs have a table of their own; calls of any other architecture end the process.

mod calls;
pub mod profile;
mod program;

use calls::Calls;
use program::{Answer, Rule, Table, Test, Verdict, compile};
use std::collections::BTreeMap;

/// The namespace flags of clone(2): refused without CAP_SYS_ADMIN.
const CLONE_NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;

/// Execution domains that change nothing about security: Linux, with short inodes, UNAME26, both, and the query.
const PERSONALITIES: [u32; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Terminal injection (TIOCSTI) and the console's paste buffer (TIOCLINUX).
const REFUSED_IOCTLS: [u32; 2] = [libc::TIOCSTI as u32, libc::TIOCLINUX as u32];

/// Capabilities that the profile looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Granted {
    /// CAP_AUDIT_WRITE or CAP_AUDIT_CONTROL.
    pub audit: bool,
    /// CAP_BPF.
    pub bpf: bool,
    /// CAP_DAC_READ_SEARCH.
    pub dac_read_search: bool,
    /// CAP_PERFMON.
    pub perfmon: bool,
    /// CAP_SYS_ADMIN.
    pub sys_admin: bool,
    /// CAP_SYS_BOOT.
    pub sys_boot: bool,
    /// CAP_SYS_CHROOT.
    pub sys_chroot: bool,
    /// CAP_SYS_MODULE.
    pub sys_module: bool,
    /// CAP_SYS_NICE.
    pub sys_nice: bool,
    /// CAP_SYS_PACCT.
    pub sys_pacct: bool,
    /// CAP_SYS_PTRACE.
    pub sys_ptrace: bool,
    /// CAP_SYS_RAWIO.
    pub sys_rawio: bool,
    /// CAP_SYS_TIME.
    pub sys_time: bool,
    /// CAP_SYS_TTY_CONFIG.
    pub sys_tty_config: bool,
    /// CAP_SYSLOG.
    pub syslog: bool,
    /// Sockets of AF_PACKET: only if CAP_NET_RAW was asked for; every container has it for `ping`.
    pub packet_sockets: bool,
}

/// No table of calls for this architecture.
#[derive(Debug, thiserror::Error)]
#[error("the seccomp profile doesn't know this architecture")]
pub struct UnknownArchitecture;

/// The default profile, one instruction of 8 bytes per element.
pub fn default_profile(granted: Granted) -> Result<Vec<u64>, UnknownArchitecture> {
    let mut tables = vec![Table { arch: native_arch()?, verdicts: native(granted) }];
    #[cfg(target_arch = "x86_64")]
    tables.push(Table { arch: AUDIT_ARCH_I386, verdicts: compat(granted) });
    tables.retain(|table| !table.verdicts.is_empty());
    Ok(compile(&tables, Answer::Errno(libc::ENOSYS)))
}

/// `AUDIT_ARCH_*` (uapi/linux/audit.h): the ELF machine, 64 bits, little endian.
fn native_arch() -> Result<u32, UnknownArchitecture> {
    const WIDE_LITTLE: u32 = 0xc000_0000;
    match std::env::consts::ARCH {
        "x86_64" => Ok(WIDE_LITTLE | u32::from(libc::EM_X86_64)),
        "aarch64" => Ok(WIDE_LITTLE | u32::from(libc::EM_AARCH64)),
        "riscv64" => Ok(WIDE_LITTLE | u32::from(libc::EM_RISCV)),
        _ => Err(UnknownArchitecture),
    }
}

const AUDIT_ARCH_I386: u32 = 0x4000_0000 | libc::EM_386 as u32;

type Verdicts = BTreeMap<u32, Verdict>;

fn native(granted: Granted) -> Verdicts {
    let mut all = Verdicts::new();
    put(&mut all, calls::EVERYWHERE.native, &Verdict::Allow);
    put(&mut all, calls::WIDE, &Verdict::Allow);
    put(&mut all, &[calls::NEWFSTATAT], &Verdict::Allow);
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    put(&mut all, calls::LEGACY.native, &Verdict::Allow);
    #[cfg(target_arch = "x86_64")]
    put(&mut all, calls::X86_64, &Verdict::Allow);
    put(&mut all, calls::NEVER_NATIVE, &refused_unless(granted.sys_boot));
    for (has, calls) in by_capability(granted) {
        put(&mut all, calls.native, &refused_unless(has));
    }
    put(&mut all, calls::ADMIN_NEW.native, &absent_unless(granted.sys_admin));
    let number = |call: syscalls::Sysno| call.id() as u32;
    by_argument(
        &mut all,
        granted,
        [
            number(syscalls::Sysno::clone),
            number(syscalls::Sysno::socket),
            number(syscalls::Sysno::personality),
            number(syscalls::Sysno::ioctl),
            number(syscalls::Sysno::get_mempolicy),
        ],
    );
    all
}

#[cfg(target_arch = "x86_64")]
fn compat(granted: Granted) -> Verdicts {
    use syscalls::x86::Sysno;
    let mut all = Verdicts::new();
    put(&mut all, calls::EVERYWHERE.compat, &Verdict::Allow);
    put(&mut all, calls::LEGACY.compat, &Verdict::Allow);
    put(&mut all, calls::COMPAT, &Verdict::Allow);
    put(&mut all, calls::NEVER_COMPAT, &Verdict::Errno(libc::EPERM));
    for (has, calls) in by_capability(granted) {
        put(&mut all, calls.compat, &refused_unless(has));
    }
    put(&mut all, calls::COMPAT_ADMIN, &refused_unless(granted.sys_admin));
    put(&mut all, calls::COMPAT_TIME, &refused_unless(granted.sys_time));
    put(&mut all, calls::ADMIN_NEW.compat, &absent_unless(granted.sys_admin));
    let number = |call: Sysno| call.id() as u32;
    by_argument(
        &mut all,
        granted,
        [
            number(Sysno::clone),
            number(Sysno::socket),
            number(Sysno::personality),
            number(Sysno::ioctl),
            number(Sysno::get_mempolicy),
        ],
    );
    all
}

fn put(all: &mut Verdicts, numbers: &[u32], verdict: &Verdict) {
    all.extend(numbers.iter().map(|number| (*number, verdict.clone())));
}

fn refused_unless(has: bool) -> Verdict {
    if has { Verdict::Allow } else { Verdict::Errno(libc::EPERM) }
}

fn absent_unless(has: bool) -> Verdict {
    if has { Verdict::Allow } else { Verdict::Errno(libc::ENOSYS) }
}

/// Calls that one capability opens, and that are refused without it.
fn by_capability(granted: Granted) -> Vec<(bool, Calls)> {
    vec![
        (granted.sys_admin, calls::ADMIN),
        (granted.sys_admin || granted.bpf, calls::BPF),
        (granted.sys_admin || granted.perfmon, calls::PERFMON),
        (granted.sys_admin || granted.syslog, calls::SYSLOG),
        (granted.sys_boot, calls::BOOT),
        (granted.sys_chroot, calls::CHROOT),
        (granted.sys_module, calls::MODULE),
        (granted.sys_nice, calls::NICE),
        (granted.sys_pacct, calls::PACCT),
        (granted.sys_ptrace, calls::PTRACE),
        #[cfg(target_arch = "x86_64")]
        (granted.sys_rawio, calls::RAWIO),
        (granted.sys_time, calls::TIME),
        (granted.sys_tty_config, calls::TTY_CONFIG),
        (granted.dac_read_search, calls::DAC_READ_SEARCH),
        (false, calls::NEVER),
        #[cfg(target_arch = "x86_64")]
        (false, calls::NEVER_LEGACY),
    ]
}

/// Calls whose arguments decide. `get_mempolicy` only reads, and run-time libraries ask for it at their start.
fn by_argument(all: &mut Verdicts, granted: Granted, [clone, socket, personality, ioctl, get_mempolicy]: [u32; 5]) {
    let refused = Answer::Errno(libc::EPERM);
    let rule = |argument, test, then| Rule { tests: vec![(argument, test)], then };
    // s390 passes the flags second; these tables know x86-64, AArch64 and RISC-V.
    let namespaces = Verdict::By(vec![rule(0, Test::AnyBit(CLONE_NAMESPACES), refused)], Answer::Allow);
    all.insert(clone, if granted.sys_admin { Verdict::Allow } else { namespaces });
    all.insert(socket, socket_families(granted));
    let domains = PERSONALITIES.into_iter().map(|domain| rule(0, Test::Equals(domain), Answer::Allow));
    all.insert(personality, Verdict::By(domains.collect(), refused));
    let requests = REFUSED_IOCTLS.into_iter().map(|request| rule(1, Test::Equals(request), refused));
    all.insert(ioctl, Verdict::By(requests.collect(), Answer::Allow));
    all.insert(get_mempolicy, Verdict::Allow);
}

/// One allow-list of socket families: families that no container needs have been holes before (AF_ALG, AF_VSOCK,
/// AF_RXRPC, …). Others are what a kernel without them answers: EAFNOSUPPORT.
fn socket_families(granted: Granted) -> Verdict {
    let family = |family: i32, then| Rule { tests: vec![(0, Test::Equals(family as u32))], then };
    let mut rules = vec![
        family(libc::AF_UNIX, Answer::Allow),
        family(libc::AF_INET, Answer::Allow),
        family(libc::AF_INET6, Answer::Allow),
    ];
    if !granted.audit {
        // Login programs take this for a kernel without auditing, and go on (audit_open(3)).
        let audit = [(0, Test::Equals(libc::AF_NETLINK as u32)), (2, Test::Equals(libc::NETLINK_AUDIT as u32))];
        rules.push(Rule { tests: audit.to_vec(), then: Answer::Errno(libc::EPROTONOSUPPORT) });
    }
    rules.push(family(libc::AF_NETLINK, Answer::Allow));
    let packets = if granted.packet_sockets { Answer::Allow } else { Answer::Errno(libc::EPERM) };
    rules.push(family(libc::AF_PACKET, packets));
    Verdict::By(rules, Answer::Errno(libc::EAFNOSUPPORT))
}
