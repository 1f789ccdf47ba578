//! A container's state in Docker's words, as every listing shows it. Pure.

use jiff::Timestamp;
use rcr_shim::health::HealthStatus;
use rcr_shim::state::{State, Status};

/// `Up 3 minutes`, `Exited (0) 2 hours ago`.
pub fn status(state: &State, now: Timestamp) -> String {
    let since = |time: &Option<String>| time.as_deref().map_or_else(|| "unknown time".into(), |time| age(time, now));
    let code = state.exit_code.unwrap_or_default();
    match state.status {
        Status::Created => "Created".into(),
        Status::Running => {
            let health = match state.health {
                None => "",
                Some(HealthStatus::Starting) => " (health: starting)",
                Some(HealthStatus::Healthy) => " (healthy)",
                Some(HealthStatus::Unhealthy) => " (unhealthy)",
            };
            format!("Up {}{health}", since(&state.started_at))
        }
        Status::Paused => format!("Up {} (Paused)", since(&state.started_at)),
        Status::Restarting => format!("Restarting ({code}) {} ago", since(&state.finished_at)),
        Status::Exited => format!("Exited ({code}) {} ago", since(&state.finished_at)),
    }
}

/// `12 seconds`, `3 minutes`: the time between an RFC 3339 time and `now`.
pub fn age(time: &str, now: Timestamp) -> String {
    let Ok(then) = time.parse::<Timestamp>() else { return "unknown time".into() };
    span(now.as_second() - then.as_second())
}

/// Seconds in a unit that reads well: 47 hours, 13 days, 8 weeks, 23 months, then years, as Docker has it.
pub fn span(seconds: i64) -> String {
    const DAY: i64 = 86_400;
    let seconds = seconds.max(0);
    let units = [
        (2 * 365 * DAY, 365 * DAY, "year"),
        (60 * DAY, 30 * DAY, "month"),
        (14 * DAY, 7 * DAY, "week"),
        (2 * DAY, DAY, "day"),
        (3_600, 3_600, "hour"),
        (60, 60, "minute"),
    ];
    let unit = units.into_iter().find(|(from, ..)| seconds >= *from).map(|(_, size, name)| (size, name));
    let (size, name) = unit.unwrap_or((1, "second"));
    let count = seconds / size;
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_dockers_do() {
        assert_eq!((span(0), span(61), span(7200)), ("0 seconds".into(), "1 minute".into(), "2 hours".into()));
        let day = 86_400;
        assert_eq!(
            (span(day), span(13 * day), span(20 * day)),
            ("24 hours".into(), "13 days".into(), "2 weeks".into())
        );
        assert_eq!((span(90 * day), span(20_000 * day)), ("3 months".into(), "54 years".into()));
    }

    #[test]
    fn a_state_in_words() {
        let now: Timestamp = "2026-06-15T12:00:00Z".parse().unwrap();
        let mut state = State::created();
        assert_eq!(status(&state, now), "Created");
        (state.status, state.started_at) = (Status::Running, Some("2026-06-15T11:57:00Z".into()));
        assert_eq!(status(&state, now), "Up 3 minutes");
        state.health = Some(HealthStatus::Healthy);
        assert_eq!(status(&state, now), "Up 3 minutes (healthy)");
        (state.status, state.exit_code) = (Status::Exited, Some(137));
        state.finished_at = Some("2026-06-15T10:00:00Z".into());
        assert_eq!(status(&state, now), "Exited (137) 2 hours ago");
    }
}
