//! What a container's processes may do: one answer for the first one and for all others.

use super::{BundleError, caps, seccomp};
use crate::config::Security;
use ::caps::Capability;
use rcr_shim::init::plan::CapMasks;

/// Capabilities, and what holds even for root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Powers {
    /// The capability sets.
    pub caps: CapMasks,
    /// Setuid programs and file capabilities give nothing.
    pub no_new_privs: bool,
    /// The filter's program; empty: no filter.
    pub seccomp: Vec<u64>,
}

/// The powers of a process. `available`: the capabilities that this process could pass on, as a bit mask.
pub fn powers(security: &Security, available: u64) -> Result<Powers, BundleError> {
    let caps = caps::masks(security, available)?;
    let filter = match (&security.seccomp_profile, security.seccomp && !security.privileged) {
        (_, false) => Vec::new(),
        (Some(profile), true) => seccomp::profile::filter(profile, &names(caps.bounding))?,
        (None, true) => seccomp::default_profile(granted(security, caps.bounding))?,
    };
    Ok(Powers { caps, no_new_privs: security.no_new_privs, seccomp: filter })
}

/// Capabilities by name.
fn names(mask: u64) -> Vec<String> {
    ::caps::all().into_iter().filter(|cap| mask & caps::bit(*cap) != 0).map(|cap| cap.to_string()).collect()
}

/// What the seccomp profile looks at.
fn granted(security: &Security, bounding: u64) -> seccomp::Granted {
    let has = |capability| bounding & caps::bit(capability) != 0;
    let asked_for = |wanted: &str| {
        let named = |name: &String| [wanted, "ALL"].contains(&name.trim_start_matches("CAP_"));
        security.cap_add.iter().any(named)
    };
    seccomp::Granted {
        audit: has(Capability::CAP_AUDIT_WRITE) || has(Capability::CAP_AUDIT_CONTROL),
        bpf: has(Capability::CAP_BPF),
        dac_read_search: has(Capability::CAP_DAC_READ_SEARCH),
        perfmon: has(Capability::CAP_PERFMON),
        sys_admin: has(Capability::CAP_SYS_ADMIN),
        sys_boot: has(Capability::CAP_SYS_BOOT),
        sys_chroot: has(Capability::CAP_SYS_CHROOT),
        sys_module: has(Capability::CAP_SYS_MODULE),
        sys_nice: has(Capability::CAP_SYS_NICE),
        sys_pacct: has(Capability::CAP_SYS_PACCT),
        sys_ptrace: has(Capability::CAP_SYS_PTRACE),
        sys_rawio: has(Capability::CAP_SYS_RAWIO),
        sys_time: has(Capability::CAP_SYS_TIME),
        sys_tty_config: has(Capability::CAP_SYS_TTY_CONFIG),
        syslog: has(Capability::CAP_SYSLOG),
        packet_sockets: has(Capability::CAP_NET_RAW) && (asked_for("NET_RAW") || asked_for("NET_ADMIN")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn security(add: &[&str]) -> Security {
        Security { cap_add: add.iter().map(|name| name.to_string()).collect(), seccomp: true, ..Security::default() }
    }

    #[test]
    fn packet_sockets_are_for_those_who_ask() {
        let all = u64::MAX >> 23;
        let packets = |add: &[&str]| {
            let security = security(add);
            granted(&security, powers(&security, all).unwrap().caps.bounding).packet_sockets
        };
        assert!(!packets(&[]) && !packets(&["SYS_PTRACE"]));
        assert!(packets(&["NET_RAW"]) && packets(&["CAP_NET_RAW"]) && packets(&["ALL"]) && packets(&["NET_ADMIN"]));
    }

    #[test]
    fn privileged_or_unconfined_has_no_filter() {
        let confined = powers(&security(&[]), u64::MAX >> 23).unwrap();
        assert!(!confined.seccomp.is_empty() && !confined.no_new_privs);
        let privileged = Security { privileged: true, ..security(&[]) };
        assert!(powers(&privileged, u64::MAX >> 23).unwrap().seccomp.is_empty());
    }
}
