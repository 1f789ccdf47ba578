//! Credentials of the calling thread by raw system calls: glibc's wrappers broadcast to all threads under a lock,
//! which a freshly cloned child must not touch.

use super::check;
use nix::errno::Errno;

/// Sets real, effective and saved user id.
pub fn set_uid(uid: u32) -> Result<(), Errno> {
    // SAFETY: plain integers.
    check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}

/// Sets real, effective and saved group id.
pub fn set_gid(gid: u32) -> Result<(), Errno> {
    // SAFETY: plain integers.
    check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map(drop)
}

/// Replaces the supplementary groups.
pub fn set_groups(groups: &[u32]) -> Result<(), Errno> {
    // SAFETY: pointer and count describe the borrowed slice.
    check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

/// Capability sets as bit masks (bit n = capability number n, capabilities(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CapMasks {
    pub bounding: u64,
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
    pub ambient: u64,
}

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const CAP_VERSION_3: u32 = 0x2008_0522;
/// Numbers above this do not exist in any kernel that we know; prctl(2) answers EINVAL from the last one on.
const CAP_LAST_POSSIBLE: u32 = 63;

/// Keeps permitted capabilities over a change of user id (cleared by execve(2)).
pub fn keep_caps() -> Result<(), Errno> {
    prctl(libc::PR_SET_KEEPCAPS, 1, 0)
}

/// Drops everything that `mask` lacks from the bounding set.
pub fn drop_bounding(mask: u64) -> Result<(), Errno> {
    for cap in 0..=CAP_LAST_POSSIBLE {
        if mask & (1 << cap) != 0 {
            continue;
        }
        match prctl(libc::PR_CAPBSET_DROP, u64::from(cap), 0) {
            Err(Errno::EINVAL) => break,
            other => other?,
        }
    }
    Ok(())
}

/// Sets effective, permitted and inheritable, then raises the ambient ones.
pub fn set_caps(masks: &CapMasks) -> Result<(), Errno> {
    let half = |shift: u32| CapData {
        effective: (masks.effective >> shift) as u32,
        permitted: (masks.permitted >> shift) as u32,
        inheritable: (masks.inheritable >> shift) as u32,
    };
    let header = CapHeader { version: CAP_VERSION_3, pid: 0 };
    let data = [half(0), half(32)];
    // SAFETY: version 3 takes a header and two data structs, both alive during the call.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) })?;
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0)?;
    for cap in (0..=CAP_LAST_POSSIBLE).filter(|cap| masks.ambient & (1 << cap) != 0) {
        prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as u64, u64::from(cap))?;
    }
    Ok(())
}

/// No program executed from here on gains privileges (prctl(2) PR_SET_NO_NEW_PRIVS).
pub fn no_new_privs() -> Result<(), Errno> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)
}

/// Whether `/proc/PID` of this process belongs to root and can't be traced; execve(2) of the container's program resets it.
pub fn set_dumpable(on: bool) -> Result<(), Errno> {
    prctl(libc::PR_SET_DUMPABLE, u64::from(on), 0)
}

/// The signal this process gets when its parent ends.
pub fn parent_death_signal(signal: i32) -> Result<(), Errno> {
    prctl(libc::PR_SET_PDEATHSIG, signal as u64, 0)
}

/// Makes this process the one that orphans of its descendants are given to.
pub fn child_subreaper() -> Result<(), Errno> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0)
}

/// A session keyring of its own, so that keys of the host's session are out of reach (keyctl(2)).
pub fn new_session_keyring() -> Result<(), Errno> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a null name asks for an anonymous keyring.
    let ret = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<u8>()) };
    match check(ret) {
        // A kernel without keyrings has none to protect.
        Err(Errno::ENOSYS) => Ok(()),
        other => other.map(drop),
    }
}

/// Sets one resource limit, soft and hard; where the hard limit can't be raised, the smaller one is taken.
pub fn set_rlimit(resource: u32, soft: u64, hard: u64) -> Result<(), Errno> {
    let set = |soft, hard| {
        let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
        // SAFETY: the struct lives during the call; no old value is asked for.
        let ret = unsafe {
            libc::syscall(libc::SYS_prlimit64, 0, resource, &raw const limit, std::ptr::null_mut::<libc::rlimit64>())
        };
        check(ret).map(drop)
    };
    match set(soft, hard) {
        Err(Errno::EPERM) => {
            let mut now = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: only reads the limit into a struct of ours.
            check(unsafe {
                libc::syscall(libc::SYS_prlimit64, 0, resource, std::ptr::null::<libc::rlimit64>(), &raw mut now)
            })?;
            set(soft.min(now.rlim_max), hard.min(now.rlim_max))
        }
        other => other,
    }
}

/// The highest hard limit that this process can give; `None`: any (it has CAP_SYS_RESOURCE).
pub fn most(resource: u32) -> Option<u64> {
    if caps::has_cap(None, caps::CapSet::Effective, caps::Capability::CAP_SYS_RESOURCE).unwrap_or(false) {
        return None;
    }
    let mut now = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: only reads the limit into a struct of ours.
    let ret =
        unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, std::ptr::null::<libc::rlimit64>(), &raw mut now) };
    check(ret).ok().map(|_| now.rlim_max)
}

fn prctl(option: i32, a: u64, b: u64) -> Result<(), Errno> {
    // SAFETY: the options used in this file take integers only.
    check(unsafe { libc::syscall(libc::SYS_prctl, option, a, b, 0, 0) }).map(drop)
}
