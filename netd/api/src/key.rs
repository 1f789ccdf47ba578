//! WireGuard's public keys.

use crate::NameError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A Curve25519 point, as wg(8) writes it: base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(pub [u8; 32]);

impl FromStr for PublicKey {
    type Err = NameError;
    fn from_str(value: &str) -> Result<Self, NameError> {
        let refuse = |why| NameError { what: "public key", value: value.chars().take(64).collect(), why };
        let bytes = STANDARD.decode(value).map_err(|_| refuse("is no base64"))?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| refuse("needs 32 bytes"))?;
        // No key of anybody's: the kernel makes no session with it.
        if bytes == [0; 32] { Err(refuse("is all zeros")) } else { Ok(Self(bytes)) }
    }
}

impl TryFrom<String> for PublicKey {
    type Error = NameError;
    fn try_from(value: String) -> Result<Self, NameError> {
        value.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> String {
        key.to_string()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_32_bytes_that_are_not_all_zero() {
        let text = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
        assert_eq!(text.parse::<PublicKey>().unwrap().to_string(), text);
        for bad in ["", "x", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", &"A".repeat(4096)] {
            assert!(bad.parse::<PublicKey>().is_err(), "{bad}");
        }
    }
}
