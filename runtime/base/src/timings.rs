//! When what happened: moments of one request, kept for who asks for them (`run --timings`). Moments are by
//! CLOCK_MONOTONIC (clock_gettime(2)), which all processes of a host share, so that those of several fit together.

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;

/// A moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Nanoseconds since some moment before the host's boot.
    pub at: u64,
    /// The program that noted it.
    pub program: String,
    /// What had just happened.
    pub what: String,
}

/// Those of this thread's request, and the program that notes them.
struct Kept {
    program: &'static str,
    moments: Vec<Moment>,
}

thread_local! {
    /// None: nobody has asked.
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

/// Now, in nanoseconds.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// From here on this thread's moments are kept. `program`: who notes them.
pub fn keep(program: &'static str) {
    KEPT.with_borrow_mut(|kept| {
        kept.get_or_insert(Kept { program, moments: Vec::new() });
    });
}

/// Whether they are.
pub fn are_kept() -> bool {
    KEPT.with_borrow(Option::is_some)
}

/// Something has just happened; costs nothing if nobody has asked.
pub fn mark(what: &str) {
    if are_kept() {
        mark_at(now(), what);
    }
}

/// The same for a moment that has passed.
pub fn mark_at(at: u64, what: &str) {
    KEPT.with_borrow_mut(|kept| {
        let Some(Kept { program, moments }) = kept else { return };
        moments.push(Moment { at, program: (*program).into(), what: what.into() });
    });
}

/// Moments of another process.
pub fn add(moments: Vec<Moment>) {
    KEPT.with_borrow_mut(|kept| {
        if let Some(kept) = kept {
            kept.moments.extend(moments);
        }
    });
}

/// What was kept since [`keep`] or the last call, in the order of time.
pub fn take() -> Vec<Moment> {
    let mut all =
        KEPT.with_borrow_mut(|kept| kept.as_mut().map(|kept| std::mem::take(&mut kept.moments)).unwrap_or_default());
    all.sort_by_key(|moment| moment.at);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_kept_for_who_asks_in_the_order_of_time() {
        mark("too early");
        assert!(!are_kept() && take().is_empty());
        keep("a");
        mark("first");
        add(vec![Moment { at: 1, program: "b".into(), what: "earlier elsewhere".into() }]);
        let all = take();
        assert_eq!(all.iter().map(|m| m.what.as_str()).collect::<Vec<_>>(), ["earlier elsewhere", "first"]);
        assert!(take().is_empty() && are_kept());
    }
}
