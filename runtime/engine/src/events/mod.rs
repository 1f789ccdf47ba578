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
use crate::watch::{Watch, Woken};
use jiff::Timestamp;
use rcr_base::{Doing, Error, Kind, Outcome};
use record::Record;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::{Duration, Instant};

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
    let watch = watch(&folder)?;
    let doing = || "cannot wait for events";
    loop {
        record.read(&fits).iter().try_for_each(&mut *each)?;
        let patience = wanted.until.map(left);
        if patience.is_some_and(|time| time.is_zero()) {
            return Ok(End::Over);
        }
        match watch.wait(patience, Some(reader)).doing(doing)? {
            Woken::Changed | Woken::Time => {}
            Woken::Unread => return Ok(End::Unread),
            Woken::Gone => return Err(gone()),
        }
    }
}

/// From one change to the next look at what became of it: a start is several events.
const SETTLED: Duration = Duration::from_millis(200);
/// Where things happen all the time, that long.
const LATEST: Duration = Duration::from_secs(1);

/// Calls `each` at once, and again whenever something has happened, until it fails or nobody reads any more.
pub fn changes(instance: &Instance, reader: BorrowedFd, each: &mut dyn FnMut() -> Outcome<()>) -> Outcome<End> {
    instance.dirs.ensure()?;
    let watch = watch(&instance.dirs.events())?;
    let doing = || "cannot wait for events";
    loop {
        each()?;
        let mut happened = watch.wait(None, Some(reader)).doing(doing)?;
        let since = Instant::now();
        while happened == Woken::Changed && since.elapsed() < LATEST {
            happened = watch.wait(Some(SETTLED), Some(reader)).doing(doing)?;
        }
        match happened {
            Woken::Unread => return Ok(End::Unread),
            Woken::Gone => return Err(gone()),
            Woken::Changed | Woken::Time => {}
        }
    }
}

fn gone() -> Error {
    Error::new(Kind::NotFound, "cannot wait for events").caused_by("somebody has deleted the folder of their record")
}

/// Watches the folder of the record.
fn watch(folder: &Path) -> Outcome<Watch> {
    let doing = || format!("cannot watch the events in `{}`", folder.display());
    rcr_base::events::make_folder(folder).doing(doing)?;
    Watch::folders(&[folder]).doing(doing)
}

/// How long it is until then; zero: it is over.
fn left(until: Timestamp) -> Duration {
    let nanoseconds = until.as_nanosecond() - Timestamp::now().as_nanosecond();
    Duration::from_nanos(u64::try_from(nanoseconds.max(0)).unwrap_or(u64::MAX))
}
