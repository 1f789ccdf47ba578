//! Attachments designed: networks found, names and addresses chosen, routes decided. Only leases are taken.

use crate::daemon::failures::ipam_failed;
use crate::daemon::records::Networks;
use crate::daemon::routes::{choose_default_routes, gateways, lease_addresses};
use crate::daemon::state::Daemon;
use crate::random::{hex, no_random, random, random_mac};
use ipnet::IpNet;
use netd_api::{
    ApiError, AttachmentRequest, ContainerId, ErrorKind, IfName, Mac, NetnsSource, NetworkId, SandboxRequest,
};
use netd_core::drivers::{go_together, overlay};
use netd_core::model::Attachment;
use std::collections::BTreeMap;
use std::net::IpAddr;

impl Daemon {
    /// All attachments of a new container.
    pub(in crate::daemon) fn design_attachments(
        &mut self,
        spec: &SandboxRequest,
        what: &str,
    ) -> Result<Vec<Attachment>, ApiError> {
        let mut all: Vec<Attachment> = Vec::new();
        for request in &spec.attachments {
            let what = format!("{what} to network `{}`", request.network);
            match self.design_attachment(&spec.id, &spec.name, spec.host_gateway, request, &all, &what) {
                Ok(attachment) => all.push(attachment),
                Err(error) => {
                    all.iter().for_each(|a| self.host.networks.free_addresses(a));
                    return Err(error);
                }
            }
        }
        if let Err(why) = self.host.networks.fits(spec.netns, &all) {
            all.iter().for_each(|a| self.host.networks.free_addresses(a));
            return Err(ApiError::new(ErrorKind::Invalid, what).caused_by(why));
        }
        choose_default_routes(&mut all);
        Ok(all)
    }

    /// One attachment beside those that the container has or gets.
    pub(in crate::daemon) fn design_attachment(
        &mut self,
        id: &ContainerId,
        name: &str,
        host_access: bool,
        request: &AttachmentRequest,
        beside: &[Attachment],
        what: &str,
    ) -> Result<Attachment, ApiError> {
        let network = self.host.networks.find_network(&request.network)?;
        if beside.iter().any(|a| a.network == network) {
            return Err(refused(what, format!("it is on network `{}` already", request.network)));
        }
        let prefix = self.host.networks.get(&network).map_or("eth", |state| state.network.interface_prefix());
        let ifname = choose_ifname(request, prefix, beside).map_err(|why| refused(what, why))?;
        if self.host.membership.cluster.is_none() && self.host.networks.get(&network).is_some_and(|n| n.network.shared)
        {
            return Err(ApiError::new(ErrorKind::Invalid, what)
                .caused_by("it is a network of a cluster, and this netd knows no store")
                .hint("name the store: `[cluster] store = \"etcd://HOST:PORT\"` in /etc/rcr/config.toml"));
        }
        self.check_attachment(&network, request, what)?;
        let sysctls = endpoint_sysctls(request, &ifname).map_err(|why| refused(what, why))?;
        let (host_link, host_mac) = host_end(what)?;
        let Some(state) = self.host.networks.get_mut(&network) else {
            return Err(ApiError::new(ErrorKind::NotFound, what)
                .caused_by(format!("there is no network `{}`", request.network)));
        };
        let mut request = request.clone();
        let had = self.sandboxes.last_addresses.get(id).into_iter().flatten();
        request.prefer.extend(had.filter(|(on, _)| *on == network).map(|(_, address)| *address));
        let request = &request;
        let leases = lease_addresses(state, request).map_err(|error| ipam_failed(what, &error))?;
        // It follows from the address: whoever has the address next has the same MAC, and neighbours' tables stay
        // right.
        let derived = leases.first().map_or_else(|| mac_of(id), |lease| overlay::container_mac(lease.address));
        let mac = request.mac.unwrap_or(derived);
        let prefix = |address: IpAddr| {
            let subnet = state.network.subnets.iter().find(|s| s.subnet.contains(&address));
            subnet.and_then(|s| IpNet::new(address, s.subnet.prefix_len()).ok())
        };
        Ok(Attachment {
            addresses: leases.iter().filter_map(|l| prefix(l.address)).collect(),
            reused: leases.iter().filter(|l| l.reused).map(|l| l.address).collect(),
            gateways: gateways(state, &leases),
            network,
            container: id.clone(),
            container_name: name.to_owned(),
            host_link,
            host_mac,
            ifname,
            mac,
            aliases: request.aliases.clone(),
            gw_priority: request.gw_priority,
            default_via: Vec::new(),
            host_access,
            sysctls,
            lease: None,
            ports: Vec::new(),
        })
    }
}

impl Networks {
    /// Whether these networks go together with that namespace.
    fn fits(&self, source: NetnsSource, all: &[Attachment]) -> Result<(), &'static str> {
        let driver = |a: &Attachment| self.get(&a.network).map(|n| &n.network.driver);
        go_together(source, all.iter().filter_map(driver))
    }

    /// Which attachment publishes ports: the one with the default route, else the first that leads out.
    pub(in crate::daemon) fn carrier(&self, attachments: &[Attachment]) -> Option<usize> {
        let open = |id: &NetworkId| self.get(id).is_some_and(|n| n.network.filtered() && !n.network.internal);
        let default = attachments.iter().position(|a| !a.default_via.is_empty() && open(&a.network));
        default.or_else(|| attachments.iter().position(|a| open(&a.network)))
    }
}

/// A MAC for a link whose address is yet to be leased from a LAN: the same whenever this container starts.
fn mac_of(id: &ContainerId) -> Mac {
    let digit = |at: usize| id.as_str().get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or(0);
    Mac([0x02, digit(0), digit(2), digit(4), digit(6), digit(8)])
}

/// The sysctls of an interface, under its own name. Others of the namespace are the container's, not one network's.
fn endpoint_sysctls(request: &AttachmentRequest, ifname: &IfName) -> Result<BTreeMap<String, String>, String> {
    let own = |key: &str| match key.split('/').collect::<Vec<_>>().as_slice() {
        ["net", family, kind @ ("conf" | "neigh"), "IFNAME", name]
            if ["ipv4", "ipv6", "mpls"].contains(family) && !name.is_empty() && !name.starts_with('.') =>
        {
            Some(format!("net/{family}/{kind}/{ifname}/{name}"))
        }
        _ => None,
    };
    let named = request.sysctls.iter().map(|(key, value)| match own(key) {
        Some(path) => Ok((path, value.clone())),
        None => Err(format!("`{key}` is no sysctl of an interface, such as `net.ipv4.conf.IFNAME.log_martians`")),
    });
    named.collect()
}

fn refused(what: &str, why: String) -> ApiError {
    ApiError::new(ErrorKind::Invalid, what).caused_by(why)
}

/// The name of the container's end: the one that was asked for, else the first `eth…`, or what the network has instead,
/// that none of its links has.
fn choose_ifname(request: &AttachmentRequest, prefix: &str, beside: &[Attachment]) -> Result<IfName, String> {
    let has = |name: &IfName| beside.iter().any(|a| a.ifname == *name);
    match &request.ifname {
        Some(wanted) if has(wanted) => Err(format!("another of its interfaces is named `{wanted}`")),
        Some(wanted) if wanted.as_str() == "lo" => Err("`lo` is the loopback's name".into()),
        Some(wanted) => Ok(wanted.clone()),
        None => {
            let mut names = (0..=beside.len()).filter_map(|i| format!("{prefix}{i}").parse::<IfName>().ok());
            names.find(|name| !has(name)).ok_or_else(|| "it has no free interface name".into())
        }
    }
}

/// The name and the MAC of the host's end.
fn host_end(what: &str) -> Result<(IfName, Mac), ApiError> {
    let chance = random::<5>().map_err(|error| no_random(what, &error))?;
    let mac = random_mac().map_err(|error| no_random(what, &error))?;
    let name = format!("ve{}", hex(&chance)).parse();
    let name = name.map_err(|error| ApiError::new(ErrorKind::System, what).caused_by(format!("{error}")))?;
    Ok((name, mac))
}
