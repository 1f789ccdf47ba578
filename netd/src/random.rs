//! Random bytes of the kernel's, or none: ids, MACs, keys and claims come from them.

use netd_api::{ApiError, ErrorKind, Mac};
use std::io;

/// Random bytes. Fails where the kernel gives none: nothing else takes their place.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut rest = &mut bytes[..];
    while !rest.is_empty() {
        match rustix::rand::getrandom(&mut *rest, rustix::rand::GetRandomFlags::empty()) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => rest = &mut rest[len..],
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(bytes)
}

/// A locally administered unicast MAC.
pub fn random_mac() -> io::Result<Mac> {
    let mut bytes: [u8; 6] = random()?;
    bytes[0] = (bytes[0] & 0xfc) | 2;
    Ok(Mac(bytes))
}

/// The kernel gave none while doing `what`.
pub fn no_random(what: impl Into<String>, error: &io::Error) -> ApiError {
    ApiError::new(ErrorKind::System, what).caused_by(format!("get random bytes: {}", crate::errors::why(error)))
}

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs_are_unicast_and_nobody_s_and_no_two_are_alike() {
        let (a, b) = (random_mac().unwrap(), random_mac().unwrap());
        assert!(a != b && a.0[0] & 3 == 2);
        assert_eq!(hex(&[0, 0xab]), "00ab");
    }
}
