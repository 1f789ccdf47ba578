//! Between clone3(2) and execve(2) nothing may allocate: this counts allocations while a terminal is handed over and
//! credentials are set.

// An allocator is an unsafe trait.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used)]

use rcr_shim::init::creds;
use rcr_shim::init::handshake::{self, Failure, Message, Stage};
use rcr_shim::init::plan::RlimitPlan;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: hands everything to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often this thread allocates in `work`.
fn allocations<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = COUNT.with(Cell::get);
    let done = work();
    (COUNT.with(Cell::get) - before, done)
}

fn pair() -> (OwnedFd, OwnedFd) {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
}

#[test]
fn counting_counts() {
    assert_eq!(allocations(|| std::hint::black_box(Box::new(7))).0, 1);
}

#[test]
fn a_terminal_and_a_report_are_sent_without_an_allocation() {
    let (child, parent) = pair();
    let (master, _other) = pair();
    let (count, sent) = allocations(|| handshake::send_terminal(child.as_fd(), master.as_fd()));
    assert_eq!((count, sent), (0, Ok(())));
    assert!(matches!(handshake::receive(&parent), Ok(Message::Terminal(_))));
    let failure = Failure::at(Stage::Terminal)(nix::errno::Errno::ENOTTY);
    assert_eq!(allocations(|| handshake::send_failure(child.as_fd(), failure)).0, 0);
    assert!(matches!(handshake::receive(&parent), Ok(Message::Failed(got)) if got == failure));
}

#[test]
fn limits_are_set_without_an_allocation() {
    let now = rustix::process::getrlimit(rustix::process::Resource::Core);
    let (soft, hard) = (now.current.unwrap_or(u64::MAX), now.maximum.unwrap_or(u64::MAX));
    let limit = RlimitPlan { resource: nix::libc::RLIMIT_CORE, soft, hard };
    assert_eq!(allocations(|| creds::set_rlimit(&limit)), (0, Ok(())));
}
