//! Values below `/proc/sys` of the network namespace that the calling thread is in (Documentation/networking/ip-sysctl).

use super::KernelError;
use std::fs;

/// Reads a value, without white space around it.
pub fn read(key: &str) -> Result<String, KernelError> {
    let path = format!("/proc/sys/{key}");
    fs::read_to_string(&path)
        .map(|text| text.trim().to_owned())
        .map_err(|error| KernelError::io(format!("read `{path}`"), &error))
}

/// Writes a value. Says what was there, or nothing if it was the same.
pub fn write(key: &str, value: &str) -> Result<Option<String>, KernelError> {
    let old = read(key)?;
    if old.split_ascii_whitespace().eq(value.split_ascii_whitespace()) {
        return Ok(None);
    }
    let path = format!("/proc/sys/{key}");
    fs::write(&path, value).map_err(|error| KernelError::io(format!("write `{value}` to `{path}`"), &error))?;
    Ok(Some(old))
}
