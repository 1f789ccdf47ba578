//! Names and identifiers, checked when they are made.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{value}` {why}")]
pub struct NameError {
    /// Which kind of name, in the user's words.
    pub what: &'static str,
    /// What was given.
    pub value: String,
    /// The rule it breaks.
    pub why: &'static str,
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = NameError;
            fn from_str(value: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> Option<&'static str> = $check;
                match check(value) {
                    None => Ok(Self(value.to_owned())),
                    Some(why) => Err(NameError { what: $what, value: value.to_owned(), why }),
                }
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(value: String) -> Result<Self, NameError> {
                value.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type!(
    /// A network's name: Docker's rule, `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, at most 64 bytes.
    NetworkName, "network name", |v| check_object_name(v, 64)
);
name_type!(
    /// A container's full id: 64 lower-case hex digits.
    ContainerId, "container id", |v| check_hex(v, 64)
);
name_type!(
    /// A network's full id: 64 lower-case hex digits.
    NetworkId, "network id", |v| check_hex(v, 64)
);
name_type!(
    /// A host of a cluster: 32 lower-case hex digits, chosen by chance when it first joins.
    NodeId, "node id", |v| check_hex(v, 32)
);
name_type!(
    /// A question of one host to all others: 32 lower-case hex digits, chosen by chance.
    QuestionId, "question id", |v| check_hex(v, 32)
);
name_type!(
    /// A network interface's name: 1 to 15 bytes, no `/`, no white space, not `.` or `..` (kernel `dev_valid_name`).
    IfName, "interface name", check_ifname
);

impl ContainerId {
    /// The first 12 digits, as listings show.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl NetworkId {
    /// The first 12 digits, as listings show.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl NodeId {
    /// The first 12 digits, as listings show.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

/// Docker's rule for the names of containers, networks and volumes.
pub(crate) fn check_object_name(value: &str, max: usize) -> Option<&'static str> {
    let mut bytes = value.bytes();
    match bytes.next() {
        None => return Some("is empty"),
        Some(b) if !b.is_ascii_alphanumeric() => return Some("must start with a letter or a digit"),
        Some(_) => {}
    }
    if value.len() > max {
        return Some("is too long");
    }
    if !bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-')) {
        return Some("may hold only letters, digits, `_`, `.` and `-`");
    }
    None
}

fn check_hex(value: &str, len: usize) -> Option<&'static str> {
    let hex = value.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (value.len() != len || !hex).then_some("is not 64 lower-case hex digits")
}

fn check_ifname(value: &str) -> Option<&'static str> {
    if value.is_empty() || value.len() > 15 {
        return Some("must have 1 to 15 bytes");
    }
    if value == "." || value == ".." {
        return Some("is reserved");
    }
    let bad = |b: u8| b == b'/' || b == b':' || b.is_ascii_whitespace() || !b.is_ascii_graphic();
    value.bytes().any(bad).then_some("may not hold `/`, `:` or white space")
}

/// A 48-bit Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl FromStr for Mac {
    type Err = NameError;
    fn from_str(value: &str) -> Result<Self, NameError> {
        let refuse = |why| NameError { what: "MAC address", value: value.to_owned(), why };
        let mut bytes = [0u8; 6];
        let mut parts = value.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2).ok_or_else(|| refuse("needs six hex bytes"))?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| refuse("needs six hex bytes"))?;
        }
        if parts.next().is_some() {
            return Err(refuse("needs six hex bytes"));
        }
        if bytes[0] & 1 == 1 {
            return Err(refuse("is a multicast address"));
        }
        if bytes == [0; 6] {
            return Err(refuse("is all zero"));
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Mac {
    type Error = NameError;
    fn try_from(value: String) -> Result<Self, NameError> {
        value.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_dockers_rule() {
        for good in ["a", "eui_bridge", "A.b-c_9"] {
            assert!(good.parse::<NetworkName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "a/b", "a b", "ä"] {
            assert!(bad.parse::<NetworkName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn interface_names_fit_the_kernel() {
        assert!("eth0".parse::<IfName>().is_ok());
        for bad in ["", "a234567890123456", "..", "a/b", "a b", "a:b"] {
            assert!(bad.parse::<IfName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn macs_parse_and_print() {
        assert_eq!("02:AA:00:00:00:01".parse::<Mac>().map(|m| m.to_string()), Ok("02:aa:00:00:00:01".into()));
        for bad in ["", "02:aa", "01:00:00:00:00:00", "00:00:00:00:00:00", "02:aa:00:00:00:01:02", "0g:00:00:00:00:00"]
        {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }
}
