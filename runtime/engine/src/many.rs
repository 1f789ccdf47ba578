//! Several containers at once: each verb mostly waits.

use rcr_base::{Error, Kind, Outcome};

/// How many are worked on at once.
const AT_ONCE: usize = 16;

/// Does something to each of several containers, many at a time; the results are in their order.
pub fn at_once<T: Send>(names: &[String], act: impl Fn(&str) -> Outcome<T> + Sync) -> Vec<Outcome<T>> {
    let mut all = Vec::with_capacity(names.len());
    for some in names.chunks(AT_ONCE) {
        if let [one] = some {
            all.push(act(one));
            continue;
        }
        let lost = || Err(Error::new(Kind::System, "a thread of rcr ended without an answer"));
        std::thread::scope(|scope| {
            let threads: Vec<_> = some.iter().map(|name| scope.spawn(|| act(name))).collect();
            all.extend(threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| lost())));
        });
    }
    all
}
