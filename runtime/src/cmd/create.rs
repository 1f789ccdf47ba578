//! Flags and image defaults → the container's config. All that can be refused is refused here.

use super::{image_defaults, mounts, network_flags};
use crate::cli::container::{CreateArgs, ResourceArgs, SecurityArgs};
use crate::cli::mounts::VolumeFlag;
use crate::cli::{devices, value};
use crate::report;
use netd_api::{ContainerId, NetworkName};
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_engine::config::{
    CONFIG_VERSION, Config, DeviceRule, DeviceUse, Dns, Exposed, ImageUse, Mount, Network, NetworkMode, Process,
    Resources, Security,
};
use rcr_engine::instance::Instance;
use rcr_engine::store::Container;
use rcr_engine::{limits, names};
use rcr_shim::config::RestartPolicy;
use rcr_shim::init::plan::{RlimitPlan, UserPlan};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// What every container's processes may have, unless `--ulimit` says otherwise: no core files on the host's disk, and as
/// many descriptors as systemd gives a service.
const DEFAULT_LIMITS: [RlimitPlan; 2] = [
    RlimitPlan { resource: libc::RLIMIT_CORE, soft: 0, hard: 0 },
    RlimitPlan { resource: libc::RLIMIT_NOFILE, soft: 1024, hard: 524_288 },
];

/// A flag's value that can't be understood.
pub(super) fn flag<T>(name: &str, text: &str, parsed: Result<T, String>) -> Outcome<T> {
    parsed.map_err(|why| Error::new(Kind::Invalid, format!("cannot understand `{name} {text}`")).caused_by(why))
}

pub(super) fn flags<T>(name: &str, texts: &[String], parse: impl Fn(&str) -> Result<T, String>) -> Outcome<Vec<T>> {
    texts.iter().map(|text| flag(name, text, parse(text))).collect()
}

/// Makes the config and takes its name. What is made on the way (volumes) stays, as volumes do; the name is given back on failure
/// by the caller, who owns the container from here on.
pub fn config(instance: &Instance, args: &CreateArgs, attached: bool) -> Outcome<Config> {
    let parsed = Parsed::from(args, instance)?;
    let restart = refuse_early(args)?;
    let images = super::image::store(instance)?;
    let image = super::registry::image_for(instance, &args.image, &args.pull, args.platform.as_deref())?;
    let layers = images.layers(&image)?;
    if has_healthcheck(&images.blob(&image.id)) {
        report::warn(format!("the HEALTHCHECK of `{}` is not run: rcr has no health checks yet", args.image));
    }
    let id = names::new_id().doing(|| "cannot make a container id")?;
    let (defaults, strange) = image_defaults::usable(image.config.config().clone().unwrap_or_default());
    for field in image.strange.iter().chain(&strange) {
        report::warn(format!("image `{}`: {field}", args.image));
    }
    let labels = args.label.iter().map(|text| flag("--label", text, value::label(text)));
    let stop_signal = args.stop_signal.as_deref().or(defaults.stop_signal().as_deref()).unwrap_or("TERM");
    let mut labels_all: BTreeMap<String, String> = defaults.labels().clone().unwrap_or_default().into_iter().collect();
    labels_all.extend(labels.collect::<Outcome<Vec<_>>>()?);
    let host_network = parsed.network.mode == NetworkMode::Host;
    let hostname = match &parsed.shared {
        Some(other) => other.config.hostname.clone(),
        None => hostname(args, &id, host_network)?,
    };
    let mut config = Config {
        version: CONFIG_VERSION,
        name: String::new(),
        created: format!("{:.9}", jiff::Timestamp::now()),
        image: ImageUse { reference: args.image.clone(), id: image.id.to_string(), layers },
        process: process(args, &defaults, hostname.as_deref(), attached)?,
        hostname,
        domainname: args.domainname.clone(),
        labels: labels_all,
        mounts: parsed.tmpfs,
        read_only: args.storage.read_only,
        security: parsed.security,
        init: args.init,
        stop_signal: flag("--stop-signal", stop_signal, value::signal(stop_signal))?,
        stop_timeout: args.stop_timeout,
        resources: parsed.resources,
        rlimits: parsed.rlimits,
        sysctls: parsed.sysctls,
        restart,
        auto_remove: args.rm,
        network: parsed.network,
        dns: parsed.dns,
        extra_hosts: parsed.extra_hosts,
        links: parsed.links,
        devices: parsed.devices,
        device_rules: parsed.device_rules,
        last_addresses: BTreeMap::new(),
        id,
    };
    config.network.exposed.extend(image_ports(&defaults)?);
    config.network.exposed.sort();
    config.network.exposed.dedup();
    let image_volumes = defaults.volumes().clone().unwrap_or_default();
    config.name = take_name(instance, args.name.as_deref(), &config.id, !args.rm)?;
    if let Err(failure) = mounts::add_volumes(instance, &mut config, parsed.volumes, &image_volumes) {
        let left = rcr_engine::remove::forget_anonymous_volumes(&instance.dirs, &config).err().map(|e| e.to_string());
        let _ = instance.containers().release_name(&config.name);
        return Err(failure.leaving(left));
    }
    Ok(config)
}

/// Whether the image's config has a check that Docker would run (`NONE` switches one off). OCI's form of a config does not know it.
fn has_healthcheck(config: &Path) -> bool {
    let config: Option<serde_json::Value> = std::fs::read(config).ok().and_then(|b| serde_json::from_slice(&b).ok());
    let first = config.as_ref().and_then(|config| config.pointer("/config/Healthcheck/Test/0"));
    first.and_then(|test| test.as_str()).is_some_and(|test| !test.is_empty() && test != "NONE")
}

/// What can be refused without the image is refused before it is pulled.
fn refuse_early(args: &CreateArgs) -> Outcome<RestartPolicy> {
    let restart = flag("--restart", &args.restart, args.restart.parse())?;
    if args.rm && restart != RestartPolicy::No {
        return Err(
            Error::new(Kind::Invalid, "`--rm` and `--restart` exclude each other").hint("leave one of them out")
        );
    }
    if let Some(user) = &args.user {
        flag("--user", user, UserPlan::parse(user))?;
    }
    let named = args.security.cap_add.iter().chain(&args.security.cap_drop).filter(|n| !n.eq_ignore_ascii_case("all"));
    for name in named {
        rcr_engine::bundle::caps::parse(name).map_err(|error| Error::new(Kind::Invalid, error.to_string()))?;
    }
    Ok(restart)
}

/// Everything of the flags that needs neither the image nor the disk.
struct Parsed {
    volumes: Vec<VolumeFlag>,
    tmpfs: Vec<Mount>,
    security: Security,
    resources: Resources,
    rlimits: Vec<RlimitPlan>,
    sysctls: BTreeMap<String, String>,
    network: Network,
    dns: Dns,
    extra_hosts: Vec<(String, rcr_engine::config::HostTarget)>,
    links: Vec<(String, String)>,
    devices: Vec<DeviceUse>,
    device_rules: Vec<DeviceRule>,
    /// The container whose network it shares, with its host name.
    shared: Option<Container>,
}

impl Parsed {
    fn from(args: &CreateArgs, instance: &Instance) -> Outcome<Self> {
        let (volumes, tmpfs) = mounts::storage(&args.storage)?;
        let configured = &instance.config.dns;
        let net = &args.network;
        let mode = network_flags::mode(instance, args)?;
        let or = |given: &[String], configured: &[String]| {
            if given.is_empty() { configured.to_vec() } else { given.to_vec() }
        };
        Ok(Self {
            volumes,
            tmpfs,
            security: security(&args.security, &instance.config.security)?,
            resources: resources(&args.resources, &args.storage.shm_size)?,
            rlimits: rlimits(&args.resources.ulimit)?,
            sysctls: flags("--sysctl", &args.security.sysctl, |text| {
                text.split_once('=')
                    .filter(|(key, _)| !key.is_empty())
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .ok_or_else(|| "expected name=value".into())
            })?
            .into_iter()
            .collect(),
            network: network_flags::network(net, &mode)?,
            dns: Dns {
                servers: flags("--dns", &net.dns, |text| text.parse::<IpAddr>().map_err(|_| "not an address".into()))?,
                search: or(&net.dns_search, &configured.search),
                options: or(&net.dns_option, &configured.options),
            },
            extra_hosts: flags("--add-host", &net.add_host, value::add_host)?,
            links: net.link.iter().map(|text| link(instance, text)).collect::<Outcome<_>>()?,
            devices: flags("--device", &args.security.device, devices::device)?,
            device_rules: flags("--device-cgroup-rule", &args.security.device_cgroup_rule, devices::device_rule)?,
            shared: mode.shared,
        })
    }
}

/// `--link container[:name]`: the container must be there, as with Docker; its address is looked up at every start.
fn link(instance: &Instance, text: &str) -> Outcome<(String, String)> {
    let (container, name) = text.split_once(':').unwrap_or((text, text));
    let found = instance.containers().find(container).map_err(|e| e.during(format!("cannot link to `{container}`")))?;
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(Error::new(Kind::Invalid, format!("cannot understand `--link {text}`"))
            .caused_by("the name is empty or has spaces"));
    }
    Ok((found.config.id.to_string(), name.trim_start_matches('/').to_owned()))
}

fn hostname(args: &CreateArgs, id: &ContainerId, host_network: bool) -> Outcome<Option<String>> {
    match &args.hostname {
        // sethostname(2) takes 64 bytes.
        Some(name)
            if name.is_empty() || name.len() > 64 || name.contains(|c: char| c.is_whitespace() || c.is_control()) =>
        {
            Err(Error::new(Kind::Invalid, format!("cannot use `{name}` as a host name"))
                .caused_by("it must have 1 to 64 bytes and no white space"))
        }
        Some(name) => Ok(Some(name.clone())),
        None if host_network => {
            let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
            Ok(Some(name))
        }
        None => Ok(Some(id.short().to_owned())),
    }
}

fn take_name(instance: &Instance, wanted: Option<&str>, id: &ContainerId, durable: bool) -> Outcome<String> {
    if let Some(name) = wanted {
        name.parse::<NetworkName>().map_err(|e| {
            Error::new(Kind::Invalid, format!("cannot use `{name}` as a container name"))
                .caused_by(format!("it {}", e.why))
        })?;
        instance.containers().claim_name(name, id, durable)?;
        return Ok(name.to_owned());
    }
    let made = || names::random_name().doing(|| "cannot make a container name");
    for _ in 0..8 {
        let name = made()?;
        if instance.containers().claim_name(&name, id, durable).is_ok() {
            return Ok(name);
        }
    }
    let name = format!("{}_{}", made()?, &id.as_str()[..6]);
    instance.containers().claim_name(&name, id, durable)?;
    Ok(name)
}

fn process(
    args: &CreateArgs,
    defaults: &oci_spec::image::Config,
    hostname: Option<&str>,
    attached: bool,
) -> Outcome<Process> {
    let entrypoint = match &args.entrypoint {
        Some(program) if program.is_empty() => Vec::new(),
        Some(program) => vec![program.clone()],
        None => defaults.entrypoint().clone().unwrap_or_default(),
    };
    // An entrypoint of the user's own drops the image's command, as it was meant for the image's.
    let command = match (&args.command, &args.entrypoint) {
        (given, _) if !given.is_empty() => given.clone(),
        (_, Some(_)) => Vec::new(),
        _ => defaults.cmd().clone().unwrap_or_default(),
    };
    let all: Vec<String> = entrypoint.into_iter().chain(command).collect();
    if all.is_empty() {
        return Err(Error::new(Kind::Invalid, format!("cannot run `{}` without a command", args.image))
            .caused_by("neither the command line nor the image names one")
            .hint(format!("name one: `rcr run {} sh`", args.image)));
    }
    let user = args.user.clone().or_else(|| defaults.user().clone()).unwrap_or_default();
    if args.user.is_some() {
        flag("--user", &user, UserPlan::parse(&user))?;
    }
    let cwd = args.workdir.clone().or_else(|| defaults.working_dir().clone()).filter(|d| !d.is_empty());
    let cwd = cwd.unwrap_or_else(|| "/".into());
    if !cwd.starts_with('/') || cwd.split('/').any(|part| part == "..") {
        return Err(Error::new(Kind::Invalid, format!("cannot use `{cwd}` as the working directory"))
            .caused_by("it is not an absolute path"));
    }
    let stdin_is_terminal = rustix::termios::isatty(std::io::stdin());
    if args.tty && args.interactive && attached && !stdin_is_terminal {
        return Err(Error::new(Kind::Invalid, "cannot attach a terminal: the input is not one")
            .hint("leave `-t` out when stdin is a pipe or a file"));
    }
    Ok(Process {
        args: all,
        env: environment(args, defaults, hostname)?,
        cwd,
        user,
        group_add: args.group_add.iter().filter_map(|group| group.parse().ok()).collect(),
        group_names: args.group_add.iter().filter(|group| group.parse::<u32>().is_err()).cloned().collect(),
        terminal: args.tty,
        stdin: args.interactive,
        stdin_once: args.interactive && attached,
    })
}

fn environment(args: &CreateArgs, defaults: &oci_spec::image::Config, hostname: Option<&str>) -> Outcome<Vec<String>> {
    let mut all: Vec<String> = defaults.env().clone().unwrap_or_default();
    if !all.iter().any(|e| e.starts_with("PATH=")) {
        all.push(format!("PATH={}", rcr_engine::bundle::DEFAULT_PATH));
    }
    if let Some(hostname) = hostname {
        set_default(&mut all, &format!("HOSTNAME={hostname}"));
    }
    if args.tty {
        set_default(&mut all, "TERM=xterm");
    }
    for variable in user_environment(&args.env, &args.env_file)? {
        set(&mut all, variable);
    }
    Ok(all)
}

/// `--env-file`, then `-e`: a name alone takes its value from here, or is left out.
pub fn user_environment(given: &[String], files: &[PathBuf]) -> Outcome<Vec<String>> {
    let mut all = Vec::new();
    let mut add = |text: &str, whence: &str| -> Outcome<()> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, std::env::var(text).ok()),
        };
        if name.is_empty() || name.contains(char::is_whitespace) || text.contains('\0') {
            return Err(Error::new(Kind::Invalid, format!("cannot understand the variable `{text}` of {whence}"))
                .caused_by("expected NAME=value"));
        }
        all.extend(value.map(|value| format!("{name}={value}")));
        Ok(())
    };
    for path in files {
        let text = std::fs::read_to_string(path).doing(|| format!("cannot read `--env-file {}`", path.display()))?;
        for line in text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            add(line, &path.display().to_string())?;
        }
    }
    for text in given {
        add(text, "the command line")?;
    }
    Ok(all)
}

/// Puts a variable in, in place of one of the same name.
pub fn set(all: &mut Vec<String>, variable: String) {
    let name_len = variable.find('=').map_or(variable.len(), |at| at + 1);
    match all.iter_mut().find(|e| e.get(..name_len) == Some(&variable[..name_len])) {
        Some(old) => *old = variable,
        None => all.push(variable),
    }
}

/// Puts a variable in that nobody has set.
pub fn set_default(all: &mut Vec<String>, variable: &str) {
    let name_len = variable.find('=').map_or(variable.len(), |at| at + 1);
    if !all.iter().any(|e| e.get(..name_len) == Some(&variable[..name_len])) {
        all.push(variable.to_owned());
    }
}

fn security(args: &SecurityArgs, defaults: &rcr_base::SecurityConfig) -> Outcome<Security> {
    let upper = |names: &[String]| names.iter().map(|name| name.to_uppercase()).collect();
    let mut all = Security {
        privileged: args.privileged,
        cap_add: upper(&args.cap_add),
        cap_drop: upper(&args.cap_drop),
        no_new_privs: defaults.no_new_privileges && !args.privileged,
        seccomp: true,
    };
    for option in &args.security_opt {
        match option.replacen(':', "=", 1).as_str() {
            "no-new-privileges" | "no-new-privileges=true" => all.no_new_privs = true,
            "no-new-privileges=false" => all.no_new_privs = false,
            "seccomp=unconfined" => all.seccomp = false,
            "label=disable" | "apparmor=unconfined" => {}
            other => {
                return Err(Error::new(Kind::Invalid, format!("unknown security option `{other}`"))
                    .hint("known are no-new-privileges[=false] and seccomp=unconfined"));
            }
        }
    }
    Ok(all)
}

fn resources(args: &ResourceArgs, shm_size: &str) -> Outcome<Resources> {
    let memory = args.memory.as_deref().map(|text| flag("--memory", text, value::bytes(text))).transpose()?;
    let swap = args.memory_swap.as_deref();
    let swap = swap
        .map(|text| if text == "-1" { Ok(-1) } else { flag("--memory-swap", text, value::bytes(text)) })
        .transpose()?;
    // Below this a process can't even start (Docker's lower bound).
    const LEAST_MEMORY: i64 = 6 << 20;
    if memory.is_some_and(|m| m < LEAST_MEMORY) {
        return Err(Error::new(Kind::Invalid, "cannot limit memory to less than 6m"));
    }
    if let (Some(limit), Some(swap)) = (memory, swap)
        && swap != -1
        && swap < limit
    {
        return Err(Error::new(
            Kind::Invalid,
            "`--memory-swap` counts memory and swap together: it can't be less than `--memory`",
        ));
    }
    if swap.is_some() && memory.is_none() {
        return Err(Error::new(Kind::Invalid, "`--memory-swap` needs `--memory`"));
    }
    let shm = flag("--shm-size", shm_size, value::bytes(shm_size))?;
    Ok(Resources {
        memory,
        memory_swap: swap,
        cpuset_cpus: cpuset("--cpuset-cpus", args.cpuset_cpus.as_deref())?,
        cpuset_mems: cpuset("--cpuset-mems", args.cpuset_mems.as_deref())?,
        nano_cpus: args.cpus.as_deref().map(|text| flag("--cpus", text, value::nano_cpus(text))).transpose()?,
        pids: if args.pids_limit <= 0 { -1 } else { args.pids_limit },
        shm_size: shm.max(0) as u64,
        oom_score_adj: match args.oom_score_adj {
            Some(value) if !(-1000..=1000).contains(&value) => {
                return Err(Error::new(Kind::Invalid, format!("cannot use `--oom-score-adj {value}`"))
                    .caused_by("it is not between -1000 and 1000"));
            }
            other => Some(other.unwrap_or(0)),
        },
    })
}

/// A list such as `0-2,4` (cpuset(7), "List format").
fn cpuset(name: &str, text: Option<&str>) -> Outcome<Option<String>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let number = |text: &str| text.parse::<u16>().is_ok();
    let part = |part: &str| part.split_once('-').map_or_else(|| number(part), |(a, b)| number(a) && number(b));
    if !text.split(',').all(part) {
        return Err(Error::new(Kind::Invalid, format!("cannot understand `{name} {text}`"))
            .caused_by("expected a list such as 0-2,4"));
    }
    Ok(Some(text.to_owned()))
}

fn rlimits(given: &[String]) -> Outcome<Vec<RlimitPlan>> {
    let mut all = flags("--ulimit", given, value::ulimit)?;
    for (limit, text) in all.iter().zip(given) {
        if let Some(most) = limits::most(limit.resource).filter(|most| limit.hard > *most) {
            report::warn(format!("`--ulimit {text}` can't be given: this process may raise the limit to {most} only"));
        }
    }
    for default in DEFAULT_LIMITS {
        if !all.iter().any(|limit| limit.resource == default.resource) {
            all.push(default);
        }
    }
    Ok(all)
}

fn image_ports(defaults: &oci_spec::image::Config) -> Outcome<Vec<Exposed>> {
    let ports = defaults.exposed_ports().clone().unwrap_or_default();
    ports.iter().map(|text| flag("the image's port", text, value::exposed(text))).collect()
}
