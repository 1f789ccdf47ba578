//! Packets of full size: a link on the way that takes less than the first one swallows them.

use super::hop::{HOST, bare};
use super::walk::Walk;
use netd_api::Fault;
use rcr_base::command;

impl Walk<'_> {
    /// Whether large packets come through as small ones do.
    pub fn sizes(&mut self) {
        let Some(full) = self.seen.full_size.clone() else { return };
        if !full.small_answered {
            return;
        }
        if full.answered {
            return self.good(HOST, format!("packets of {} bytes come through and back", full.size));
        }
        if let Some(told) = full.told {
            // Somebody on the way says what fits: the kernel sends no more from then on.
            return self.good(HOST, format!("on the way packets may have {told} bytes, and senders are told so"));
        }
        let narrow = self.narrowest();
        let size = full.size;
        let what = format!("packets of {size} bytes don't come through or don't come back; small ones do");
        let (to, network) = (
            self.question.to.clone(),
            self.sending().or_else(|| self.receiving()).map(|(_, n)| n.network.name.to_string()),
        );
        let hop = self.bad(Fault::MtuHole, HOST, what);
        match narrow {
            Some((place, link, mtu, wide)) => {
                hop.evidence.push(format!("`{link}` ({place}) takes {mtu} bytes, the other links on the way {wide}"));
                hop.evidence.push("a bridge drops what is too large for a port, and tells nobody".to_owned());
                let set = format!("ip link set {link} mtu {wide}");
                hop.repair.push(if place == HOST { set } else { bare(command::in_network_of(&place, &set)) });
            }
            None => {
                hop.evidence.push(format!("no link of this host is that narrow: it is on the way to `{to}`"));
                let who = "somebody there drops large packets, or the ICMP messages that tell senders";
                hop.evidence.push(who.to_owned());
            }
        }
        hop.repair.extend(network.map(|network| bare(command::network_update(&network, "-o mtu=1280"))));
    }

    /// The link of this host with the smallest MTU, where they differ: place, name, its MTU, the others' largest.
    fn narrowest(&self) -> Option<(String, String, u32, u32)> {
        let mut all: Vec<(String, String, u32)> = Vec::new();
        for (end, place, name) in [
            (self.sending(), &self.seen.source, Some(self.question.from.clone())),
            (self.receiving(), &self.seen.target, self.receiver().map(|r| r.name.clone())),
        ] {
            let Some((attachment, network)) = end else { continue };
            let inside = place.as_ref().and_then(|place| place.links.get(&attachment.ifname));
            all.extend(inside.zip(name).map(|(link, name)| (name, attachment.ifname.to_string(), link.mtu)));
            let Some(host) = &self.seen.host else { continue };
            let outside = host.links.get(&attachment.host_link).filter(|_| network.network.bridge().is_some());
            all.extend(outside.map(|link| (HOST.to_owned(), attachment.host_link.to_string(), link.mtu)));
        }
        let widest = all.iter().map(|(_, _, mtu)| *mtu).max()?;
        let (place, name, mtu) = all.into_iter().min_by_key(|(_, _, mtu)| *mtu)?;
        (mtu < widest).then_some((place, name, mtu, widest))
    }
}
