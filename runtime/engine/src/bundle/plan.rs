//! An OCI runtime spec as an init plan: what can't be understood is refused here, before anything is touched.

use super::powers::powers;
use super::spec::{OF_HOST, SHM, SUBPATH};
use super::{BundleError, Facts};
use crate::config::{Config, IpcMode, MountKind, Namespaces, PidMode};
use oci_spec::runtime::{LinuxDeviceType, Mount, Spec};
use rcr_shim::init::plan::{BindOn, InitOp, InitPlan, ProcessPlan, RootPlan, Spaces, UserPlan};
use rcr_shim::sys::mount::{
    ATTR_NOATIME, ATTR_NODEV, ATTR_NODIRATIME, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY, ATTR_STRICTATIME,
};
use std::path::Path;

const MS_PRIVATE: u64 = libc::MS_PRIVATE;
const MS_SLAVE: u64 = libc::MS_SLAVE;
const MS_SHARED: u64 = libc::MS_SHARED;

/// The nodes every container has: name, major, minor (admin-guide/devices.txt).
const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// Sysctls of namespaces that every container has its own of (sysctl(8) names without the dots).
const NAMESPACED_SYSCTLS: [&str; 3] = ["kernel/shm", "kernel/msg", "fs/mqueue/"];

/// Compiles the spec. What OCI leaves to the runtime (devices, the user's name, seccomp) comes from the config.
pub fn init_plan(spec: &Spec, config: &Config, facts: &Facts) -> Result<InitPlan, BundleError> {
    let (mut ops, mut last) = (Vec::new(), Vec::new());
    for mount in spec.mounts().iter().flatten() {
        if mount.typ().as_deref().is_some_and(|typ| typ.starts_with("cgroup")) {
            last.push(mount_op(mount, facts)?);
            continue;
        }
        ops.push(match special_op(mount, config) {
            Some(op) => op,
            None => mount_op(mount, facts)?,
        });
        if mount.destination() == Path::new("/dev") {
            ops.extend(device_ops(spec));
        }
    }
    let legacy = last.iter().any(|op| matches!(op, InitOp::Mount { fstype, .. } if fstype == "cgroup"));
    if legacy && !config.security.privileged && !config.security.writable_cgroups {
        // The hierarchies are mounted read-only already; what holds them is not.
        last.push(InitOp::ReadOnly { path: "sys/fs/cgroup".into() });
    }
    let linux = spec.linux().as_ref().ok_or_else(|| BundleError::Invalid("the spec has no linux part".into()))?;
    let mut sysctls: Vec<_> = linux.sysctl().iter().flatten().collect();
    sysctls.sort();
    for (key, value) in sysctls {
        ops.push(InitOp::Sysctl { key: sysctl_path(key, &config.namespaces, facts)?, value: value.clone() });
    }
    for path in linux.masked_paths().iter().flatten() {
        last.push(InitOp::Mask { path: relative(path) });
    }
    for path in linux.readonly_paths().iter().flatten() {
        last.push(InitOp::ReadOnly { path: relative(path) });
    }
    ops.append(&mut last);
    let mountpoint = facts.run_dir.join("rootfs");
    Ok(InitPlan {
        spaces: spaces(&config.namespaces),
        hostname: spec.hostname().clone(),
        domainname: spec.domainname().clone(),
        root: RootPlan {
            lower: facts.lower.clone(),
            upper: facts.container_dir.join("snapshot/upper"),
            work: facts.container_dir.join("snapshot/work"),
            mountpoint,
            read_only: config.read_only,
            volatile: config.auto_remove,
        },
        ops,
        process: process_plan(spec, config, facts)?,
    })
}

/// Mounts that OCI has no words for: another container's shared memory, and an image.
fn special_op(mount: &Mount, config: &Config) -> Option<InitOp> {
    let target = mount.destination();
    if matches!(config.namespaces.ipc, IpcMode::Container(_)) && target == Path::new(SHM) {
        return Some(InitOp::SharedMemory { target: relative(SHM) });
    }
    config.mounts.iter().find(|own| Path::new(&own.target) == target).and_then(|own| match &own.kind {
        MountKind::Image { layers, subpath, .. } => {
            Some(InitOp::Image { layers: layers.clone(), below: subpath.clone(), target: relative(target) })
        }
        _ => None,
    })
}

/// What the container gets of its own; what it shares is inherited or joined.
fn spaces(shared: &Namespaces) -> Spaces {
    Spaces {
        pid: shared.pid == PidMode::Private,
        ipc: !matches!(shared.ipc, IpcMode::Host | IpcMode::Container(_)),
        uts: !shared.uts_host,
        cgroup: !shared.cgroup_host,
    }
}

fn process_plan(spec: &Spec, config: &Config, facts: &Facts) -> Result<ProcessPlan, BundleError> {
    let process = spec.process().as_ref().ok_or_else(|| BundleError::Invalid("the spec has no process".into()))?;
    let powers = powers(&config.security, facts.capabilities)?;
    let user = UserPlan::parse(&config.process.user).map_err(BundleError::Invalid)?;
    let user = user.with_groups(&config.process.group_add, &config.process.group_names);
    Ok(ProcessPlan {
        args: process.args().clone().unwrap_or_default(),
        env: process.env().clone().unwrap_or_default(),
        cwd: process.cwd().display().to_string(),
        user,
        caps: powers.caps,
        no_new_privs: powers.no_new_privs,
        rlimits: config.rlimits.clone(),
        seccomp: powers.seccomp,
        terminal: process.terminal().unwrap_or(false),
        terminal_size: None,
        oom_score_adj: process.oom_score_adj(),
        parent_death_signal: true,
    })
}

fn relative(path: impl AsRef<Path>) -> String {
    path.as_ref().display().to_string().trim_start_matches('/').to_owned()
}

/// Options of mount(8) as attributes, propagation, and what is left for the file system itself.
struct Options {
    attrs: u64,
    propagation: u64,
    recursive: bool,
    /// What is below a read-only mount stays as it is.
    top_only: bool,
    data: Vec<(String, Option<String>)>,
}

fn options(mount: &Mount) -> Options {
    let mut all = Options { attrs: 0, propagation: MS_PRIVATE, recursive: false, top_only: false, data: Vec::new() };
    for option in mount.options().iter().flatten() {
        match option.as_str() {
            "ro" => (all.attrs, all.top_only) = (all.attrs | ATTR_RDONLY, true),
            "rro" => all.attrs |= ATTR_RDONLY,
            "noatime" => all.attrs |= ATTR_NOATIME,
            "nodiratime" => all.attrs |= ATTR_NODIRATIME,
            "strictatime" => all.attrs |= ATTR_STRICTATIME,
            "nosuid" => all.attrs |= ATTR_NOSUID,
            "nodev" => all.attrs |= ATTR_NODEV,
            "noexec" => all.attrs |= ATTR_NOEXEC,
            "rw" | "suid" | "dev" | "exec" | "bind" | "private" | "rprivate" | "relatime" => {}
            "rbind" => all.recursive = true,
            "slave" | "rslave" => all.propagation = MS_SLAVE,
            "shared" | "rshared" => all.propagation = MS_SHARED,
            data => all.data.push(key_value(data)),
        }
    }
    all
}

fn key_value(option: &str) -> (String, Option<String>) {
    match option.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (option.to_owned(), None),
    }
}

fn mount_op(mount: &Mount, facts: &Facts) -> Result<InitOp, BundleError> {
    let target = mount.destination();
    let text = target.display().to_string();
    if !target.is_absolute() || target.components().any(|c| c == std::path::Component::ParentDir) {
        return Err(BundleError::Invalid(format!("mount target `{text}` is not an absolute path")));
    }
    let Options { attrs, propagation, recursive, top_only, mut data } = options(mount);
    let fstype = mount.typ().clone().unwrap_or_default();
    if mount.options().iter().flatten().any(|option| option == OF_HOST) {
        let source = mount.source().clone().unwrap_or_default();
        let told = data.into_iter().filter(|(key, _)| key == OF_HOST).filter_map(|(_, option)| option);
        let options =
            std::iter::once(format!("source={}", source.display())).chain(told).map(|o| key_value(&o)).collect();
        return Ok(InitOp::FileSystem { fstype, target: relative(target), options, attrs });
    }
    if fstype != "bind" {
        let system = ["/proc", "/sys", "/dev"].iter().any(|root| target.starts_with(root));
        return Ok(InitOp::Mount { fstype, target: relative(target), options: data, attrs, system });
    }
    let source = mount.source().clone().unwrap_or_default();
    let is_subpath = |(key, _): &(String, Option<String>)| key == SUBPATH;
    let below = data.iter().position(is_subpath).and_then(|at| data.remove(at).1);
    if let Some((option, _)) = data.first() {
        return Err(BundleError::Invalid(format!("a bind mount has no option `{option}`")));
    }
    let own = source.parent() == Some(&facts.files_dir) || source == facts.init_program;
    let on = if own { BindOn::OwnFile } else { BindOn::Alike };
    let writable_below = top_only && recursive;
    Ok(InitOp::Bind { source, below, target: relative(target), recursive, writable_below, attrs, propagation, on })
}

fn device_ops(spec: &Spec) -> Vec<InitOp> {
    let node = |(name, major, minor): (&str, u32, u32)| InitOp::Node {
        path: format!("dev/{name}"),
        block: false,
        major,
        minor,
        mode: 0o666,
        uid: 0,
        gid: 0,
    };
    let mut ops: Vec<InitOp> = NODES.into_iter().map(node).collect();
    ops.extend(LINKS.map(|(path, to)| InitOp::Symlink { path: format!("dev/{path}"), to: to.to_owned() }));
    let devices = spec.linux().as_ref().and_then(|linux| linux.devices().as_ref());
    for device in devices.into_iter().flatten() {
        let path = relative(device.path());
        // What every container has is its own already.
        let own = NODES.iter().map(|(name, ..)| *name).chain(LINKS.iter().map(|(name, _)| *name));
        if own.into_iter().any(|name| path == format!("dev/{name}")) {
            continue;
        }
        for (at, _) in path.match_indices('/').skip(1) {
            ops.push(InitOp::Directory { path: path[..at].to_owned(), mode: 0o755 });
        }
        ops.push(InitOp::Node {
            block: device.typ() == LinuxDeviceType::B,
            major: device.major().try_into().unwrap_or_default(),
            minor: device.minor().try_into().unwrap_or_default(),
            mode: device.file_mode().unwrap_or(0o600),
            uid: device.uid().unwrap_or(0),
            gid: device.gid().unwrap_or(0),
            path,
        });
    }
    ops
}

/// `net.ipv4.ip_forward` → `net/ipv4/ip_forward`; only what belongs to a namespace of the container's own.
fn sysctl_path(key: &str, shared: &Namespaces, facts: &Facts) -> Result<String, BundleError> {
    let refuse = |why: &str| Err(BundleError::Invalid(format!("sysctl `{key}` {why}")));
    // A name with slashes may have dots inside its parts (sysctl(8)).
    let path = if key.contains('/') { key.to_owned() } else { key.replace('.', "/") };
    if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return refuse("is not a name");
    }
    if path.starts_with("net/") {
        return if facts.host_network {
            refuse("would change the host: the container has no network of its own")
        } else {
            Ok(path)
        };
    }
    let own = NAMESPACED_SYSCTLS.iter().any(|prefix| path.starts_with(prefix)) || path == "kernel/sem";
    if own && matches!(shared.ipc, IpcMode::Host | IpcMode::Container(_)) {
        return refuse("would change others: the container has no IPC namespace of its own");
    }
    if own { Ok(path) } else { refuse("is not namespaced: it would change the host") }
}
