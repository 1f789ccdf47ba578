//! Links: the container's end, the host's end, the bridge, the parent.

use super::hop::{HOST, bare};
use super::question::{Target, alone};
use super::walk::Walk;
use crate::model::Attachment;
use crate::picture::NetworkPicture;
use crate::seen::PlaceSeen;
use netd_api::{Fault, IfName};
use rcr_base::command;

impl Walk<'_> {
    /// Where the sender is attached, and whether that leads anywhere.
    pub fn attachment(&mut self) {
        let Some(sender) = self.sender() else { return };
        let from = self.question.from.clone();
        if self.is_itself() {
            return self.good(&from, "asks itself");
        }
        let Some((attachment, network)) = self.sending().filter(|(_, n)| n.network.linked()) else {
            self.hops.push(alone(&from));
            return;
        };
        let name = network.network.name.clone();
        if self.leaves() && network.network.internal {
            let hop = self.bad(Fault::Internal, &from, format!("network `{name}` is internal: nothing leaves it"));
            hop.evidence.push(format!("it was created with `--internal`; `{from}` has no default route by it"));
            hop.repair.push(bare(command::network_connect("NETWORK", &from)));
            return;
        }
        if let Some(to) = self.address().filter(|to| to.is_ipv6() && !to.is_loopback())
            && !sender.attachments.iter().any(|a| a.addresses.iter().any(|net| net.addr().is_ipv6()))
        {
            let hop = self.bad(Fault::Ipv6Off, &from, format!("has no IPv6 address, and {to} is one"));
            hop.evidence.push(format!("network `{name}` has no IPv6 subnet"));
            hop.repair.push(bare(command::network_update(name.as_str(), "--subnet fd77::/64")));
            return;
        }
        if attachment.addresses.is_empty() {
            let hop = self.bad(Fault::LeaseLost, &from, format!("has no address on network `{name}`"));
            hop.evidence.push("the LAN's DHCP server gave it none, or its lease has ended".to_owned());
            return;
        }
        match (&self.question.target, self.receiver()) {
            (Target::Container { network: theirs, .. }, Some(receiver)) if *theirs == network.network.id => {
                let what = format!("is on network `{name}`, as `{}` is", receiver.name);
                self.good(&from, what);
            }
            _ => self.good(&from, format!("is on network `{name}`")),
        }
    }

    /// Whether packets go beyond the network's own subnets.
    pub fn leaves(&self) -> bool {
        matches!(self.question.target, Target::World { .. } | Target::Named | Target::Published { .. })
    }

    /// The sender's end.
    pub fn source_link(&mut self) {
        if self.is_itself() {
            return;
        }
        if let (Some((attachment, _)), Some(place)) = (self.sending(), &self.seen.source) {
            self.inside(&self.question.from, attachment, place);
        }
    }

    /// The receiver's end.
    pub fn target_link(&mut self) {
        if self.is_itself() {
            return;
        }
        let (Some((attachment, _)), Some(receiver)) = (self.receiving(), self.receiver()) else { return };
        if let Some(place) = &self.seen.target {
            self.inside(&receiver.name, attachment, place);
        }
    }

    fn inside(&mut self, container: &str, attachment: &Attachment, place: &PlaceSeen) {
        let name = &attachment.ifname;
        let again = bare(command::network_disconnect("NETWORK", container));
        match place.links.get(name) {
            None => {
                let hop = self.bad(Fault::LinkMissing, container, format!("has no link `{name}`"));
                hop.evidence.push("netd made it; somebody deleted or renamed it".to_owned());
                hop.repair.push(format!("{again}, then {}", bare(command::network_connect("NETWORK", container))));
            }
            Some(link) if !link.up => {
                let hop = self.bad(Fault::LinkDown, container, format!("its link `{name}` is down"));
                hop.repair.push(bare(command::in_network_of(container, &format!("ip link set {name} up"))));
            }
            Some(_) => {
                let lost = attachment.addresses.iter().find(|net| !place.has(net.addr()));
                if let Some(lost) = lost {
                    let hop = self.bad(Fault::AddressMissing, container, format!("its link `{name}` has lost {lost}"));
                    let words = format!("ip addr add {lost} dev {name}");
                    hop.repair.push(bare(command::in_network_of(container, &words)));
                }
            }
        }
    }

    /// The host's side of both ends, and what joins them.
    pub fn host_links(&mut self) {
        let Some(place) = self.seen.host.as_ref().filter(|_| !self.is_itself()) else { return };
        let ends = [self.sending(), self.receiving()];
        for (attachment, network) in ends.iter().copied().flatten() {
            self.joined(attachment, network, place);
            if self.broken() {
                return;
            }
        }
        if let Some((_, network)) = ends.iter().copied().flatten().next() {
            let name = network.network.interface.as_ref().map_or_else(String::new, |link| format!(" `{link}`"));
            let kind = if network.network.bridge().is_some() { "bridge" } else { "parent" };
            self.good(HOST, format!("the {kind}{name} and the links on it are up"));
        }
    }

    fn joined(&mut self, attachment: &Attachment, network: &NetworkPicture, place: &PlaceSeen) {
        let Some(interface) = &network.network.interface else { return };
        let base = place.links.get(interface);
        if network.network.bridge().is_none() {
            return self.parent(interface, network, place);
        }
        let Some(base) = base else {
            return self.gone(interface, "the bridge of the network");
        };
        if !base.up {
            return self.down(interface, "the bridge of the network");
        }
        let (name, whose) =
            (&attachment.host_link, format!("the host's end of `{}`'s link", attachment.container_name));
        match place.links.get(name) {
            None => self.gone(name, &whose),
            Some(link) if !link.up => self.down(name, &whose),
            Some(link) if link.controller != Some(base.index) => {
                let of = link.controller.and_then(|index| place.link_at(index));
                let what = format!("{whose}, `{name}`, is not on the bridge `{interface}`");
                let hop = self.bad(Fault::LinkMisplaced, HOST, what);
                hop.evidence.extend(of.map(|(other, _)| format!("it is on `{other}`")));
                hop.repair.push(bare(command::network_repair()));
                hop.repair.push(format!("ip link set {name} master {interface}"));
            }
            Some(link) if !link.forwards && !self.inside_is_down(attachment) => {
                let what = format!("the bridge `{interface}` lets nothing pass by `{name}`, {whose}");
                let hop = self.bad(Fault::LinkDown, HOST, what);
                hop.evidence.push(format!("`bridge link show dev {name}` has its state"));
                hop.repair.push(format!("bridge link set dev {name} state 3"));
            }
            Some(_) => {}
        }
    }

    /// A port whose other end is down passes nothing either: that is told of the other end.
    fn inside_is_down(&self, attachment: &Attachment) -> bool {
        let down = |place: &Option<PlaceSeen>| {
            place.as_ref().is_some_and(|place| place.links.get(&attachment.ifname).is_none_or(|link| !link.up))
        };
        let is = |end: Option<(&Attachment, _)>| end.is_some_and(|(a, _)| a.container == attachment.container);
        is(self.receiving()) && down(&self.seen.target) || is(self.sending()) && down(&self.seen.source)
    }

    fn parent(&mut self, parent: &IfName, network: &NetworkPicture, place: &PlaceSeen) {
        match place.links.get(parent) {
            Some(link) if link.up => {}
            found => {
                let how = if found.is_some() { "is down" } else { "is gone" };
                let what = format!("the parent `{parent}` of network `{}` {how}", network.network.name);
                let hop = self.bad(Fault::ParentDown, HOST, what);
                hop.evidence.push("the containers' links sit on it, and pass nothing without it".to_owned());
                hop.repair.extend(found.map(|_| format!("ip link set {parent} up")));
            }
        }
    }

    fn gone(&mut self, name: &IfName, whose: &str) {
        let hop = self.bad(Fault::LinkMissing, HOST, format!("{whose}, `{name}`, is gone"));
        hop.evidence.push("netd made it; somebody deleted or renamed it".to_owned());
        hop.repair.push(bare(command::network_repair()));
    }

    fn down(&mut self, name: &IfName, whose: &str) {
        let hop = self.bad(Fault::LinkDown, HOST, format!("{whose}, `{name}`, is down"));
        hop.repair.push(format!("ip link set {name} up"));
    }
}
