//! Programs and maps of BPF, as far as netd has any (bpf(2), include/uapi/linux/bpf.h).

use super::KernelError;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Commands (`enum bpf_cmd`).
const MAP_CREATE: libc::c_long = 0;
const MAP_LOOKUP_ELEM: libc::c_long = 1;
const MAP_UPDATE_ELEM: libc::c_long = 2;
const MAP_DELETE_ELEM: libc::c_long = 3;
const MAP_GET_NEXT_KEY: libc::c_long = 4;
const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const PROG_DETACH: libc::c_long = 9;
const PROG_GET_FD_BY_ID: libc::c_long = 13;
const MAP_GET_FD_BY_ID: libc::c_long = 14;
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const PROG_QUERY: libc::c_long = 16;

/// `BPF_PROG_TYPE_SCHED_CLS`, `BPF_TCX_INGRESS`.
const SCHED_CLS: u32 = 3;
const TCX_INGRESS: u32 = 46;

/// `BPF_OBJ_NAME_LEN`, with the zero at the end.
const NAME: usize = 16;
/// `struct bpf_prog_info`, as far as it is read: up to its name's end.
const INFO: usize = 80;
const INFO_MAPS: usize = 52;
const INFO_MAP_IDS: usize = 56;
const INFO_NAME: usize = 64;
/// Programs that are looked at on one link, and maps of one program.
const PROGRAMS: usize = 64;
const MAPS: usize = 2;

/// `union bpf_attr`, filled field by field.
#[derive(Default)]
struct Attributes(Vec<u8>);

impl Attributes {
    fn word(mut self, value: u32) -> Self {
        self.0.extend(value.to_ne_bytes());
        self
    }

    fn fd(self, fd: &OwnedFd) -> Self {
        self.word(fd.as_raw_fd() as u32)
    }

    /// An address, or eight bytes of another kind: it begins at a multiple of eight.
    fn long(mut self, value: u64) -> Self {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        self.0.extend(value.to_ne_bytes());
        self
    }

    fn pointer<T: ?Sized>(self, to: &T) -> Self {
        self.long(std::ptr::from_ref(to).cast::<u8>() as u64)
    }

    fn name(mut self, name: &str) -> Self {
        let mut bytes = [0; NAME];
        bytes.iter_mut().zip(name.bytes().take(NAME - 1)).for_each(|(to, from)| *to = from);
        self.0.extend(bytes);
        self
    }

    fn call(&mut self, command: libc::c_long, what: &str) -> Result<i64, KernelError> {
        // SAFETY: the kernel reads and writes no more than these bytes, and what they point to outlives the call.
        let ret = unsafe { libc::syscall(libc::SYS_bpf, command, self.0.as_mut_ptr(), self.0.len()) };
        Errno::result(ret).map_err(KernelError::call(what))
    }

    fn open(&mut self, command: libc::c_long, what: &str) -> Result<OwnedFd, KernelError> {
        let number = self.call(command, what)?;
        // SAFETY: the kernel just opened it for us; nobody else owns it.
        Ok(unsafe { OwnedFd::from_raw_fd(number as i32) })
    }
}

/// What a map is (`enum bpf_map_type`).
#[derive(Clone, Copy)]
pub enum Kind {
    Hash = 1,
    /// Its keys are the numbers from 0 on, and all entries are there, with zeroes.
    Array = 2,
}

/// A table with keys and values of fixed sizes, `K` and `V` bytes.
pub struct Map<const K: usize, const V: usize>(OwnedFd);

impl<const K: usize, const V: usize> Map<K, V> {
    /// One for so many entries.
    pub fn create(kind: Kind, name: &str, entries: u32) -> Result<Self, KernelError> {
        let mut attributes = Attributes::default().word(kind as u32).word(K as u32).word(V as u32).word(entries);
        attributes = attributes.word(0).word(0).word(0).name(name);
        attributes.open(MAP_CREATE, "make a BPF map").map(Self)
    }

    /// The one with this id, which a program told that uses it.
    pub fn open(id: u32) -> Result<Self, KernelError> {
        by_id(MAP_GET_FD_BY_ID, id, "open a BPF map").map(Self)
    }

    /// Writes an entry, in place of another one of that key.
    pub fn set(&self, key: &[u8; K], value: &[u8; V]) -> Result<(), KernelError> {
        let mut attributes = Attributes::default().fd(&self.0).pointer(key).pointer(value).long(0);
        attributes.call(MAP_UPDATE_ELEM, "write an entry of a BPF map").map(drop)
    }

    /// What an entry has. `ENOENT` without one.
    pub fn get(&self, key: &[u8; K]) -> Result<[u8; V], KernelError> {
        let mut value = [0; V];
        let mut attributes = Attributes::default().fd(&self.0).pointer(key);
        attributes = attributes.long(value.as_mut_ptr() as u64).long(0);
        attributes.call(MAP_LOOKUP_ELEM, "read an entry of a BPF map").map(|_| value)
    }

    /// Deletes an entry. `ENOENT` without one.
    pub fn delete(&self, key: &[u8; K]) -> Result<(), KernelError> {
        Attributes::default().fd(&self.0).pointer(key).call(MAP_DELETE_ELEM, "delete an entry of a BPF map").map(drop)
    }

    /// Whether it has no entry.
    pub fn is_empty(&self) -> Result<bool, KernelError> {
        let mut first = [0; K];
        let mut attributes = Attributes::default().fd(&self.0).long(0).long(first.as_mut_ptr() as u64).long(0);
        match attributes.call(MAP_GET_NEXT_KEY, "read a BPF map") {
            Err(error) if error.is_gone() => Ok(true),
            other => other.map(|_| false),
        }
    }

    /// Its descriptor, for programs.
    pub fn descriptor(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

/// A program for packets that come in by a link.
pub struct Program(OwnedFd);

impl Program {
    /// Has the kernel check and compile instructions (RFC 9669).
    pub fn load(name: &str, instructions: &[u8]) -> Result<Self, KernelError> {
        let mut attributes = Attributes::default().word(SCHED_CLS).word((instructions.len() / 8) as u32);
        // Some helpers are for programs under this license alone.
        attributes = attributes.pointer(instructions).pointer(c"GPL".to_bytes_with_nul());
        attributes = attributes.word(0).word(0).long(0).word(0).word(0).name(name);
        attributes.open(PROG_LOAD, "load a BPF program").map(Self)
    }

    /// Has it see what comes in by a link, after the programs that are there. It goes when the link goes.
    pub fn attach(&self, link: u32) -> Result<(), KernelError> {
        self.at(link).call(PROG_ATTACH, "attach a BPF program to a link").map(drop)
    }

    /// Undoes [`Self::attach`].
    pub fn detach(&self, link: u32) -> Result<(), KernelError> {
        self.at(link).call(PROG_DETACH, "detach a BPF program from a link").map(drop)
    }

    fn at(&self, link: u32) -> Attributes {
        Attributes::default().word(link).fd(&self.0).word(TCX_INGRESS).word(0).word(0).word(0).long(0)
    }

    /// The first program of that name which sees what comes in by a link, with the ids of its maps, in the order in which
    /// its instructions name them.
    pub fn of_link(link: u32, name: &str) -> Result<Option<(Self, Vec<u32>)>, KernelError> {
        for id in attached(link)? {
            let program = match by_id(PROG_GET_FD_BY_ID, id, "open a BPF program") {
                Ok(fd) => Self(fd),
                // It went in this moment.
                Err(error) if error.is_gone() => continue,
                Err(error) => return Err(error),
            };
            let (its_name, maps) = program.about()?;
            if its_name == name {
                return Ok(Some((program, maps)));
            }
        }
        Ok(None)
    }

    /// Its name, and the ids of its maps.
    fn about(&self) -> Result<(String, Vec<u32>), KernelError> {
        let (mut info, mut maps) = ([0u8; INFO], [0u32; MAPS]);
        info[INFO_MAPS..INFO_MAP_IDS].copy_from_slice(&(MAPS as u32).to_ne_bytes());
        info[INFO_MAP_IDS..INFO_NAME].copy_from_slice(&(maps.as_mut_ptr() as u64).to_ne_bytes());
        let mut attributes = Attributes::default().fd(&self.0).word(INFO as u32).long(info.as_mut_ptr() as u64);
        attributes.call(OBJ_GET_INFO_BY_FD, "ask about a BPF program")?;
        let name = info[INFO_NAME..].split(|byte| *byte == 0).next().unwrap_or_default();
        Ok((String::from_utf8_lossy(name).into_owned(), maps.into_iter().take_while(|id| *id > 0).collect()))
    }
}

fn by_id(command: libc::c_long, id: u32, what: &str) -> Result<OwnedFd, KernelError> {
    Attributes::default().word(id).word(0).word(0).open(command, what)
}

/// The ids of the programs that see what comes in by a link.
fn attached(link: u32) -> Result<Vec<u32>, KernelError> {
    let mut ids = [0u32; PROGRAMS];
    let mut attributes = Attributes::default().word(link).word(TCX_INGRESS).word(0).word(0);
    attributes = attributes.long(ids.as_mut_ptr() as u64).word(PROGRAMS as u32).word(0).long(0).long(0).long(0).long(0);
    attributes.call(PROG_QUERY, "ask for the BPF programs of a link")?;
    Ok(ids.into_iter().take_while(|id| *id > 0).collect())
}
