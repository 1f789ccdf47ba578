//! This host's WireGuard keys. Pure: randomness and the time come in.
//!
//! A host has one key, or two while the others take a new one over: it takes frames by both, each on a port and a link
//! of its own, and sends by the new one to whoever has said that it knows it. So at no moment does anybody send what
//! nobody takes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use netd_api::{KeyInfo, PublicKey};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Keys of a host at one time.
pub const MOST: usize = 2;

/// A private key. It is in the embedded store and in the kernel; nothing prints it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Secret([u8; 32]);

impl Secret {
    /// Of random bytes.
    pub fn new(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// What the others may know (RFC 7748).
    pub fn public(&self) -> PublicKey {
        PublicKey(x25519_dalek::x25519(self.0, x25519_dalek::X25519_BASEPOINT_BYTES))
    }

    /// For the kernel.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl From<Secret> for String {
    fn from(secret: Secret) -> String {
        STANDARD.encode(secret.0)
    }
}

impl TryFrom<String> for Secret {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        // What it was is not told.
        let bytes = STANDARD.decode(text).map_err(|_| "no private key".to_owned())?;
        bytes.try_into().map(Self).map_err(|_| "no private key".to_owned())
    }
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub generation: u32,
    pub secret: Secret,
    pub port: u16,
    /// Seconds since the epoch.
    pub made: i64,
}

impl Key {
    /// What the others may know.
    pub fn info(&self) -> KeyInfo {
        KeyInfo { generation: self.generation, public: self.secret.public(), port: self.port, made: self.made }
    }
}

/// The keys that a host has, the oldest first: none, one, or [`MOST`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyring {
    pub keys: Vec<Key>,
}

impl Keyring {
    /// What the others may know.
    pub fn infos(&self) -> Vec<KeyInfo> {
        self.keys.iter().map(Key::info).collect()
    }

    /// Whether the others are still taking a new key over.
    pub fn is_renewing(&self) -> bool {
        self.keys.len() > 1
    }

    /// Adds a key. Of the ports `port` and `port + 1` it gets the one that the last key does not use.
    pub fn renew(&mut self, secret: Secret, port: u16, made: i64) {
        let last = self.keys.last();
        let generation = last.map_or(1, |key| key.generation.saturating_add(1));
        let port = if last.is_some_and(|key| key.port == port) { port.saturating_add(1) } else { port };
        self.keys.push(Key { generation, secret, port, made });
    }

    /// Only the newest key is left.
    pub fn settle(&mut self) {
        self.keys = self.keys.split_off(self.keys.len().saturating_sub(1));
    }
}

/// The key that a host sends by, to a host that knows its keys up to `known`: the newest of these, or its only one.
pub fn by_which(own: &[KeyInfo], known: Option<u32>) -> Option<&KeyInfo> {
    let known = known.unwrap_or(0);
    own.iter().rev().find(|key| key.generation <= known).or(own.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_is_what_wg_says() {
        // RFC 7748, section 6.1: Alice's keys.
        let bytes = |hex: &str| -> [u8; 32] {
            let byte = |i: usize| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap();
            std::array::from_fn(byte)
        };
        let alice = Secret::new(bytes("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
        let public = bytes("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
        assert_eq!(alice.public().0, public);
        assert!(!format!("{alice:?}").contains(&String::from(alice.clone())));
    }

    #[test]
    fn a_new_key_has_another_port_and_the_old_one_goes() {
        let mut ring = Keyring::default();
        ring.renew(Secret::new([1; 32]), 51_890, 7);
        ring.renew(Secret::new([2; 32]), 51_890, 8);
        assert_eq!(ring.keys.iter().map(|k| (k.generation, k.port)).collect::<Vec<_>>(), [(1, 51_890), (2, 51_891)]);
        let own = ring.infos();
        let sends = |known| by_which(&own, known).unwrap().generation;
        assert_eq!((sends(None), sends(Some(1)), sends(Some(2)), sends(Some(9))), (1, 1, 2, 2));
        ring.settle();
        ring.renew(Secret::new([3; 32]), 51_890, 9);
        assert_eq!(ring.keys.iter().map(|k| (k.generation, k.port)).collect::<Vec<_>>(), [(2, 51_891), (3, 51_890)]);
        let text = serde_json::to_string(&ring).unwrap();
        assert_eq!(serde_json::from_str::<Keyring>(&text).unwrap(), ring);
        ring.settle();
        assert_eq!(by_which(&ring.infos(), None).unwrap().generation, 3);
        assert_eq!(by_which(&[], Some(3)), None);
    }
}
