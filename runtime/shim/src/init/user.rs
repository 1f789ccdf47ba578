//! Looking a user up in the container's own `/etc/passwd` and `/etc/group`, in buffers that were allocated beforehand.

use super::handshake::{Failure, Stage};
use nix::errno::Errno;
use rustix::fs::{FileType, Gid, Mode, OFlags};
use std::ffi::CStr;

/// The largest such file that is read, in bytes.
pub const MAX_FILE: usize = 1 << 20;
/// The kernel takes more (NGROUPS_MAX is 65536), but no honest file needs them.
pub const MAX_GROUPS: usize = 1024;

/// A user or a group to look for.
pub enum CompiledIdentity {
    /// By number.
    Id(u32),
    /// By name.
    Name(Vec<u8>),
}

/// Room for one file and the groups, allocated before the clone.
pub struct Buffers {
    file: Vec<u8>,
    groups: Vec<Gid>,
    /// `HOME=…`
    home: Vec<u8>,
}

impl Default for Buffers {
    /// Allocates; pages that are never touched cost nothing.
    fn default() -> Self {
        Self { file: vec![0; MAX_FILE], groups: Vec::with_capacity(MAX_GROUPS), home: Vec::with_capacity(4096) }
    }
}

/// Who the process will be.
pub struct Resolved<'a> {
    /// The user's id.
    pub uid: u32,
    /// The group's id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: &'a [Gid],
    /// `HOME=…`
    pub home: &'a [u8],
}

/// Finds user, group, supplementary groups and home, as Docker does: a numeric user needs no entry; groups from
/// `/etc/group` only when no group was named.
pub fn resolve<'a>(
    user: &CompiledIdentity,
    group: Option<&CompiledIdentity>,
    extra: &[CompiledIdentity],
    buffers: &'a mut Buffers,
) -> Result<Resolved<'a>, Failure> {
    let Buffers { file, groups, home } = buffers;
    groups.clear();
    home.clear();
    let passwd = read(c"/etc/passwd", file);
    let entry = find_user(passwd, user);
    let (uid, mut gid) = match (entry.as_ref(), user) {
        (Some(entry), _) => (entry.uid, entry.gid),
        (None, CompiledIdentity::Id(uid)) => (*uid, 0),
        (None, CompiledIdentity::Name(_)) => return Err(Failure::at(Stage::ResolveUser)(Errno::ENOENT)),
    };
    home.extend_from_slice(b"HOME=");
    let folder = entry.as_ref().map_or(&b"/"[..], |e| e.home);
    home.extend_from_slice(if folder.len() < 4000 && !folder.is_empty() { folder } else { b"/" });
    // The name is compared against a copy: the buffer is about to hold the other file.
    let mut name = [0u8; 256];
    let name_len = entry.as_ref().map_or(0, |e| e.name.len().min(name.len()));
    if let Some(entry) = &entry {
        name[..name_len].copy_from_slice(&entry.name[..name_len]);
    }
    let listing = read(c"/etc/group", file);
    match group {
        Some(CompiledIdentity::Id(id)) => gid = *id,
        Some(CompiledIdentity::Name(wanted)) => {
            gid = group_by_name(listing, wanted).ok_or(Failure::at(Stage::ResolveGroup)(Errno::ENOENT))?;
        }
        None => collect_groups(listing, &name[..name_len], groups),
    }
    let mut add = |id| push(groups, id);
    for group in extra {
        add(match group {
            CompiledIdentity::Id(id) => *id,
            CompiledIdentity::Name(name) => {
                group_by_name(listing, name).ok_or(Failure::at(Stage::ResolveGroup)(Errno::ENOENT))?
            }
        });
    }
    add(gid);
    Ok(Resolved { uid, gid, groups, home })
}

/// Reads a file of the container. Anything that is not a plain file (an image may ship a FIFO there), or is missing,
/// reads as empty.
fn read<'a>(path: &CStr, buffer: &'a mut [u8]) -> &'a [u8] {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let Ok(fd) = rustix::fs::open(path, flags, Mode::empty()) else { return &[] };
    if !rustix::fs::fstat(&fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile) {
        return &[];
    }
    let mut filled = 0;
    while filled < buffer.len() {
        match rustix::io::read(&fd, &mut buffer[filled..]) {
            Ok(0) | Err(_) => break,
            Ok(got) => filled += got,
        }
    }
    &buffer[..filled]
}

struct UserEntry<'a> {
    name: &'a [u8],
    uid: u32,
    gid: u32,
    home: &'a [u8],
}

fn find_user<'a>(passwd: &'a [u8], wanted: &CompiledIdentity) -> Option<UserEntry<'a>> {
    passwd.split(|b| *b == b'\n').find_map(|line| {
        let mut fields = line.split(|b| *b == b':');
        let name = fields.next()?;
        let uid = number(fields.nth(1)?)?;
        let gid = number(fields.next()?)?;
        let home = fields.nth(1)?;
        let hit = match wanted {
            CompiledIdentity::Id(id) => *id == uid,
            CompiledIdentity::Name(wanted) => wanted.as_slice() == name,
        };
        hit.then_some(UserEntry { name, uid, gid, home })
    })
}

fn group_by_name(listing: &[u8], wanted: &[u8]) -> Option<u32> {
    listing.split(|b| *b == b'\n').find_map(|line| {
        let mut fields = line.split(|b| *b == b':');
        if fields.next()? != wanted { None } else { number(fields.nth(1)?) }
    })
}

fn collect_groups(listing: &[u8], member: &[u8], groups: &mut Vec<Gid>) {
    if member.is_empty() {
        return;
    }
    for line in listing.split(|b| *b == b'\n') {
        let mut fields = line.split(|b| *b == b':');
        let (Some(id), Some(members)) = (fields.nth(2).and_then(number), fields.next()) else { continue };
        let listed = members.split(|b| *b == b',').any(|name| name == member);
        if listed {
            push(groups, id);
        }
    }
}

/// Only into memory that was allocated before: groups beyond it are left out.
fn push(groups: &mut Vec<Gid>, id: u32) {
    let id = Gid::from_raw(id);
    if groups.len() < MAX_GROUPS && !groups.contains(&id) {
        groups.push(id);
    }
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse::<u32>().ok().filter(|id| *id <= i32::MAX as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] =
        b"root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:44::/srv:/bin/false\nwrap:x:4294967296:0::/:/bin/sh";
    const GROUP: &[u8] = b"root:x:0:\nwww:x:44:\naudio:x:63:web,other\nvideo:x:64:other";

    #[test]
    fn users_are_found_by_name_and_number() {
        let web = find_user(PASSWD, &CompiledIdentity::Name(b"web".to_vec())).unwrap();
        assert_eq!((web.uid, web.gid, web.home), (33, 44, &b"/srv"[..]));
        assert_eq!(find_user(PASSWD, &CompiledIdentity::Id(33)).unwrap().name, b"web");
        assert!(find_user(PASSWD, &CompiledIdentity::Name(b"wrap".to_vec())).is_none());
        assert!(find_user(PASSWD, &CompiledIdentity::Name(b"broken".to_vec())).is_none());
    }

    #[test]
    fn groups_are_collected_for_members_only() {
        let mut groups = Vec::new();
        collect_groups(GROUP, b"web", &mut groups);
        assert_eq!(groups, [Gid::from_raw(63)]);
        assert_eq!(group_by_name(GROUP, b"www"), Some(44));
        assert_eq!(group_by_name(GROUP, b"none"), None);
    }
}
