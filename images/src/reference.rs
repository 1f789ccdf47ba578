//! Image names: `[host[:port]/]path[:tag]`, as the distribution spec has them.

use crate::Error;
use std::fmt;
use std::str::FromStr;

/// A name with its tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Host and path, as written.
    pub repository: String,
    /// `latest` where none was written.
    pub tag: String,
}

impl FromStr for Reference {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self, Error> {
        let refuse = |why| Error::Name { name: name.to_owned(), why };
        if name.len() > 255 {
            return Err(refuse("it is longer than 255 bytes"));
        }
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (name, "latest"),
        };
        let mut parts = repository.split('/').peekable();
        let mut first = true;
        while let Some(part) = parts.next() {
            // Only a first part with more behind it can be a host.
            let host = first && parts.peek().is_some();
            let good = |b: u8| {
                b.is_ascii_lowercase()
                    || b.is_ascii_digit()
                    || b"._-".contains(&b)
                    || (host && (b == b':' || b.is_ascii_uppercase()))
            };
            let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
            if !part.bytes().all(good)
                || !edge(part.as_bytes().first())
                || !edge(part.as_bytes().last())
                || part.contains("..")
            {
                return Err(refuse(
                    "each part holds lower-case letters, digits, and single `.`, `_`, `-` between them",
                ));
            }
            first = false;
        }
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if tag.len() > 128
            || !tag.bytes().next().is_some_and(word)
            || !tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
        {
            return Err(refuse("a tag holds letters, digits, `_`, `.` and `-`, 128 at most"));
        }
        Ok(Self { repository: repository.to_owned(), tag: tag.to_owned() })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repository, self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_and_nonsense_is_refused() {
        let parsed = |name: &str| name.parse::<Reference>().map(|r| r.to_string()).ok();
        assert_eq!(parsed("alpine"), Some("alpine:latest".into()));
        assert_eq!(parsed("localhost:5000/a/b:1.2"), Some("localhost:5000/a/b:1.2".into()));
        for bad in ["", ":x", "a:", "A", "a/../b", "../x", "/a", "a//b", "a b", "a:b c", "a\n", "-a", "a@b"] {
            assert_eq!(parsed(bad), None, "{bad:?}");
        }
    }
}
