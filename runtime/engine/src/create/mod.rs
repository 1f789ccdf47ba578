//! Makes a container: the request and its image, resolved to one config. Everything that can be refused is refused
//! here.

pub(crate) mod checks;
mod defaults;
pub mod env;
mod health;
mod namespaces;
mod network;
mod plan;
pub mod request;

pub use plan::plan;
pub use request::{
    Create, HealthRequest, IpcRequest, Mode, NamespaceRequest, NetworkRequest, PidRequest, SecurityRequest, Source,
    VolumeUse, VolumesFrom,
};

use crate::cdi;
use crate::config::{CONFIG_VERSION, Config, Dns, HealthCheck, ImageUse, Namespaces, Network, NetworkMode, Process};
use crate::events::subjects;
use crate::images;
use crate::instance::Instance;
use crate::names;
use crate::parse::signal;
use crate::remove::{forget_anonymous_volumes, remove};
use crate::rename::check_name;
use crate::reporter::Reporter;
use crate::start::facts::disks;
use crate::start::log;
use crate::start::network::owner;
use crate::store::Container;
use crate::system::sweep;
use crate::volumes;
use netd_api::ContainerId;
use oci_spec::image::Config as ImageConfig;
use rcr_base::{Doing, Error, Kind, Outcome, command, timings};
use rcr_shim::init::plan::RlimitPlan;
use rcr_shim::state::State;
use std::collections::BTreeMap;

/// Every container's limits, unless the request says otherwise: no core files on the host's disk, and as many
/// descriptors as systemd gives a service.
const DEFAULT_LIMITS: [RlimitPlan; 2] = [
    RlimitPlan { resource: libc::RLIMIT_CORE, soft: 0, hard: 0 },
    RlimitPlan { resource: libc::RLIMIT_NOFILE, soft: 1024, hard: 524_288 },
];

/// Makes a container and saves it; a failure leaves nothing behind.
pub fn create(instance: &Instance, mut wanted: Create, reporter: &dyn Reporter) -> Outcome<Config> {
    checks::check(&wanted)?;
    checks::warn(&wanted, reporter);
    checks::fit(&mut wanted.resources, reporter)?;
    disks(&wanted.resources.block_io)?;
    instance.dirs.ensure()?;
    sweep(instance)?;
    // The store collects nothing between finding the image and recording its user.
    let _busy = images::store(instance)?.begin()?;
    let config = config(instance, wanted, reporter)?;
    let containers = instance.containers();
    match containers.save(&config).and_then(|()| containers.save_state(&config.id, &State::created())) {
        Ok(()) => {
            subjects::container(&instance.dirs, &config).note("create");
            timings::mark("has saved the container");
            Ok(config)
        }
        Err(failure) => Err(undo(instance, &config, failure)),
    }
}

/// Removes a container after its creation or its first start has failed.
pub fn undo(instance: &Instance, config: &Config, failure: Error) -> Error {
    let container = Container { config: config.clone(), state: State::created() };
    match remove(instance, &container, true) {
        Ok(()) => failure,
        Err(left) => failure.leaving([format!(
            "container `{}` ({}): {}",
            config.name,
            left.message,
            command::rm_force(&config.name)
        )]),
    }
}

/// The container's config, with its name taken. On failure the caller gives the name back; named volumes that were made
/// stay.
fn config(instance: &Instance, wanted: Create, reporter: &dyn Reporter) -> Outcome<Config> {
    let mode = network::mode(instance, &wanted)?;
    let namespaces = namespaces::namespaces(instance, &wanted)?;
    let links = links(instance, &wanted)?;
    let shared = shared(instance, &mode)?;
    let platform = wanted.platform.as_ref();
    let image = images::image_for(instance, &wanted.image, wanted.pull, platform, reporter)?;
    timings::mark("has found the image");
    let images = images::store(instance)?;
    let layers = images.layers(&image)?;
    let health = health::check(&wanted.health, &images.blob(&image.id), reporter)?;
    if wanted.dns.healthy_only {
        health::fits_names(&mode, health.as_ref())?;
    }
    let id = names::new_id().doing(|| "cannot make a container id")?;
    let (defaults, strange) = defaults::usable(image.config.config().clone().unwrap_or_default());
    for field in image.strange.iter().chain(&strange) {
        reporter.warning(&format!("image `{}`: {field}", wanted.image));
    }
    let hostname = match &shared {
        Some(other) => other.config.hostname.clone(),
        None => hostname(wanted.hostname.as_deref(), &id, mode == NetworkMode::Host || namespaces.uts_host)?,
    };
    let image = ImageUse { reference: wanted.image.clone(), id: image.id.to_string(), layers };
    let network = network::network(mode, &wanted.network, network::image_ports(&defaults));
    let found = Found { id, network, namespaces, links, image, hostname, health, settings: &instance.config };
    let from = wanted.volumes_from.clone();
    let (mut config, volumes) = resolve(wanted, found, &defaults)?;
    cdi::applied(&instance.config.devices.specs, &config)?;
    log::orders(instance, &config)?;
    config.name = take_name(instance, Some(config.name.as_str()).filter(|name| !name.is_empty()), &config)?;
    let image_volumes = defaults.volumes().clone().unwrap_or_default();
    let mounts = volumes::uses::add_volumes(instance, &mut config, volumes, &from, &image_volumes, reporter);
    if let Err(failure) = mounts {
        let left = forget_anonymous_volumes(&instance.dirs, &config).err().map(|e| e.to_string());
        let _ = instance.containers().release_name(&config.name);
        return Err(failure.leaving(left));
    }
    Ok(config)
}

/// What was looked up on the host for a request.
struct Found<'a> {
    id: ContainerId,
    network: Network,
    namespaces: Namespaces,
    links: Vec<(String, String)>,
    image: ImageUse,
    hostname: Option<String>,
    health: Option<HealthCheck>,
    settings: &'a rcr_base::Config,
}

/// Request and image combined, without access to the disk.
fn resolve(wanted: Create, found: Found, defaults: &ImageConfig) -> Outcome<(Config, Vec<VolumeUse>)> {
    let Found { id, network, namespaces, links, image, hostname, health, settings } = found;
    let process = process(&wanted, defaults, hostname.as_deref())?;
    let mut labels: BTreeMap<String, String> = defaults.labels().clone().unwrap_or_default().into_iter().collect();
    labels.extend(wanted.labels);
    let image_signal = defaults.stop_signal().as_deref().and_then(|text| signal::signal(text).ok());
    let config = Config {
        version: CONFIG_VERSION,
        id,
        name: wanted.name.unwrap_or_default(),
        created: format!("{:.9}", jiff::Timestamp::now()),
        image,
        process,
        hostname,
        domainname: wanted.domainname,
        labels,
        mounts: wanted.tmpfs,
        read_only: wanted.read_only,
        log: wanted.log,
        namespaces,
        security: checks::security(&wanted.security, &settings.security),
        init: wanted.init,
        stop_signal: wanted.stop_signal.or(image_signal).unwrap_or(libc::SIGTERM),
        stop_timeout: wanted.stop_timeout,
        resources: wanted.resources,
        rlimits: with_default_limits(wanted.rlimits),
        sysctls: wanted.sysctls,
        restart: wanted.restart,
        auto_remove: wanted.auto_remove,
        network,
        dns: dns(wanted.dns, &settings.dns),
        extra_hosts: wanted.extra_hosts,
        links,
        devices: wanted.devices,
        named_devices: wanted.named_devices,
        annotations: wanted.annotations,
        device_rules: wanted.device_rules,
        health,
        last_addresses: BTreeMap::new(),
    };
    Ok((config, wanted.volumes))
}

/// The configuration's search domains and options, where the request has none; its servers are netd's.
fn dns(wanted: Dns, configured: &rcr_base::DnsConfig) -> Dns {
    let or = |given: Vec<String>, configured: &[String]| if given.is_empty() { configured.to_vec() } else { given };
    Dns {
        servers: wanted.servers,
        search: or(wanted.search, &configured.search),
        options: or(wanted.options, &configured.options),
        healthy_only: wanted.healthy_only,
    }
}

/// The containers that this one is linked to must be there, as with Docker; their addresses are looked up at every
/// start.
fn links(instance: &Instance, wanted: &Create) -> Outcome<Vec<(String, String)>> {
    let find = |(container, name): &(String, String)| {
        let found = instance.containers().find(container).doing(|| format!("cannot link to `{container}`"))?;
        Ok((found.config.id.to_string(), name.clone()))
    };
    wanted.links.iter().map(find).collect()
}

/// The container that owns the network which is shared.
fn shared(instance: &Instance, mode: &NetworkMode) -> Outcome<Option<Container>> {
    match mode {
        NetworkMode::Container(id) => owner(instance, &instance.containers().load(id)?).map(Some),
        _ => Ok(None),
    }
}

fn hostname(wanted: Option<&str>, id: &ContainerId, as_the_host: bool) -> Outcome<Option<String>> {
    match wanted {
        // sethostname(2) takes 64 bytes.
        Some(name)
            if name.is_empty() || name.len() > 64 || name.contains(|c: char| c.is_whitespace() || c.is_control()) =>
        {
            Err(Error::new(Kind::Invalid, format!("cannot use `{name}` as a host name"))
                .caused_by("it must have 1 to 64 bytes and no white space"))
        }
        Some(name) => Ok(Some(name.to_owned())),
        None if as_the_host => {
            let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
            Ok(Some(name))
        }
        None => Ok(Some(id.short().to_owned())),
    }
}

/// Takes the requested name, or one that is free.
fn take_name(instance: &Instance, wanted: Option<&str>, config: &Config) -> Outcome<String> {
    let take = |name: &str| instance.containers().take_name(name, &config.id, !config.auto_remove);
    if let Some(name) = wanted {
        check_name(name)?;
        take(name)?;
        return Ok(name.to_owned());
    }
    let made = || names::random_name().doing(|| "cannot make a container name");
    for _ in 0..8 {
        let name = made()?;
        if take(&name).is_ok() {
            return Ok(name);
        }
    }
    let name = format!("{}_{}", made()?, &config.id.as_str()[..6]);
    take(&name)?;
    Ok(name)
}

fn process(wanted: &Create, defaults: &ImageConfig, hostname: Option<&str>) -> Outcome<Process> {
    let entrypoint = match &wanted.entrypoint {
        Some(program) if program.is_empty() => Vec::new(),
        Some(program) => vec![program.clone()],
        None => defaults.entrypoint().clone().unwrap_or_default(),
    };
    // The user's own entrypoint drops the image's command, which was meant for the image's entrypoint.
    let command = match (&wanted.command, &wanted.entrypoint) {
        (given, _) if !given.is_empty() => given.clone(),
        (_, Some(_)) => Vec::new(),
        _ => defaults.cmd().clone().unwrap_or_default(),
    };
    let some = |list: &[String]| Some(list.to_vec()).filter(|list| !list.is_empty());
    let (given_entrypoint, given_command) = (some(&entrypoint), some(&command));
    let all: Vec<String> = entrypoint.into_iter().chain(command).collect();
    if all.is_empty() {
        return Err(Error::new(Kind::Invalid, format!("cannot run `{}` without a command", wanted.image))
            .caused_by("neither the request nor the image names one")
            .hint(format!("name one: {}", command::run_shell(&wanted.image))));
    }
    let cwd = wanted.workdir.clone().or_else(|| defaults.working_dir().clone()).filter(|d| !d.is_empty());
    let cwd = cwd.unwrap_or_else(|| "/".into());
    if !cwd.starts_with('/') || cwd.split('/').any(|part| part == "..") {
        return Err(Error::new(Kind::Invalid, format!("cannot use `{cwd}` as the working directory"))
            .caused_by("it is not an absolute path"));
    }
    let (numbers, names): (Vec<_>, Vec<_>) = wanted.groups.iter().partition(|group| group.parse::<u32>().is_ok());
    Ok(Process {
        args: all,
        entrypoint: given_entrypoint,
        command: given_command,
        env: env::of_container(&wanted.env, defaults, hostname, wanted.terminal),
        cwd,
        user: wanted.user.clone().or_else(|| defaults.user().clone()).unwrap_or_default(),
        group_add: numbers.into_iter().filter_map(|group| group.parse().ok()).collect(),
        group_names: names.into_iter().cloned().collect(),
        terminal: wanted.terminal,
        stdin: wanted.stdin,
        stdin_once: wanted.stdin_once,
    })
}

fn with_default_limits(mut all: Vec<RlimitPlan>) -> Vec<RlimitPlan> {
    for default in DEFAULT_LIMITS {
        if !all.iter().any(|limit| limit.resource == default.resource) {
            all.push(default);
        }
    }
    all
}
