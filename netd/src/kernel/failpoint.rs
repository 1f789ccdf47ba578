//! Where tests make netd fail or die in the middle of a plan.

use super::KernelError;
use netd_core::plan::Op;

/// A place where tests make netd fail: `INDEX|NAME:abort|error[:after]` in `NETD_FAILPOINT`. The index counts all ops that
/// this process does or undoes, from 0; a name means the first op of that name.
#[derive(Debug, Clone)]
pub struct Failpoint {
    at: String,
    abort: bool,
    after: bool,
    count: usize,
}

impl Failpoint {
    /// Reads `NETD_FAILPOINT`.
    pub fn from_env() -> Option<Self> {
        let text = std::env::var("NETD_FAILPOINT").ok()?;
        let mut parts = text.split(':');
        let (at, action) = (parts.next()?.to_owned(), parts.next()?);
        Some(Self { at, abort: action == "abort", after: parts.next() == Some("after"), count: 0 })
    }

    fn hit(&self, op: &Op) -> bool {
        self.at.parse().map_or(self.at == op.name(), |index: usize| index == self.count)
    }

    fn act(&self) -> Result<(), KernelError> {
        if self.abort {
            // As hard as `kill -9`: no destructors, no buffers.
            let _ = nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::Signal::SIGKILL);
        }
        Err(KernelError::Failpoint)
    }
}

/// Does `effect`, unless `failpoint` says otherwise.
pub(super) fn guarded<T>(
    failpoint: &mut Option<Failpoint>,
    op: &Op,
    effect: impl FnOnce() -> Result<T, KernelError>,
) -> Result<T, KernelError> {
    let Some(point) = failpoint else {
        return effect();
    };
    let (hit, after) = (point.hit(op), point.after);
    point.count += 1;
    let armed = point.clone();
    if !hit {
        return effect();
    }
    // It fails once: what undoes the failure must not fail again.
    *failpoint = None;
    if after {
        let done = effect()?;
        armed.act()?;
        return Ok(done);
    }
    armed.act()?;
    effect()
}
