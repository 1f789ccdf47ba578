//! The container's first process, or another one of `rcr exec`, between clone3(2) and execve(2).
//!
//! Invariant: nothing here allocates, takes a lock or prints. The way out is execve(2), or a report and `_exit`.

use super::compiled::{CompiledOp, CompiledPlan, CompiledProcess, FIRST_FOLDER, Target};
use super::creds;
use super::handshake::{self, Failure, Stage};
use super::joining;
use super::mounts;
use super::open;
use super::resolve::{self, Last};
use super::user;
use crate::sys::{clone, exec, fd, keyring, mount, seccomp, signal};
use nix::errno::Errno;
use rcr_base::errno;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::Signal;
use rustix::termios::Winsize;
use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType, move_into_link_name_space, move_into_thread_name_spaces};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What the child gets from its parent.
pub struct Inherited {
    /// The files `tasks` of its cgroups of version 1, open for writing; none where it was born into its cgroup.
    pub cgroups: Vec<OwnedFd>,
    /// Where failures and the terminal are reported.
    pub report: OwnedFd,
    /// The container's network namespace; absent: the parent's own.
    pub netns: Option<OwnedFd>,
    /// A process of the container whose IPC namespace is joined, as a pidfd.
    pub ipc: Option<OwnedFd>,
    /// stdin, stdout and stderr: pipes of the container's own, or its `/dev/null` where absent. Unused with a terminal.
    pub stdio: [Option<OwnedFd>; 3],
    /// `/dev/console` of a container with a terminal.
    pub console: Target,
}

/// Becomes the container's init, or reports why not.
pub fn run(mut plan: CompiledPlan, from: Inherited) -> ! {
    let failure = match prepare(&mut plan, &from) {
        Err(failure) => failure,
        Ok(terminal) => become_program(plan.process, from.stdio, terminal),
    };
    handshake::send_failure(from.report.as_fd(), failure);
    exec::exit_now(125)
}

/// Joins a running container and becomes another program in it, or reports why not.
/// The caller has joined the pid namespace already, since that takes a clone to be effective.
pub fn run_exec(process: CompiledProcess, init: BorrowedFd, from: Inherited) -> ! {
    let failure = match join(&process, init, &from) {
        Err(failure) => failure,
        Ok(terminal) => become_program(process, from.stdio, terminal),
    };
    handshake::send_failure(from.report.as_fd(), failure);
    exec::exit_now(125)
}

/// Enters its cgroups of version 1. A thread that moves itself, by `tasks`, is the one move that the kernel makes
/// without shutting out all forks of the machine (kernel/cgroup/cgroup.c, `cgroup_procs_write_start`), which takes it an
/// RCU grace period: up to tens of milliseconds.
fn enter_cgroups(cgroups: &[OwnedFd]) -> Result<(), Failure> {
    cgroups.iter().zip(0..).try_for_each(|(tasks, detail)| {
        let written = rustix::io::write(tasks, b"0");
        written.map(drop).map_err(|error| Failure { stage: Stage::Cgroup, detail, errno: errno(error) })
    })
}

/// Everything up to pivot_root(2).
fn prepare(plan: &mut CompiledPlan, from: &Inherited) -> Result<Option<OwnedFd>, Failure> {
    enter_cgroups(&from.cgroups)?;
    // Not by clone3: the root of what it sees is the cgroup that the process is in by now.
    if plan.spaces.cgroup {
        clone::unshare_cgroup().map_err(Failure::at(Stage::JoinNamespaces))?;
    }
    if let Some(netns) = &from.netns {
        let network = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(netns.as_fd(), network).map_err(|e| Failure::at(Stage::JoinNamespaces)(errno(e)))?;
    }
    let memory = match &from.ipc {
        Some(other) => joining::join_ipc(other.as_fd())?,
        None => None,
    };
    let memory = memory.as_ref().map(|memory| memory.as_fd());
    rustix::process::setsid().map_err(|e| Failure::at(Stage::Start)(errno(e)))?;
    let name = |e: rustix::io::Errno| Failure::at(Stage::Hostname)(errno(e));
    if let Some(hostname) = &plan.hostname {
        rustix::system::sethostname(hostname).map_err(name)?;
    }
    if let Some(domainname) = &plan.domainname {
        rustix::system::setdomainname(domainname).map_err(name)?;
    }
    rustix::process::umask(Mode::from_raw_mode(0o022));
    for (index, op) in plan.ops.iter_mut().enumerate() {
        let failed = |errno| Failure { stage: Stage::Op, detail: index as u32, errno };
        mounts::clone_shared(op).map_err(failed)?;
    }
    let root = mount_root(plan)?;
    run_ops(root.as_fd(), &plan.ops, memory)?;
    let cwd = resolve::make(root.as_fd(), plan.process.cwd.full(), Last::Folder);
    cwd.map_err(Failure::at(Stage::WorkingDirectory))?;
    let terminal = match plan.process.terminal {
        true => {
            let size = plan.process.terminal_size;
            let opened = open_terminal(root.as_fd(), Some(&from.console), &from.report, size);
            Some(opened.map_err(Failure::at(Stage::Terminal))?)
        }
        false => None,
    };
    if plan.root.read_only {
        mount::set_attr(root.as_fd(), mount::ATTR_RDONLY, 0, false).map_err(Failure::at(Stage::ReadOnlyRoot))?;
    }
    pivot(root.as_fd()).map_err(Failure::at(Stage::PivotRoot))?;
    Ok(terminal)
}

fn run_ops(root: BorrowedFd, ops: &[CompiledOp], memory: Option<BorrowedFd>) -> Result<(), Failure> {
    ops.iter().zip(0..).try_for_each(|(op, detail)| {
        mounts::run(root, op, memory).map_err(|errno| Failure { stage: Stage::Op, detail, errno })
    })
}

fn mount_root(plan: &CompiledPlan) -> Result<OwnedFd, Failure> {
    // Slave, not private: a volume with `rslave` propagation must still see what the host mounts later.
    rustix::mount::mount_change(c"/", MountPropagationFlags::REC | MountPropagationFlags::DOWNSTREAM)
        .map_err(|e| Failure::at(Stage::PrivateMounts)(errno(e)))?;
    let failed = |e| Failure::at(Stage::MountRoot)(errno(e));
    for (number, folder) in (FIRST_FOLDER..).zip(&plan.root.folders) {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(folder.as_c_str(), flags, Mode::empty()).map_err(failed)?;
        fd::dup_onto(opened.as_fd(), number).map_err(Failure::at(Stage::MountRoot))?;
    }
    let on = plan.root.mountpoint.as_c_str();
    // Not nodev: debootstrap, or a server that sets up a chroot, makes a null device and writes to it. The cgroup's
    // rules say which devices open; no container starts without them.
    rustix::mount::mount(c"overlay", on, c"overlay", MountFlags::empty(), plan.root.data.as_c_str()).map_err(failed)?;
    rustix::fs::open(on, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(failed)
}

/// Makes `root` the root of this mount namespace and drops the host's.
fn pivot(root: BorrowedFd) -> Result<(), Errno> {
    rustix::process::fchdir(root).map_err(errno)?;
    // The old root ends up on top of the new one, to be detached (pivot_root(2), NOTES).
    rustix::process::pivot_root(c".", c".").map_err(errno)?;
    rustix::mount::unmount(c".", UnmountFlags::DETACH).map_err(errno)?;
    rustix::process::chdir(c"/").map_err(errno)
}

/// Opens a new terminal of the container's own devpts, hands the master to the parent, and returns the other side.
fn open_terminal(
    root: BorrowedFd,
    console: Option<&Target>,
    report: &OwnedFd,
    size: Option<(u16, u16)>,
) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let master = open::open_in(root, c"dev/pts/ptmx", flags, ResolveFlags::NO_SYMLINKS)?;
    if rustix::fs::fstatfs(&master).map_err(errno)?.f_type != open::DEVPTS_MAGIC {
        return Err(Errno::ENOTTY);
    }
    rustix::pty::unlockpt(&master).map_err(errno)?;
    let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY | rustix::pty::OpenptFlags::CLOEXEC;
    let terminal = rustix::pty::ioctl_tiocgptpeer(&master, flags).map_err(errno)?;
    if let Some(console) = console {
        mounts::bind_fd(root, terminal.as_fd(), console)?;
    }
    if let Some((rows, columns)) = size {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&master, size).map_err(errno)?;
    }
    handshake::send_terminal(report.as_fd(), master.as_fd())?;
    Ok(terminal)
}

fn join(process: &CompiledProcess, init: BorrowedFd, from: &Inherited) -> Result<Option<OwnedFd>, Failure> {
    enter_cgroups(&from.cgroups)?;
    rustix::process::setsid().map_err(|e| Failure::at(Stage::Start)(errno(e)))?;
    let spaces = ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
        | ThreadNameSpaceType::NETWORK
        | ThreadNameSpaceType::CONTROL_GROUP;
    move_into_thread_name_spaces(init, spaces).map_err(|e| Failure::at(Stage::JoinNamespaces)(errno(e)))?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    if !process.terminal {
        return Ok(None);
    }
    let failed = Failure::at(Stage::Terminal);
    let root = rustix::fs::open(c"/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| failed(errno(e)))?;
    open_terminal(root.as_fd(), None, &from.report, process.terminal_size).map(Some).map_err(failed)
}

/// The common end: standard descriptors, limits, credentials, filter, execve(2). Returns only on failure.
fn become_program(mut process: CompiledProcess, stdio: [Option<OwnedFd>; 3], terminal: Option<OwnedFd>) -> Failure {
    match confine(&mut process, &stdio, terminal) {
        Err(failure) => failure,
        Ok(()) => execute(&process),
    }
}

fn confine(
    process: &mut CompiledProcess,
    stdio: &[Option<OwnedFd>; 3],
    terminal: Option<OwnedFd>,
) -> Result<(), Failure> {
    connect(stdio, terminal).map_err(Failure::at(Stage::Terminal))?;
    set_limits(process)?;
    keyring::new_session().map_err(Failure::at(Stage::Keyring))?;
    let (terminal, bounding) = (process.terminal, process.caps.bounding);
    let CompiledProcess { user, group, extra_groups, buffers, env, home_missing, cwd_path, .. } = &mut *process;
    let who = user::resolve(user, group.as_ref(), extra_groups, buffers)?;
    enter_folder(cwd_path)?;
    let failed = Failure::at(Stage::Credentials);
    let (uid, gid) = (who.uid, who.gid);
    give_streams_to(uid, terminal, stdio).map_err(Failure::at(Stage::Terminal))?;
    creds::drop_bounding(bounding).map_err(failed)?;
    rustix::thread::set_thread_groups(who.groups).map_err(|e| Failure::at(Stage::Credentials)(errno(e)))?;
    if *home_missing {
        env.push_copied(who.home);
    }
    finish_credentials(process, uid, gid)
}

fn finish_credentials(process: &CompiledProcess, uid: u32, gid: u32) -> Result<(), Failure> {
    let failed = || Failure::at(Stage::Credentials);
    let refused = |e| Failure::at(Stage::Credentials)(errno(e));
    creds::set_gid(gid).map_err(failed())?;
    // Without no_new_privs a filter takes CAP_SYS_ADMIN, which is about to go.
    if !process.no_new_privs {
        install_filter(process)?;
    }
    rustix::thread::set_keep_capabilities(true).map_err(refused)?;
    creds::set_uid(uid).map_err(failed())?;
    let mut caps = process.caps;
    if uid != 0 {
        // A user other than root starts with the ambient capabilities alone (capabilities(7)).
        caps.effective = caps.ambient;
        caps.permitted = caps.ambient;
    } else {
        caps.ambient = 0;
        caps.inheritable = 0;
    }
    creds::set_caps(&caps).map_err(failed())?;
    if process.parent_death_signal {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(refused)?;
    }
    if process.no_new_privs {
        rustix::thread::set_no_new_privs(true).map_err(refused)?;
        install_filter(process)?;
    }
    Ok(())
}

fn install_filter(process: &CompiledProcess) -> Result<(), Failure> {
    if process.seccomp.is_empty() {
        return Ok(());
    }
    seccomp::install(&process.seccomp).map_err(Failure::at(Stage::Seccomp))
}

fn connect(stdio: &[Option<OwnedFd>; 3], terminal: Option<OwnedFd>) -> Result<(), Errno> {
    for (number, end) in (0..).zip(stdio) {
        match (&terminal, end) {
            (Some(terminal), _) => fd::dup_onto(terminal.as_fd(), number)?,
            (None, Some(end)) => fd::dup_onto(end.as_fd(), number)?,
            (None, None) => fd::dup_onto(own_null(number)?.as_fd(), number)?,
        }
    }
    if let Some(terminal) = terminal {
        rustix::process::ioctl_tiocsctty(&terminal).map_err(errno)?;
    }
    signal::reset_all();
    fd::cloexec_from(3)
}

/// The container's own `/dev/null`: with the host's, its root could change that file's owner and mode. A container that
/// has removed it gets a pipe at its end instead.
fn own_null(number: i32) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = rustix::fs::open(c"/dev/null", flags, Mode::empty()).and_then(|null| {
        let stat = rustix::fs::fstat(&null)?;
        let device = rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::CharacterDevice;
        if !device || stat.st_rdev != rustix::fs::makedev(1, 3) {
            return Err(rustix::io::Errno::NODEV);
        }
        rustix::fs::fcntl_setfl(&null, OFlags::RDWR)?;
        Ok(null)
    });
    match opened {
        Err(_) if number == 0 => {
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map(|(read, _)| read).map_err(errno)
        }
        other => other.map_err(errno),
    }
}

/// Programs that log to `/dev/stdout` open it again, so the pipes and the terminal must belong to the program's user.
fn give_streams_to(uid: u32, terminal: bool, stdio: &[Option<OwnedFd>; 3]) -> Result<(), Errno> {
    let owner = Some(rustix::fs::Uid::from_raw(uid));
    if terminal {
        return rustix::fs::fchown(rustix::stdio::stdin(), owner, None).map_err(errno);
    }
    stdio.iter().flatten().try_for_each(|end| rustix::fs::fchown(end, owner, None)).map_err(errno)
}

fn set_limits(process: &CompiledProcess) -> Result<(), Failure> {
    if let Some(value) = &process.oom_score_adj {
        // Lowering it takes CAP_SYS_RESOURCE, which we may lack on this host: then it stays as it is.
        if let Ok(file) = rustix::fs::open(c"/proc/self/oom_score_adj", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        {
            let _ = rustix::io::write(&file, value);
        }
    }
    for limit in &process.rlimits {
        creds::set_rlimit(limit).map_err(Failure::at(Stage::Limits))?;
    }
    Ok(())
}

/// Changes to the working directory and makes sure that it lies below the root: `/proc/self/fd/N` may lead out.
fn enter_folder(path: &std::ffi::CStr) -> Result<(), Failure> {
    let failed = |e| Failure::at(Stage::WorkingDirectory)(errno(e));
    rustix::process::chdir(path).map_err(failed)?;
    let mut buffer = [0u8; libc::PATH_MAX as usize];
    match crate::sys::exec::current_folder(&mut buffer) {
        // The kernel writes `(unreachable)` before a path outside the root (getcwd(2)).
        Ok(b'/') => Ok(()),
        Ok(_) => Err(Failure::at(Stage::WorkingDirectory)(Errno::EXDEV)),
        Err(errno) => Err(Failure::at(Stage::WorkingDirectory)(errno)),
    }
}

/// As execvp(3): runs the first candidate that can be executed; EACCES is reported over ENOENT.
fn execute(process: &CompiledProcess) -> Failure {
    let mut result = Errno::ENOENT;
    for candidate in &process.candidates {
        match exec::execve(candidate, &process.argv, &process.env) {
            Errno::ENOENT | Errno::ENOTDIR => {}
            other => {
                result = other;
                if other != Errno::EACCES {
                    break;
                }
            }
        }
    }
    Failure::at(Stage::Execute)(result)
}
