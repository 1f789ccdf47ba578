//! Other programs' firewalls that block our networks. They are looked for whenever the answer may interest the user.

use super::host::Host;
use netd_api::Obstacle;
use netd_core::firewall::foreign::{self, Probe};
use netd_core::model::Network;

impl Host {
    /// The chains of others that stop packets of these networks. A chain that can't be read is logged, and is no
    /// obstacle.
    pub(super) fn obstacles_of(&mut self, which: impl Fn(&Network) -> bool) -> Vec<Obstacle> {
        let all = self.networks.values().map(|state| &state.network);
        let networks: Vec<&Network> = all.filter(|n| n.filtered() && !n.internal && which(n)).collect();
        if networks.is_empty() {
            return Vec::new();
        }
        let chains = match self.ledger.forward_chains() {
            Ok(chains) => chains,
            Err(error) => {
                self.log.line(format!("cannot look for other firewalls: {error}"));
                return Vec::new();
            }
        };
        let mut found = Vec::new();
        for network in networks {
            let Some(link) = network.interface.as_ref().or(network.own_link.as_ref().map(|own| &own.name)) else {
                continue;
            };
            for (chain, rules) in &chains {
                let families = [(2, false), (10, true)].into_iter().filter(|(_, v6)| network.has_family(*v6));
                let stopped = families.flat_map(|(family, _)| {
                    let out = Probe { iif: Some(link.as_str()), oif: None, family };
                    [out, Probe { iif: None, oif: Some(link.as_str()), family }]
                });
                if stopped.into_iter().any(|probe| foreign::stops(chain, rules, probe)) {
                    found.push(Obstacle {
                        network: network.name.clone(),
                        family: chain.family_name().to_owned(),
                        table: chain.table.clone(),
                        chain: chain.name.clone(),
                        command: foreign::command(chain, link.as_str()),
                    });
                }
            }
        }
        found
    }
}
