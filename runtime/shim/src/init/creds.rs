//! Credentials and limits of the calling thread: rustix's calls are the kernel's own. glibc's wrappers broadcast to all
//! threads under a lock, which a freshly cloned child must not touch.

use super::plan::{CapMasks, RlimitPlan};
use nix::errno::Errno;
use rcr_base::errno;
use rustix::process::{Gid, Resource, Rlimit, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Sets real, effective and saved user id.
pub fn set_uid(uid: u32) -> Result<(), Errno> {
    let uid = Uid::from_raw(uid);
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(errno)
}

/// Sets real, effective and saved group id.
pub fn set_gid(gid: u32) -> Result<(), Errno> {
    let gid = Gid::from_raw(gid);
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(errno)
}

/// No kernel that we know has capabilities above this; prctl(2) answers EINVAL beyond the last one.
const CAP_LAST_POSSIBLE: u32 = 63;

/// Each capability that a kernel may know, by its bit.
fn capabilities() -> impl Iterator<Item = u64> {
    (0..=CAP_LAST_POSSIBLE).map(|number| 1 << number)
}

/// Drops everything that `mask` lacks from the bounding set.
pub fn drop_bounding(mask: u64) -> Result<(), Errno> {
    for bit in capabilities().filter(|bit| mask & bit == 0) {
        match rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(bit)) {
            Err(rustix::io::Errno::INVAL) => break,
            other => other.map_err(errno)?,
        }
    }
    Ok(())
}

/// Sets effective, permitted and inheritable, then raises the ambient ones.
pub fn set_caps(masks: &CapMasks) -> Result<(), Errno> {
    let sets = CapabilitySets {
        effective: CapabilitySet::from_bits_retain(masks.effective),
        permitted: CapabilitySet::from_bits_retain(masks.permitted),
        inheritable: CapabilitySet::from_bits_retain(masks.inheritable),
    };
    rustix::thread::set_capabilities(None, sets).map_err(errno)?;
    rustix::thread::clear_ambient_capability_set().map_err(errno)?;
    for bit in capabilities().filter(|bit| masks.ambient & bit != 0) {
        let one = CapabilitySet::from_bits_retain(bit);
        rustix::thread::configure_capability_in_ambient_set(one, true).map_err(errno)?;
    }
    Ok(())
}

/// The limits there are, by their numbers.
const RESOURCES: [Resource; 16] = [
    Resource::Cpu,
    Resource::Fsize,
    Resource::Data,
    Resource::Stack,
    Resource::Core,
    Resource::Rss,
    Resource::Nproc,
    Resource::Nofile,
    Resource::Memlock,
    Resource::As,
    Resource::Locks,
    Resource::Sigpending,
    Resource::Msgqueue,
    Resource::Nice,
    Resource::Rtprio,
    Resource::Rttime,
];

/// The limit of the kernel's number `RLIMIT_*`.
pub fn resource(number: u32) -> Option<Resource> {
    RESOURCES.into_iter().find(|resource| *resource as u32 == number)
}

/// Sets one resource limit, soft and hard; where the hard limit can't be raised, the smaller one is taken.
pub fn set_rlimit(limit: &RlimitPlan) -> Result<(), Errno> {
    let resource = resource(limit.resource).ok_or(Errno::EINVAL)?;
    let set = |soft: u64, hard: u64| {
        let known = |value: u64| Some(value).filter(|value| *value != libc::RLIM_INFINITY);
        rustix::process::setrlimit(resource, Rlimit { current: known(soft), maximum: known(hard) })
    };
    match set(limit.soft, limit.hard) {
        Err(rustix::io::Errno::PERM) => {
            let most = rustix::process::getrlimit(resource).maximum.unwrap_or(libc::RLIM_INFINITY);
            set(limit.soft.min(most), limit.hard.min(most)).map_err(errno)
        }
        other => other.map_err(errno),
    }
}
