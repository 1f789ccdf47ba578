//! The marks that objects of ours carry, where several rooms have to know them. Pure.

use crate::plan::LinkSeen;
use netd_api::IfName;

/// Every link of this kind has it, and no other.
pub const WIREGUARD: &str = "rcr:wireguard";

/// The alias of VLAN links that we made: networks share them.
pub fn vlan_alias(name: &IfName) -> String {
    format!("rcr:vlan:{name}")
}

/// The group that a VLAN link of ours is in from its creation until it has its alias, which the kernel takes only in a
/// message of its own.
pub const UNFINISHED: u32 = 0x0072_6372;

/// Whether a VLAN link is one that we made.
pub fn is_our_vlan(name: &IfName, seen: &LinkSeen) -> bool {
    match &seen.alias {
        Some(alias) => *alias == vlan_alias(name),
        None => seen.group == UNFINISHED,
    }
}
