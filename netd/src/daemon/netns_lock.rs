//! One netd per network namespace: two would take each other's links for leftovers and remove them.
//!
//! The lock is a socket with an abstract name, which belongs to a network namespace and goes with its process
//! (unix(7)). Anybody may bind such a name: only a lock of root's, from our own pid namespace, counts.

use nix::sys::socket::sockopt::{PeerCredentials, SendTimeout};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, setsockopt, socket};
use nix::sys::time::TimeVal;
use std::io;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

const NAME: &[u8] = b"rcr/netd";
/// How long a killed netd may take to release its lock.
const TRIES: usize = 80;
const BETWEEN_TRIES: Duration = Duration::from_millis(25);

/// Held as long as netd lives; absent where a stranger sits on the name.
pub struct NetnsLock {
    _socket: Option<UnixListener>,
}

/// Locks this thread's network namespace.
pub fn lock_netns() -> Result<NetnsLock, String> {
    let address = SocketAddr::from_abstract_name(NAME).map_err(|error| error.to_string())?;
    for _ in 0..TRIES {
        match UnixListener::bind_addr(&address) {
            Ok(socket) => return Ok(NetnsLock { _socket: Some(socket) }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(format!("lock this network namespace: {}", crate::errors::why(&error))),
        }
        match holder() {
            Some((0, pid)) if is_neighbour(pid) => {}
            Some(_) => return Ok(NetnsLock { _socket: None }),
            None => continue,
        }
        std::thread::sleep(BETWEEN_TRIES);
    }
    let pid = holder().map_or(0, |(_, pid)| pid);
    Err(format!(
        "another netd (pid {pid}) keeps the networks of this network namespace\n\
         hint: use its `--root` and `--run`, or give this instance a network namespace of its own"
    ))
}

/// User and process of whoever bound the name.
fn holder() -> Option<(u32, i32)> {
    let client = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).ok()?;
    // A stranger's full backlog must not hold us up.
    setsockopt(&client, SendTimeout, &TimeVal::new(0, 100_000)).ok()?;
    connect(client.as_raw_fd(), &UnixAddr::new_abstract(NAME).ok()?).ok()?;
    let peer = getsockopt(&client, PeerCredentials).ok()?;
    Some((peer.uid(), peer.pid()))
}

/// Whether a process lives in our pid namespace: a container's root on the host's network does not.
fn is_neighbour(pid: i32) -> bool {
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    pid > 0 && namespace(&pid.to_string()) == namespace("self")
}
