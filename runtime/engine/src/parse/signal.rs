//! Signals.

use super::Parsed;
use std::str::FromStr;

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

#[cfg(test)]
mod tests {
    use super::signal;

    #[test]
    fn signals_by_name_and_number() {
        assert_eq!((signal("TERM"), signal("sigkill"), signal("9"), signal("RTMIN+3")), (Ok(15), Ok(9), Ok(9), Ok(37)));
        assert_eq!(
            (signal("SIGRTMIN"), signal("RTMAX-2"), signal("RTMAX"), signal("SIGPOLL")),
            (Ok(34), Ok(62), Ok(64), Ok(29))
        );
        for bad in ["0", "SIGFOO", "65", "RTMIN-1", "RTMAX+1", "RTMIN+31", "RTMAX-31", "RTMIN+"] {
            assert!(signal(bad).is_err(), "{bad}");
        }
    }
}
