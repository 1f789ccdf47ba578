//! What the child tells its parent, over a `SOCK_SEQPACKET` pair that execve(2) closes: its end means success.

use nix::errno::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How far the child got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Stage {
    /// Becoming a session of its own.
    Start = 1,
    /// Entering its cgroups; the detail says which of the list.
    Cgroup,
    /// Joining network, mount and other namespaces.
    JoinNamespaces,
    /// Joining another container's IPC namespace.
    JoinIpc,
    /// Setting host and domain name.
    Hostname,
    /// Making the mounts private.
    PrivateMounts,
    /// Mounting the root file system.
    MountRoot,
    /// The detail is the index of the op.
    Op,
    /// Making the root read-only.
    ReadOnlyRoot,
    /// pivot_root(2).
    PivotRoot,
    /// Opening the terminal.
    Terminal,
    /// Finding the user.
    ResolveUser,
    /// Finding the group.
    ResolveGroup,
    /// Setting resource limits.
    Limits,
    /// Making a session keyring.
    Keyring,
    /// Changing to the working directory.
    WorkingDirectory,
    /// Setting user, groups and capabilities.
    Credentials,
    /// Installing the seccomp filter.
    Seccomp,
    /// execve(2).
    Execute,
}

impl Stage {
    const ALL: [Stage; 19] = [
        Stage::Start,
        Stage::Cgroup,
        Stage::JoinNamespaces,
        Stage::JoinIpc,
        Stage::Hostname,
        Stage::PrivateMounts,
        Stage::MountRoot,
        Stage::Op,
        Stage::ReadOnlyRoot,
        Stage::PivotRoot,
        Stage::Terminal,
        Stage::ResolveUser,
        Stage::ResolveGroup,
        Stage::Limits,
        Stage::Keyring,
        Stage::WorkingDirectory,
        Stage::Credentials,
        Stage::Seccomp,
        Stage::Execute,
    ];

    fn from_number(number: u32) -> Option<Stage> {
        Self::ALL.into_iter().find(|stage| *stage as u32 == number)
    }

    /// What the child was doing, for an error message.
    pub fn describe(self) -> &'static str {
        match self {
            Stage::Start => "start the container's process",
            Stage::Cgroup => "move the container's process into its cgroup",
            Stage::JoinNamespaces => "join the container's namespaces",
            Stage::JoinIpc => "join the other container's shared memory",
            Stage::Hostname => "set the host name",
            Stage::PrivateMounts => "make the container's mounts private",
            Stage::MountRoot => "mount the container's root file system",
            Stage::Op => "prepare the container's root file system",
            Stage::ReadOnlyRoot => "make the root file system read-only",
            Stage::PivotRoot => "change to the container's root file system",
            Stage::Terminal => "open the container's terminal",
            Stage::ResolveUser => "find the user in the container's `/etc/passwd`",
            Stage::ResolveGroup => "find the group in the container's `/etc/group`",
            Stage::Limits => "set resource limits",
            Stage::Keyring => "create a session keyring",
            Stage::WorkingDirectory => "change to the working directory",
            Stage::Credentials => "set user, groups and capabilities",
            Stage::Seccomp => "install the seccomp filter",
            Stage::Execute => "execute the command",
        }
    }
}

/// A step that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// What was being done.
    pub stage: Stage,
    /// For [`Stage::Op`] the op's index, for [`Stage::Cgroup`] the cgroup's.
    pub detail: u32,
    /// Why it failed.
    pub errno: Errno,
}

impl Failure {
    /// A failure of a stage without detail.
    pub fn at(stage: Stage) -> impl Fn(Errno) -> Failure {
        move |errno| Failure { stage, detail: 0, errno }
    }
}

/// What the parent receives.
#[derive(Debug)]
pub enum Message {
    /// The master side of the container's terminal.
    Terminal(OwnedFd),
    /// The child has failed, and ends.
    Failed(Failure),
    /// The socket was closed: by execve(2), or because the child died.
    End,
}

const TAG_TERMINAL: u32 = 1;
const TAG_FAILED: u32 = 2;

/// Child side: hands the terminal over.
pub fn send_terminal(socket: BorrowedFd, master: BorrowedFd) -> Result<(), Errno> {
    crate::passing::send_fd(socket, &encode(TAG_TERMINAL, 0, 0, 0), master)
}

/// Child side: reports the failure. If that can't be sent, the parent sees the end without a report.
pub fn send_failure(socket: BorrowedFd, failure: Failure) {
    let bytes = encode(TAG_FAILED, failure.stage as u32, failure.detail, failure.errno as i32 as u32);
    let _ = rustix::io::write(socket, &bytes);
}

fn encode(tag: u32, stage: u32, detail: u32, errno: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (slot, value) in bytes.chunks_exact_mut(4).zip([tag, stage, detail, errno]) {
        slot.copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

/// Parent side: the next message.
pub fn receive(socket: &OwnedFd) -> Result<Message, Errno> {
    let mut bytes = [0u8; 16];
    let (got, fd) = loop {
        match crate::passing::recv_fd(socket.as_fd(), &mut bytes) {
            Err(Errno::EINTR) => continue,
            other => break other?,
        }
    };
    if got == 0 {
        return Ok(Message::End);
    }
    let word = |i: usize| u32::from_le_bytes([bytes[i * 4], bytes[i * 4 + 1], bytes[i * 4 + 2], bytes[i * 4 + 3]]);
    match (got, word(0), fd) {
        (16, TAG_TERMINAL, Some(master)) => Ok(Message::Terminal(master)),
        (16, TAG_FAILED, None) => {
            let stage = Stage::from_number(word(1)).ok_or(Errno::EBADMSG)?;
            Ok(Message::Failed(Failure { stage, detail: word(2), errno: Errno::from_raw(word(3) as i32) }))
        }
        _ => Err(Errno::EBADMSG),
    }
}
