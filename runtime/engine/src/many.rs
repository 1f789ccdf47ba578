//! Several containers at once: each verb mostly waits.

use rcr_base::{Error, Kind, Outcome};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many are worked on at once.
const AT_ONCE: usize = 16;

/// Does something to each of several containers, many at a time; the results are in their order. Who is done takes the
/// next: one that takes long holds up nobody.
pub fn at_once<T: Send>(names: &[String], act: impl Fn(&str) -> Outcome<T> + Sync) -> Vec<Outcome<T>> {
    if let [one] = names {
        return vec![act(one)];
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(names.iter().map(|_| None).collect::<Vec<Option<Outcome<T>>>>());
    let work = || {
        while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < names.len()) {
            let result = act(&names[at]);
            done.lock().unwrap_or_else(|poisoned| poisoned.into_inner())[at] = Some(result);
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE.min(names.len())).map(|_| scope.spawn(work)).collect();
        // One that panics leaves its container without a result.
        threads.into_iter().for_each(|thread| drop(thread.join()));
    });
    let lost = || Err(Error::new(Kind::System, "a thread of rcr ended without an answer"));
    let done = done.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    done.into_iter().map(|result| result.unwrap_or_else(lost)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_names_and_one_that_is_slow_holds_up_nobody() {
        let names: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let behind = AtomicUsize::new(0);
        let results = at_once(&names, |name| {
            while name == "0" && behind.load(Ordering::Relaxed) < 99 {
                std::thread::yield_now();
            }
            behind.fetch_add(1, Ordering::Relaxed);
            if name == "7" { Err(Error::new(Kind::Invalid, "seven")) } else { Ok(name.to_owned()) }
        });
        for (at, result) in results.iter().enumerate() {
            match result {
                Ok(name) => assert_eq!(*name, at.to_string()),
                Err(failure) => assert_eq!((at, failure.message.as_str()), (7, "seven")),
            }
        }
        assert!(at_once(&[], |name| Ok(name.to_owned())).is_empty());
    }
}
