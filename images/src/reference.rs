//! Image names: `[host[:port]/]path[:tag][@digest]`, as the distribution spec has them, in the short form that Docker
//! shows: `docker.io/library/alpine` is `alpine`, `docker.io/someone/thing` is `someone/thing`.

use crate::{Digest, Error};
use std::fmt;
use std::str::FromStr;

/// The registry of names without a host.
pub const DOCKER_HUB: &str = "docker.io";

/// A name with its tag or its digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Host and path, in the short form.
    pub repository: String,
    /// `latest` if none was written.
    pub tag: String,
    /// If there is one, the tag is ignored.
    pub digest: Option<Digest>,
}

impl Reference {
    /// The registry: `docker.io`, `localhost:5000`.
    pub fn host(&self) -> &str {
        split_host(&self.repository).0.unwrap_or(DOCKER_HUB)
    }

    /// The path at the registry, with Docker Hub's `library/` where it belongs.
    pub fn path(&self) -> String {
        match split_host(&self.repository) {
            (None, path) if !path.contains('/') => format!("library/{path}"),
            (_, path) => path.to_owned(),
        }
    }

    /// What names the manifest at the registry: the digest, else the tag.
    pub fn target(&self) -> String {
        self.digest.as_ref().map_or_else(|| self.tag.clone(), Digest::to_string)
    }
}

/// The host, if the first part is one: it has a dot or a port, or it is `localhost`, and more follows.
fn split_host(repository: &str) -> (Option<&str>, &str) {
    match repository.split_once('/') {
        Some((first, rest)) if first == "localhost" || first.contains(['.', ':']) || has_upper(first) => {
            (Some(first), rest)
        }
        _ => (None, repository),
    }
}

fn has_upper(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_uppercase())
}

/// Shortens `docker.io/library/x` and `docker.io/x/y`. `docker.io/x.y/z` stays: without its host it would mean a
/// registry `x.y`.
fn shorten(repository: &str) -> String {
    let hub = ["docker.io/", "index.docker.io/", "registry-1.docker.io/"];
    let Some(path) = hub.iter().find_map(|hub| repository.strip_prefix(hub)) else { return repository.to_owned() };
    match path.strip_prefix("library/") {
        Some(name) if !name.contains('/') && !name.is_empty() => name.to_owned(),
        _ if split_host(path).0.is_some() => format!("{DOCKER_HUB}/{path}"),
        _ => path.to_owned(),
    }
}

impl FromStr for Reference {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self, Error> {
        let refuse = |why| Error::Name { name: name.to_owned(), why };
        if name.len() > 255 + "@sha256:".len() + 64 {
            return Err(refuse("it is longer than 255 bytes"));
        }
        let (named, digest) = match name.split_once('@') {
            Some((named, digest)) => (named, Some(digest.parse().map_err(refuse)?)),
            None => (name, None),
        };
        let (repository, tag) = match named.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (named, "latest"),
        };
        if repository.len() > 255 {
            return Err(refuse("it is longer than 255 bytes"));
        }
        let (host, path) = split_host(repository);
        if host.is_some_and(|host| !good_host(host)) {
            return Err(refuse("a registry is a host name or an address, and perhaps a port"));
        }
        if !path.split('/').all(good_part) {
            return Err(refuse("each part holds lower-case letters, digits, and single `.`, `_`, `-` between them"));
        }
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if tag.len() > 128
            || !tag.bytes().next().is_some_and(word)
            || !tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
        {
            return Err(refuse("a tag holds letters, digits, `_`, `.` and `-`, 128 at most"));
        }
        Ok(Self { repository: shorten(repository), tag: tag.to_owned(), digest })
    }
}

/// A name or an address, then perhaps `:port`. IPv6 addresses stand in brackets.
fn good_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let good_name = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.split('.').all(|part| {
            let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
            part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && edge(part.as_bytes().first())
                && edge(part.as_bytes().last())
        }),
    };
    good_name && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn good_part(part: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
        && edge(part.as_bytes().first())
        && edge(part.as_bytes().last())
        && !part.contains("..")
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.digest {
            Some(digest) => write!(f, "{}@{digest}", self.repository),
            None => write!(f, "{}:{}", self.repository, self.tag),
        }
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
        assert_eq!(parsed("docker.io/library/alpine:3"), Some("alpine:3".into()));
        assert_eq!(parsed("docker.io/a/b"), Some("a/b:latest".into()));
        assert_eq!(parsed("[::1]:5000/a"), Some("[::1]:5000/a:latest".into()));
        // Found by fuzzing: it must not become a name at a registry `evil.example`.
        assert_eq!(parsed("docker.io/evil.example/x"), Some("docker.io/evil.example/x:latest".into()));
        let digest = Digest::of(b"");
        assert_eq!(parsed(&format!("a:1@{digest}")), Some(format!("a@{digest}")));
        let at = |name: &str| name.parse::<Reference>().map(|r| format!("{} {}", r.host(), r.path())).ok();
        assert_eq!(at("alpine"), Some("docker.io library/alpine".into()));
        assert_eq!(at("a/b"), Some("docker.io a/b".into()));
        assert_eq!(at("localhost/b"), Some("localhost b".into()));
        assert_eq!(at("quay.io/a/b"), Some("quay.io a/b".into()));
        for bad in ["a.b:0/c", "-.a/b", "a.b:x/c", "[::g]/a", "a@sha256:00", "docker.io/", "docker.io/library/", ""]
            .into_iter()
            .chain([":x", "a:", "A", "a/../b", "../x", "/a", "a//b", "a b", "a:b c", "a\n", "-a", "a@b"])
        {
            assert_eq!(parsed(bad), None, "{bad:?}");
        }
    }
}
