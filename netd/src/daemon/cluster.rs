//! The cluster as the writer sees it: networks that come and go, other hosts' containers as kernel entries and names,
//! and what this host has, published whole after every change.

use super::host::Host;
use super::parts::{GUARD, peers_key};
use super::state::Daemon;
use crate::cluster::{Cluster, Identity, Own, Snapshot};
use crate::dns::Endpoint;
use crate::errors::why;
use crate::random::{hex, random};
use crate::store::etcd::EtcdConfig;
use crate::store::{Change, Durability, StoreError};
use netd_api::{ApiError, ContainerId, ErrorKind, NetworkId, NodeId};
use netd_core::drivers::overlay::{self, Guard};
use netd_core::model::Network;
use netd_core::schema::Endpoint as Published;
use rcr_base::ClusterConfig;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;

/// How the store is spoken to.
pub fn etcd_config(config: &ClusterConfig) -> Result<EtcdConfig, String> {
    Ok(EtcdConfig {
        endpoints: config.endpoints()?,
        user: config.user.clone(),
        password_file: config.password_file.clone(),
        ca_file: config.ca_file.clone(),
        cert_file: config.cert_file.clone(),
        key_file: config.key_file.clone(),
    })
}

/// The address that this host reaches the first endpoint from; nothing is sent.
fn address_towards(endpoint: &str) -> Option<IpAddr> {
    use std::net::ToSocketAddrs;
    let to = endpoint.to_socket_addrs().ok()?.next()?;
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(to).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
}

impl Daemon {
    /// Starts the client, once all of the last netd is adopted: the client makes the store say what this host has.
    pub fn join_cluster(&mut self) {
        let (Some(identity), Ok(config)) =
            (self.host.membership.identity.clone(), etcd_config(&self.host.config.cluster))
        else {
            return;
        };
        let known =
            self.host.networks.values().filter(|n| n.network.shared).map(|n| (n.network.id.clone(), n.network.clone()));
        let before = Snapshot { networks: known.collect(), ..Snapshot::default() };
        let (inbox, log) = (self.host.sender.clone(), self.host.log.clone());
        let tell = move |snapshot| drop(inbox.send(super::Input::Cluster(snapshot)));
        self.host.announce_keys();
        let own = self.own_now();
        let cluster =
            Cluster::start(&self.host.runtime, config, identity, (before, own), tell, move |line| log.line(line));
        let inbox = self.host.sender.clone();
        cluster.hear_questions(move |asked| drop(inbox.send(super::Input::Question(asked))));
        self.host.membership.cluster = Some(cluster);
    }

    /// What this host has of the cluster's networks.
    fn own_now(&self) -> Own {
        let (keys, knows) = (self.host.encryption.published(&self.host.networks), self.host.encryption.knows.clone());
        let mut own = Own { keys, knows, ..Own::default() };
        let shared = |id: &NetworkId| self.host.networks.get(id).filter(|n| n.network.shared);
        for (id, _) in self.host.networks.iter().filter(|(_, n)| n.network.shared && n.journal.is_some()) {
            own.at.insert(id.clone());
        }
        for sandbox in self.sandboxes.values() {
            for a in sandbox.attached.iter().map(|a| &a.attachment) {
                let Some(state) = shared(&a.network) else { continue };
                own.networks.insert(a.network.clone(), state.network.clone());
                let endpoint = Published {
                    name: sandbox.record.name.clone(),
                    aliases: a.aliases.clone(),
                    addresses: a.addresses.iter().map(|net| net.addr()).collect(),
                    mac: a.mac,
                    withheld: self.host.names.withholds(&sandbox.record.id),
                };
                own.endpoints.insert((a.network.clone(), sandbox.record.id.clone()), endpoint);
            }
        }
        own
    }

    /// Tells the others, if there is something new.
    pub(super) fn publish_own(&self) {
        if let Some(cluster) = &self.host.membership.cluster {
            cluster.publish(self.own_now());
        }
    }

    /// The cluster has changed. Of several snapshots that wait only the newest counts.
    pub(super) fn cluster_changed(&mut self, snapshot: Arc<Snapshot>) {
        let snapshot = self.host.membership.cluster.as_ref().map_or(snapshot, Cluster::snapshot);
        if Arc::ptr_eq(&snapshot, &self.host.membership.snapshot) {
            return;
        }
        let before = std::mem::replace(&mut self.host.membership.snapshot, snapshot.clone());
        for network in snapshot.networks.values() {
            self.take_network(network);
        }
        let gone: Vec<NetworkId> = self
            .host
            .networks
            .iter()
            .filter(|(id, n)| n.network.shared && !snapshot.networks.contains_key(id))
            .map(|(id, _)| id.clone())
            .collect();
        gone.iter().for_each(|id| self.lose_network(id));
        self.host.announce_keys();
        let addresses = |s: &Snapshot| s.nodes.values().map(|node| node.address).collect::<BTreeSet<_>>();
        if addresses(&before) != addresses(&snapshot) {
            self.follow_mtu();
        }
        self.host.settle_data_path();
        self.settle_names();
    }

    /// A network that somebody made.
    fn take_network(&mut self, network: &Network) {
        let known = self.host.networks.get(&network.id).map(|n| n.network.version);
        if known.is_some_and(|version| version >= network.version) {
            return;
        }
        let same_name =
            self.host.networks.values().any(|n| n.network.name == network.name && n.network.id != network.id);
        let network = Network { shared: true, ..network.clone() };
        let (id, name) = (network.id.clone(), network.name.clone());
        let taken = match known {
            _ if same_name => Err("a network of this host has the name".to_owned()),
            Some(_) => self.take_change(network).map_err(|e| e.to_string()),
            None => self.remember(network).map(|id| self.host.note(&id, "create")).map_err(|e| e.to_string()),
        };
        match taken {
            Ok(()) => drop(self.host.membership.strange.remove(&id)),
            Err(why) if self.host.membership.strange.insert(id) => {
                self.host.log.line(format!("the cluster's network `{name}` can't be used here as it is: {why}"));
            }
            Err(_) => {}
        }
    }

    /// A network that the store has no more. Where containers are on it, the store gets it back (see
    /// `cluster::client`).
    fn lose_network(&mut self, id: &NetworkId) {
        if self.sandboxes.on(id).next().is_some() {
            return;
        }
        let left = self.host.network_down(id).and_then(|left| {
            self.host.note(id, "destroy");
            self.forget(id).map(|()| left)
        });
        match left {
            Ok(left) => left.iter().for_each(|one| self.host.log.line(format!("left behind: {one}"))),
            Err(error) => self.host.log.line(format!("cannot remove network `{}`: {error}", id.short())),
        }
    }

    /// Serves the names of containers on other hosts that are alive. Those of this host are served anyhow.
    fn settle_names(&mut self) {
        let Some(own) = self.host.membership.identity.as_ref().map(|identity| identity.node.clone()) else { return };
        let snapshot = self.host.membership.snapshot.clone();
        let mut wanted: BTreeMap<(NetworkId, ContainerId), Endpoint> = BTreeMap::new();
        for ((network, node, container), endpoint) in &snapshot.endpoints {
            let absent = !snapshot.alive.contains(node) || endpoint.withheld;
            if *node == own || absent || !self.host.networks.contains_key(network) {
                continue;
            }
            let mut names = vec![endpoint.name.clone(), container.short().to_owned()];
            names.extend(endpoint.aliases.iter().cloned());
            let served = Endpoint { container: container.clone(), names, addresses: endpoint.addresses.clone() };
            wanted.insert((network.clone(), container.clone()), served);
        }
        let before = std::mem::take(&mut self.host.membership.names);
        for (network, container) in before.keys().filter(|key| !wanted.contains_key(*key)) {
            // It may have moved here meanwhile.
            if !self.sandboxes.contains_key(container) {
                self.host.names.forget(network, container);
            }
        }
        for ((network, container), endpoint) in &wanted {
            let known = before.get(&(network.clone(), container.clone())) == Some(endpoint);
            if let Some(state) =
                self.host.networks.get(network).filter(|_| !known && !self.sandboxes.contains_key(container))
            {
                self.host.names.set(&state.network, endpoint.clone());
            }
        }
        self.host.membership.names = wanted;
    }
}

impl Host {
    /// Who this host is in its cluster. Without a store, or without an address, it is alone.
    pub fn identify(&mut self) -> Result<(), StoreError> {
        let config = self.config.cluster.clone();
        let endpoints = config.endpoints().map_err(StoreError::Read)?;
        let Some(first) = endpoints.first() else { return Ok(()) };
        let known: Vec<(String, NodeId)> = self.ledger.records("node")?;
        let node = match known.into_iter().next() {
            Some((_, node)) => node,
            None => {
                let id = random::<16>().map_err(|error| {
                    StoreError::Read(format!("get random bytes for this host's id: {}", why(&error)))
                })?;
                let id = hex(&id);
                let node: NodeId = id.parse().map_err(|e: netd_api::NameError| StoreError::Read(e.to_string()))?;
                self.ledger.record(&[Change::put("node", &node)?], Durability::Durable)?;
                node
            }
        };
        let host_name = || nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        let name =
            config.node_name.or_else(host_name).filter(|n| !n.is_empty()).unwrap_or_else(|| node.short().to_owned());
        let Some(address) = config.node_address.or_else(|| address_towards(first)) else {
            self.log.line(format!(
                "no cluster: there is no route to `{first}`; `cluster.node_address` may say this host's address"
            ));
            return Ok(());
        };
        self.membership.identity = Some(Identity { node, name, address });
        Ok(())
    }

    /// The client, for connections.
    pub fn cluster(&self) -> Option<Cluster> {
        self.membership.cluster.clone()
    }

    /// What other hosts have, as firewall, tunnels and entries.
    pub(super) fn settle_data_path(&mut self) {
        if let Err(why) = self.settle_guard(None).and_then(|()| self.settle_wireguard(None)) {
            self.log.line(why);
        }
        let up = self.networks.iter().filter(|(_, n)| n.network.shared && n.journal.is_some());
        let up: Vec<NetworkId> = up.map(|(id, _)| id.clone()).collect();
        for id in up {
            if let Err(why) = self.settle_peers(&id) {
                self.log.line(why);
            }
        }
    }

    /// What a network of the cluster needs before its first frame: a firewall that knows the hosts, and WireGuard, if
    /// it is encrypted.
    pub(super) fn open_tunnels(&mut self, network: &Network, what: &str) -> Result<(), ApiError> {
        if network.encrypted() {
            self.encryption.ready(&mut self.ledger, self.config.cluster.wireguard_port())?;
        }
        let opened = self.settle_guard(Some(network)).and_then(|()| match network.encrypted() {
            true => self.settle_wireguard(Some(network)),
            false => Ok(()),
        });
        opened.map_err(|why| ApiError::new(ErrorKind::System, what).caused_by(why))
    }

    /// Removes what no network needs any more.
    pub(super) fn close_tunnels(&mut self) {
        let closed = self.settle_wireguard(None).and_then(|()| self.settle_guard(None));
        if let Err(why) = closed {
            self.log.line(why);
        }
    }

    /// Ports and hosts that frames may come in by and from. `also`: a network that is about to come up.
    pub(super) fn settle_guard(&mut self, also: Option<&Network>) -> Result<(), String> {
        let up = self.networks.values().filter(|n| n.journal.is_some()).map(|n| &n.network);
        let mut guard = Guard { wireguard: self.encryption.ports(&self.networks, also), ..Guard::default() };
        if self.base.is_some() {
            guard.cluster = self.cluster_ports();
        }
        for network in up.chain(also).filter(|network| network.shared) {
            if let Some(tunnel) = network.tunnel() {
                guard.ports.insert(tunnel.port);
                guard.encrypted.extend(tunnel.vni.filter(|_| tunnel.encrypted));
            }
        }
        if !guard.ports.is_empty() {
            guard.hosts = self.membership.snapshot.nodes.values().map(|node| node.address).collect();
        }
        let wanted = overlay::guard(&guard);
        let done = self.ledger.bring(GUARD, &mut self.membership.guard, wanted);
        done.map_err(|why| format!("cannot tell the firewall who the cluster's hosts are: {why}"))
    }

    /// The ports of all tunnels that any host of the cluster may have.
    fn cluster_ports(&self) -> BTreeSet<u16> {
        let snapshot = &self.membership.snapshot;
        let here = self.networks.values().map(|n| &n.network).filter(|network| network.shared);
        let tunnels = here.chain(snapshot.networks.values()).filter_map(Network::tunnel);
        let ports = tunnels.map(|tunnel| tunnel.port);
        let own = self.encryption.published(&self.networks);
        let keys = snapshot.nodes.values().flat_map(|node| &node.keys).chain(&own);
        ports.chain(keys.map(|key| key.port)).collect()
    }

    /// Other hosts' containers on a network that is up here.
    pub(super) fn settle_peers(&mut self, id: &NetworkId) -> Result<(), String> {
        let Some(identity) = self.membership.identity.clone() else { return Ok(()) };
        let mut peers = self.membership.snapshot.peers(id, &identity.node);
        let gone = self.silence.gone();
        peers.vteps.retain(|node, _| !gone.contains(node));
        let Some(state) = self.networks.get_mut(id).filter(|n| n.journal.is_some()) else { return Ok(()) };
        let wanted = overlay::peers(&state.network, &peers, Some(identity.address));
        let done = self.ledger.bring(&peers_key(id), &mut state.peers, wanted);
        let name = &state.network.name;
        done.map_err(|why| format!("network `{name}`: cannot reach all of the other hosts' containers: {why}"))
    }

    /// The entries of a network whose kernel objects go: they go with its VXLAN link.
    pub(super) fn drop_peers(&mut self, id: &NetworkId) {
        if let Some(journal) = self.networks.get_mut(id).and_then(|n| n.peers.take()) {
            self.undo(&peers_key(id), journal);
        }
    }
}
