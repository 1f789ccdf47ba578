//! Points in time.

use super::Parsed;
use jiff::{SignedDuration, Timestamp, Zoned};
use std::time::Duration;

/// What Docker documents: RFC 3339, or parts of it from the left (`2026-01-31`, `2026-01-31T12`, …) with a zone or in
/// the zone of `now`; seconds since the epoch; a span back from `now` (`10m`, `1h30m`).
pub fn time(text: &str, now: &Zoned) -> Parsed<Timestamp> {
    let exact = text.parse::<Timestamp>().ok();
    exact.or_else(|| seconds(text)).or_else(|| date(text, now)).or_else(|| ago(text, now)).ok_or_else(|| {
        "expected a time such as 2026-01-31T12:00:00Z, seconds since the epoch, or a span such as 10m".into()
    })
}

/// A span such as `30s`, `1m30s`, `500ms`; `0`.
pub fn span(text: &str) -> Parsed<Duration> {
    let refused = || format!("`{text}` is not a span such as 30s or 1m30s");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let span = text.parse::<SignedDuration>().map_err(|_| refused())?;
    Duration::try_from(span).map_err(|_| refused())
}

/// How many lines from the end of a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tail {
    /// The whole log.
    #[default]
    All,
    /// At most this many.
    Last(usize),
}

/// A number, or `all`.
pub fn tail(text: &str) -> Parsed<Tail> {
    match text {
        "all" => Ok(Tail::All),
        number => number.parse().map(Tail::Last).map_err(|_| "expected a number of lines, or `all`".into()),
    }
}

/// With a fraction to the nanosecond, which a floating-point number has no room for.
fn seconds(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(fraction) || !digits(whole.strip_prefix('-').unwrap_or(whole)) {
        return None;
    }
    let nanoseconds: i32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    let sign = if whole.starts_with('-') { -1 } else { 1 };
    Timestamp::new(whole.parse().ok()?, sign * nanoseconds).ok()
}

fn ago(text: &str, now: &Zoned) -> Option<Timestamp> {
    now.timestamp().checked_sub(text.parse::<SignedDuration>().ok()?).ok()
}

fn date(text: &str, now: &Zoned) -> Option<Timestamp> {
    // The zone comes last: `Z`, or `+01:00`; a date's own hyphens are within its first ten characters.
    let sign = text.get(10..).and_then(|rest| rest.rfind(['+', '-'])).map(|at| at + 10);
    let (civil, zone) = match (text.strip_suffix('Z'), sign) {
        (Some(civil), _) => (civil, Some("+00:00")),
        (None, Some(at)) => (&text[..at], Some(&text[at..])),
        (None, None) => (text, None),
    };
    let (day, clock) = civil.split_once('T').unwrap_or((civil, "00:00:00"));
    let clock = match clock.matches(':').count() {
        0 => format!("{clock}:00:00"),
        1 => format!("{clock}:00"),
        _ => clock.to_owned(),
    };
    match zone {
        Some(zone) => format!("{day}T{clock}{zone}").parse().ok(),
        None => {
            let local = format!("{day}T{clock}").parse::<jiff::civil::DateTime>().ok()?;
            local.to_zoned(now.time_zone().clone()).ok().map(|zoned| zoned.timestamp())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_every_form() {
        let now: Zoned = "2026-06-15T12:00:00+02:00[+02:00]".parse().unwrap();
        let at = |text: &str| time(text, &now).map_or(-1, |t| t.as_second());
        assert_eq!(at("2026-01-31T12:00:00Z"), at("2026-01-31T13:00:00+01:00"));
        assert_eq!(at("2026-01-31T12:00:00.5Z"), at("2026-01-31T12:00Z"));
        assert_eq!(at("2026-01-31T12Z"), at("2026-01-31T11:00:00-01:00"));
        assert_eq!(at("2026-01-31Z"), at("2026-01-31T00:00:00Z"));
        assert_eq!((at("1136073600"), at("1136073600.000000001")), (1136073600, 1136073600));
        let exact = time("1136073600.123456789", &now).map(|time| time.as_nanosecond());
        assert_eq!(exact, Ok(1_136_073_600_123_456_789));
        assert_eq!(at("2026-02-01T10:30"), at("2026-02-01T08:30Z"));
        assert_eq!(at("2026-02-02") - at("2026-02-01"), 86_400);
        for (span, seconds) in [("10m", 600), ("1h30m", 5400), ("1m30s", 90), ("3h", 10_800)] {
            assert_eq!(now.timestamp().as_second() - at(span), seconds, "{span}");
        }
        for bad in ["", "yesterday", "2026-13-01", "10 parsecs", "T12", "1e9", "1.x", "-", "."] {
            assert_eq!(at(bad), -1, "{bad}");
        }
        let spans = [("0", 0), ("30s", 30_000), ("1m30s", 90_000), ("500ms", 500), ("1.5s", 1500), ("2h", 7_200_000)];
        for (text, milliseconds) in spans {
            assert_eq!(span(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        assert!(span("-1s").is_err() && span("30").is_err() && span("").is_err());
        assert_eq!((tail("all"), tail("3")), (Ok(Tail::All), Ok(Tail::Last(3))));
        assert!(tail("-1").is_err());
    }
}
