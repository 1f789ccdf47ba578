//! Values below `/proc/sys`.

use super::effect::{Effect, Object, Row};
use netd_api::IfName;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Writes a value. Inverse: write `undo`, where it is set; else the value goes with its link.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "op")]
pub enum SysctlOp {
    #[serde(rename = "sysctl")]
    Set { key: Key, value: String, undo: Option<String> },
}

impl SysctlOp {
    /// All names.
    pub const NAMES: [&str; 1] = ["sysctl"];

    /// A value that nobody puts back.
    pub fn set(key: &str, value: &str) -> Self {
        SysctlOp::Set { key: Key::from(key.to_owned()), value: value.to_owned(), undo: None }
    }

    /// One of a link (`net/ipv4/conf/LINK/NAME`, or of `ipv6`), which goes with it.
    pub fn of_link(family: &'static str, link: &IfName, name: &str, value: &str) -> Self {
        let key = Key { text: format!("net/{family}/conf/{link}/{name}"), link: Some(link.clone()) };
        SysctlOp::Set { key, value: value.to_owned(), undo: None }
    }

    /// One of the host itself, which gets its old value back.
    pub fn borrowed(key: &str, old: &str, value: &str) -> Self {
        SysctlOp::Set { key: Key::from(key.to_owned()), value: value.to_owned(), undo: Some(old.to_owned()) }
    }
}

impl Effect for SysctlOp {
    fn name(&self) -> &'static str {
        "sysctl"
    }

    fn link(&self) -> Option<&IfName> {
        let SysctlOp::Set { key, .. } = self;
        key.link()
    }

    fn object(&self) -> Option<Object<'_>> {
        let SysctlOp::Set { key, .. } = self;
        Some(Object::Sysctl(key.as_str()))
    }

    fn describe(&self) -> String {
        let SysctlOp::Set { key, value, .. } = self;
        format!("set sysctl `{key}` to `{value}`")
    }

    fn rows(&self) -> Vec<Row> {
        let SysctlOp::Set { key, value, .. } = self;
        Row::one('~', "sysctl", key.as_str().replace('/', "."), format!("= {value}"))
    }
}

/// A path below `/proc/sys`, which may be one of a link's: `net/ipv4/conf/LINK/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Key {
    text: String,
    link: Option<IfName>,
}

impl Key {
    /// The path.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The link that it belongs to.
    pub fn link(&self) -> Option<&IfName> {
        self.link.as_ref()
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        // `all` and `default` stand where a link would, and are none.
        let link = match text.split('/').collect::<Vec<_>>().as_slice() {
            ["net", _, "conf" | "neigh", "all" | "default", ..] => None,
            ["net", _, "conf" | "neigh", link, _, ..] => link.parse().ok(),
            _ => None,
        };
        Self { text, link }
    }
}

impl From<Key> for String {
    fn from(key: Key) -> String {
        key.text
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_knows_its_link() {
        let link = |text: &str| Key::from(text.to_owned()).link().map(|link| link.as_str().to_owned());
        assert_eq!(link("net/ipv4/conf/br-x/rp_filter").as_deref(), Some("br-x"));
        assert_eq!(link("net/ipv6/conf/eth0.50/disable_ipv6").as_deref(), Some("eth0.50"));
        assert_eq!(link("net/ipv4/neigh/lan0/gc_stale_time").as_deref(), Some("lan0"));
        for none in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv4/conf/default/rp_filter", "net"] {
            assert_eq!(link(none), None, "{none}");
        }
        let SysctlOp::Set { key, .. } = SysctlOp::of_link("ipv6", &"br-x".parse().unwrap(), "accept_ra", "0");
        assert_eq!(key, Key::from("net/ipv6/conf/br-x/accept_ra".to_owned()));
    }
}
