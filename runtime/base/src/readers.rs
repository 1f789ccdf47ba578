//! The group whose members may look: listings and logs, nothing else.

use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::sync::OnceLock;

/// Its name. It exists where an administrator made it (`groupadd rcr`).
pub const READERS: &str = "rcr";

/// The group's id, if it exists (group(5)). Looked up once.
pub fn readers() -> Option<u32> {
    static GROUP: OnceLock<Option<u32>> = OnceLock::new();
    *GROUP.get_or_init(|| find(&std::fs::read_to_string("/etc/group").ok()?))
}

fn find(text: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == READERS).then(|| fields.nth(1)?.parse().ok())?
    })
}

/// Lets the group, if there is one, read a folder of root's.
pub fn open_to_readers(folder: &Path) -> io::Result<()> {
    let Some(gid) = readers() else { return Ok(()) };
    chown(folder, None, Some(gid))?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o750))
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn the_group_is_found_by_its_whole_name() {
        assert_eq!(find("root:x:0:\nrcrs:x:7:\nrcr:x:990:ann,bob\n"), Some(990));
        assert_eq!(find("root:x:0:\nrcr2:x:7:\n"), None);
        assert_eq!(find("rcr:x:many:\n"), None);
    }
}
