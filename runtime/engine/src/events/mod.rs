//! What has happened to containers, images, networks and volumes, and what happens: the record that `rcr_base::events`
//! writes, read and followed.
//!
//! | file | what |
//! |---|---|
//! | `subjects` | what an event says about its object |
//! | `record` | the files of the record, whichever way they turn over |
//! | `message` | an event in Docker's form |

mod message;
mod record;
pub(crate) mod subjects;

pub use message::{Actor, Message};
pub use rcr_base::events::{Event, Object};

use crate::instance::Instance;
use crate::parse::filter::{EventFilter, Test, fits_all};
use jiff::Timestamp;
use rcr_base::{Doing, Error, Kind, Outcome, errno};
use record::Record;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

/// Which events to read.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// From this time on. Without a time at either end: those to come.
    pub since: Option<Timestamp>,
    /// Until this time; absent: for ever.
    pub until: Option<Timestamp>,
    /// Several of one kind are alternatives, but for labels, which must all fit.
    pub filters: Vec<EventFilter>,
}

/// Why there are no more events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The time that was asked for is over.
    Over,
    /// Nobody reads them any more.
    Unread,
}

/// Reads events, those that are recorded and those to come, until the time that is wanted. `reader`: where the caller
/// sends them; when its other side is gone, this ends. An error of `each` ends it, too.
pub fn events(
    instance: &Instance,
    wanted: &Wanted,
    reader: BorrowedFd,
    each: &mut dyn FnMut(&Event) -> Outcome<()>,
) -> Outcome<End> {
    if let (Some(since), Some(until)) = (wanted.since, wanted.until)
        && since > until
    {
        return Err(Error::new(Kind::Invalid, "cannot read events backwards")
            .caused_by(format!("`{since}`, where they begin, is after `{until}`, where they end")));
    }
    let now = Timestamp::now();
    let since = match (wanted.since, wanted.until) {
        (None, None) => now.as_nanosecond(),
        (since, _) => since.map_or(i128::MIN, Timestamp::as_nanosecond),
    };
    let until = wanted.until.map_or(i128::MAX, Timestamp::as_nanosecond);
    let tests: Vec<Test<Event>> = wanted.filters.iter().map(EventFilter::test).collect();
    let fits = |event: &Event| (since..=until).contains(&i128::from(event.time)) && fits_all(event, &tests);
    let folder = instance.dirs.events();
    let mut record = Record::new(&folder);
    if wanted.until.is_some_and(|until| until <= now) {
        record.read(&fits).iter().try_for_each(each)?;
        return Ok(End::Over);
    }
    instance.dirs.ensure()?;
    // It watches before it reads: what comes in between is told.
    let watch = Watch::new(&folder)?;
    loop {
        record.read(&fits).iter().try_for_each(&mut *each)?;
        match watch.wait(wanted.until, reader)? {
            Woken::Changed => {}
            Woken::Time => {
                record.read(&fits).iter().try_for_each(&mut *each)?;
                return Ok(End::Over);
            }
            Woken::Unread => return Ok(End::Unread),
        }
    }
}

/// Tells when something in the folder changes (inotify(7)).
struct Watch(OwnedFd);

enum Woken {
    Changed,
    Time,
    Unread,
}

impl Watch {
    fn new(folder: &Path) -> Outcome<Self> {
        let doing = || format!("cannot watch the events in `{}`", folder.display());
        rcr_base::events::make_folder(folder).doing(doing)?;
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(errno).doing(doing)?;
        let changes = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVE | WatchFlags::DELETE_SELF;
        // A file in its place could be watched, too, and nothing would ever come.
        let what = changes | WatchFlags::ONLYDIR;
        inotify::add_watch(&fd, folder, what).map_err(errno).doing(doing)?;
        Ok(Self(fd))
    }

    fn wait(&self, until: Option<Timestamp>, reader: BorrowedFd) -> Outcome<Woken> {
        loop {
            let left = until.map(|until| until.as_nanosecond() - Timestamp::now().as_nanosecond());
            if left.is_some_and(|left| left <= 0) {
                return Ok(Woken::Time);
            }
            let limit = left.and_then(|left| Timespec::try_from(nanoseconds(left)).ok());
            // What nobody reads any more says so without being asked.
            let mut fds = [PollFd::new(&self.0, PollFlags::IN), PollFd::from_borrowed_fd(reader, PollFlags::empty())];
            match poll(&mut fds, limit.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(errno(error)).doing(|| "cannot wait for events"),
            }
            if !fds[1].revents().is_empty() {
                return Ok(Woken::Unread);
            }
            if !fds[0].revents().is_empty() {
                return self.drain().map(|()| Woken::Changed);
            }
        }
    }

    /// Takes what has come: the files say what it was.
    fn drain(&self) -> Outcome<()> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut news = inotify::Reader::new(&self.0, &mut buffer);
        loop {
            match news.next() {
                Ok(told) if told.events().contains(ReadFlags::DELETE_SELF) => {
                    return Err(Error::new(Kind::NotFound, "cannot wait for events")
                        .caused_by("somebody has deleted the folder of their record"));
                }
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(errno(error)).doing(|| "cannot wait for events"),
            }
        }
    }
}

fn nanoseconds(count: i128) -> std::time::Duration {
    std::time::Duration::from_nanos(u64::try_from(count).unwrap_or(u64::MAX))
}
