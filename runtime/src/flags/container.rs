//! Flags → the request for a container.

use super::resources::resources;
use super::storage;
use crate::cli::health::HealthArgs;
use crate::cli::run::{CreateArgs, NetworkArgs, SecurityArgs};
use netd_api::AttachmentRequest;
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_engine::config::{DeviceUse, Dns, Logging};
use rcr_engine::create::{Create, HealthRequest, NamespaceRequest, NetworkRequest, SecurityRequest};
use rcr_engine::parse::devices::{DeviceText, gpus};
use rcr_engine::parse::security::SecurityOption;
use rcr_engine::parse::{attachment, words};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Reads the flags. `attached`: somebody stays connected with the container.
pub fn request(args: &CreateArgs, attached: bool) -> Outcome<Create> {
    refuse_terminal(args, attached)?;
    let (volumes, tmpfs) = storage::storage(&args.storage)?;
    let security = &args.security;
    let (paths, names) = devices(security)?;
    let (net, spaces) = (&args.network, &args.namespaces);
    Ok(Create {
        name: args.name.clone(),
        image: args.image.clone(),
        pull: args.pull,
        platform: args.platform.clone(),
        command: args.command.clone(),
        entrypoint: args.entrypoint.clone(),
        env: user_environment(&args.env, &args.env_file)?,
        workdir: args.workdir.clone(),
        user: args.user.clone(),
        groups: args.group_add.clone(),
        hostname: args.hostname.clone(),
        domainname: args.domainname.clone(),
        labels: labels(args)?,
        terminal: args.tty,
        stdin: args.interactive,
        stdin_once: args.interactive && attached,
        volumes,
        volumes_from: args.storage.volumes_from.clone(),
        tmpfs,
        read_only: args.storage.read_only,
        log: Logging { driver: args.log.log_driver.clone(), options: args.log.log_opt.iter().cloned().collect() },
        namespaces: NamespaceRequest {
            pid: spaces.pid.clone().unwrap_or_default(),
            ipc: spaces.ipc.clone().unwrap_or_default(),
            uts_host: spaces.uts.unwrap_or(false),
            cgroup_host: spaces.cgroupns.unwrap_or(false),
        },
        security: SecurityRequest {
            privileged: security.privileged,
            cap_add: security.cap_add.clone(),
            cap_drop: security.cap_drop.clone(),
            options: security.security_opt.iter().map(security_option).collect::<Outcome<_>>()?,
        },
        init: args.init,
        stop_signal: args.stop_signal,
        stop_timeout: args.stop_timeout,
        resources: resources(&args.resources, args.storage.shm_size),
        rlimits: args.resources.ulimit.clone(),
        sysctls: security.sysctl.iter().cloned().collect(),
        restart: args.restart,
        auto_remove: args.rm,
        network: network(net)?,
        dns: dns(net),
        extra_hosts: net.add_host.clone(),
        links: net.link.clone(),
        devices: paths,
        named_devices: names,
        annotations: args.annotation.iter().cloned().collect(),
        device_rules: security.device_cgroup_rule.clone(),
        health: health(&args.health),
    })
}

fn dns(args: &NetworkArgs) -> Dns {
    Dns {
        servers: args.dns.clone(),
        search: args.dns_search.clone(),
        options: args.dns_option.clone(),
        healthy_only: args.dns_healthy_only,
    }
}

fn health(args: &HealthArgs) -> HealthRequest {
    HealthRequest {
        none: args.no_healthcheck,
        command: args.health_cmd.clone(),
        interval: args.health_interval,
        timeout: args.health_timeout,
        start_period: args.health_start_period,
        start_interval: args.health_start_interval,
        retries: args.health_retries,
        on_failure: args.health_on_failure,
    }
}

fn refuse_terminal(args: &CreateArgs, attached: bool) -> Outcome<()> {
    if args.tty && args.interactive && attached && !rustix::termios::isatty(std::io::stdin()) {
        return Err(Error::new(Kind::Invalid, "cannot attach a terminal: the input is not one")
            .hint("leave `-t` out when stdin is a pipe or a file"));
    }
    Ok(())
}

/// `--label-file`, then `-l`.
fn labels(args: &CreateArgs) -> Outcome<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for path in &args.label_file {
        let refused =
            |why| Error::new(Kind::Invalid, format!("cannot read `--label-file {}`", path.display())).caused_by(why);
        for line in lines_of("--label-file", path)? {
            all.extend([words::label(&line).map_err(refused)?]);
        }
    }
    all.extend(args.label.iter().cloned());
    Ok(all)
}

/// Devices by their paths, and by their vendors' names.
fn devices(args: &SecurityArgs) -> Outcome<(Vec<DeviceUse>, Vec<String>)> {
    let (mut paths, mut names) = (Vec::new(), Vec::new());
    for device in args.device.clone() {
        match device {
            DeviceText::Path(path) => paths.push(path),
            DeviceText::Named(name) => names.push(name),
        }
    }
    for text in &args.gpus {
        let refused =
            |why: String| Error::new(Kind::Invalid, format!("cannot understand `--gpus {text}`")).caused_by(why);
        names.extend(gpus(text).map_err(refused)?);
    }
    Ok((paths, names))
}

/// The option, with the file that it names read.
fn security_option(option: &SecurityOption) -> Outcome<SecurityOption> {
    match option {
        SecurityOption::ProfileFile(path) => {
            let text = std::fs::read_to_string(path).doing(|| format!("cannot read the seccomp profile `{path}`"))?;
            Ok(SecurityOption::Profile(text))
        }
        other => Ok(other.clone()),
    }
}

/// The lines of a file that say something: no empty ones, no comments.
fn lines_of(flag: &str, path: &Path) -> Outcome<Vec<String>> {
    let text = std::fs::read_to_string(path).doing(|| format!("cannot read `{flag} {}`", path.display()))?;
    let lines = text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
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
        for line in lines_of("--env-file", path)? {
            add(&line, &path.display().to_string())?;
        }
    }
    for text in given {
        add(text, "the command line")?;
    }
    Ok(all)
}

/// `--network`, and the flags around it.
fn network(args: &NetworkArgs) -> Outcome<NetworkRequest> {
    let mut attachments = args.network.clone();
    if attachments.is_empty() {
        attachments.push(attachment::default_network());
    }
    refuse_together(args, &attachments)?;
    for attachment in &mut attachments {
        attachment.aliases.extend(args.network_alias.iter().cloned());
    }
    // They stand for the one network there is.
    if let [only] = attachments.as_mut_slice() {
        (only.ip, only.ip6, only.mac) = (args.ip.or(only.ip), args.ip6.or(only.ip6), args.mac_address.or(only.mac));
    }
    Ok(NetworkRequest {
        mode: attachment::mode(attachments).map_err(|why| Error::new(Kind::Invalid, why))?,
        publish: args.publish.clone(),
        publish_all: args.publish_all,
        exposed: args.expose.clone(),
    })
}

/// Flags that are about one network of the container's own.
fn refuse_together(args: &NetworkArgs, attachments: &[AttachmentRequest]) -> Outcome<()> {
    let addresses =
        [("--ip", args.ip.is_some()), ("--ip6", args.ip6.is_some()), ("--mac-address", args.mac_address.is_some())];
    let all = addresses.into_iter().chain([("--network-alias", !args.network_alias.is_empty())]);
    if let [only] = attachments
        && attachment::alone(&only.network).is_some()
        && let Some((flag, _)) = all.into_iter().find(|(_, given)| *given)
    {
        let message = format!("`{flag}` can't be combined with `--network {}`", only.network);
        return Err(Error::new(Kind::Invalid, message)
            .caused_by("the container gets no network of its own")
            .hint(format!("leave `{flag}` out, or name a network")));
    }
    match addresses.iter().find(|(_, given)| *given && attachments.len() > 1) {
        Some((flag, _)) => Err(Error::new(Kind::Invalid, format!("`{flag}` needs exactly one network"))
            .hint("with several, write --network name=…,ip=…")),
        None => Ok(()),
    }
}
