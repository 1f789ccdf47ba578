//! Who may ask. Pure.
//!
//! The page is on 127.0.0.1, where every user of the machine and every page in a browser can send requests. So an address
//! has a token that nobody can guess, the `Host` must be this machine by a name that no DNS server gives out (a foreign
//! name that was made to lead here is refused), and what another page sends (`Origin`, `Sec-Fetch-Site`) changes nothing.

use hyper::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use rcr_base::{Error, Kind};
use std::fmt;
use subtle::ConstantTimeEq;

/// Bytes of a token before it is written as text: more than anybody can try.
pub const TOKEN_BYTES: usize = 24;

/// The secret part of the page's address.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A token out of random bytes, written by the letters that an address may have.
    pub fn new(random: [u8; TOKEN_BYTES]) -> Self {
        use base64::Engine;
        Self(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random))
    }

    /// As it stands in an address.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether this is it. How long that takes says nothing about how much of it is right.
    fn is(&self, said: &str) -> bool {
        self.0.as_bytes().ct_eq(said.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Why somebody is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// No token at all.
    NoToken,
    /// Another one.
    WrongToken,
    /// The request is for a name that is not this machine's.
    Host,
    /// Another page sent it.
    Origin,
}

impl Refused {
    /// What the asker is told.
    pub fn error(self) -> Error {
        let again = "open the whole address that the program printed when it started";
        match self {
            Refused::NoToken => Error::new(Kind::Permission, "the address has no token").hint(again),
            Refused::WrongToken => Error::new(Kind::Permission, "the address has another token").hint(again),
            Refused::Host => Error::new(Kind::Permission, "the request is for another host")
                .hint("open the page as 127.0.0.1 or localhost"),
            Refused::Origin => Error::new(Kind::Permission, "another page has sent the request").hint(again),
        }
    }
}

/// The names of this machine that are no DNS server's to give out (RFC 6761, 6.3, and addresses).
const OWN: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Lets a request in that has the token: the path behind it. `path` begins with `/`.
pub fn enter<'a>(token: &Token, headers: &HeaderMap, path: &'a str) -> Result<&'a str, Refused> {
    host(headers).ok_or(Refused::Host)?;
    let (first, rest) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    match first {
        "" => Err(Refused::NoToken),
        said if token.is(said) => Ok(rest),
        _ => Err(Refused::WrongToken),
    }
}

/// Whether the page itself has sent a request for data. `changes`: for more than looking, it must say who it is.
pub fn own_page(headers: &HeaderMap, changes: bool) -> Result<(), Refused> {
    let origin = one(headers, &ORIGIN).ok_or(Refused::Origin)?;
    let own = host(headers).map(|host| format!("http://{host}"));
    let right = match origin {
        Some(origin) => own.as_deref() == Some(origin),
        None => !changes,
    };
    let site = one(headers, &HeaderName::from_static("sec-fetch-site")).ok_or(Refused::Origin)?;
    if right && site.is_none_or(|site| ["same-origin", "none"].contains(&site)) { Ok(()) } else { Err(Refused::Origin) }
}

/// The `Host`, if it is there once and names this machine. Any port will do: a tunnel has its own.
fn host(headers: &HeaderMap) -> Option<&str> {
    let host = one(headers, &HOST)??;
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port),
        _ => (host, "80"),
    };
    (OWN.contains(&name) && port.parse::<u16>().is_ok()).then_some(host)
}

/// A header that is there once, or not (`Some(None)`); nothing: it is there more often, or is no text.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Option<&'a str>> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (None, _) => Some(None),
        (Some(value), None) => value.to_str().ok().map(Some),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_the_whole_token_lets_in() {
        let token = Token::new([7; TOKEN_BYTES]);
        let here = headers(&[("host", "127.0.0.1:8080")]);
        let enters = |path: &str| enter(&token, &here, path).map(str::to_owned);
        assert!(token.text().len() >= 32 && !format!("{token:?}").contains(token.text()));
        assert_eq!(enters(&format!("/{}/api/x", token.text())), Ok("api/x".into()));
        assert_eq!(enters(&format!("/{}", token.text())), Ok(String::new()));
        assert_eq!(enters("/"), Err(Refused::NoToken));
        for wrong in [&token.text()[1..], &format!("{}A", token.text()), "favicon.ico", &token.text().to_uppercase()] {
            assert_eq!(enters(&format!("/{wrong}/")), Err(Refused::WrongToken), "{wrong}");
        }
    }

    #[test]
    fn only_this_machine_s_own_names_are_served() {
        let token = Token::new([7; TOKEN_BYTES]);
        let path = format!("/{}/", token.text());
        let enters = |host: &'static str| enter(&token, &headers(&[("host", host)]), &path).is_ok();
        for own in ["127.0.0.1:1", "localhost:65535", "localhost", "[::1]:80", "[::1]"] {
            assert!(enters(own), "{own}");
        }
        for foreign in
            ["", "example.org", "127.0.0.1.example.org", "localhost.:80", "localhost:", "localhost:x", "0:80"]
        {
            assert!(!enters(foreign), "{foreign}");
        }
        assert_eq!(enter(&token, &HeaderMap::new(), &path), Err(Refused::Host));
        let mut twice = headers(&[("host", "localhost")]);
        twice.append(HOST, HeaderValue::from_static("localhost"));
        assert_eq!(enter(&token, &twice, &path), Err(Refused::Host));
    }

    #[test]
    fn another_page_changes_nothing() {
        let own = |more: &[(&'static str, &'static str)], changes| {
            let mut all = headers(more);
            all.insert(HOST, HeaderValue::from_static("localhost:8080"));
            own_page(&all, changes).is_ok()
        };
        assert!(own(&[("origin", "http://localhost:8080"), ("sec-fetch-site", "same-origin")], true));
        assert!(own(&[], false) && own(&[("sec-fetch-site", "none")], false));
        assert!(!own(&[], true), "it must say who it is");
        for foreign in ["null", "http://localhost:8081", "https://localhost:8080", "http://example.org"] {
            assert!(!own(&[("origin", foreign)], true) && !own(&[("origin", foreign)], false), "{foreign}");
        }
        for site in ["cross-site", "same-site", "?"] {
            assert!(!own(&[("sec-fetch-site", site)], false), "{site}");
        }
    }
}
