//! Keys that detach a terminal.

use super::Parsed;

/// Keys as the bytes they send. Empty: none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys(pub Vec<u8>);

/// Keys that detach, `ctrl-p,ctrl-q`.
pub fn detach_keys(text: &str) -> Parsed<Keys> {
    if text.is_empty() {
        return Ok(Keys::default());
    }
    let one = |key: &str| match key.strip_prefix("ctrl-").map(str::as_bytes) {
        Some([letter @ (b'a'..=b'z' | b'@' | b'[' | b'\\' | b']' | b'^' | b'_')]) => {
            Ok(letter.to_ascii_uppercase() ^ 0x40)
        }
        None if key.len() == 1 => Ok(key.as_bytes()[0]),
        _ => Err(format!("`{key}` is not a key such as ctrl-p")),
    };
    text.split(',').map(one).collect::<Parsed<_>>().map(Keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_keys_and_letters() {
        assert_eq!(detach_keys("ctrl-p,ctrl-q"), Ok(Keys(vec![16, 17])));
        assert_eq!((detach_keys("a"), detach_keys("")), (Ok(Keys(vec![97])), Ok(Keys::default())));
        assert!(detach_keys("ctrl-1").is_err() && detach_keys("alt-x").is_err());
    }
}
