//! The init plan with every string made ready for system calls, so that the child need not allocate.

use super::plan::{
    BindOn, CapMasks, DEFAULT_PATH, Identity, InitOp, InitPlan, ProcessPlan, RlimitPlan, RootPlan, UserPlan,
};
use super::user::{Buffers, CompiledIdentity};
use crate::sys::exec::CStrings;
use std::ffi::{CString, NulError};
use std::path::Path;

/// Why a plan can't be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    #[error("`{0}` holds a null byte")]
    Null(String),
    #[error("the image has {0} layers; one overlay takes about 200")]
    TooManyLayers(usize),
}

/// A whole container start, compiled.
pub struct CompiledPlan {
    pub hostname: Option<Vec<u8>>,
    pub domainname: Option<Vec<u8>>,
    pub root: CompiledRoot,
    pub ops: Vec<CompiledOp>,
    pub late_ops: Vec<CompiledOp>,
    pub process: CompiledProcess,
}

/// The overlay's mount data names its folders by descriptor: short enough for 200 layers in the one page that mount(2)
/// takes, and the container's mount table then shows no host path. The child opens them, at numbers fixed here:
/// overlayfs takes only folders of the mount namespace it is mounted in.
pub struct CompiledRoot {
    pub data: CString,
    /// Opened as [`FIRST_FOLDER`] and up.
    pub folders: Vec<CString>,
    pub mountpoint: CString,
    pub read_only: bool,
}

/// Above any descriptor that the shim holds when it clones.
pub const FIRST_FOLDER: i32 = 500;

/// A path in the container with all its prefixes: `a`, `a/b`, `a/b/c`.
pub struct Target {
    pub prefixes: Vec<CString>,
}

impl Target {
    /// The whole path.
    pub fn full(&self) -> &CString {
        // An empty path is compiled to one prefix, `.`: there is always a last one.
        &self.prefixes[self.prefixes.len() - 1]
    }
}

pub enum CompiledOp {
    Mount { fstype: CString, target: Target, options: Vec<(CString, Option<CString>)>, attrs: u64, system: bool },
    Bind { source: CString, target: Target, recursive: bool, attrs: u64, propagation: u64, on: BindOn },
    Node { path: CString, block: bool, device: u64, mode: u32, uid: u32, gid: u32 },
    Symlink { path: CString, to: CString },
    Directory { path: CString, mode: u32 },
    Sysctl { path: CString, value: Vec<u8> },
    Mask { path: CString },
    ReadOnly { path: CString },
}

pub struct CompiledProcess {
    /// Where the program may be: the one path given, or one per folder of `PATH`.
    pub candidates: Vec<CString>,
    pub argv: CStrings,
    pub env: CStrings,
    pub home_missing: bool,
    pub cwd: Target,
    pub cwd_path: CString,
    pub user: CompiledIdentity,
    pub group: Option<CompiledIdentity>,
    pub extra_groups: Vec<CompiledIdentity>,
    pub caps: CapMasks,
    pub no_new_privs: bool,
    pub rlimits: Vec<RlimitPlan>,
    pub seccomp: Vec<u64>,
    pub terminal: bool,
    pub terminal_size: Option<(u16, u16)>,
    pub oom_score_adj: Option<Vec<u8>>,
    pub parent_death_signal: bool,
    pub buffers: Buffers,
}

/// Compiles a plan.
pub fn compile(plan: &InitPlan) -> Result<CompiledPlan, CompileError> {
    Ok(CompiledPlan {
        hostname: plan.hostname.as_ref().map(|name| name.clone().into_bytes()),
        domainname: plan.domainname.as_ref().map(|name| name.clone().into_bytes()),
        root: compile_root(&plan.root)?,
        ops: plan.ops.iter().map(compile_op).collect::<Result<_, _>>()?,
        late_ops: plan.late_ops.iter().map(compile_op).collect::<Result<_, _>>()?,
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

fn compile_op(op: &InitOp) -> Result<CompiledOp, CompileError> {
    Ok(match op {
        InitOp::Mount { fstype, target, options, attrs, system } => CompiledOp::Mount {
            fstype: c_string(fstype)?,
            target: compile_target(target)?,
            options: options
                .iter()
                .map(|(key, value)| Ok((c_string(key)?, value.as_deref().map(c_string).transpose()?)))
                .collect::<Result<_, CompileError>>()?,
            attrs: *attrs,
            system: *system,
        },
        InitOp::Bind { source, target, recursive, attrs, propagation, on } => CompiledOp::Bind {
            source: c_path(source)?,
            target: compile_target(target)?,
            recursive: *recursive,
            attrs: *attrs,
            propagation: *propagation,
            on: *on,
        },
        InitOp::Node { path, block, major, minor, mode, uid, gid } => CompiledOp::Node {
            path: c_string(path)?,
            block: *block,
            device: rustix::fs::makedev(*major, *minor),
            mode: *mode,
            uid: *uid,
            gid: *gid,
        },
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
