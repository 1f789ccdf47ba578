//! `bench redirect`: neighbours by BPF past the bridge, as an experiment. At the ingress of each port a program looks the
//! receiver's MAC up in a map, and puts the frame into that container's own link (bpf-helpers(7), `bpf_redirect_peer`).

use std::ffi::CString;
use std::io::Error;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

/// An Ethernet address, filled up to eight bytes.
pub type Key = [u8; 8];

/// Commands of bpf(2), and kinds of maps and programs (include/uapi/linux/bpf.h).
const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_OBJ_PIN: libc::c_long = 6;
const BPF_MAP_TYPE_HASH: u32 = 1;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;

/// Helpers' numbers.
const MAP_LOOKUP_ELEM: i32 = 1;
const SKB_LOAD_BYTES: i32 = 26;
const REDIRECT_PEER: i32 = 155;

fn bpf(command: libc::c_long, attributes: &[u8]) -> Result<i64, Error> {
    // SAFETY: the kernel reads `attributes`, and what these point to outlives the call.
    let ret = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), attributes.len()) };
    if ret < 0 { Err(Error::last_os_error()) } else { Ok(ret) }
}

fn descriptor(number: i64) -> OwnedFd {
    // SAFETY: bpf(2) has just returned it, and nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(number as i32) }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Pins a program that redirects frames for these MACs to the peers of the links with these numbers.
pub fn pin(receivers: &[(Key, u32)], at: &Path) -> Result<(), Error> {
    let map = descriptor(bpf(BPF_MAP_CREATE, &words(&[BPF_MAP_TYPE_HASH, 8, 4, 1024, 0]))?);
    for (mac, link) in receivers {
        let mut attributes = words(&[map.as_raw_fd() as u32, 0]);
        for pointer in [mac.as_ptr() as u64, std::ptr::from_ref(link) as u64, 0] {
            attributes.extend(pointer.to_ne_bytes());
        }
        bpf(BPF_MAP_UPDATE_ELEM, &attributes)?;
    }
    let program = program(map.as_raw_fd());
    let mut attributes = words(&[BPF_PROG_TYPE_SCHED_CLS, (program.len() / 8) as u32]);
    for pointer in [program.as_ptr() as u64, c"GPL".as_ptr() as u64] {
        attributes.extend(pointer.to_ne_bytes());
    }
    let program = descriptor(bpf(BPF_PROG_LOAD, &attributes)?);
    let path = CString::new(at.as_os_str().as_encoded_bytes())?;
    let mut attributes = (path.as_ptr() as u64).to_ne_bytes().to_vec();
    attributes.extend(words(&[program.as_raw_fd() as u32, 0]));
    bpf(BPF_OBJ_PIN, &attributes).map(drop)
}

/// One instruction: code, destination and source register, offset, value (RFC 9669, section 3).
fn op(code: u8, to: u8, from: u8, offset: i16, value: i32) -> Vec<u8> {
    [&[code, from << 4 | to][..], &offset.to_ne_bytes(), &value.to_ne_bytes()].concat()
}

fn program(map: i32) -> Vec<u8> {
    let call = |helper| op(0x85, 0, 0, 0, helper);
    let key = |register| [op(0xbf, register, 10, 0, 0), op(0x07, register, 0, 0, -8)].concat();
    [
        // The key, all zero, then the frame's first six bytes.
        op(0x7a, 10, 0, -8, 0),
        op(0xb7, 2, 0, 0, 0),
        key(3),
        op(0xb7, 4, 0, 0, 6),
        call(SKB_LOAD_BYTES),
        // A map's descriptor takes two instructions.
        op(0x18, 1, 1, 0, map),
        op(0, 0, 0, 0, 0),
        key(2),
        call(MAP_LOOKUP_ELEM),
        // Not a neighbour's: on to the bridge.
        op(0x15, 0, 0, 4, 0),
        op(0x61, 1, 0, 0, 0),
        op(0xb7, 2, 0, 0, 0),
        call(REDIRECT_PEER),
        op(0x95, 0, 0, 0, 0),
        op(0xb7, 0, 0, 0, 0),
        op(0x95, 0, 0, 0, 0),
    ]
    .concat()
}
