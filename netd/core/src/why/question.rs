//! Who is meant: the two ends of a question.

use super::hop::{bare, hop};
use crate::drivers;
use crate::model::{Attachment, Remote};
use crate::picture::{Inhabitant, Picture};
use crate::ports::Busy;
use netd_api::{
    ApiError, Asleep, ContainerId, ErrorKind, Fault, Hop, HostPort, IfName, NetnsSource, NetworkId, Proto,
    PublishedPort, WhyRequest,
};
use rcr_base::command;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// The most ports that a bridge has (`BR_MAX_PORTS` less the first).
const MOST_ENDPOINTS: usize = 1023;

/// Who sends what to whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// As they are called in the answer.
    pub from: String,
    pub to: String,
    pub source: Source,
    pub target: Target,
    /// A name that the source has to ask for first.
    pub name: Option<String>,
    pub port: Option<u16>,
    pub proto: Proto,
}

/// Who sends.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    Container(ContainerId),
    Host,
    /// Some machine beyond the host's links.
    Outside,
}

/// To whom.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// By its address on a network.
    Container {
        id: ContainerId,
        network: NetworkId,
        address: IpAddr,
    },
    /// A container of another host.
    Remote {
        network: NetworkId,
        remote: Box<Remote>,
        address: IpAddr,
    },
    /// A published port of it, by an address of the host. Absent: where it is published, any.
    Published {
        id: ContainerId,
        port: PublishedPort,
        address: IpAddr,
        host_port: u16,
    },
    Host {
        address: IpAddr,
    },
    /// Somebody beyond the host's links. Absent: the host's own router.
    World {
        address: Option<IpAddr>,
    },
    /// Whoever the name turns out to be.
    Named,
}

/// What a request begins with.
#[derive(Debug, PartialEq)]
pub enum Start {
    Ask(Box<Question>),
    /// There is nothing to be looked at: these hops say why.
    Told(Vec<Hop>),
}

/// What of the host has to be known to understand a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Own {
    pub addresses: Vec<IpAddr>,
    /// Ports that somebody waits on.
    pub sockets: Vec<Busy>,
    /// How many links are on each bridge, others' among them.
    pub ports: BTreeMap<IfName, usize>,
}

/// Reads a request.
pub fn ask(picture: &Picture, request: &WhyRequest, own: &Own) -> Result<Start, ApiError> {
    for asleep in &request.asleep {
        if asleep.asked == request.from || asleep.asked == request.to {
            return Ok(Start::Told(vec![not_running(picture, asleep, own)]));
        }
    }
    let (from, source) = source(picture, &request.from)?;
    if source == Source::Outside && request.to == "outside" {
        return Err(ApiError::new(ErrorKind::Invalid, "both ends are outside: that way is somebody else's"));
    }
    let ends = Ends { picture, request, own: &own.addresses, from, source };
    ends.target()
}

/// Why a container does not run is its own affair, but for a network that is full, and a port that is taken.
fn not_running(picture: &Picture, asleep: &Asleep, own: &Own) -> Hop {
    let networks = asleep.networks.iter().filter_map(|name| picture.network_named(name));
    for one in networks {
        let on = picture.containers.values().flat_map(|c| &c.attachments).filter(|a| a.network == one.network.id);
        let bridge = one.network.interface.as_ref().filter(|_| one.network.bridge().is_some());
        let links = bridge.and_then(|bridge| own.ports.get(bridge)).copied().unwrap_or_default();
        let (count, name) = (links.max(on.count()), &one.network.name);
        let empty = one.pools.iter().zip(&one.network.subnets).find(|((_, free), _)| *free == 0);
        let why = match empty {
            Some(((used, _), subnet)) => {
                let more = bare(command::network_update(name.as_str(), "--subnet CIDR"));
                let why = format!("{used} addresses of `{}` are in use, none is free", subnet.subnet);
                Some((why, format!("{more} (more addresses)")))
            }
            None if bridge.is_some() && count >= MOST_ENDPOINTS => {
                let why = format!("its bridge has {count} ports, the most that the kernel gives one");
                Some((why, format!("create `{}` on another network", asleep.name)))
            }
            None => None,
        };
        if let Some((why, repair)) = why {
            let mut full = hop(&asleep.name, format!("does not run ({}), and network `{name}` is full", asleep.status));
            full.fault = Some(Fault::NetworkFull);
            full.evidence.push(why);
            full.repair.push(repair);
            return full;
        }
    }
    if let Some(taken) = taken(picture, asleep, own) {
        return taken;
    }
    let mut off = hop(&asleep.name, format!("does not run: it is {}", asleep.status));
    off.fault = Some(Fault::NotRunning);
    off.repair.push(bare(command::start(&asleep.name)));
    off
}

/// A port that it would publish and that somebody has.
fn taken(picture: &Picture, asleep: &Asleep, own: &Own) -> Option<Hop> {
    for wanted in &asleep.publish {
        let HostPort::Exact(first) = wanted.host_port else { continue };
        let clash = |address: IpAddr| {
            wanted.host_ip.is_none_or(|ip| ip == address || ip.is_unspecified() || address.is_unspecified())
        };
        let within = |port| covers(first, wanted.count, port);
        let Some(socket) = own.sockets.iter().find(|s| s.proto == wanted.proto && within(s.port) && clash(s.address))
        else {
            continue;
        };
        let holds = |c: &&Inhabitant| {
            let of = |p: &PublishedPort| p.proto == wanted.proto && covers(p.host_port, p.count, socket.port);
            c.ports.iter().any(of)
        };
        let holder = picture.containers.values().find(holds);
        let who = holder.map_or_else(|| "another program".to_owned(), |c| format!("container `{}`", c.name));
        let port = format!("{}/{}", SocketAddr::new(socket.address, socket.port), socket.proto);
        let mut taken =
            hop(&asleep.name, format!("does not run ({}), and {who} has port {port} of the host", asleep.status));
        taken.fault = Some(Fault::PortTaken);
        taken.evidence.push(format!("it is to publish port {}; `ss -lntup` shows who listens there", socket.port));
        return Some(taken);
    }
    None
}

fn source(picture: &Picture, text: &str) -> Result<(String, Source), ApiError> {
    match text {
        "host" => return Ok((text.to_owned(), Source::Host)),
        "outside" => return Ok((text.to_owned(), Source::Outside)),
        _ => {}
    }
    match container(picture, text) {
        Some((_, inhabitant)) if inhabitant.source == NetnsSource::Host => Ok((inhabitant.name.clone(), Source::Host)),
        Some((id, inhabitant)) => Ok((inhabitant.name.clone(), Source::Container(id.clone()))),
        None => Err(ApiError::new(ErrorKind::NotFound, format!("there is no running container `{text}`")).hint(
            format!("the first end is a container of this host, `host` or `outside`: {}", command::list_containers()),
        )),
    }
}

/// A container by its name, its id, an unambiguous prefix of that, or its address.
fn container<'a>(picture: &'a Picture, text: &str) -> Option<(&'a ContainerId, &'a Inhabitant)> {
    let all = || picture.containers.iter();
    if let Some(found) = all().find(|(id, c)| c.name == text || id.as_str() == text) {
        return Some(found);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return all().find(|(_, c)| c.attachments.iter().any(|a| has(a, address)));
    }
    let mut starts = all().filter(|(id, _)| text.len() >= 4 && id.as_str().starts_with(text));
    match (starts.next(), starts.next()) {
        (Some(one), None) => Some(one),
        _ => None,
    }
}

fn has(attachment: &Attachment, address: IpAddr) -> bool {
    attachment.addresses.iter().any(|net| net.addr() == address)
}

struct Ends<'a> {
    picture: &'a Picture,
    request: &'a WhyRequest,
    own: &'a [IpAddr],
    from: String,
    source: Source,
}

impl Ends<'_> {
    fn target(self) -> Result<Start, ApiError> {
        let text = self.request.to.as_str();
        if text.is_empty() || text.len() > 253 {
            return Err(ApiError::new(ErrorKind::Invalid, "the second end has no name, or too long a one"));
        }
        match text {
            "outside" => return Ok(self.question(Target::World { address: None }, None)),
            "host" => return Ok(self.host()),
            _ => {}
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(self.at_address(address));
        }
        if let Some((id, found)) = container(self.picture, text) {
            let (id, found) = (id.clone(), found.clone());
            return Ok(self.to_container(&id, &found, Some(text)));
        }
        if let Some(start) = self.alias(text).or_else(|| self.remote(text)) {
            return Ok(start);
        }
        Ok(self.question(Target::Named, Some(text.to_owned())))
    }

    fn question(&self, target: Target, name: Option<String>) -> Start {
        Start::Ask(Box::new(Question {
            from: self.from.clone(),
            to: self.request.to.clone(),
            source: self.source.clone(),
            target,
            // The host's own resolver, and machines outside, know nothing of our names.
            name: name.filter(|_| matches!(self.source, Source::Container(_)) || self.request.to.contains('.')),
            port: self.request.port,
            proto: self.request.proto,
        }))
    }

    /// The attachments of the source.
    fn attachments(&self) -> &[Attachment] {
        match &self.source {
            Source::Container(id) => self.picture.containers.get(id).map_or(&[], |c| &c.attachments),
            Source::Host | Source::Outside => &[],
        }
    }

    /// The host, as it is reached from the source.
    fn host(&self) -> Start {
        let networks = self.attachments().iter().filter_map(|a| self.picture.networks.get(&a.network));
        let mut own = networks.flat_map(|n| drivers::of(&n.network.driver).host_addresses(&n.network));
        let first = own.next().or_else(|| self.own.iter().copied().find(|a| a.is_ipv4() && !a.is_loopback()));
        let address = match self.source {
            Source::Host => Some(IpAddr::from([127, 0, 0, 1])),
            Source::Container(_) | Source::Outside => first,
        };
        match address {
            Some(address) => self.at_address(address),
            None => Start::Told(vec![no_network(&self.from, "the host has no address that it could be reached by")]),
        }
    }

    fn at_address(&self, address: IpAddr) -> Start {
        if let (Source::Container(id), true, Some(a)) =
            (&self.source, address.is_loopback(), self.attachments().first())
        {
            let (id, network) = (id.clone(), a.network.clone());
            return self.question(Target::Container { id, network, address }, None);
        }
        let holders = self.picture.containers.iter();
        let mut held = holders.flat_map(|(id, c)| c.attachments.iter().map(move |a| (id, a)));
        if let Some((id, a)) = held.find(|(_, a)| has(a, address)) {
            let (id, network) = (id.clone(), a.network.clone());
            return self.question(Target::Container { id, network, address }, None);
        }
        for one in self.picture.networks.values() {
            if let Some(remote) = one.remotes.iter().find(|remote| remote.addresses.contains(&address)) {
                let (network, remote) = (one.network.id.clone(), Box::new(remote.clone()));
                return self.question(Target::Remote { network, remote, address }, None);
            }
        }
        if address.is_loopback() && !matches!(self.source, Source::Container(_)) || self.own.contains(&address) {
            return match self.published_at(address) {
                Some(target) => self.question(target, None),
                None => self.question(Target::Host { address }, None),
            };
        }
        self.question(Target::World { address: Some(address) }, None)
    }

    /// Who publishes the port that is asked for at this address of the host, or elsewhere.
    fn published_at(&self, address: IpAddr) -> Option<Target> {
        let wanted = self.request.port?;
        let all = self.picture.containers.iter().flat_map(|(id, c)| c.ports.iter().map(move |p| (id, p)));
        let mut all = all.filter(|(_, p)| p.proto == self.request.proto && covers(p.host_port, p.count, wanted));
        let at = |p: &PublishedPort| {
            p.host_ip == address || p.host_ip.is_unspecified() && p.host_ip.is_ipv4() == address.is_ipv4()
        };
        let first = all.clone().next();
        let (id, port) = all.find(|(_, p)| at(p)).or(first)?;
        Some(Target::Published { id: id.clone(), port: port.clone(), address, host_port: wanted })
    }

    fn to_container(&self, id: &ContainerId, found: &Inhabitant, name: Option<&str>) -> Start {
        if found.source == NetnsSource::Host {
            return self.host();
        }
        if self.source == Source::Outside {
            return self.published_by(id, found);
        }
        let shared = match &self.source {
            Source::Container(own) if own == id => found.attachments.first(),
            Source::Container(_) => {
                found.attachments.iter().find(|a| self.attachments().iter().any(|own| own.network == a.network))
            }
            Source::Host | Source::Outside => found.attachments.first(),
        };
        let linked = |a: &&Attachment| self.picture.networks.get(&a.network).is_some_and(|n| n.network.linked());
        if !found.attachments.iter().any(|a| linked(&a)) {
            return Start::Told(vec![alone(&found.name)]);
        }
        let Some(shared) = shared.filter(linked) else { return Start::Told(vec![self.apart(found)]) };
        let Some(address) = shared.addresses.first().map(|net| net.addr()) else {
            return Start::Told(vec![no_network(&found.name, "it has no address: its LAN's DHCP server gave it none")]);
        };
        let target = Target::Container { id: id.clone(), network: shared.network.clone(), address };
        let by_name = name.filter(|name| !id.as_str().starts_with(name)).map(str::to_owned);
        self.question(target, by_name.filter(|_| matches!(self.source, Source::Container(_))))
    }

    /// No network that both are on.
    fn apart(&self, found: &Inhabitant) -> Hop {
        let names = |all: &[Attachment]| {
            let known = all.iter().filter_map(|a| self.picture.networks.get(&a.network));
            let text: Vec<String> = known.map(|n| format!("`{}`", n.network.name)).collect();
            if text.is_empty() { "none".to_owned() } else { text.join(", ") }
        };
        let (own, theirs) = (names(self.attachments()), names(&found.attachments));
        let mut apart = hop(&self.from, format!("is on no network that `{}` is on", found.name));
        apart.fault = Some(Fault::NotOnOneNetwork);
        apart.evidence.push(format!("`{}` is on {own}; `{}` is on {theirs}", self.from, found.name));
        apart
            .evidence
            .push("networks are closed to each other, and a name is known on its own networks alone".to_owned());
        let of_theirs = found.attachments.iter().filter_map(|a| self.picture.networks.get(&a.network));
        let join = of_theirs.filter(|n| n.network.linked());
        apart.repair = join.map(|n| bare(command::network_connect(n.network.name.as_str(), &self.from))).collect();
        apart
    }

    /// Outside asks for a container: by what it publishes.
    fn published_by(&self, id: &ContainerId, found: &Inhabitant) -> Start {
        let proto = self.request.proto;
        let of = |p: &&PublishedPort| match self.request.port {
            Some(wanted) => {
                p.proto == proto && (covers(p.container_port, p.count, wanted) || covers(p.host_port, p.count, wanted))
            }
            None => true,
        };
        let mut all: Vec<&PublishedPort> = found.ports.iter().filter(of).collect();
        // What everybody reaches, before what is on loopback alone.
        all.sort_by_key(|p| (p.host_ip.is_loopback(), p.host_ip.is_ipv6()));
        let Some(port) = all.first() else {
            let what = self.request.port.map_or_else(|| "any port".to_owned(), |port| format!("port {port}/{proto}"));
            let mut none = hop(&found.name, format!("does not publish {what}"));
            none.fault = Some(Fault::NotPublished);
            none.evidence.push("machines outside reach a container by published ports alone".to_owned());
            none.repair.push(format!("create it with `-p HOST:{}`", self.request.port.unwrap_or(80)));
            return Start::Told(vec![none]);
        };
        let mine = self.own.iter().copied().find(|a| !a.is_loopback() && a.is_ipv4() == port.host_ip.is_ipv4());
        let address = if port.host_ip.is_unspecified() { mine.unwrap_or(port.host_ip) } else { port.host_ip };
        let offset =
            self.request.port.and_then(|wanted| wanted.checked_sub(port.container_port)).filter(|o| *o < port.count);
        let (id, host_port) = (id.clone(), port.host_port + offset.unwrap_or(0));
        self.question(Target::Published { id, port: (*port).clone(), address, host_port }, None)
    }

    /// A further name of a container.
    fn alias(&self, text: &str) -> Option<Start> {
        let all = self.picture.containers.iter().flat_map(|(id, c)| c.attachments.iter().map(move |a| (id, c, a)));
        let named: Vec<_> = all.filter(|(_, _, a)| a.aliases.iter().any(|alias| alias == text)).collect();
        let own = |network: &NetworkId| self.attachments().iter().any(|a| a.network == *network);
        if let Some((id, _, a)) = named.iter().find(|(_, _, a)| own(&a.network)) {
            let address = a.addresses.first()?.addr();
            let target = Target::Container { id: (*id).clone(), network: a.network.clone(), address };
            return Some(self.question(target, Some(text.to_owned())));
        }
        let (_, other, a) = named.first()?;
        let network = &self.picture.networks.get(&a.network)?.network.name;
        let mut elsewhere =
            hop(&self.from, format!("`{text}` is a name on network `{network}`, where `{}` is not", self.from));
        elsewhere.fault = Some(Fault::NameOfAnotherNetwork);
        elsewhere.evidence.push(format!("there it is container `{}`", other.name));
        elsewhere.repair.push(bare(command::network_connect(network.as_str(), &self.from)));
        Some(Start::Told(vec![elsewhere]))
    }

    /// A container of another host.
    fn remote(&self, text: &str) -> Option<Start> {
        let all = self.picture.networks.values().flat_map(|n| n.remotes.iter().map(move |r| (n, r)));
        let is = |r: &Remote| r.name == text || r.aliases.iter().any(|a| a == text) || r.container.as_str() == text;
        let found: Vec<_> = all.filter(|(_, r)| is(r)).collect();
        let own = |network: &NetworkId| self.attachments().iter().any(|a| a.network == *network);
        let Some((network, remote)) = found.iter().find(|(n, _)| own(&n.network.id)) else {
            let (network, remote) = found.first()?;
            let name = &network.network.name;
            let mut apart = hop(&self.from, format!("is not on network `{name}`, where `{text}` is"));
            apart.fault = Some(Fault::NotOnOneNetwork);
            apart.evidence.push(format!("`{text}` runs on host `{}`", self.picture.host_name(&remote.node)));
            apart.repair.push(bare(command::network_connect(name.as_str(), &self.from)));
            return Some(Start::Told(vec![apart]));
        };
        let address = *remote.addresses.first()?;
        let target =
            Target::Remote { network: network.network.id.clone(), remote: Box::new((*remote).clone()), address };
        Some(self.question(target, Some(text.to_owned())))
    }
}

/// A container that has loopback alone.
pub fn alone(name: &str) -> Hop {
    let mut alone = no_network(name, "is on no network: it has loopback alone");
    alone.repair.push(format!("create `{name}` without `--network none`"));
    alone
}

fn no_network(place: &str, why: &str) -> Hop {
    let mut none = hop(place, why.to_owned());
    none.fault = Some(Fault::NoNetwork);
    none
}

fn covers(first: u16, count: u16, wanted: u16) -> bool {
    wanted.checked_sub(first).is_some_and(|offset| offset < count)
}
