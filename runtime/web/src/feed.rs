//! What happens, sent to every page that is open as it happens. One thread reads the record of events; a page that reads
//! too slowly is let go, and asks again.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use rcr_base::{Doing, Outcome};
use rcr_engine::events::{Event, Message, Wanted, events};
use rcr_engine::instance::Instance;
use rustix::pipe::{PipeFlags, pipe_with};
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Events that are kept for who comes later.
const KEPT: usize = 300;
/// How far back they go at the start.
const BACK: SignedDuration = SignedDuration::from_hours(24);
/// Pages at once.
const MOST: usize = 16;
/// Events that a page may be behind.
const BEHIND: usize = 256;
/// How often a page hears something, and one that is gone is noticed.
const BEAT: Duration = Duration::from_secs(10);
/// From one failure of the reader to the next attempt.
const AGAIN: Duration = Duration::from_secs(2);

/// The events, and who hears of them.
#[derive(Debug, Default)]
pub struct Feed {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Each as JSON.
    last: VecDeque<Bytes>,
    pages: Vec<Sender<Bytes>>,
}

impl Feed {
    /// Starts to read.
    pub fn start(instance: Instance) -> Outcome<Arc<Self>> {
        let feed = Arc::new(Self::default());
        // Nobody closes it: the thread reads as long as the program lives.
        let pipe = pipe_with(PipeFlags::CLOEXEC).doing(|| "cannot make a pipe")?;
        let (ours, beats) = (feed.clone(), feed.clone());
        let thread = |name: &str| std::thread::Builder::new().name(name.into());
        thread("events").spawn(move || ours.read(&instance, &pipe)).doing(|| "cannot start a thread")?;
        let beat = move || loop {
            std::thread::sleep(BEAT);
            beats.tell(&Bytes::from_static(b": here\n\n"));
        };
        thread("beat").spawn(beat).doing(|| "cannot start a thread")?;
        Ok(feed)
    }

    fn read(&self, instance: &Instance, (_, write): &(OwnedFd, OwnedFd)) {
        let mut since = Timestamp::now().checked_sub(BACK).ok();
        loop {
            let wanted = Wanted { since, ..Wanted::default() };
            // What ended it is over in a moment, or is told where somebody asks for something.
            let _ = events(instance, &wanted, write.as_fd(), &mut |event| {
                self.happened(event);
                Ok(())
            });
            since = Some(Timestamp::now());
            std::thread::sleep(AGAIN);
        }
    }

    fn happened(&self, event: &Event) {
        let Ok(text) = serde_json::to_string(&Message::of(event)) else { return };
        let event = Bytes::from(format!("data: {text}\n\n"));
        let mut inner = self.inner();
        if inner.last.len() == KEPT {
            inner.last.pop_front();
        }
        inner.last.push_back(Bytes::from(text));
        drop(inner);
        self.tell(&event);
    }

    /// Tells it to every page; one that is gone or too far behind is forgotten.
    fn tell(&self, bytes: &Bytes) {
        self.inner().pages.retain(|page| page.try_send(bytes.clone()).is_ok());
    }

    /// A page that hears of everything from now on. Nothing: there are too many.
    pub fn listen(&self) -> Option<Receiver<Bytes>> {
        let (sender, receiver) = channel(BEHIND);
        let mut inner = self.inner();
        inner.pages.retain(|page| !page.is_closed());
        if inner.pages.len() >= MOST {
            return None;
        }
        // It need not wait to know that it is heard.
        let _ = sender.try_send(Bytes::from_static(b"retry: 2000\n\n"));
        inner.pages.push(sender);
        Some(receiver)
    }

    /// The last events, oldest first, as a JSON array.
    pub fn last(&self) -> Vec<serde_json::Value> {
        self.inner().last.iter().filter_map(|event| serde_json::from_slice(event).ok()).collect()
    }

    /// Every change is one insertion or removal: what a panicking thread left is whole.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcr_engine::events::Object;

    fn event(time: i64) -> Event {
        Event {
            time,
            object: Object::Network,
            action: "create".into(),
            id: "x\n\ndata: y".into(),
            attributes: Default::default(),
        }
    }

    #[test]
    fn a_page_hears_what_happens_and_one_that_does_not_read_is_let_go() {
        let feed = Feed::default();
        let (mut reads, mut sleeps) = (feed.listen().unwrap(), feed.listen().unwrap());
        assert!(reads.try_recv().unwrap().starts_with(b"retry"));
        for time in 0..BEHIND as i64 + 10 {
            feed.happened(&event(time));
            let heard = reads.try_recv().unwrap();
            let heard = std::str::from_utf8(&heard).unwrap();
            assert_eq!(heard.matches('\n').count(), 2, "an event is one line: {heard:?}");
        }
        assert_eq!(feed.inner().pages.len(), 1);
        while sleeps.try_recv().is_ok() {}
        assert!(sleeps.is_closed());
        assert_eq!(feed.last().len(), BEHIND + 10);
        let all: Vec<_> = std::iter::from_fn(|| feed.listen()).take(MOST * 2).collect();
        assert_eq!(all.len(), MOST - 1, "there is an end to pages");
    }
}
