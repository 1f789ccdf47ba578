//! What is removed when a container ends: its cgroups; with `--rm`, everything.

use super::config::{CgroupPaths, RemovePaths};
use crate::process::ProcessId;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// All cgroups of containers lie below this one, but for those that the user puts elsewhere.
pub const CGROUP_PARENT: &str = "rcr";

/// A file in the folder of a volume that another container has taken, too: the volume stays.
pub const KEPT: &str = "kept";

/// How long the kernel may take to release a cgroup whose last process has just died.
pub const CGROUP_PATIENCE: Duration = Duration::from_secs(2);

/// How long a process that is ending may keep writing into a folder that is being removed.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// Removes the cgroup's folders, those that the container made below them, and with the last container the parent
/// `rcr`. Returns those that still exist after this time.
pub fn remove_cgroups(paths: &CgroupPaths, patience: Duration) -> Vec<PathBuf> {
    let until = Instant::now() + patience;
    let mut left = Vec::new();
    for folder in paths.legacy.iter().chain(&paths.unified) {
        remove_cgroup(folder, until);
        if folder.exists() {
            left.push(folder.clone());
        }
        // A parent that the user named is the user's.
        if let Some(parent) = folder.parent().filter(|parent| parent.ends_with(CGROUP_PARENT)) {
            // Fails while another container exists, as it should.
            let _ = std::fs::remove_dir(parent);
        }
    }
    left
}

/// Ends every process in the cgroup and below it.
pub fn kill_all(paths: &CgroupPaths) {
    // On v1 every hierarchy has the same processes.
    let Some(folder) = paths.unified.as_ref().or(paths.legacy.first()) else { return };
    let until = Instant::now() + CGROUP_PATIENCE;
    while kill(folder) > 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Sends SIGKILL to all processes in a cgroup and below; how many there were.
fn kill(folder: &Path) -> usize {
    // Linux 5.14, v2.
    let at_once = std::fs::write(folder.join("cgroup.kill"), "1").is_ok();
    let children = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let below = children.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| kill(&e.path()));
    let mut count: usize = below.sum();
    for pid in processes(folder) {
        count += 1;
        // One that has ended meanwhile may have given its number to a stranger, which is not in here.
        let process = ProcessId::of(pid).and_then(|process| process.open()).filter(|_| !at_once);
        if let Some(process) = process.filter(|_| processes(folder).contains(&pid)) {
            let _ = crate::sys::signal::send(process.as_fd(), libc::SIGKILL);
        }
    }
    count
}

/// The processes of a cgroup and of those below it.
pub fn processes_below(paths: &CgroupPaths) -> Vec<i32> {
    fn all(folder: &Path, into: &mut Vec<i32>) {
        into.extend(processes(folder));
        let children = std::fs::read_dir(folder).into_iter().flatten().flatten();
        for child in children.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            all(&child.path(), into);
        }
    }
    let mut found = Vec::new();
    // On v1 every hierarchy has the same processes.
    paths.unified.as_ref().or(paths.legacy.first()).inspect(|folder| all(folder, &mut found));
    found
}

fn processes(folder: &Path) -> Vec<i32> {
    let text = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Removes a cgroup, its children first: the kernel keeps one that has any (cgroups(7)). Every folder below is a
/// cgroup.
fn remove_cgroup(folder: &Path, until: Instant) {
    while let Err(error) = std::fs::remove_dir(folder) {
        if error.raw_os_error() != Some(libc::EBUSY) {
            return;
        }
        let children: Vec<_> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .collect();
        if Instant::now() > until {
            return;
        }
        if children.is_empty() {
            // One that shared another's processes may leave some of its own.
            kill(folder);
            std::thread::sleep(Duration::from_millis(2));
        }
        for child in children {
            remove_cgroup(&child, until);
        }
    }
}

/// Folders that are gone for everybody and still take room.
#[must_use]
pub struct Aside(Vec<PathBuf>);

impl Aside {
    /// Gives the room back. What can't be removed stays aside, and goes after the next boot.
    pub fn empty(self) {
        for folder in self.0 {
            let _ = remove_folder(&folder);
        }
    }
}

/// Removes files, then sets folders aside, by one rename(2) each; those that can't be moved are removed here and now.
/// Missing ones are fine.
pub fn set_aside(paths: &RemovePaths) -> io::Result<Aside> {
    for file in &paths.files {
        tolerate_absence(std::fs::remove_file(file))?;
    }
    let mut aside = Vec::new();
    for (number, folder) in paths.folders.iter().filter(|folder| !folder.join(KEPT).exists()).enumerate() {
        let place = paths.aside.as_ref().zip(folder.file_name());
        let place = place.map(|(aside, name)| aside.join(format!("{}-{number}", name.to_string_lossy())));
        match place.filter(|place| std::fs::rename(folder, place).is_ok()) {
            Some(place) => aside.push(place),
            None => remove_folder(folder)?,
        }
    }
    Ok(Aside(aside))
}

/// Removes a folder and everything below it; symlinks are removed, not followed. A process that is ending may write
/// into it once more after we looked: then we look again.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
    let until = Instant::now() + LAST_WRITE;
    loop {
        let error = match std::fs::remove_dir_all(folder) {
            Err(error) if std::fs::symlink_metadata(folder).is_ok() => error,
            other => return tolerate_absence(other),
        };
        let raced = [Some(libc::ENOTEMPTY), Some(libc::ENOENT)].contains(&error.raw_os_error());
        if !raced || Instant::now() > until {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn tolerate_absence(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_is_gone_at_once_and_what_cannot_be_moved_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let [aside, one, kept, name] = ["aside", "one", "kept-one", "name"].map(|name| root.path().join(name));
        let paths = |aside: Option<PathBuf>| RemovePaths {
            files: vec![name.clone(), root.path().join("missing")],
            folders: vec![one.clone(), kept.clone(), root.path().join("no folder")],
            aside,
        };
        let there = |folder: &Path| std::fs::read_dir(folder).map_or(0, Iterator::count);
        std::fs::create_dir_all(&aside).unwrap();
        std::fs::create_dir_all(&kept).unwrap();
        std::fs::write(kept.join(KEPT), []).unwrap();
        for (place, moved) in [(Some(aside.clone()), 1), (Some(root.path().join("nowhere")), 0), (None, 0)] {
            std::fs::create_dir_all(one.join("deep/er")).unwrap();
            std::fs::write(&name, []).unwrap();
            let set = set_aside(&paths(place)).unwrap();
            assert!(!one.exists() && !name.exists() && kept.exists());
            assert_eq!(there(&aside), moved);
            set.empty();
            assert_eq!(there(&aside), 0);
        }
    }

    #[test]
    fn a_folder_that_somebody_still_writes_into_goes() {
        let root = tempfile::tempdir().unwrap();
        for round in 0..20 {
            let folder = root.path().join(round.to_string());
            std::fs::create_dir(&folder).unwrap();
            let own = folder.clone();
            let writer = std::thread::spawn(move || {
                for n in 0..3000 {
                    let _ = std::fs::write(own.join(format!("state{n}")), "{}");
                }
            });
            let until = Instant::now() + Duration::from_secs(10);
            while !folder.join("state50").exists() {
                assert!(Instant::now() < until, "the writer has not begun");
                std::thread::yield_now();
            }
            let removed = remove_folder(&folder);
            writer.join().unwrap();
            removed.unwrap();
            assert!(!folder.exists(), "round {round}");
        }
        remove_folder(&root.path().join("missing")).unwrap();
    }
}
