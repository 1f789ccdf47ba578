//! The name, where there is one: what the source's own resolver says of it.

use super::hop::bare;
use super::question::Target;
use super::walk::Walk;
use crate::seen::{NameOutcome, NameSeen};
use netd_api::Fault;
use rcr_base::command;

impl Walk<'_> {
    /// Whether the source finds the target by its name.
    pub fn name(&mut self) {
        let Some(asked) = &self.seen.name else { return };
        let name = &asked.name;
        match &asked.outcome {
            NameOutcome::Addresses(all) => {
                let text = all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                self.good(&self.question.from, format!("the name `{name}` is {text}"));
            }
            NameOutcome::NoSuchName => self.no_such_name(asked),
            NameOutcome::Failed(_) | NameOutcome::Silent => self.no_answer(asked),
        }
    }

    fn no_such_name(&mut self, asked: &NameSeen) {
        let (name, place) = (&asked.name, &self.question.from);
        if self.receiver().is_some_and(|receiver| receiver.withheld) {
            let hop = self.bad(Fault::NameWithheld, place, format!("the name `{name}` is not answered"));
            hop.evidence.push(format!("`{name}` is not healthy, and its names are answered only while it is"));
            hop.evidence.push("it is made so by `--dns-healthy-only`".to_owned());
            return;
        }
        let on: Vec<String> = match self.sender() {
            Some(sender) => {
                let all = sender.attachments.iter().filter_map(|a| self.picture.networks.get(&a.network));
                all.map(|n| format!("`{}`", n.network.name)).collect()
            }
            None => Vec::new(),
        };
        let hop = self.bad(Fault::NoSuchName, place, format!("nobody knows the name `{name}`"));
        if !on.is_empty() {
            hop.evidence
                .push(format!("no container is called so on {}, and no server outside knows it", on.join(", ")));
        }
        if !asked.domains.is_empty() {
            let domains: Vec<String> = asked.domains.iter().map(|domain| format!("`{domain}`")).collect();
            hop.evidence.push(format!("nor does it exist in the search domains: {}", domains.join(", ")));
        }
        hop.repair.push(bare(command::list_containers()));
    }

    fn no_answer(&mut self, asked: &NameSeen) {
        let name = &asked.name;
        let what = match &asked.outcome {
            NameOutcome::Failed(code) => format!("the name `{name}` gets no answer but {code}"),
            _ => format!("the name `{name}` gets no answer"),
        };
        let ours = !matches!(self.question.target, Target::Named);
        let network = self.sending().map(|(_, network)| network.network.name.to_string());
        let hop = self.bad(Fault::ResolverSilent, &self.question.from, what);
        if ours {
            hop.evidence
                .push("netd answers for this name itself: its resolver in the container is not reached".to_owned());
        }
        for (server, answers) in &asked.servers {
            let how = if *answers { "answers the host" } else { "does not answer" };
            hop.evidence.push(format!("DNS server {server} {how}"));
        }
        if asked.servers.is_empty() && !ours {
            hop.evidence.push(
                "there is no DNS server to ask: neither configured, nor in the host's /etc/resolv.conf".to_owned(),
            );
        }
        hop.repair.extend(network.map(|network| bare(command::network_update(&network, "--dns ADDRESS"))));
    }
}
