//! Gives up for good everything that unpacking does not need. Called while the process has one thread.

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::io;

/// The capabilities for setting owners, modes, devices and file capabilities. Not CAP_SYS_ADMIN: nothing here can
/// mount.
const FILE_POWERS: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::SETFCAP);

/// Closes inherited descriptors other than stdin, stdout and stderr: the caller of `rcr` may have left some open. A
/// process does this first, before it owns any.
pub fn close_inherited() -> io::Result<()> {
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    // One of them belonged to the listing, and is closed by now.
    open.into_iter().filter(|fd| *fd > 2).for_each(|fd| {
        let _ = nix::unistd::close(fd);
    });
    Ok(())
}

/// For a process that unpacks: an empty network namespace, the working directory as its whole file system, file
/// capabilities only.
///
/// `memory` is in bytes. Outside its folder the process has only the descriptors that it was started with.
pub fn for_files(memory: u64) -> io::Result<()> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?;
    // In a chroot the kernel also refuses new user namespaces, which could bring capabilities back
    // (user_namespaces(7)).
    rustix::process::chroot(".")?;
    rustix::process::chdir("/")?;
    // Files get exactly the layer's modes.
    rustix::process::umask(rustix::fs::Mode::empty());
    // Removing a folder takes a descriptor per level.
    limits(memory, 1024)?;
    drop_powers(FILE_POWERS)
}

/// For a process that talks to registries: no capabilities at all.
pub fn for_network(memory: u64) -> io::Result<()> {
    limits(memory, 1024)?;
    drop_powers(CapabilitySet::empty())
}

fn limits(memory: u64, files: u64) -> io::Result<()> {
    let most = |value| Rlimit { current: Some(value), maximum: Some(value) };
    setrlimit(Resource::Data, most(memory))?;
    setrlimit(Resource::Core, most(0))?;
    Ok(setrlimit(Resource::Nofile, most(files))?)
}

fn drop_powers(keep: CapabilitySet) -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    rustix::thread::clear_ambient_capability_set()?;
    let sets = CapabilitySets { effective: keep, permitted: keep, inheritable: CapabilitySet::empty() };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}
