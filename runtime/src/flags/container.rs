//! Flags → the request for a container.

use super::text::{flag, flags};
use super::{network_mode, storage, text};
use crate::cli::run::{CreateArgs, ResourceArgs, SecurityArgs};
use crate::cli::{devices, value};
use crate::report;
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_engine::config::{Dns, Resources, Security};
use rcr_engine::create::Create;
use rcr_engine::images::Policy;
use rcr_engine::instance::Instance;
use rcr_engine::limits;
use rcr_shim::config::RestartPolicy;
use rcr_shim::init::plan::{RlimitPlan, UserPlan};
use std::net::IpAddr;
use std::path::PathBuf;

/// Reads the flags. `attached`: somebody stays connected with the container.
pub fn request(instance: &Instance, args: &CreateArgs, attached: bool) -> Outcome<Create> {
    let (volumes, tmpfs) = storage::storage(&args.storage)?;
    let net = &args.network;
    let mode = network_mode::mode(instance, args)?;
    let configured = &instance.config.dns;
    let or = |given: &[String], configured: &[String]| {
        if given.is_empty() { configured.to_vec() } else { given.to_vec() }
    };
    if let Some(user) = &args.user {
        flag("--user", user, UserPlan::parse(user))?;
    }
    let stop_signal = args.stop_signal.as_deref().map(|text| flag("--stop-signal", text, value::signal(text)));
    refuse_terminal(args, attached)?;
    Ok(Create {
        name: args.name.clone(),
        image: args.image.clone(),
        pull: match args.pull.as_str() {
            "always" => Policy::Always,
            "never" => Policy::Never,
            _ => Policy::Missing,
        },
        platform: text::platform(args.platform.as_deref())?,
        command: args.command.clone(),
        entrypoint: args.entrypoint.clone(),
        env: user_environment(&args.env, &args.env_file)?,
        workdir: args.workdir.clone(),
        user: args.user.clone(),
        groups: args.group_add.clone(),
        hostname: args.hostname.clone(),
        domainname: args.domainname.clone(),
        labels: flags("--label", &args.label, value::label)?.into_iter().collect(),
        terminal: args.tty,
        stdin: args.interactive,
        stdin_once: args.interactive && attached,
        volumes,
        tmpfs,
        read_only: args.storage.read_only,
        security: security(&args.security, &instance.config.security)?,
        init: args.init,
        stop_signal: stop_signal.transpose()?,
        stop_timeout: args.stop_timeout,
        resources: resources(&args.resources, &args.storage.shm_size)?,
        rlimits: rlimits(&args.resources.ulimit)?,
        sysctls: flags("--sysctl", &args.security.sysctl, sysctl)?.into_iter().collect(),
        restart: restart(args)?,
        auto_remove: args.rm,
        network: network_mode::network(net, &mode)?,
        dns: Dns {
            servers: flags("--dns", &net.dns, |text| text.parse::<IpAddr>().map_err(|_| "not an address".into()))?,
            search: or(&net.dns_search, &configured.search),
            options: or(&net.dns_option, &configured.options),
        },
        extra_hosts: flags("--add-host", &net.add_host, value::add_host)?,
        links: flags("--link", &net.link, link)?,
        devices: flags("--device", &args.security.device, devices::device)?,
        device_rules: flags("--device-cgroup-rule", &args.security.device_cgroup_rule, devices::device_rule)?,
    })
}

fn restart(args: &CreateArgs) -> Outcome<RestartPolicy> {
    let restart = flag("--restart", &args.restart, args.restart.parse())?;
    if args.rm && restart != RestartPolicy::No {
        return Err(
            Error::new(Kind::Invalid, "`--rm` and `--restart` exclude each other").hint("leave one of them out")
        );
    }
    Ok(restart)
}

fn refuse_terminal(args: &CreateArgs, attached: bool) -> Outcome<()> {
    if args.tty && args.interactive && attached && !rustix::termios::isatty(std::io::stdin()) {
        return Err(Error::new(Kind::Invalid, "cannot attach a terminal: the input is not one")
            .hint("leave `-t` out when stdin is a pipe or a file"));
    }
    Ok(())
}

fn sysctl(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| "expected name=value".into())
}

/// `--link container[:name]`.
fn link(text: &str) -> Result<(String, String), String> {
    let (container, name) = text.split_once(':').unwrap_or((text, text));
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("the name is empty or has spaces".into());
    }
    Ok((container.to_owned(), name.trim_start_matches('/').to_owned()))
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
    let all = flags("--ulimit", given, value::ulimit)?;
    for (limit, text) in all.iter().zip(given) {
        if let Some(most) = limits::most(limit.resource).filter(|most| limit.hard > *most) {
            report::warn(format!("`--ulimit {text}` can't be given: this process may raise the limit to {most} only"));
        }
    }
    Ok(all)
}
