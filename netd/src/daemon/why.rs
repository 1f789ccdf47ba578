//! `rcr network why`: what is known comes from the writer, what is seen from here, and what follows from both is pure
//! (`netd_core::why`). The connection's thread looks, hop by hop; every wait has a limit.

use super::why_names::{ask_for, domains_of, servers_of};
use super::writer::Writer;
use crate::clock::unix_time;
use crate::kernel::{
    KernelError, Mark, Probe, Trace, Wants, busy_ports, conntrack, forwards, full_size, host_addresses, last_handshake,
    place, probe, stopping,
};
use netd_api::{ApiError, ErrorKind, Fault, Hop, IfName, NetworkId, Proto, Reply, WhyRequest};
use netd_core::drivers::overlay;
use netd_core::firewall::foreign;
use netd_core::marks::WIREGUARD;
use netd_core::model::{Attachment, Remote};
use netd_core::picture::{NetworkPicture, Picture};
use netd_core::seen::{NameOutcome, NameSeen, PlaceSeen, ProbeOutcome, RouteSeen, Seen, SessionSeen, TunnelSeen};
use netd_core::why::{Own, Question, Source, Start, Target, ask, explain, told};
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long a probe waits: within this host, and beyond it.
const NEAR: Duration = Duration::from_millis(150);
const FAR: Duration = Duration::from_secs(1);
/// How long traces are waited for after that.
const TRACES: Duration = Duration::from_millis(20);
/// An address that stands for all outside (RFC 5737): nothing is sent to it.
const SOMEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));

/// Whether one reaches another, and why not.
pub fn why(writer: &Writer, request: &WhyRequest) -> Result<Reply, ApiError> {
    let begun = Instant::now();
    let picture = writer.picture()?;
    let own = own(!request.asleep.is_empty()).map_err(|error| {
        ApiError::new(ErrorKind::System, "cannot look at the host's addresses").caused_by(error.to_string())
    })?;
    let mut answer = match ask(&picture, request, &own)? {
        Start::Told(hops) => told(request, hops),
        Start::Ask(question) => {
            let mut look = Look::new(writer, &picture, *question)?;
            match look.everything(request, &own)? {
                Some(hops) => told(request, hops),
                None => explain(&picture, &look.question, &look.seen),
            }
        }
    };
    answer.took = begun.elapsed().as_micros() as u64;
    Ok(Reply::Why(Box::new(answer)))
}

/// The host's addresses, and its ports and bridges where somebody asks for a container that does not run.
fn own(asleep: bool) -> Result<Own, KernelError> {
    let mut own = Own { addresses: host_addresses()?, ..Own::default() };
    if asleep {
        own.sockets = busy_ports()?;
        let seen = place(None, &Wants::default())?;
        for bridge in seen.links.values().filter_map(|link| link.controller).filter_map(|index| seen.link_at(index)) {
            *own.ports.entry(bridge.0.clone()).or_default() += 1;
        }
    }
    Ok(own)
}

struct Look<'a> {
    writer: &'a Writer,
    picture: &'a Picture,
    question: Question,
    seen: Seen,
    source: Option<OwnedFd>,
    target: Option<OwnedFd>,
}

impl<'a> Look<'a> {
    fn new(writer: &'a Writer, picture: &'a Picture, question: Question) -> Result<Self, ApiError> {
        let mut look = Self { writer, picture, question, seen: Seen::default(), source: None, target: None };
        look.open()?;
        Ok(look)
    }

    /// Takes hold of both ends' namespaces.
    fn open(&mut self) -> Result<(), ApiError> {
        let of = |id| Ok::<_, ApiError>(self.writer.netns_of(vec![id])?.pop().flatten());
        if let (Source::Container(id), None) = (&self.question.source, &self.source) {
            self.source = of(id.clone())?;
            if self.source.is_none() {
                return Err(ApiError::new(ErrorKind::Conflict, format!("`{}` ended meanwhile", self.question.from)));
            }
        }
        if let Target::Container { id, .. } | Target::Published { id, .. } = &self.question.target {
            self.target = of(id.clone())?;
            if self.target.is_none() {
                self.unseen("the target's network namespace", "it is gone");
            }
        }
        Ok(())
    }

    fn unseen(&mut self, what: &str, why: impl Display) {
        self.seen.unseen.push(format!("{what}: {why}"));
    }

    /// Looks at everything on the way. Hops, if there is nothing more to look at.
    fn everything(&mut self, request: &WhyRequest, own: &Own) -> Result<Option<Vec<Hop>>, ApiError> {
        self.name();
        if matches!(self.question.target, Target::Named) {
            let Some(NameOutcome::Addresses(all)) = self.seen.name.as_ref().map(|name| &name.outcome) else {
                return Ok(None);
            };
            let Some(address) = all.first().copied() else { return Ok(None) };
            self.turn_to(request, address, own)?;
        }
        if let Target::World { address: None } = self.question.target
            && let Some(hops) = self.find_router()
        {
            return Ok(Some(hops));
        }
        if matches!(&self.seen.name, Some(name) if !matches!(name.outcome, NameOutcome::Addresses(_))) {
            // The way to a name that is not found is nobody's.
            self.places();
            return Ok(None);
        }
        self.send();
        self.places();
        self.seen.conntrack = conntrack();
        self.tunnel();
        self.full_size();
        self.certain_drops();
        Ok(None)
    }

    fn limit(&self) -> Duration {
        match self.question.target {
            Target::World { .. } | Target::Remote { .. } => FAR,
            _ => NEAR,
        }
    }

    fn name(&mut self) {
        let Some(name) = self.question.name.clone() else { return };
        let servers = servers_of(self.picture, &self.question.source);
        let (seen, unasked) = ask_for(&name, self.source.as_ref().map(AsFd::as_fd), &servers);
        self.seen.unseen.extend(unasked);
        let domains = domains_of(self.picture, &self.question.source, &name);
        self.seen.name = seen.map(|seen| NameSeen { domains, ..seen });
    }

    /// The name is somebody with this address: the same question about that.
    fn turn_to(&mut self, request: &WhyRequest, address: IpAddr, own: &Own) -> Result<(), ApiError> {
        let by_address = WhyRequest { to: address.to_string(), ..request.clone() };
        if let Start::Ask(question) = ask(self.picture, &by_address, own)? {
            let (to, name) = (self.question.to.clone(), self.question.name.clone());
            self.question = Question { to, name, ..*question };
            self.open()?;
        }
        Ok(())
    }

    /// `outside` without an address is the host's router: the first machine that is outside.
    fn find_router(&mut self) -> Option<Vec<Hop>> {
        let none = |what: &str| Hop {
            place: "host".to_owned(),
            what: what.to_owned(),
            fault: Some(Fault::NoRoute),
            evidence: vec!["`ip route` lists its routes".to_owned()],
            repair: Vec::new(),
        };
        match place(None, &Wants { to: Some(SOMEWHERE), ..Wants::default() }).map(|place| place.way) {
            Ok(RouteSeen::Way(way)) if way.via.is_some() => {
                self.question.target = Target::World { address: way.via };
                None
            }
            Ok(RouteSeen::Way(_)) => Some(vec![none("its default route names no router: ask about an address")]),
            _ => Some(vec![none("has no default route: it reaches nobody outside itself")]),
        }
    }

    fn address(&self) -> Option<IpAddr> {
        match &self.question.target {
            Target::Container { address, .. } | Target::Remote { address, .. } => Some(*address),
            Target::Published { address, .. } | Target::Host { address } => Some(*address),
            Target::World { address } => *address,
            Target::Named => None,
        }
    }

    /// The attachments of a container, and which of them is on a network, or leads out.
    fn attachment(&self, source: bool, on: Option<&NetworkId>) -> Option<&'a Attachment> {
        let id = match (source, &self.question.source, &self.question.target) {
            (true, Source::Container(id), _) => id,
            (false, _, Target::Container { id, .. } | Target::Published { id, .. }) => id,
            _ => return None,
        };
        let all = &self.picture.containers.get(id)?.attachments;
        let to = self.address();
        let near = |a: &&Attachment| to.is_some_and(|to| a.addresses.iter().any(|net| net.contains(&to)));
        let shared = all.iter().find(|a| on.is_some_and(|network| a.network == *network));
        match source {
            false => shared.or_else(|| all.iter().find(|a| !a.ports.is_empty())).or(all.first()),
            true => {
                let leads_out = || all.iter().find(|a| !a.default_via.is_empty());
                shared.or_else(|| all.iter().find(near)).or_else(leads_out).or(all.first())
            }
        }
    }

    fn shared(&self) -> Option<&NetworkId> {
        match &self.question.target {
            Target::Container { network, .. } | Target::Remote { network, .. } => Some(network),
            _ => None,
        }
    }

    /// The probe, with the host's firewall telling where it goes.
    fn send(&mut self) {
        let Some(to) = self.address() else { return };
        if self.question.proto == Proto::Sctp && self.question.port.is_some() {
            self.unseen("SCTP", "no packet of it is sent; an echo request went instead");
        }
        if self.question.source == Source::Outside {
            self.unseen(
                "the way from outside",
                "nobody there can be asked to send: the probe came from the host itself",
            );
        }
        let marks = self.marks(to);
        let trace = Trace::start(self.writer.connection, marks);
        let limit = self.limit();
        let wanted = Probe { to, port: self.question.port, proto: self.question.proto, limit };
        let wanted = match (&self.question.target, self.question.source == Source::Outside) {
            (Target::Published { host_port, .. }, _) => Probe { port: Some(*host_port), ..wanted },
            _ => wanted,
        };
        let sent = probe(self.source.as_ref().map(AsFd::as_fd), wanted);
        let answered = matches!(&sent, Ok(sent) if sent.outcome == ProbeOutcome::Answered);
        match sent {
            Ok(sent) => self.seen.probe = Some(sent),
            Err(error) => self.unseen("a probe", error),
        }
        match trace.and_then(|trace| trace.heard(if answered { Duration::ZERO } else { TRACES })) {
            Ok(trace) => self.seen.trace = Some(trace),
            Err(error) => self.unseen("the way through the firewall (nftables' traces, Linux 5.12)", error),
        }
    }

    /// Which packets the firewall is to tell of: the probe's, and the answers.
    fn marks(&self, to: IpAddr) -> Vec<Mark> {
        let proto = match (self.question.port, self.question.proto, to.is_ipv4()) {
            (Some(_), Proto::Tcp, _) => 6,
            (Some(_), Proto::Udp, _) => 17,
            (_, _, true) => 1,
            (_, _, false) => 58,
        };
        let port = match &self.question.target {
            Target::Published { host_port, .. } => Some(*host_port),
            _ => self.question.port.filter(|_| proto == 6 || proto == 17),
        };
        let of_family = |a: &Attachment| a.addresses.iter().map(|net| net.addr()).find(|a| a.is_ipv4() == to.is_ipv4());
        let bridged = |a: &Attachment| {
            let network = self.picture.networks.get(&a.network);
            network.is_some_and(|n| n.network.bridge().is_some()).then(|| a.host_link.clone())
        };
        let sender = self.attachment(true, self.shared());
        let from = sender.and_then(of_family);
        let mut marks = Vec::new();
        match (&self.question.source, sender.and_then(bridged)) {
            (Source::Container(_), Some(link)) => {
                marks.push(Mark { link: Some(link), from, to: Some(to), proto, port, answer: false });
            }
            (Source::Container(_), None) => {}
            _ => marks.push(Mark { link: None, from: None, to: Some(to), proto, port, answer: false }),
        }
        if let Some(receiver) = self.attachment(false, self.shared())
            && let (Some(link), Some(back)) = (bridged(receiver), of_family(receiver))
            && from != Some(back)
        {
            let to = from.filter(|_| !matches!(self.question.target, Target::Published { .. }));
            marks.push(Mark { link: Some(link), from: Some(back), to, proto, port: None, answer: true });
        }
        if let (Target::Host { .. }, Some(_)) = (&self.question.target, from) {
            marks.push(Mark { link: None, from: Some(to), to: from, proto, port: None, answer: true });
        }
        marks
    }

    fn places(&mut self) {
        let to = self.address();
        let v4 = to.is_none_or(|to| to.is_ipv4());
        let of_family = |a: &Attachment| a.addresses.iter().map(|net| net.addr()).find(|a| a.is_ipv4() == v4);
        let from = self.attachment(true, self.shared()).and_then(of_family);
        let mut sysctls = vec![
            "net/ipv4/ip_forward".to_owned(),
            "net/ipv6/conf/all/forwarding".to_owned(),
            "net/ipv4/conf/all/rp_filter".to_owned(),
        ];
        let bridge = self.attachment(true, self.shared()).and_then(|a| self.picture.networks.get(&a.network));
        let bridge = bridge.and_then(|n| n.network.interface.as_ref());
        sysctls.extend(bridge.map(|link| format!("net/ipv4/conf/{link}/rp_filter")));
        let host = Wants { to, back: from, sysctls };
        self.seen.host = self.seen_or_not("the host", place(None, &host));
        let ends =
            [(self.source.as_ref().map(AsFd::as_fd), to, None), (self.target.as_ref().map(AsFd::as_fd), from, to)];
        let [source, target] = ends.map(|(netns, to, back): (Option<BorrowedFd<'_>>, _, _)| {
            netns.map(|netns| place(Some(netns), &Wants { to, back, sysctls: Vec::new() }))
        });
        self.seen.source = source.and_then(|seen| self.seen_or_not("the source", seen));
        self.seen.target = target.and_then(|seen| self.seen_or_not("the target", seen));
    }

    fn seen_or_not<E: Display>(&mut self, what: &str, seen: Result<PlaceSeen, E>) -> Option<PlaceSeen> {
        seen.map_err(|error| self.unseen(what, error)).ok()
    }

    /// The tunnel to another host, and that host.
    fn tunnel(&mut self) {
        let Target::Remote { network, remote, .. } = &self.question.target else { return };
        let (network, remote): (NetworkId, Remote) = (network.clone(), (**remote).clone());
        let Some(network) = self.picture.networks.get(&network) else { return };
        let link = overlay::link_name(&network.network);
        let index = link.and_then(|link| self.seen.host.as_ref()?.links.get(&link)).map(|link| link.index);
        let mut seen = TunnelSeen::default();
        match index.map(forwards) {
            Some(Ok(all)) => seen.forwards = all,
            Some(Err(error)) => self.unseen("the tunnel's entries", error),
            None => {}
        }
        if let Some(vtep) = network.vteps.get(&remote.node).map(|vtep| vtep.address) {
            let wants = Wants { to: Some(vtep), ..Wants::default() };
            seen.way = place(None, &wants).map(|place| place.way).unwrap_or_default();
            if !matches!(&self.seen.probe, Some(probe) if probe.outcome == ProbeOutcome::Answered) {
                let echo = Probe { to: vtep, port: None, proto: Proto::Tcp, limit: FAR };
                seen.host_answers = probe(None, echo).ok().map(|seen| seen.outcome == ProbeOutcome::Answered);
            }
        }
        if network.network.encrypted() {
            seen.session = self.session(network, &remote);
        }
        self.seen.tunnel = Some(seen);
    }

    /// How old WireGuard's session with the remote's host is.
    fn session(&mut self, network: &NetworkPicture, remote: &Remote) -> SessionSeen {
        let Some(key) = network.vteps.get(&remote.node).and_then(|vtep| vtep.key) else { return SessionSeen::Stranger };
        let Some(host) = &self.seen.host else { return SessionSeen::Unasked };
        let ours = host.links.iter().filter(|(_, link)| link.alias.as_deref() == Some(WIREGUARD)).map(|(name, _)| name);
        match last_handshake(ours, &key) {
            Ok(None) => SessionSeen::Stranger,
            Ok(Some(0)) => SessionSeen::Never,
            Ok(Some(time)) => SessionSeen::Ago(unix_time().saturating_sub(time).unsigned_abs()),
            Err(error) => {
                self.unseen("WireGuard's sessions", error);
                SessionSeen::Unasked
            }
        }
    }

    /// A packet of full size, where a small one came through.
    fn full_size(&mut self) {
        let answered = matches!(&self.seen.probe, Some(probe) if probe.outcome != ProbeOutcome::Silent);
        let far =
            matches!(self.question.target, Target::Container { .. } | Target::Remote { .. } | Target::World { .. });
        let itself = matches!((&self.question.source, &self.question.target),
            (Source::Container(a), Target::Container { id, .. }) if a == id);
        let (Some(to), true) = (self.address(), answered && far && !itself) else { return };
        let name = self.attachment(true, self.shared()).map(|a| a.ifname.clone());
        let name = name.or_else(|| self.way_of_host().filter(|_| self.source.is_none()));
        let links = if self.source.is_some() { self.seen.source.as_ref() } else { self.seen.host.as_ref() };
        let Some(mtu) = name.and_then(|name| links?.links.get(&name)).map(|link| link.mtu) else { return };
        let (limit, tries) = if self.limit() == FAR { (FAR / 2, 2) } else { (NEAR, 1) };
        match full_size(self.source.as_ref().map(AsFd::as_fd), to, mtu, limit, tries) {
            Ok(seen) if seen.small_answered => self.seen.full_size = Some(seen),
            Ok(_) => self.unseen("packets of full size", "the other end answers no echo requests"),
            Err(error) => self.unseen("packets of full size", error),
        }
    }

    fn way_of_host(&self) -> Option<IfName> {
        match &self.seen.host.as_ref()?.way {
            RouteSeen::Way(way) if !way.local => way.link.parse().ok(),
            _ => None,
        }
    }

    /// What others' chains do to packets that could not be sent.
    fn certain_drops(&mut self) {
        let outside = self.question.source == Source::Outside;
        if self.seen.trace.is_some() && !outside {
            return;
        }
        let link = |source| {
            let network = self.picture.networks.get(&self.attachment(source, self.shared())?.network)?;
            network.network.interface.as_ref().map(ToString::to_string)
        };
        let (iif, oif) = (if outside { None } else { link(true) }, link(false));
        let family = if self.address().is_none_or(|to| to.is_ipv4()) { 2 } else { 10 };
        match stopping(foreign::Probe { iif: iif.as_deref(), oif: oif.as_deref(), family }) {
            Ok(chains) => self.seen.stopping = chains,
            Err(error) => self.unseen("other firewalls", error),
        }
    }
}
