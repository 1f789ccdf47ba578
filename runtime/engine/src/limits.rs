//! What this process can give of resource limits.

use rcr_shim::init::creds::resource;

/// The highest hard limit that can be given (`number`: `RLIMIT_*`); `None`: any (this process has CAP_SYS_RESOURCE).
pub fn most(number: u32) -> Option<u64> {
    if caps::has_cap(None, caps::CapSet::Effective, caps::Capability::CAP_SYS_RESOURCE).unwrap_or(false) {
        return None;
    }
    resource(number).and_then(|resource| rustix::process::getrlimit(resource).maximum)
}
