//! One thread waits for the datagrams of all containers, and answers them many at a time: a container's socket costs a
//! descriptor, and neither a task nor a buffer. A container that asks without end gets one batch a turn, like any other.

use crate::kernel::Datagrams as Batch;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fmt::Debug;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// Sockets that one wait reports.
const EVENTS: usize = 64;
/// A pause after an error that an attempt more would meet again.
const PAUSE: Duration = Duration::from_millis(1);

/// Whose socket questions come by.
pub trait Asked: AsFd + Debug + Send + Sync {
    /// Answers what waits, as much as there is room for. `addresses`: room that is used again.
    fn answer(self: Arc<Self>, all: &mut Batch, addresses: &mut Vec<IpAddr>) -> io::Result<()>;
}

/// The sockets of all resolvers.
#[derive(Debug)]
pub struct Datagrams {
    epoll: OwnedFd,
    sockets: Mutex<Sockets>,
}

#[derive(Debug, Default)]
struct Sockets {
    last: u64,
    all: HashMap<u64, Weak<dyn Asked>>,
}

impl Datagrams {
    /// Starts the thread, which stays.
    pub fn start() -> io::Result<Arc<Self>> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let datagrams = Arc::new(Self { epoll, sockets: Mutex::default() });
        let ours = datagrams.clone();
        let thread = std::thread::Builder::new().name("names".into()).stack_size(256 << 10);
        thread.spawn(move || ours.work())?;
        Ok(datagrams)
    }

    /// Waits for a socket from now on; its number.
    pub fn add<T: Asked + 'static>(&self, asked: &Arc<T>) -> io::Result<u64> {
        let mut sockets = self.sockets();
        sockets.last += 1;
        let number = sockets.last;
        let weak: Weak<T> = Arc::downgrade(asked);
        sockets.all.insert(number, weak);
        drop(sockets);
        match epoll::add(&self.epoll, &**asked, EventData::new_u64(number), EventFlags::IN) {
            Ok(()) => Ok(number),
            Err(errno) => {
                self.sockets().all.remove(&number);
                Err(errno.into())
            }
        }
    }

    /// Waits for it no longer.
    pub fn remove(&self, number: u64, asked: &impl AsFd) {
        // One that is not there is not waited for.
        let _ = epoll::delete(&self.epoll, asked);
        self.sockets().all.remove(&number);
    }

    fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let (mut ready, mut batch, mut addresses) = (Vec::with_capacity(EVENTS), Batch::default(), Vec::new());
        loop {
            ready.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut ready), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => std::thread::sleep(PAUSE),
            }
            for event in &ready {
                // The kernel packs events: this is a copy.
                let data = event.data;
                let found = self.sockets().all.get(&data.u64()).and_then(Weak::upgrade);
                let Some(asked) = found else { continue };
                match asked.answer(&mut batch, &mut addresses) {
                    // An error about an earlier answer, which is off the socket now.
                    Ok(()) => {}
                    Err(error)
                        if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused) => {}
                    Err(_) => std::thread::sleep(PAUSE),
                }
            }
        }
    }
}
