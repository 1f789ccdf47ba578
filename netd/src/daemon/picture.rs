//! The writer's part of showing and explaining: it hands out what it knows as one value, and namespaces to look into.
//! Both take it microseconds; who asked looks at the kernel in a thread of its own.

use super::records::NetworkState;
use super::state::Daemon;
use crate::dns::Service;
use crate::dns::lately::Asked;
use crate::ledger::elements;
use netd_api::{ContainerId, NetworkId};
use netd_core::picture::{Inhabitant, NetworkPicture, NodePicture, Picture};
use std::os::fd::OwnedFd;

impl Daemon {
    /// This host's networks as they are now.
    pub(super) fn picture(&self) -> Picture {
        let networks = self.host.networks.iter().map(|(id, state)| (id.clone(), self.picture_of(id, state)));
        let membership = &self.host.membership;
        let own = membership.identity.as_ref().map(|identity| &identity.node);
        let others = membership.snapshot.nodes.iter().filter(|(id, _)| own != Some(*id));
        let nodes = others.map(|(id, node)| {
            let alive = membership.snapshot.alive.contains(id);
            (id.clone(), NodePicture { name: node.name.clone(), address: node.address, alive })
        });
        let inhabitants = self.sandboxes.iter().map(|(id, sandbox)| {
            let record = sandbox.record();
            let inhabitant = Inhabitant {
                name: record.name,
                source: record.source,
                attachments: record.attachments,
                ports: record.ports,
                dns: record.dns,
                host_gateway: record.host_gateway,
                withheld: self.host.names.withholds(id),
            };
            (id.clone(), inhabitant)
        });
        Picture {
            networks: networks.collect(),
            containers: inhabitants.collect(),
            nodes: nodes.collect(),
            facts: self.host.facts.clone(),
            upstreams: self.host.config.dns.servers.clone(),
            store_away: membership.cluster.as_ref().and_then(|cluster| cluster.problem()),
        }
    }

    fn picture_of(&self, id: &NetworkId, state: &NetworkState) -> NetworkPicture {
        let network = state.network.clone();
        let pools =
            network.subnets.iter().zip(&state.leases).map(|(subnet, leases)| (leases.used(), leases.free(subnet)));
        let pools = pools.collect();
        let peers = match &self.host.membership.identity {
            Some(identity) if network.shared => self.host.membership.snapshot.peers(id, &identity.node),
            _ => Default::default(),
        };
        let attached = self.sandboxes.on(id).flat_map(|sandbox| &sandbox.attached);
        let of_attached = attached.filter(|a| a.attachment.network == *id).map(|a| &a.journal);
        let sets = elements(state.journal.iter().chain(&state.peers).chain(of_attached));
        NetworkPicture {
            up: state.journal.is_some(),
            mtu: state.mtu(),
            pools,
            vteps: peers.vteps,
            remotes: peers.remotes,
            sets: sets.into_iter().map(|element| element.set).collect(),
            network,
        }
    }

    /// The last questions for names of these containers; none of those that have no resolver.
    pub(super) fn lately(&self, ids: &[ContainerId]) -> Vec<Vec<Asked>> {
        let of = |id| self.sandboxes.get(id)?.service.as_ref().map(Service::lately);
        ids.iter().map(|id| of(id).unwrap_or_default()).collect()
    }

    /// The namespaces of these containers; nothing for those that are gone, or have the host's.
    pub(super) fn netns_of(&self, ids: &[ContainerId]) -> Vec<Option<OwnedFd>> {
        ids.iter().map(|id| self.sandboxes.netns_of(id)).collect()
    }
}
