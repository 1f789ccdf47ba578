//! Which packets: `tcp port 80 and not host c2`.
//!
//! ```text
//! any   = all { "or" all }
//! all   = one { [ "and" ] one }
//! one   = "not" one | "(" any ")" | word
//! word  = "tcp" | "udp" | "sctp" | "icmp" | "arp" | "ip" | "ip6"
//!       | [ "src" | "dst" ] ( "host" NAME-OR-ADDRESS | "net" CIDR | "port" NUMBER[-NUMBER] )
//! ```

use super::Parsed;
use super::ports::port_range;
use ipnet::IpNet;
use std::net::IpAddr;

/// Parentheses and `not` inside each other.
const DEEPEST: usize = 32;

/// A test of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// All of these; none: any packet.
    All(Vec<Filter>),
    /// One of these at least.
    Any(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// It is of this protocol.
    Protocol(Protocol),
    /// It goes from or to somebody.
    Host(Side, Who),
    /// It goes from or to an address of this subnet.
    Net(Side, IpNet),
    /// It goes from or to a port, first and last.
    Port(Side, u16, u16),
}

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
    /// RFC 9260.
    Sctp,
    /// Of IPv4 (RFC 792) and IPv6 (RFC 4443).
    Icmp,
    /// RFC 826.
    Arp,
    /// Any packet of IPv4.
    Ipv4,
    /// Any packet of IPv6.
    Ipv6,
}

/// Which end is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Who sends.
    From,
    /// Who is sent to.
    To,
    /// Either.
    Either,
}

/// Somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// By a name.
    Name(String),
    /// By all addresses.
    Addresses(Vec<IpAddr>),
}

/// Reads a filter; an empty text lets everything through.
pub fn filter(text: &str) -> Parsed<Filter> {
    let spaced = text.replace('(', " ( ").replace(')', " ) ").replace('!', " not ");
    let mut words = Words { words: spaced.split_whitespace().collect(), at: 0, depth: 0 };
    if words.words.is_empty() {
        return Ok(Filter::All(Vec::new()));
    }
    let filter = words.any()?;
    match words.next() {
        None => Ok(filter),
        Some(word) => Err(format!("`{word}` closes nothing")),
    }
}

struct Words<'a> {
    words: Vec<&'a str>,
    at: usize,
    depth: usize,
}

impl<'a> Words<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    fn next(&mut self) -> Option<&'a str> {
        let word = self.peek();
        self.at += 1;
        word
    }

    fn any(&mut self) -> Parsed<Filter> {
        let mut all = vec![self.all()?];
        while self.peek() == Some("or") {
            self.next();
            all.push(self.all()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Filter::Any(all) })
    }

    fn all(&mut self) -> Parsed<Filter> {
        let mut all = vec![self.one()?];
        loop {
            match self.peek() {
                Some("and") => drop(self.next()),
                None | Some("or" | ")") => break,
                Some(_) => {}
            }
            all.push(self.one()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Filter::All(all) })
    }

    fn one(&mut self) -> Parsed<Filter> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("the filter is nested deeper than {DEEPEST}"));
        }
        let one = match self.next() {
            Some("not") => Filter::Not(Box::new(self.one()?)),
            Some("(") => {
                let inner = self.any()?;
                match self.next() {
                    Some(")") => inner,
                    _ => return Err("a `(` is not closed".to_owned()),
                }
            }
            Some("src") => self.end(Side::From)?,
            Some("dst") => self.end(Side::To)?,
            Some(word) => match protocol(word) {
                Some(protocol) => Filter::Protocol(protocol),
                None => {
                    self.at -= 1;
                    self.end(Side::Either)?
                }
            },
            None => return Err("the filter ends where a test is expected".to_owned()),
        };
        self.depth -= 1;
        Ok(one)
    }

    /// `host …`, `net …` or `port …`.
    fn end(&mut self, side: Side) -> Parsed<Filter> {
        let word = self.next().unwrap_or_default();
        let mut value = || self.next().ok_or_else(|| format!("`{word}` is followed by nothing"));
        match word {
            "host" => {
                let value = value()?;
                let who = value.parse().map_or_else(|_| Who::Name(value.to_owned()), |a| Who::Addresses(vec![a]));
                Ok(Filter::Host(side, who))
            }
            "net" => {
                let value = value()?;
                let net = value.parse().map_err(|_| format!("`{value}` is not a subnet such as 10.9.0.0/24"))?;
                Ok(Filter::Net(side, net))
            }
            "port" => {
                let (first, count) = port_range(value()?)?;
                Ok(Filter::Port(side, first, first.saturating_add(count - 1)))
            }
            "" => Err("`src` or `dst` is followed by nothing".to_owned()),
            other => Err(format!(
                "`{other}` is no test: expected tcp, udp, sctp, icmp, arp, ip, ip6, host NAME, net CIDR, port NUMBER, \
                 with src, dst, and, or, not"
            )),
        }
    }
}

fn protocol(word: &str) -> Option<Protocol> {
    Some(match word {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        "icmp" => Protocol::Icmp,
        "arp" => Protocol::Arp,
        "ip" => Protocol::Ipv4,
        "ip6" => Protocol::Ipv6,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_read_as_they_are_said() {
        let c1 = || Filter::Host(Side::Either, Who::Name("c1".into()));
        let tcp = || Filter::Protocol(Protocol::Tcp);
        let port = |side| Filter::Port(side, 80, 80);
        let address = Filter::Host(Side::To, Who::Addresses(vec!["10.9.0.2".parse().unwrap()]));
        for (text, wanted) in [
            ("", Filter::All(vec![])),
            ("host c1", c1()),
            ("tcp port 80", Filter::All(vec![tcp(), port(Side::Either)])),
            ("tcp and src port 80", Filter::All(vec![tcp(), port(Side::From)])),
            ("dst host 10.9.0.2", address),
            ("port 80-90", Filter::Port(Side::Either, 80, 90)),
            ("port 65535", Filter::Port(Side::Either, 65535, 65535)),
            ("not (tcp or host c1)", Filter::Not(Box::new(Filter::Any(vec![tcp(), c1()])))),
            ("!tcp", Filter::Not(Box::new(tcp()))),
            ("net fd00::/8", Filter::Net(Side::Either, "fd00::/8".parse().unwrap())),
            ("tcp or host c1 not arp", {
                let arp = Filter::Not(Box::new(Filter::Protocol(Protocol::Arp)));
                Filter::Any(vec![tcp(), Filter::All(vec![c1(), arp])])
            }),
        ] {
            assert_eq!(filter(text), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_filter_is_told() {
        for (text, part) in [
            ("tcp )", "closes nothing"),
            ("(tcp", "not closed"),
            ("tcp and", "ends where"),
            ("host", "followed by nothing"),
            ("src", "followed by nothing"),
            ("port 0", "not a port"),
            ("port http", "not a port"),
            ("net 10.9", "not a subnet"),
            ("tpc", "`tpc` is no test"),
        ] {
            let refused = filter(text).unwrap_err();
            assert!(refused.contains(part), "{text}: {refused}");
        }
        for deep in ["(".repeat(60_000), "not ".repeat(60_000)] {
            assert!(filter(&deep).unwrap_err().contains("deeper"), "{}", deep.len());
        }
    }
}
