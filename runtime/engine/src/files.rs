//! The three files in `/etc` that rcr manages in every container.

use crate::config::{Config, HostTarget, NetworkMode};
use netd_api::SandboxInfo;
use rcr_base::{Doing, Outcome};
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

/// What resolv.conf(5) says of the host.
#[derive(Debug, Default, Clone)]
pub struct HostResolver {
    /// The whole file.
    pub text: String,
}

impl HostResolver {
    /// Reads the host's file; a host without one has no resolvers.
    pub fn read() -> Self {
        Self { text: fs::read_to_string("/etc/resolv.conf").unwrap_or_default() }
    }

    fn search(&self) -> Vec<&str> {
        let mut lines =
            self.text.lines().filter_map(|line| line.strip_prefix("search").or_else(|| line.strip_prefix("domain")));
        lines.next_back().map(|line| line.split_whitespace().collect()).unwrap_or_default()
    }
}

/// Writes `hosts`, `hostname` and `resolv.conf` into the container's run folder.
pub fn write(
    config: &Config,
    sandbox: Option<&SandboxInfo>,
    links: &[(IpAddr, String)],
    run_dir: &Path,
) -> Outcome<()> {
    let resolver = HostResolver::read();
    let host_file = || fs::read_to_string("/etc/hosts").unwrap_or_default();
    let base = if config.network.mode == NetworkMode::Host { host_file() } else { LOCAL_NAMES.to_owned() };
    let hostname = match &config.hostname {
        Some(name) => format!("{name}\n"),
        None => fs::read_to_string("/etc/hostname").unwrap_or_default(),
    };
    for (name, text) in [
        ("hosts", hosts(config, sandbox, links, &base)),
        ("hostname", hostname),
        ("resolv.conf", resolv_conf(config, sandbox, &resolver)),
    ] {
        fs::write(run_dir.join(name), text).doing(|| format!("cannot write the container's `/etc/{name}`"))?;
    }
    Ok(())
}

const LOCAL_NAMES: &str = "127.0.0.1\tlocalhost\n\
::1\tlocalhost ip6-localhost ip6-loopback\n\
fe00::0\tip6-localnet\n\
ff00::0\tip6-mcastprefix\n\
ff02::1\tip6-allnodes\n\
ff02::2\tip6-allrouters\n";

/// `/etc/hosts`: the loopback names, `--add-host`, `--link`, and the container's own name with each of its addresses.
fn hosts(config: &Config, sandbox: Option<&SandboxInfo>, links: &[(IpAddr, String)], base: &str) -> String {
    let mut text = base.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for (name, target) in &config.extra_hosts {
        let gateways = sandbox.map(|s| s.host_gateway.clone()).unwrap_or_default();
        let addresses = match target {
            HostTarget::Address(address) => vec![*address],
            HostTarget::HostGateway => gateways,
        };
        for address in addresses {
            let _ = writeln!(text, "{address}\t{name}");
        }
    }
    for (address, name) in links {
        let _ = writeln!(text, "{address}\t{name}");
    }
    let own = config.hostname.as_deref().unwrap_or(&config.name);
    let full = config.domainname.as_ref().map(|domain| format!("{own}.{domain} ")).unwrap_or_default();
    for attachment in sandbox.iter().flat_map(|s| &s.attachments) {
        for address in &attachment.addresses {
            let _ = writeln!(text, "{}\t{full}{own}", address.addr());
        }
    }
    text
}

/// `/etc/resolv.conf`: netd's listener where the container has a network, else what the host uses.
fn resolv_conf(config: &Config, sandbox: Option<&SandboxInfo>, host: &HostResolver) -> String {
    let dns = &config.dns;
    let nameserver = sandbox.and_then(|s| s.nameserver);
    if nameserver.is_none() && dns.servers.is_empty() && dns.search.is_empty() && dns.options.is_empty() {
        return host.text.clone();
    }
    let mut text = String::new();
    match nameserver {
        Some(address) => {
            let _ = writeln!(text, "nameserver {address}");
        }
        None if dns.servers.is_empty() => {
            for line in host.text.lines().filter(|line| line.starts_with("nameserver")) {
                let _ = writeln!(text, "{line}");
            }
        }
        None => {
            for address in &dns.servers {
                let _ = writeln!(text, "nameserver {address}");
            }
        }
    }
    // `--dns-search .` asks for none.
    let search: Vec<&str> = match dns.search.is_empty() {
        true => host.search(),
        false => dns.search.iter().map(String::as_str).filter(|domain| *domain != ".").collect(),
    };
    if !search.is_empty() {
        let _ = writeln!(text, "search {}", search.join(" "));
    }
    let mut options = dns.options.clone();
    if nameserver.is_some() && !options.iter().any(|option| option.starts_with("ndots:")) {
        // Single labels are container names: asking for them bare first saves a query per search domain.
        options.push("ndots:0".into());
    }
    if !options.is_empty() {
        let _ = writeln!(text, "options {}", options.join(" "));
    }
    text
}
