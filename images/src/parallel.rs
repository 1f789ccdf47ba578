//! Several things at once.

use crate::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Does something to each item, on at most `threads` threads; the results are in the order of the items. After the
/// first error nothing new is started, `stop` is called once to end the work in progress, and that error is returned.
pub fn each<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    stop: &(dyn Fn() + Sync),
    act: &(dyn Fn(&T) -> Result<R, Error> + Sync),
) -> Result<Vec<R>, Error> {
    let next = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    let done: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::new());
    let failed: Mutex<Option<Error>> = Mutex::new(None);
    let work = || {
        while !stopped.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return };
            match act(item) {
                Ok(result) => {
                    if let Ok(mut done) = done.lock() {
                        done.push((at, result));
                    }
                }
                // The first error counts: the others are its consequences.
                Err(error) => {
                    if !stopped.swap(true, Ordering::Relaxed) {
                        if let Ok(mut failed) = failed.lock() {
                            *failed = Some(error);
                        }
                        stop();
                    }
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(work);
        }
    });
    let lost = || Error::Hostile("a thread ended early".into());
    if let Some(error) = failed.into_inner().map_err(|_| lost())? {
        return Err(error);
    }
    let mut done = done.into_inner().map_err(|_| lost())?;
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}
