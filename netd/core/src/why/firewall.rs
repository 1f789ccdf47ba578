//! The host's firewall: ours, the administrator's, others'. A probe's own traces say which rule dropped it.

use super::hop::{HOST, bare};
use super::question::{Source, Target};
use super::walk::Walk;
use crate::firewall::foreign::command as let_through;
use crate::firewall::{host_table, user_table};
use crate::seen::{DropSeen, family_name};
use netd_api::Fault;
use rcr_base::command;

impl Walk<'_> {
    /// Whether a rule or a policy drops the packets, or the answers.
    pub fn firewall(&mut self) {
        // What the host itself sent was forwarded by nobody: of outside's packets only what is certain is known.
        let outside = self.question.source == Source::Outside;
        if self.answered() && !outside {
            return;
        }
        if outside && !self.seen.stopping.is_empty() {
            return self.stopped();
        }
        if let Some(trace) = &self.seen.trace {
            if let Some(dropped) = trace.drops.first() {
                return self.dropped(dropped);
            }
            if trace.arrived {
                return self.good(HOST, "no rule of its firewall drops the packets");
            }
        }
        self.stopped();
    }

    /// Without a probe: what is certain.
    fn stopped(&mut self) {
        let Some(chain) = self.seen.stopping.first() else { return };
        let (family, table, name) = (chain.family_name(), &chain.table, &chain.name);
        let link = self.receiving().or_else(|| self.sending()).and_then(|(_, n)| n.network.interface.clone());
        let what = format!("chain `{name}` of table `{family} {table}` drops the packets");
        let how =
            if chain.drops { "its policy is to drop, and no rule accepts them" } else { "a rule of it drops them" };
        let repair = link.map(|link| let_through(chain, link.as_str()));
        let hop = self.bad(Fault::ForeignTable, HOST, what);
        hop.evidence.push(how.to_owned());
        hop.repair.extend(repair);
    }

    fn dropped(&mut self, dropped: &DropSeen) {
        let table = format!("{} {}", family_name(dropped.family), dropped.table);
        let inet = family_name(dropped.family) == "inet";
        let ours = inet && dropped.table == host_table().name;
        let theirs = inet && dropped.table == user_table().name;
        if ours {
            return self.closed(dropped);
        }
        let (fault, whose) = match theirs {
            true => (Fault::AdministratorsRule, "the administrator's table"),
            false => (Fault::ForeignTable, "table"),
        };
        let (packets, chain) = (if dropped.answer { "the answers" } else { "the packets" }, &dropped.chain);
        let what = match &dropped.rule {
            Some(_) => format!("a rule in chain `{chain}` of {whose} `{table}` drops {packets}"),
            None => format!("the policy of chain `{chain}` of {whose} `{table}` drops {packets}"),
        };
        let link = self.receiving().or_else(|| self.sending()).and_then(|(_, n)| n.network.interface.clone());
        let hop = self.bad(fault, HOST, what);
        match &dropped.rule {
            Some(rule) => {
                hop.evidence.push(format!("rule with handle {}: {}", rule.handle, rule.text));
                hop.evidence.extend(rule.comment.as_ref().map(|comment| format!("its comment: {comment}")));
                hop.repair.push(format!("nft delete rule {table} {chain} handle {}", rule.handle));
            }
            None => hop.evidence.push("policy drop: no rule of the chain accepts them".to_owned()),
        }
        if let Some(link) = link.filter(|_| ["ip", "ip6", "inet"].contains(&family_name(dropped.family))) {
            let rule = |which: &str| format!("insert rule {table} {chain} {which} \"{link}\" accept");
            hop.repair.push(format!("nft '{}; {}'", rule("iifname"), rule("oifname")));
        }
    }

    /// A rule of ours: what it stands for, and what opens it.
    fn closed(&mut self, dropped: &DropSeen) {
        let comment = dropped.rule.as_ref().and_then(|rule| rule.comment.clone());
        let from = self.question.from.clone();
        let internal = self.sending().is_some_and(|(_, n)| n.network.internal);
        let network = self.sending().map(|(_, n)| n.network.name.to_string()).unwrap_or_default();
        let hop = match (&self.question.target, &self.question.source) {
            (Target::Host { .. }, Source::Container(_)) => {
                let hop = self.bad(
                    Fault::HostClosed,
                    HOST,
                    format!("its own ports are closed to the containers of network `{network}`"),
                );
                hop.repair.push(format!(
                    "create the network with `-o host_access=true`, or `{from}` with `--add-host NAME:host-gateway`"
                ));
                hop
            }
            _ if internal => {
                let what = format!("network `{network}` is internal: nothing leaves it");
                let hop = self.bad(Fault::Internal, HOST, what);
                hop.repair.push(bare(command::network_connect("NETWORK", &from)));
                hop
            }
            _ => {
                let theirs = self.receiving().map(|(_, n)| n.network.name.to_string());
                let hop = self.bad(Fault::NetworksClosed, HOST, "networks are closed to each other and to other hosts");
                hop.repair.extend(theirs.map(|theirs| bare(command::network_connect(&theirs, &from))));
                hop
            }
        };
        hop.evidence.extend(comment.map(|comment| format!("rcr's own rule: {comment}")));
    }
}
