//! The time of day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time since 1970; none for a clock that stands before.
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Seconds since 1970.
pub fn unix_time() -> i64 {
    since_epoch().as_secs() as i64
}
