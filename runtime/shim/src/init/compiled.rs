//! The init plan with every string made ready for system calls, so that the child need not allocate.

use super::plan::{
    BindOn, CapMasks, DEFAULT_PATH, Identity, InitOp, InitPlan, ProcessPlan, RlimitPlan, RootPlan, Spaces, UserPlan,
};
use super::user::{Buffers, CompiledIdentity};
use crate::sys::exec::CStrings;
use std::ffi::{CString, NulError};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Why a plan can't be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// This string holds a null byte.
    #[error("`{0}` holds a null byte")]
    Null(String),
    /// This many layers do not fit the mount data.
    #[error("the image has {0} layers; one overlay takes about 200")]
    TooManyLayers(usize),
}

/// A whole container start, compiled.
pub struct CompiledPlan {
    /// The namespaces of its own.
    pub spaces: Spaces,
    /// The host name, without a null byte.
    pub hostname: Option<Vec<u8>>,
    /// The NIS domain name.
    pub domainname: Option<Vec<u8>>,
    /// The root file system.
    pub root: CompiledRoot,
    /// Steps that need no cgroup.
    pub ops: Vec<CompiledOp>,
    /// The program and its credentials.
    pub process: CompiledProcess,
}

/// The overlay's mount data names its folders by descriptor: short enough for 200 layers in the one page that mount(2)
/// takes, and the container's mount table then shows no host path. The child opens them, at numbers fixed here:
/// overlayfs takes only folders of the mount namespace it is mounted in.
pub struct CompiledRoot {
    /// overlayfs's options for mount(2).
    pub data: CString,
    /// Opened as [`FIRST_FOLDER`] and up.
    pub folders: Vec<CString>,
    /// The folder that the overlay is mounted on.
    pub mountpoint: CString,
    /// The root is remounted read-only.
    pub read_only: bool,
}

/// An image's layers, as an overlay of their own.
pub struct CompiledImage {
    /// overlayfs's options; absent: the only layer is what it shows.
    pub data: Option<CString>,
    /// Opened as [`IMAGE_FOLDER`] and up, topmost first.
    pub folders: Vec<CString>,
    /// A folder of ours to mount it on for the moment.
    pub scratch: CString,
    /// What is mounted of it.
    pub below: Option<CString>,
    /// Where it is mounted.
    pub target: Target,
}

/// Above those of the root.
pub const IMAGE_FOLDER: i32 = 750;

/// Above any descriptor that the shim holds when it clones.
pub const FIRST_FOLDER: i32 = 500;

/// A path in the container with all its prefixes: `a`, `a/b`, `a/b/c`.
pub struct Target {
    /// From the shortest to the whole path.
    pub prefixes: Vec<CString>,
}

impl Target {
    /// The whole path.
    pub fn full(&self) -> &CString {
        // An empty path is compiled to one prefix, `.`: there is always a last one.
        &self.prefixes[self.prefixes.len() - 1]
    }
}

/// A step of [`InitOp`], with C strings.
pub enum CompiledOp {
    /// Mounts a new file system.
    Mount {
        /// The file system's type.
        fstype: CString,
        /// Where it is mounted.
        target: Target,
        /// Its own options: key, and value if it has one.
        options: Vec<(CString, Option<CString>)>,
        /// `ATTR_*`.
        attrs: u64,
        /// The target may not be reached through a symlink.
        system: bool,
    },
    /// Mounts a file system of a device or a server.
    FileSystem {
        /// The file system's type.
        fstype: CString,
        /// Where it is mounted.
        target: Target,
        /// `source`, and its own options.
        options: Vec<(CString, Option<CString>)>,
        /// `ATTR_*`.
        attrs: u64,
        /// The mount, made beforehand.
        early: Option<OwnedFd>,
    },
    /// Binds a path of the host.
    Bind {
        /// The path on the host.
        source: CString,
        /// What is bound of it.
        below: Option<CString>,
        /// Where it is bound.
        target: Target,
        /// With the mounts below it.
        recursive: bool,
        /// These stay writable if it is read-only.
        writable_below: bool,
        /// `ATTR_*`.
        attrs: u64,
        /// `MS_PRIVATE`, `MS_SLAVE` or `MS_SHARED`.
        propagation: u64,
        /// What is made as the target if it is missing.
        on: BindOn,
        /// The copy of the source, where it was made beforehand.
        early: Option<OwnedFd>,
    },
    /// Mounts an image.
    Image(CompiledImage),
    /// Makes a device node.
    Node {
        /// Its path in the container.
        path: CString,
        /// A block device, not a character device.
        block: bool,
        /// Major and minor, as mknod(2) takes them.
        device: u64,
        /// Permission bits.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// Binds the other container's `/dev/shm`.
    SharedMemory {
        /// Where it is bound.
        target: Target,
    },
    /// Makes a symlink.
    Symlink {
        /// Its path in the container.
        path: CString,
        /// Its target.
        to: CString,
    },
    /// Makes a folder.
    Directory {
        /// Its path in the container.
        path: CString,
        /// Permission bits.
        mode: u32,
    },
    /// Sets a sysctl.
    Sysctl {
        /// The file below `/proc/sys`.
        path: CString,
        /// What is written.
        value: Vec<u8>,
    },
    /// Hides a file or a folder.
    Mask {
        /// The hidden path.
        path: CString,
    },
    /// Makes a path read-only.
    ReadOnly {
        /// The path.
        path: CString,
    },
}

/// The program and its credentials, with C strings.
pub struct CompiledProcess {
    /// Where the program may be: the one path given, or one per folder of `PATH`.
    pub candidates: Vec<CString>,
    /// The program's arguments, its own name first.
    pub argv: CStrings,
    /// The environment, with room for `HOME`.
    pub env: CStrings,
    /// The environment has no `HOME`: the user's is added.
    pub home_missing: bool,
    /// The working directory, made if it is missing.
    pub cwd: Target,
    /// The same as one string, for chdir(2).
    pub cwd_path: CString,
    /// The user.
    pub user: CompiledIdentity,
    /// The group; absent: the user's own.
    pub group: Option<CompiledIdentity>,
    /// Additional groups.
    pub extra_groups: Vec<CompiledIdentity>,
    /// Capability sets.
    pub caps: CapMasks,
    /// prctl(2), PR_SET_NO_NEW_PRIVS.
    pub no_new_privs: bool,
    /// Resource limits.
    pub rlimits: Vec<RlimitPlan>,
    /// The filter's program; empty: none.
    pub seccomp: Vec<u64>,
    /// The program gets a terminal.
    pub terminal: bool,
    /// The terminal's rows and columns.
    pub terminal_size: Option<(u16, u16)>,
    /// The text for `/proc/self/oom_score_adj`.
    pub oom_score_adj: Option<Vec<u8>>,
    /// The program dies with the shim (PR_SET_PDEATHSIG).
    pub parent_death_signal: bool,
    /// Memory for looking up users and groups.
    pub buffers: Buffers,
}

/// Compiles a plan.
pub fn compile(plan: &InitPlan) -> Result<CompiledPlan, CompileError> {
    Ok(CompiledPlan {
        spaces: plan.spaces,
        hostname: plan.hostname.as_ref().map(|name| name.clone().into_bytes()),
        domainname: plan.domainname.as_ref().map(|name| name.clone().into_bytes()),
        root: compile_root(&plan.root)?,
        ops: plan.ops.iter().map(|op| compile_op(op, &plan.root)).collect::<Result<_, _>>()?,
        process: compile_process(&plan.process)?,
    })
}

fn compile_root(root: &RootPlan) -> Result<CompiledRoot, CompileError> {
    // overlayfs lists the topmost layer first.
    let all = root.lower.iter().rev().chain([&root.upper, &root.work]);
    let folders = all.map(|path| c_path(path)).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = (FIRST_FOLDER..).take(folders.len()).map(|n| format!("/proc/self/fd/{n}")).collect();
    let (lower, rest) = names.split_at(root.lower.len());
    let volatile = if root.volatile { ",volatile" } else { "" };
    let data = format!("lowerdir={},upperdir={},workdir={}{volatile}", lower.join(":"), rest[0], rest[1]);
    if data.len() >= 4096 {
        return Err(CompileError::TooManyLayers(root.lower.len()));
    }
    Ok(CompiledRoot {
        data: c_string(&data)?,
        folders,
        mountpoint: c_path(&root.mountpoint)?,
        read_only: root.read_only,
    })
}

type Compiled = Vec<(CString, Option<CString>)>;

fn compile_options(options: &[(String, Option<String>)]) -> Result<Compiled, CompileError> {
    options.iter().map(|(key, value)| Ok((c_string(key)?, value.as_deref().map(c_string).transpose()?))).collect()
}

fn compile_image(
    layers: &[PathBuf],
    below: Option<&String>,
    target: &str,
    root: &RootPlan,
) -> Result<CompiledOp, CompileError> {
    // overlayfs takes two or more.
    let names: Vec<String> = (IMAGE_FOLDER..).take(layers.len()).map(|n| format!("/proc/self/fd/{n}")).collect();
    let data = format!("lowerdir={}", names.join(":"));
    if data.len() >= 4096 {
        return Err(CompileError::TooManyLayers(layers.len()));
    }
    Ok(CompiledOp::Image(CompiledImage {
        data: if layers.len() > 1 { Some(c_string(&data)?) } else { None },
        folders: layers.iter().rev().map(|path| c_path(path)).collect::<Result<_, _>>()?,
        scratch: c_path(&root.mountpoint)?,
        below: below.map(|path| c_string(path)).transpose()?,
        target: compile_target(target)?,
    }))
}

fn compile_op(op: &InitOp, root: &RootPlan) -> Result<CompiledOp, CompileError> {
    Ok(match op {
        InitOp::Mount { fstype, target, options, attrs, system } => CompiledOp::Mount {
            fstype: c_string(fstype)?,
            target: compile_target(target)?,
            options: compile_options(options)?,
            attrs: *attrs,
            system: *system,
        },
        InitOp::FileSystem { fstype, target, options, attrs } => CompiledOp::FileSystem {
            fstype: c_string(fstype)?,
            target: compile_target(target)?,
            options: compile_options(options)?,
            attrs: *attrs,
            early: None,
        },
        InitOp::Image { layers, below, target } => compile_image(layers, below.as_ref(), target, root)?,
        InitOp::Bind { source, below, target, recursive, writable_below, attrs, propagation, on } => CompiledOp::Bind {
            source: c_path(source)?,
            below: below.as_deref().map(c_string).transpose()?,
            target: compile_target(target)?,
            recursive: *recursive,
            writable_below: *writable_below,
            attrs: *attrs,
            propagation: *propagation,
            on: *on,
            early: None,
        },
        InitOp::Node { path, block, major, minor, mode, uid, gid } => CompiledOp::Node {
            path: c_string(path)?,
            block: *block,
            device: rustix::fs::makedev(*major, *minor),
            mode: *mode,
            uid: *uid,
            gid: *gid,
        },
        InitOp::SharedMemory { target } => CompiledOp::SharedMemory { target: compile_target(target)? },
        InitOp::Symlink { path, to } => CompiledOp::Symlink { path: c_string(path)?, to: c_string(to)? },
        InitOp::Directory { path, mode } => CompiledOp::Directory { path: c_string(path)?, mode: *mode },
        InitOp::Sysctl { key, value } => {
            CompiledOp::Sysctl { path: c_string(&format!("proc/sys/{key}"))?, value: value.clone().into_bytes() }
        }
        InitOp::Mask { path } => CompiledOp::Mask { path: c_string(path)? },
        InitOp::ReadOnly { path } => CompiledOp::ReadOnly { path: c_string(path)? },
    })
}

/// Compiles the process alone: for `exec`, too.
pub fn compile_process(process: &ProcessPlan) -> Result<CompiledProcess, CompileError> {
    let program = process.args.first().map(String::as_str).unwrap_or_default();
    let env = process.env.iter().map(|e| c_string(e)).collect::<Result<Vec<_>, _>>()?;
    let UserPlan { user, group, extra_groups } = &process.user;
    Ok(CompiledProcess {
        candidates: candidates(program, &process.env)?,
        argv: CStrings::new(process.args.iter().map(|a| c_string(a)).collect::<Result<_, _>>()?),
        env: CStrings::new(env),
        home_missing: !process.env.iter().any(|e| e.starts_with("HOME=")),
        cwd: compile_target(process.cwd.trim_start_matches('/'))?,
        cwd_path: c_string(if process.cwd.is_empty() { "/" } else { &process.cwd })?,
        user: compile_identity(user),
        group: group.as_ref().map(compile_identity),
        extra_groups: extra_groups.iter().map(compile_identity).collect(),
        caps: process.caps,
        no_new_privs: process.no_new_privs,
        rlimits: process.rlimits.clone(),
        seccomp: process.seccomp.clone(),
        terminal: process.terminal,
        terminal_size: process.terminal_size,
        oom_score_adj: process.oom_score_adj.map(|value| value.to_string().into_bytes()),
        parent_death_signal: process.parent_death_signal,
        buffers: Buffers::default(),
    })
}

/// As execvp(3): a name without a slash is looked for in `PATH`.
fn candidates(program: &str, env: &[String]) -> Result<Vec<CString>, CompileError> {
    if program.contains('/') {
        return Ok(vec![c_string(program)?]);
    }
    let path = env.iter().find_map(|e| e.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    path.split(':').map(|dir| c_string(&format!("{}/{program}", if dir.is_empty() { "." } else { dir }))).collect()
}

fn compile_identity(identity: &Identity) -> CompiledIdentity {
    match identity {
        Identity::Id(id) => CompiledIdentity::Id(*id),
        Identity::Name(name) => CompiledIdentity::Name(name.clone().into_bytes()),
    }
}

fn compile_target(path: &str) -> Result<Target, CompileError> {
    let mut prefixes = Vec::new();
    let mut prefix = String::new();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if !prefix.is_empty() {
            prefix.push('/');
        }
        prefix.push_str(part);
        prefixes.push(c_string(&prefix)?);
    }
    if prefixes.is_empty() {
        prefixes.push(c_string(".")?);
    }
    Ok(Target { prefixes })
}

fn c_path(path: &Path) -> Result<CString, CompileError> {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_os_str().as_bytes()).map_err(|_: NulError| CompileError::Null(path.display().to_string()))
}

fn c_string(text: &str) -> Result<CString, CompileError> {
    CString::new(text).map_err(|_: NulError| CompileError::Null(text.escape_default().to_string()))
}
