//! Which hops a question has, in their order, and what they amount to.

use super::hop::{HOST, bare, hop};
use super::question::{Question, Source, Target};
use super::walk::Walk;
use crate::picture::Picture;
use crate::seen::{ProbeOutcome, Seen};
use netd_api::{Fault, Hop, Proto, Reach, WhyAnswer};
use rcr_base::command;

/// The hops in the order of the packets.
fn stages<'a>() -> [fn(&mut Walk<'a>); 19] {
    [
        Walk::name,
        Walk::attachment,
        Walk::beside_the_host,
        Walk::published,
        Walk::source_link,
        Walk::route,
        Walk::neighbour,
        Walk::host_links,
        Walk::apart,
        Walk::reverse_path,
        Walk::conntrack,
        Walk::forwarding,
        Walk::firewall,
        Walk::way_out,
        Walk::tunnel,
        Walk::target_link,
        Walk::sizes,
        Walk::listener,
        Walk::probe,
    ]
}

/// The answer.
pub fn explain(picture: &Picture, question: &Question, seen: &Seen) -> WhyAnswer {
    let mut walk = Walk::new(picture, question, seen);
    for stage in stages() {
        stage(&mut walk);
        if walk.broken() {
            break;
        }
    }
    let reach = match (walk.broken(), walk.answered() && !walk.stood_in(), walk.is_sure()) {
        (true, ..) => Reach::No,
        (false, true, _) | (false, _, true) => Reach::Yes,
        (false, false, false) => Reach::Unknown,
    };
    WhyAnswer {
        from: question.from.clone(),
        to: question.to.clone(),
        address: walk.address(),
        port: question.port,
        proto: question.proto,
        reach,
        hops: walk.hops,
        unseen: seen.unseen.clone(),
        took: 0,
    }
}

impl Walk<'_> {
    /// Links beside the host's own (macvlan, ipvlan): the kernel keeps them from their parent.
    fn beside_the_host(&mut self) {
        let Some((_, network)) = self.sending().or_else(|| self.receiving()) else { return };
        let to_host = matches!(self.question.target, Target::Host { .. }) && self.sender().is_some();
        let from_host =
            self.question.source == Source::Host && matches!(self.question.target, Target::Container { .. });
        let apart = network.network.parent.is_some() && network.network.own_link.is_none();
        if !apart || !(to_host || from_host) || !self.in_doubt() {
            return;
        }
        let (name, kind) = (network.network.name.clone(), network.network.driver.name());
        let hop = self.bad(
            Fault::ParentKeepsHostApart,
            HOST,
            format!("reaches no {kind} link on its own parent, and none reaches it"),
        );
        hop.evidence.push(format!("network `{name}` was created without `-o host_access=true`"));
        hop.repair.push(format!("create network `{name}` with `-o host_access=true`"));
    }

    /// What the probe itself says, when nothing else was found.
    fn probe(&mut self) {
        let Some(probe) = &self.seen.probe else { return };
        let to = self.question.to.clone();
        let proto = self.question.proto.to_string().to_uppercase();
        let what =
            self.question.port.map_or_else(|| "an echo request".to_owned(), |port| format!("{proto} port {port}"));
        match &probe.outcome {
            ProbeOutcome::Answered if self.stood_in() => {
                self.good(&to, format!("an echo request is answered; whether anybody takes {what} is not known"));
            }
            ProbeOutcome::Answered => self.good(&to, format!("{what} is answered")),
            ProbeOutcome::Refused => {
                let hop = self.bad(Fault::NotListening, &to, format!("{what} is refused"));
                hop.evidence.push(
                    "it came there, and somebody refused it: nobody listens, or a firewall there rejects it".to_owned(),
                );
            }
            ProbeOutcome::Silent if self.is_sure() => {
                let text = format!("nothing was found that stops {what}; UDP itself gives no answer");
                self.good(&to, text);
            }
            // A firewall somewhere may drop, or the program take and not answer.
            ProbeOutcome::Silent if self.question.proto != Proto::Tcp && self.question.port.is_some() => {}
            ProbeOutcome::Silent => {
                let waited = probe.waited;
                let unseen = !self.seen.unseen.is_empty();
                let hop = self.bad(Fault::Unexplained, &to, format!("{what} gets no answer"));
                hop.evidence.push(format!("nothing came back within {waited} ms"));
                hop.evidence.push("nothing that was looked at explains it".to_owned());
                if unseen {
                    hop.evidence.push("some of it could not be looked at, see below".to_owned());
                }
                hop.repair.push(bare(command::network_repair()));
            }
            ProbeOutcome::Unreachable(why) => {
                let why = why.clone();
                let hop = self.bad(Fault::Unexplained, &to, format!("{what} can't be sent there"));
                hop.evidence.push(why);
            }
        }
    }

    /// An echo request went in place of a packet that is not sent.
    fn stood_in(&self) -> bool {
        self.question.proto == Proto::Sctp && self.question.port.is_some()
    }

    /// A protocol that gives no answer by itself, whose packets nothing stops and somebody waits for; or a question of
    /// somebody who can't be asked to send.
    fn is_sure(&self) -> bool {
        let waits = self.listens;
        let passes = self.seen.trace.as_ref().is_some_and(|trace| trace.arrived && trace.drops.is_empty());
        let silent = self.question.proto == Proto::Udp && self.question.port.is_some() && waits && passes;
        let host_knows = self.seen.probe.as_ref().is_none_or(|probe| probe.outcome == ProbeOutcome::Answered);
        silent || self.question.source == Source::Outside && waits && host_knows
    }
}

/// An answer that needed no look.
pub fn told(request: &netd_api::WhyRequest, hops: Vec<Hop>) -> WhyAnswer {
    let reach = if hops.iter().any(|hop| hop.fault.is_some()) { Reach::No } else { Reach::Unknown };
    WhyAnswer {
        from: request.from.clone(),
        to: request.to.clone(),
        address: None,
        port: request.port,
        proto: request.proto,
        reach,
        hops: if hops.is_empty() { vec![hop(&request.from, "nothing is known".to_owned())] } else { hops },
        unseen: Vec::new(),
        took: 0,
    }
}
