//! What `rcr wait` waits for.

use super::Parsed;
use super::words::nearest;

/// A condition of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// It has ended for good, or never ran.
    #[default]
    NotRunning,
    /// It ends once more, even if its policy starts it again.
    NextExit,
    /// It is gone.
    Removed,
    /// It runs.
    Running,
    /// It is frozen.
    Paused,
    /// Its health check says that it is well.
    Healthy,
    /// Its health check says that it is not.
    Unhealthy,
}

const KNOWN: [(&str, Condition); 9] = [
    ("not-running", Condition::NotRunning),
    ("exited", Condition::NotRunning),
    ("stopped", Condition::NotRunning),
    ("next-exit", Condition::NextExit),
    ("removed", Condition::Removed),
    ("running", Condition::Running),
    ("paused", Condition::Paused),
    ("healthy", Condition::Healthy),
    ("unhealthy", Condition::Unhealthy),
];

/// By its name; `exited` and `stopped` are Podman's words for `not-running`.
pub fn condition(text: &str) -> Parsed<Condition> {
    let found = KNOWN.iter().find(|(name, _)| *name == text);
    found.map(|(_, condition)| *condition).ok_or_else(|| {
        let names = KNOWN.map(|(name, _)| name);
        format!("unknown condition `{text}`{}", nearest(text, &names))
    })
}
