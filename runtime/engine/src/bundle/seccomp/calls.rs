//! Lists of system calls, by name. A call with its own number on 32-bit x86 is listed for both tables at once.

/// The numbers of calls on the architecture that we are built for.
macro_rules! native {
    ($($call:ident)*) => { &[$(syscalls::Sysno::$call.id() as u32),*] };
}

/// The numbers of calls on 32-bit x86.
#[cfg(target_arch = "x86_64")]
macro_rules! compat {
    ($($call:ident)*) => { &[$(syscalls::x86::Sysno::$call.id() as u32),*] };
}

/// A group of calls that both tables have.
pub struct Calls {
    pub native: &'static [u32],
    /// On 32-bit x86; empty where there is no such thing.
    pub compat: &'static [u32],
}

macro_rules! both {
    ($($call:ident)*) => {
        Calls {
            native: native![$($call)*],
            #[cfg(target_arch = "x86_64")]
            compat: compat![$($call)*],
            #[cfg(not(target_arch = "x86_64"))]
            compat: &[],
        }
    };
}

/// What every container may call, on every architecture.
pub const EVERYWHERE: Calls = both![
    accept4 adjtimex bind brk cachestat capget capset chdir clock_adjtime clock_getres clock_gettime clock_nanosleep
    close close_range connect copy_file_range dup dup3 epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 eventfd2
    execve execveat exit exit_group faccessat faccessat2 fadvise64 fallocate fanotify_mark fchdir fchmod fchmodat
    fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstatfs fsync
    ftruncate futex futex_requeue futex_wait futex_waitv futex_wake get_mempolicy get_robust_list getcpu getcwd
    getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpid getppid getpriority getrandom
    getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr
    getxattrat inotify_add_watch inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents
    io_setup io_submit ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self
    lgetxattr linkat listen listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr madvise
    map_shadow_stack membarrier memfd_create memfd_secret mincore mkdirat mknodat mlock mlock2 mlockall mmap
    mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget
    msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep openat openat2 pidfd_open
    pidfd_send_signal pipe2 pkey_alloc pkey_free pkey_mprotect ppoll prctl pread64 preadv preadv2 prlimit64
    process_mrelease process_vm_readv process_vm_writev pselect6 ptrace pwrite64 pwritev pwritev2 read readahead
    readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr removexattrat renameat2 restart_syscall
    rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
    rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
    sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler
    sched_yield seccomp semctl semget sendfile sendmmsg sendmsg sendto set_robust_list set_tid_address setfsgid
    setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid
    setsockopt setuid setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd4 socketpair splice
    statfs statmount statx symlinkat sync sync_file_range syncfs sysinfo tee tgkill timer_create timer_delete
    timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill truncate
    umask uname unlinkat utimensat vmsplice wait4 waitid write writev
];

/// Others that 32-bit x86 lacks, or has behind ipc(2) and socketcall(2).
pub const WIDE: &[u32] = native![
    accept semop semtimedop
];

/// `newfstatat`, which the table of names has on some architectures only.
pub const NEWFSTATAT: u32 = libc::SYS_newfstatat as u32;

/// Older forms that newer architectures have dropped.
#[cfg(target_arch = "x86_64")]
pub const LEGACY: Calls = both![
    access alarm arch_prctl chmod chown creat dup2 epoll_create epoll_wait eventfd fork futimesat get_thread_area
    getdents getpgrp inotify_init lchown link lstat mkdir mknod modify_ldt open pause pipe poll readlink rename renameat
    rmdir select set_thread_area signalfd stat symlink time unlink utime utimes vfork
];

/// Only on x86-64.
#[cfg(target_arch = "x86_64")]
pub const X86_64: &[u32] = native![
    epoll_ctl_old epoll_wait_old uretprobe
];

/// Older forms that newer architectures have dropped.
#[cfg(target_arch = "aarch64")]
pub const LEGACY: Calls = both![renameat];

/// Only on 32-bit x86. `socketcall` hides the socket family behind a pointer, which no filter can follow; Debian's
/// 32-bit C library knows no other way to a socket.
#[cfg(target_arch = "x86_64")]
pub const COMPAT: &[u32] = compat![
    _llseek _newselect chown32 clock_adjtime64 clock_getres_time64 clock_gettime64 clock_nanosleep_time64
    fadvise64_64 fchown32 fcntl64 fstat64 fstatat64 fstatfs64 ftruncate64 futex_time64 getegid32 geteuid32 getgid32
    getgroups32 getresgid32 getresuid32 getuid32 io_pgetevents_time64 ipc lchown32 lstat64 mmap2
    mq_timedreceive_time64 mq_timedsend_time64 nice ppoll_time64 pselect6_time64 recvmmsg_time64
    rt_sigtimedwait_time64 sched_rr_get_interval_time64 semtimedop_time64 sendfile64 setfsgid32 setfsuid32 setgid32
    setgroups32 setregid32 setresgid32 setresuid32 setreuid32 setuid32 sgetmask sigaction signal sigpending
    sigprocmask sigreturn sigsuspend socketcall ssetmask stat64 statfs64 timer_gettime64 timer_settime64
    timerfd_gettime64 timerfd_settime64 truncate64 ugetrlimit utimensat_time64 waitpid
];

/// With CAP_SYS_ADMIN.
pub const ADMIN: Calls = both![
    fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree pivot_root
    quotactl quotactl_fd setdomainname sethostname setns umount2 unshare
];
/// With CAP_SYS_ADMIN; newer than most programs, so that without it they see a kernel that lacks them.
pub const ADMIN_NEW: Calls = both![clone3 lsm_get_self_attr lsm_list_modules lsm_set_self_attr];
pub const BPF: Calls = both![bpf];
pub const BOOT: Calls = both![kexec_load reboot];
pub const CHROOT: Calls = both![chroot];
pub const DAC_READ_SEARCH: Calls = both![open_by_handle_at];
pub const MODULE: Calls = both![delete_module finit_module init_module];
pub const NICE: Calls = both![mbind migrate_pages move_pages set_mempolicy set_mempolicy_home_node];
pub const PACCT: Calls = both![acct];
pub const PERFMON: Calls = both![perf_event_open];
/// Another process's descriptors and memory beyond what ptrace(2) of a child needs.
pub const PTRACE: Calls = both![kcmp pidfd_getfd process_madvise];
#[cfg(target_arch = "x86_64")]
pub const RAWIO: Calls = both![ioperm iopl];
pub const SYSLOG: Calls = both![syslog];
pub const TIME: Calls = both![clock_settime settimeofday];
pub const TTY_CONFIG: Calls = both![vhangup];

/// On 32-bit x86, by capability: older or wider forms of calls above.
#[cfg(target_arch = "x86_64")]
pub const COMPAT_ADMIN: &[u32] = compat![umount];
#[cfg(target_arch = "x86_64")]
pub const COMPAT_TIME: &[u32] = compat![clock_settime64 stime];

/// Keyrings are not namespaced; io_uring and userfaultfd are large surfaces that containers rarely need.
pub const NEVER: Calls = both![
    add_key io_uring_enter io_uring_register io_uring_setup keyctl nfsservctl request_key swapoff swapon userfaultfd
];
/// As [`NEVER`], obsolete besides, and still there on x86.
#[cfg(target_arch = "x86_64")]
pub const NEVER_LEGACY: Calls = both![sysfs uselib ustat];
/// Only on x86-64.
pub const NEVER_NATIVE: &[u32] = native![kexec_file_load];
/// Only on 32-bit x86.
#[cfg(target_arch = "x86_64")]
pub const NEVER_COMPAT: &[u32] = compat![vm86 vm86old];
