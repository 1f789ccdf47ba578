//! Options of the overlay driver.

use crate::BridgeOptions;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The port of VXLAN (RFC 7348, section 8.1). The kernel's own default, 8472, is older than the RFC.
pub const VXLAN_PORT: u16 = 4789;

/// Options of the overlay driver (`-o`), parsed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverlayOptions {
    /// What its bridge on each host is like: `mtu`, `host_access`.
    #[serde(default)]
    pub bridge: BridgeOptions,
    /// `vni`: the network's number in VXLAN frames; absent in a request: netd chooses.
    #[serde(default)]
    pub vni: Option<Vni>,
    /// `vxlan_port`: where hosts take frames from each other, over UDP.
    #[serde(default = "vxlan_port")]
    pub port: u16,
    /// `encrypted`: frames travel inside WireGuard. Left out where it is off, so that a netd that does not know it
    /// takes those networks, and only those.
    #[serde(default, skip_serializing_if = "is_off")]
    pub encrypted: bool,
}

fn is_off(flag: &bool) -> bool {
    !flag
}

fn vxlan_port() -> u16 {
    VXLAN_PORT
}

impl Default for OverlayOptions {
    fn default() -> Self {
        Self { bridge: BridgeOptions::default(), vni: None, port: VXLAN_PORT, encrypted: false }
    }
}

/// A VXLAN network identifier: 24 bits (RFC 7348, section 5), 0 left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Vni(u32);

impl Vni {
    /// The largest one.
    pub const MAX: u32 = (1 << 24) - 1;

    /// As a number.
    pub fn number(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Vni {
    type Error = String;
    fn try_from(number: u32) -> Result<Self, String> {
        match number {
            1..=Self::MAX => Ok(Self(number)),
            _ => Err(format!("a VNI lies between 1 and {}", Self::MAX)),
        }
    }
}

impl From<Vni> for u32 {
    fn from(vni: Vni) -> u32 {
        vni.0
    }
}

impl std::str::FromStr for Vni {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<u32>().map_err(|_| format!("a VNI lies between 1 and {}", Self::MAX)).and_then(Self::try_from)
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vni_has_24_bits() {
        assert_eq!("4097".parse::<Vni>().unwrap().number(), 4097);
        for bad in ["0", "16777216", "-1", "x"] {
            assert!(bad.parse::<Vni>().is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<OverlayOptions>(r#"{"vni": 0}"#).is_err());
        assert_eq!(serde_json::from_str::<OverlayOptions>("{}").unwrap(), OverlayOptions::default());
        assert!(!serde_json::to_string(&OverlayOptions::default()).unwrap().contains("encrypted"));
    }
}
