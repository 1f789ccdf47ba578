//! Words that people and images write alike, as values: signals and ports. And what to say of one that nobody knows.

use crate::config::Exposed;
use netd_api::Proto;
use std::str::FromStr;

type Parsed<T> = Result<T, String>;

/// A signal by number or name, with or without `SIG`.
pub fn signal(text: &str) -> Parsed<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=64).contains(&number) { Ok(number) } else { Err(format!("`{text}` is not a signal")) };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    // glibc keeps the first two real-time signals for itself; RTMIN is 34 for everybody else.
    for (end, sign, base) in [("RTMIN", 1, 34), ("RTMAX", -1, 64)] {
        let Some(rest) = name.strip_prefix(end) else { continue };
        let offset = match rest.strip_prefix(if sign > 0 { '+' } else { '-' }) {
            None if rest.is_empty() => Some(0),
            digits => digits.and_then(|digits| digits.parse::<i32>().ok()),
        };
        let offset = offset.filter(|offset| (0..=30).contains(offset));
        return offset.map(|offset| base + sign * offset).ok_or_else(|| format!("`{text}` is not a signal"));
    }
    // Two names that the table lacks.
    if let Some((_, number)) = [("POLL", libc::SIGIO), ("CLD", libc::SIGCHLD)].iter().find(|(other, _)| *other == name)
    {
        return Ok(*number);
    }
    nix::sys::signal::Signal::from_str(&format!("SIG{name}"))
        .map(|s| s as i32)
        .map_err(|_| format!("`{text}` is not a signal"))
}

/// A port that is offered: `--expose` and an image's `ExposedPorts`.
pub fn exposed(text: &str) -> Parsed<Exposed> {
    let (ports, protocol) = match text.split_once('/') {
        Some((ports, protocol)) => (ports, Some(protocol)),
        None => (text, None),
    };
    let (port, count) = port_range(ports)?;
    Ok(Exposed { port, count, proto: proto(protocol)? })
}

/// `80` or `80-90`: first and count.
pub fn port_range(text: &str) -> Parsed<(u16, u16)> {
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(text)?, port(text)?),
    };
    if last < first {
        return Err(format!("the port range `{text}` is backwards"));
    }
    Ok((first, (last - first).saturating_add(1)))
}

pub fn port(text: &str) -> Parsed<u16> {
    text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(|| format!("`{text}` is not a port (1 to 65535)"))
}

pub fn proto(text: Option<&str>) -> Parsed<Proto> {
    match text {
        None => Ok(Proto::Tcp),
        Some(name) if name.eq_ignore_ascii_case("tcp") => Ok(Proto::Tcp),
        Some(name) if name.eq_ignore_ascii_case("udp") => Ok(Proto::Udp),
        Some(name) if name.eq_ignore_ascii_case("sctp") => Ok(Proto::Sctp),
        Some(other) => Err(format!("unknown protocol `{other}`; known are tcp, udp, sctp")),
    }
}

/// `; did you mean …?`, if something known is near.
pub fn nearest(given: &str, known: &[&str]) -> String {
    let best = known.iter().map(|name| (distance(given, name), name)).min();
    match best {
        Some((distance, name)) if distance <= given.len().max(3) / 2 => format!("; did you mean `{name}`?"),
        _ => format!("; known are {}", known.join(", ")),
    }
}

/// Edits from one word to another (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}
