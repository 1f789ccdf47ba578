//! Who is connected. The number is limited, and an idle connection makes room for a new one.
//!
//! Each connection costs a thread, even an idle one. When all places are taken, the oldest idle connection is closed
//! for the new one, so that nobody with a question is kept out. Root's connections are closed only for root's, and
//! other users have a small part of the places. A connection that waits for an answer, or that has made a sandbox that
//! no shim holds yet, is never closed.

use nix::sys::socket::{getsockopt, sockopt};
use std::collections::BTreeMap;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Connections, and so threads, at a time: of root, and of the group that may list.
const ROOTS: usize = 448;
const READERS: usize = 64;
/// How long a client may take to read its answer.
const READING: Duration = Duration::from_secs(10);

/// What a connection does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing, since this number of [`Places::clock`].
    Idle(u64),
    Busy,
    /// It has made something that goes with it.
    Keeps,
}

struct Entry {
    stream: Arc<UnixStream>,
    root: bool,
    state: State,
}

#[derive(Default)]
struct Places {
    clock: u64,
    entries: BTreeMap<u64, Entry>,
}

/// All connections.
#[derive(Default)]
pub struct Guests(Mutex<Places>);

/// One of them; the drop takes it off the list.
pub struct Guest {
    number: u64,
    root: bool,
    stream: Arc<UnixStream>,
    all: Arc<Guests>,
}

impl Guests {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection in; another one may have to go. Nothing if all of its kind are at work.
    pub fn admit(self: &Arc<Self>, stream: UnixStream) -> Option<Guest> {
        let root = getsockopt(&stream, sockopt::PeerCredentials).is_ok_and(|peer| peer.uid() == 0);
        stream.set_write_timeout(Some(READING)).ok()?;
        let stream = Arc::new(stream);
        let mut places = self.places();
        if places.entries.values().filter(|e| e.root == root).count() >= if root { ROOTS } else { READERS } {
            let since = |entry: &Entry| match entry.state {
                State::Idle(since) if entry.root == root => Some(since),
                _ => None,
            };
            let oldest = places.entries.iter().filter_map(|(n, e)| Some((since(e)?, *n))).min();
            // Its thread reads the end and leaves.
            let entry = places.entries.remove(&oldest?.1)?;
            let _ = entry.stream.shutdown(Shutdown::Both);
        }
        places.clock += 1;
        let number = places.clock;
        places.entries.insert(number, Entry { stream: stream.clone(), root, state: State::Idle(number) });
        drop(places);
        Some(Guest { number, root, stream, all: self.clone() })
    }
}

impl Guest {
    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn root(&self) -> bool {
        self.root
    }

    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// It has asked something.
    pub fn busy(&self) {
        self.set(State::Busy);
    }

    /// It has its answer. `keeps`: with it something that is released when the connection ends.
    pub fn idle(&self, keeps: bool) {
        let mut places = self.all.places();
        places.clock += 1;
        let state = if keeps { State::Keeps } else { State::Idle(places.clock) };
        if let Some(entry) = places.entries.get_mut(&self.number) {
            entry.state = state;
        }
    }

    fn set(&self, state: State) {
        if let Some(entry) = self.all.places().entries.get_mut(&self.number) {
            entry.state = state;
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.all.places().entries.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn guest(all: &Arc<Guests>) -> (Option<Guest>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        (all.admit(ours), theirs)
    }

    fn closed(mut stream: &UnixStream) -> bool {
        stream.read(&mut [0]).is_ok_and(|len| len == 0)
    }

    #[test]
    fn who_only_sits_there_makes_room_and_who_works_stays() {
        let all = Arc::new(Guests::default());
        let (places, other) = if nix::unistd::geteuid().is_root() { (ROOTS, READERS) } else { (READERS, ROOTS) };
        assert_ne!(places, other);
        let mut inside: Vec<_> = (0..places).map(|_| guest(&all)).collect();
        inside[0].0.as_ref().unwrap().busy();
        inside[1].0.as_ref().unwrap().idle(true);
        // It has just asked: the next one is older.
        inside[2].0.as_ref().unwrap().idle(false);
        let next = guest(&all);
        assert!(next.0.is_some());
        assert!(closed(&inside[3].1), "the oldest of those that do nothing");
        for i in [0, 1, 2, 4] {
            assert!(!closed(&inside[i].1), "{i}");
        }
        inside.iter().filter_map(|(guest, _)| guest.as_ref()).for_each(Guest::busy);
        next.0.as_ref().unwrap().busy();
        assert!(guest(&all).0.is_none(), "all are at work");
        inside.pop();
        assert!(guest(&all).0.is_some());
    }
}
