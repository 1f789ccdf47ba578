//! A container's config as an OCI runtime spec (runtime-spec 1.2, config.md and config-linux.md).

use super::{BundleError, CgroupKind, Facts};
use super::{caps, limits};
use crate::config::{Config, IpcMode, Mount as UserMount, MountKind, PidMode, Propagation};
use oci_spec::runtime::{
    Capability, LinuxBuilder, LinuxCapabilitiesBuilder, LinuxDeviceBuilder, LinuxDeviceCgroup,
    LinuxDeviceCgroupBuilder, LinuxDeviceType, LinuxNamespaceBuilder, LinuxNamespaceType, LinuxResources, Mount,
    MountBuilder, ProcessBuilder, RootBuilder, Spec, SpecBuilder,
};
use rcr_shim::init::plan::UserPlan;
use rcr_shim::tiny_init;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

/// Hidden from every container but a privileged one: what shows or changes the host.
const MASKED: [&str; 20] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/kpagecgroup",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/bpf",
    "/sys/fs/selinux",
    "/sys/kernel/debug",
    "/sys/kernel/security",
    "/sys/kernel/tracing",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// An option of our own: marks a file system that the host reaches, and the options that are the file system's.
pub(super) const OF_HOST: &str = "of-host";
/// An option of our own: what of a bind's source is mounted.
pub(super) const SUBPATH: &str = "subpath";
/// Where shared memory has its files.
pub(super) const SHM: &str = "/dev/shm";

/// Makes the spec.
pub fn spec(config: &Config, facts: &Facts) -> Result<Spec, BundleError> {
    let mut builder = SpecBuilder::default()
        .version("1.2.0")
        .root(RootBuilder::default().path("rootfs").readonly(config.read_only).build()?)
        .process(process(config, facts)?)
        .mounts(mounts(config, facts)?)
        .linux(linux(config, facts)?);
    if !config.annotations.is_empty() {
        builder = builder.annotations(config.annotations.clone().into_iter().collect::<HashMap<_, _>>());
    }
    let name = config.hostname.as_ref().filter(|_| !config.namespaces.uts_host);
    if let Some(hostname) = name {
        builder = builder.hostname(hostname);
    }
    if let Some(domainname) = &config.domainname {
        builder = builder.domainname(domainname);
    }
    Ok(builder.build()?)
}

fn process(config: &Config, facts: &Facts) -> Result<oci_spec::runtime::Process, BundleError> {
    UserPlan::parse(&config.process.user).map_err(BundleError::Invalid)?;
    let masks = caps::masks(&config.security, facts.capabilities)?;
    let set = |mask: u64| -> HashSet<Capability> {
        let names = ::caps::all().into_iter().filter(|c| mask & caps::bit(*c) != 0);
        names.filter_map(|c| c.to_string().trim_start_matches("CAP_").parse().ok()).collect()
    };
    let capabilities = LinuxCapabilitiesBuilder::default()
        .bounding(set(masks.bounding))
        .effective(set(masks.effective))
        .permitted(set(masks.permitted))
        .inheritable(set(masks.inheritable))
        .ambient(set(masks.ambient))
        .build()?;
    let mut args = config.process.args.clone();
    if config.init {
        args.splice(0..0, [format!("/{}", tiny_init::PATH_IN_CONTAINER)]);
    }
    let mut builder = ProcessBuilder::default()
        .terminal(config.process.terminal)
        .args(args)
        .env(config.process.env.clone())
        .cwd(&config.process.cwd)
        .capabilities(capabilities)
        .rlimits(Vec::new())
        .no_new_privileges(config.security.no_new_privs);
    if let Some(adjustment) = config.resources.oom_score_adj {
        builder = builder.oom_score_adj(adjustment);
    }
    Ok(builder.build()?)
}

fn mount(target: &str, fstype: &str, options: &[&str]) -> Result<Mount, BundleError> {
    let options = options.iter().map(|o| o.to_string()).collect::<Vec<_>>();
    Ok(MountBuilder::default().destination(target).typ(fstype).source(fstype).options(options).build()?)
}

fn mounts(config: &Config, facts: &Facts) -> Result<Vec<Mount>, BundleError> {
    let sys = if config.security.privileged { "rw" } else { "ro" };
    let shm = format!("size={}", config.resources.shm_size);
    let mut all = vec![
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"])?,
        mount("/dev", "tmpfs", &["nosuid", "noexec", "mode=755", "size=65536k"])?,
        mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"])?,
        mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"])?,
    ];
    match config.namespaces.ipc {
        IpcMode::None => {}
        IpcMode::Host => {
            all.push(bind(SHM, SHM.into(), &["rbind", "rw", "nosuid", "noexec", "nodev", "rprivate"])?);
        }
        // The plan takes another container's own in its place.
        IpcMode::Private | IpcMode::Shareable | IpcMode::Container(_) => {
            all.push(mount(SHM, "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", &shm])?);
        }
    }
    if facts.host_network {
        // A new sysfs shows the network of its namespace and may be mounted only by that namespace's owner; the host's
        // own is bound.
        let sys = if config.security.privileged { "rw" } else { "rro" };
        all.push(bind("/sys", "/sys".into(), &["rbind", sys, "nosuid", "noexec", "nodev", "rprivate"])?);
    } else {
        all.push(mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", sys])?);
    }
    // A cgroup tree of the user's own (`-v /sys/fs/cgroup:/sys/fs/cgroup`) replaces ours.
    if !config.mounts.iter().any(|m| m.target.starts_with("/sys/fs/cgroup")) {
        let access = if config.security.writable_cgroups { "rw" } else { sys };
        all.extend(cgroup_mounts(&facts.cgroup, access)?);
    }
    if config.init {
        let target = format!("/{}", tiny_init::PATH_IN_CONTAINER);
        all.push(bind(&target, facts.init_program.clone(), &["bind", "ro", "nosuid", "nodev", "rprivate"])?);
    }
    // Outer targets first, whatever the order of the flags.
    let mut user: Vec<&UserMount> = config.mounts.iter().collect();
    user.sort_by_key(|m| m.target.split('/').filter(|part| !part.is_empty()).count());
    for m in &user {
        all.push(user_mount(m)?);
    }
    for (target, file) in [("/etc/resolv.conf", "resolv.conf"), ("/etc/hostname", "hostname"), ("/etc/hosts", "hosts")]
    {
        if !user.iter().any(|m| m.target == target) {
            all.push(bind(target, facts.files_dir.join(file), &["bind", "nosuid", "nodev", "noexec", "rprivate"])?);
        }
    }
    Ok(all)
}

fn cgroup_mounts(kind: &CgroupKind, access: &str) -> Result<Vec<Mount>, BundleError> {
    let flags = ["nosuid", "noexec", "nodev", access];
    match kind {
        CgroupKind::Unified => Ok(vec![mount("/sys/fs/cgroup", "cgroup2", &flags)?]),
        CgroupKind::Legacy(hierarchies) => {
            let mut all = vec![mount("/sys/fs/cgroup", "tmpfs", &["nosuid", "noexec", "nodev", "mode=755"])?];
            for (name, options) in hierarchies {
                let mut with: Vec<&str> = flags.to_vec();
                with.extend(options.split(','));
                all.push(mount(&format!("/sys/fs/cgroup/{name}"), "cgroup", &with)?);
            }
            Ok(all)
        }
    }
}

fn bind(target: &str, source: PathBuf, options: &[&str]) -> Result<Mount, BundleError> {
    let options = options.iter().map(|o| o.to_string()).collect::<Vec<_>>();
    Ok(MountBuilder::default().destination(target).typ("bind").source(source).options(options).build()?)
}

fn user_mount(m: &UserMount) -> Result<Mount, BundleError> {
    let access = if m.read_only { "ro" } else { "rw" };
    match &m.kind {
        MountKind::Bind { source, recursive, propagation, dev, suid, writable_below } => {
            let how = if *recursive { "rbind" } else { "bind" };
            // `ro` is about this mount alone, `rro` about those below it, too (runtime-spec, config.md, "mounts").
            let access = if m.read_only && !writable_below { "rro" } else { access };
            let propagation = match propagation {
                Propagation::Private => "rprivate",
                Propagation::Slave => "rslave",
                Propagation::Shared => "rshared",
            };
            let (dev, suid) = (if *dev { "dev" } else { "nodev" }, if *suid { "suid" } else { "nosuid" });
            bind(&m.target, source.clone(), &[how, access, suid, dev, propagation])
        }
        MountKind::Volume { memory: Some(options), .. } => {
            let mut all = vec!["nosuid", "nodev", access];
            all.extend(options.iter().map(String::as_str));
            mount(&m.target, "tmpfs", &all)
        }
        MountKind::Volume { file_system: Some(it), .. } => {
            let closed = [("nosuid", "suid"), ("nodev", "dev")].into_iter();
            let closed = closed.filter(|(_, open)| !it.flags.iter().any(|flag| flag == open)).map(|(closed, _)| closed);
            let mut all: Vec<String> = closed.chain([access, OF_HOST]).map(str::to_owned).collect();
            all.extend(it.flags.iter().cloned());
            all.extend(it.options.iter().map(|option| format!("{OF_HOST}={option}")));
            let built = MountBuilder::default().destination(&m.target).typ(&it.fstype).source(&it.device).options(all);
            Ok(built.build()?)
        }
        MountKind::Volume { source, subpath, .. } => {
            let access = if m.read_only { "rro" } else { access };
            let below = subpath.as_ref().map(|path| format!("{SUBPATH}={path}"));
            let mut all = vec!["rbind", access, "nosuid", "nodev", "rprivate"];
            all.extend(below.as_deref());
            bind(&m.target, source.clone(), &all)
        }
        // Its layers are the plan's.
        MountKind::Image { .. } => mount(&m.target, "overlay", &["ro", "nosuid", "nodev"]),
        MountKind::Tmpfs { options } => mount(&m.target, "tmpfs", &tmpfs_options(options, access)),
    }
}

/// nosuid, nodev and noexec unless the opposite is asked for, as with Docker.
fn tmpfs_options<'a>(given: &'a [String], access: &'a str) -> Vec<&'a str> {
    let mut all = vec![access];
    for (closed, open) in [("nosuid", "suid"), ("nodev", "dev"), ("noexec", "exec")] {
        all.push(if given.iter().any(|option| option == open) { open } else { closed });
    }
    all.extend(given.iter().map(String::as_str).filter(|option| !all_flags(option)));
    all
}

fn all_flags(option: &str) -> bool {
    ["suid", "nosuid", "dev", "nodev", "exec", "noexec"].contains(&option)
}

fn linux(config: &Config, facts: &Facts) -> Result<oci_spec::runtime::Linux, BundleError> {
    let shared = &config.namespaces;
    let spaces = [
        (true, LinuxNamespaceType::Mount),
        (shared.pid != PidMode::Host, LinuxNamespaceType::Pid),
        (!shared.uts_host, LinuxNamespaceType::Uts),
        (shared.ipc != IpcMode::Host, LinuxNamespaceType::Ipc),
        (!shared.cgroup_host, LinuxNamespaceType::Cgroup),
        (!facts.host_network, LinuxNamespaceType::Network),
    ];
    let namespaces =
        spaces.into_iter().filter(|(own, _)| *own).map(|(_, typ)| LinuxNamespaceBuilder::default().typ(typ).build());
    let owned = |paths: &[&str]| paths.iter().map(|p| p.to_string()).collect::<Vec<_>>();
    let hide = !config.security.privileged && !config.security.open_paths;
    let devices = facts.devices.iter().map(|device| {
        LinuxDeviceBuilder::default()
            .uid(device.uid)
            .gid(device.gid)
            .path(&device.path)
            .typ(if device.block { LinuxDeviceType::B } else { LinuxDeviceType::C })
            .major(device.major)
            .minor(device.minor)
            .file_mode(device.mode)
            .build()
    });
    Ok(LinuxBuilder::default()
        .namespaces(namespaces.collect::<Result<Vec<_>, _>>()?)
        .devices(devices.collect::<Result<Vec<_>, _>>()?)
        .resources(resources(config, facts)?)
        .sysctl(config.sysctls.clone().into_iter().collect::<HashMap<_, _>>())
        .masked_paths(if hide { owned(&MASKED) } else { Vec::new() })
        .readonly_paths(if hide { owned(&READ_ONLY) } else { Vec::new() })
        .build()?)
}

fn resources(config: &Config, facts: &Facts) -> Result<LinuxResources, BundleError> {
    let all_devices = LinuxDeviceCgroupBuilder::default()
        .allow(config.security.privileged)
        .typ(LinuxDeviceType::A)
        .access("rwm")
        .build()?;
    let mut devices = vec![all_devices];
    if !config.security.privileged {
        let given = facts.devices.iter().map(|device| {
            let kind = if device.block { LinuxDeviceType::B } else { LinuxDeviceType::C };
            device_rule(kind, Some(device.major), Some(device.minor), &device.access)
        });
        let opened = config.device_rules.iter().map(|rule| {
            let kind = match rule.kind {
                'b' => LinuxDeviceType::B,
                'c' => LinuxDeviceType::C,
                _ => LinuxDeviceType::A,
            };
            device_rule(kind, rule.major, rule.minor, &rule.access)
        });
        devices.extend(given.chain(opened).collect::<Result<Vec<_>, _>>()?);
    }
    let mut all = limits::limits(&config.resources, &facts.disks)?;
    all.set_devices(Some(devices));
    Ok(all)
}

fn device_rule(
    kind: LinuxDeviceType,
    major: Option<u32>,
    minor: Option<u32>,
    access: &str,
) -> Result<LinuxDeviceCgroup, BundleError> {
    let mut rule = LinuxDeviceCgroupBuilder::default().allow(true).typ(kind).access(access);
    // Absent: any number (runtime-spec, config-linux.md, "Allowed Device list").
    if let Some(major) = major {
        rule = rule.major(major);
    }
    if let Some(minor) = minor {
        rule = rule.minor(minor);
    }
    Ok(rule.build()?)
}
