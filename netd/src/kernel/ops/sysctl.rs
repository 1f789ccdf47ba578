//! Values below `/proc/sys` of the namespace that the calling thread is in.

use crate::kernel::{KernelError, sysctl};
use netd_core::plan::{Outcome, SysctlOp};

/// Writes it.
pub fn ensure(op: &SysctlOp) -> Result<Outcome, KernelError> {
    let SysctlOp::Set { key, value, .. } = op;
    let old = sysctl::write(key.as_str(), value)?;
    Ok(old.map_or(Outcome::AlreadyThere, Outcome::Replaced))
}

/// Puts an old value back, if the value is still the one that we set.
pub fn put_back(op: &SysctlOp, old: &str) -> Result<(), KernelError> {
    let SysctlOp::Set { key, value, .. } = op;
    if sysctl::read(key.as_str())? == *value {
        sysctl::write(key.as_str(), old)?;
    }
    Ok(())
}

/// The command that puts the old value back.
pub fn by_hand(op: &SysctlOp, old: Option<&str>) -> String {
    let SysctlOp::Set { key, .. } = op;
    format!("sysctl -w {key}={}", old.unwrap_or("0"))
}
