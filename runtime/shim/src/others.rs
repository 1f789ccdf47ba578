//! Other containers whose namespaces this one joins: they are looked up at every start of the program, so that it follows
//! them when they are started again.

use crate::config::{Joins, Other, StartFailure};
use crate::state::State;
use nix::errno::Errno;
use rcr_base::errno;
use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType, move_into_link_name_space, move_into_thread_name_spaces};
use std::os::fd::{AsFd, OwnedFd};

/// Their first processes, as pidfds.
#[derive(Debug, Default)]
pub struct Others {
    pid: Option<OwnedFd>,
    ipc: Option<OwnedFd>,
}

impl Others {
    /// Finds those that are named. Errors: one does not run.
    pub fn find(joins: &Joins) -> Result<Self, StartFailure> {
        let open = |other: &Option<Other>| other.as_ref().map(first_process).transpose();
        Ok(Self { pid: open(&joins.pid)?, ipc: open(&joins.ipc)? })
    }

    /// The one whose IPC namespace the child joins.
    pub fn take_ipc(&mut self) -> Option<OwnedFd> {
        self.ipc.take()
    }

    /// Does `birth` so that its child is in the other's pid namespace, which a process can't enter itself
    /// (pid_namespaces(7)). The child does not come back here.
    pub fn around_birth<T>(&self, birth: impl FnOnce() -> Result<T, StartFailure>) -> Result<T, StartFailure> {
        let Some(other) = &self.pid else { return birth() };
        let failed = |e| failure("join the other container's processes", errno(e));
        let own = rustix::fs::open(c"/proc/self/ns/pid", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let own = own.map_err(failed)?;
        move_into_thread_name_spaces(other.as_fd(), ThreadNameSpaceType::PROCESS_ID).map_err(failed)?;
        let born = birth();
        move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::ProcessID)).map_err(failed)?;
        born
    }
}

fn first_process(other: &Other) -> Result<OwnedFd, StartFailure> {
    let state = State::read(&other.run_dir).ok().flatten();
    let process = state.and_then(|state| state.init).and_then(|process| process.open());
    let doing = || format!("join container `{}`, which must run", other.name);
    process.ok_or_else(|| StartFailure { other_gone: true, ..failure(&doing(), Errno::ESRCH) })
}

fn failure(doing: &str, errno: Errno) -> StartFailure {
    StartFailure { doing: doing.to_owned(), errno: errno as i32, ..StartFailure::default() }
}
