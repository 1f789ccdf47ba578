//! Capabilities of a container: names to bit masks.

use super::BundleError;
use crate::config::Security;
use caps::Capability;
use rcr_shim::init::plan::CapMasks;
use std::str::FromStr;

/// What a container's root has by default: Docker's set, which programs of popular images were written for.
/// docs/security.md says what each costs. CAP_NET_RAW is there for programs with file capabilities (`ping`), which the
/// kernel refuses to start outside the bounding set; the seccomp profile keeps AF_PACKET for those who ask.
const DEFAULT: [Capability; 14] = [
    Capability::CAP_AUDIT_WRITE,
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_FOWNER,
    Capability::CAP_FSETID,
    Capability::CAP_KILL,
    Capability::CAP_MKNOD,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_NET_RAW,
    Capability::CAP_SETFCAP,
    Capability::CAP_SETGID,
    Capability::CAP_SETPCAP,
    Capability::CAP_SETUID,
    Capability::CAP_SYS_CHROOT,
];

/// The bit of one capability.
pub fn bit(capability: Capability) -> u64 {
    1 << capability.index()
}

/// Parses `NET_RAW`, `net_raw` or `CAP_NET_RAW`; `ALL` is for the caller to see.
pub fn parse(name: &str) -> Result<Capability, BundleError> {
    let upper = name.to_uppercase();
    let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
    Capability::from_str(&full).map_err(|_| BundleError::Invalid(format!("unknown capability `{name}`")))
}

/// The sets of a container's process. `available`: what this process could pass on.
pub fn masks(security: &Security, available: u64) -> Result<CapMasks, BundleError> {
    let is_all = |names: &[String]| names.iter().any(|name| name.eq_ignore_ascii_case("all"));
    let named = |names: &[String]| {
        names
            .iter()
            .filter(|name| !name.eq_ignore_ascii_case("all"))
            .try_fold(0u64, |mask, name| Ok::<u64, BundleError>(mask | bit(parse(name)?)))
    };
    let (add, drop): (u64, u64) = (named(&security.cap_add)?, named(&security.cap_drop)?);
    if let Some(missing) = caps::all().into_iter().find(|c| add & !available & bit(*c) != 0) {
        return Err(BundleError::Invalid(format!("cannot add {missing}: this process does not have it itself")));
    }
    let base: u64 = if security.privileged || is_all(&security.cap_add) {
        available
    } else if is_all(&security.cap_drop) {
        0
    } else {
        DEFAULT.into_iter().map(bit).sum::<u64>() & available
    };
    let set = if is_all(&security.cap_drop) && !security.privileged { add } else { (base | add) & !drop };
    // Added by hand, they are meant to be used, also by a user other than root.
    let ambient = add & set;
    Ok(CapMasks { bounding: set, effective: set, permitted: set, inheritable: ambient, ambient })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn security(add: &[&str], drop: &[&str]) -> Security {
        let own = |names: &[&str]| names.iter().map(|n| n.to_string()).collect();
        Security {
            privileged: false,
            cap_add: own(add),
            cap_drop: own(drop),
            no_new_privs: true,
            seccomp: true,
            ..Security::default()
        }
    }

    #[test]
    fn sets_follow_add_and_drop() {
        let all = u64::MAX;
        let raw = bit(Capability::CAP_NET_ADMIN);
        let default = masks(&security(&[], &[]), all).unwrap();
        assert_eq!(default.bounding.count_ones(), 14);
        assert_eq!((default.bounding & raw, default.ambient, default.inheritable), (0, 0, 0));
        let added = masks(&security(&["net_admin"], &["ALL"]), all).unwrap();
        assert_eq!((added.bounding, added.ambient), (raw, raw));
        let dropped = masks(&security(&["ALL"], &["CAP_NET_ADMIN"]), all).unwrap();
        assert_eq!(dropped.bounding, all & !raw);
        assert!(masks(&security(&["NET_ADMIN"], &[]), !raw).is_err());
        assert!(masks(&security(&["FLY"], &[]), all).is_err());
    }
}
