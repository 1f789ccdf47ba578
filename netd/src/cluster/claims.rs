//! What is taken by compare-and-swap before the writer is asked: a network's name, VNI and subnets; a container's
//! addresses.
//!
//! All of this waits for the store's answer, so it runs in the thread of the connection that asks.

use super::between::unpoisoned;
use super::handle::Cluster;
use super::snapshot::Snapshot;
use super::snapshot::choose;
use super::writes::{self, network_key, network_keys, network_newer, network_writes, put};
use crate::random::{no_random, random};
use crate::store::shared::{Condition, Record, Write};
use netd_api::{ApiError, AttachmentRequest, ContainerId, ErrorKind, NetworkId, Vni};
use netd_core::ipam;
use netd_core::model::Network;
use netd_core::schema::{self, Claim, PREFIX, key};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How often another one is tried where somebody was faster.
const TRIES: usize = 32;
/// How long the client may take to free an address of a container that has ended: a round trip to the store, and some.
const FREED: Duration = Duration::from_secs(2);
/// The VNIs that netd chooses from. Those below are left to people.
const FIRST_VNI: u32 = 4097;

/// A network of the cluster that has an address which this one would have, too.
fn overlapping(snapshot: &Snapshot, network: &Network) -> Option<String> {
    let others = snapshot.networks.values().filter(|n| n.id != network.id);
    let others = others.flat_map(|n| n.subnets.iter().map(move |s| (n, s.subnet)));
    let pairs = others.flat_map(|(n, net)| network.subnets.iter().map(move |s| (n, net, s.subnet)));
    let (other, net, subnet) = pairs.into_iter().find(|(_, net, subnet)| ipam::overlap(net, subnet))?;
    Some(format!("subnet `{subnet}` overlaps network `{}` (`{net}`) of the cluster", other.name))
}

/// Addresses that were claimed for a container that is still being made.
pub struct Claimed {
    cluster: Cluster,
    taken: Vec<(NetworkId, IpAddr)>,
}

impl Drop for Claimed {
    /// By now the writer has published the container, or there is none and the client frees the address.
    fn drop(&mut self) {
        let mut pending = unpoisoned!(self.cluster.shared.pending.lock());
        pending.retain(|one| !self.taken.contains(one));
        drop(pending);
        self.cluster.look_again();
    }
}

impl Cluster {
    /// Claims addresses for all attachments that are on networks of the cluster, and names them in the requests.
    pub fn claim_addresses(
        &self,
        container: &ContainerId,
        name: &str,
        requests: &mut [AttachmentRequest],
    ) -> Result<Claimed, ApiError> {
        let mut claimed = Claimed { cluster: self.clone(), taken: Vec::new() };
        for request in requests {
            let Some(network) = self.snapshot().find(&request.network).cloned() else { continue };
            let what = format!("cannot attach `{name}` to network `{}`", network.name);
            let asked = [request.ip.map(IpAddr::V4), request.ip6.map(IpAddr::V6)];
            for (v6, asked) in [false, true].into_iter().zip(asked) {
                match self.claim_one(&network, v6, asked, container, &request.prefer, &what, &mut claimed)? {
                    Some(IpAddr::V4(address)) => request.ip = Some(address),
                    Some(IpAddr::V6(address)) => request.ip6 = Some(address),
                    None => {}
                }
            }
        }
        Ok(claimed)
    }

    #[allow(clippy::too_many_arguments)]
    fn claim_one(
        &self,
        network: &Network,
        v6: bool,
        asked: Option<IpAddr>,
        container: &ContainerId,
        prefer: &[IpAddr],
        what: &str,
        claimed: &mut Claimed,
    ) -> Result<Option<IpAddr>, ApiError> {
        let subnets: Vec<_> = network.subnets.iter().filter(|s| s.subnet.addr().is_ipv6() == v6).collect();
        if subnets.is_empty() {
            return Ok(asked);
        }
        let node = &self.own.node;
        if let Some(address) = asked {
            self.await_freed(&network.id, address, container);
        }
        let mut lost: Vec<IpAddr> = Vec::new();
        for _ in 0..TRIES {
            let snapshot = self.snapshot();
            let holder = |a: &IpAddr| snapshot.addresses.get(&(network.id.clone(), *a));
            // An address that this container has from an interrupted start is its own. An address that a restored store
            // has forgotten is taken all the same.
            let taken = |a: &IpAddr| {
                lost.contains(a)
                    || holder(a).is_some_and(|c| c.node != *node || c.container != *container)
                    || snapshot.of(&network.id).any(|(_, id, e)| id != container && e.addresses.contains(a))
            };
            let chance = u64::from_le_bytes(random().map_err(|error| no_random(what, &error))?);
            let wanted = match asked {
                Some(address) => (!taken(&address)).then_some(address),
                None => subnets.iter().find_map(|subnet| choose(subnet, taken, prefer, chance)),
            };
            let Some(address) = wanted else {
                return Err(self.none_free(network, asked, &snapshot, what));
            };
            unpoisoned!(self.shared.pending.lock()).insert((network.id.clone(), address));
            claimed.taken.push((network.id.clone(), address));
            let (when, then) = writes::address(&network.id, address, node, container);
            if self.ask(when, then, what)? {
                return Ok(Some(address));
            }
            match self.claimant(&network.id, address, what)? {
                Some(claim) if claim.node == *node && claim.container == *container => return Ok(Some(address)),
                Some(_) => lost.push(address),
                // Given back just now: it is free, or the network is gone.
                None => {}
            }
        }
        Err(ApiError::new(ErrorKind::Exhausted, what).caused_by("others were faster with every address that was tried"))
    }

    /// Waits until the client has freed an address whose container here has ended: whoever removes a container may give
    /// its address to the next one at once. Not for longer than [`FREED`].
    fn await_freed(&self, network: &NetworkId, address: IpAddr, container: &ContainerId) {
        let until = Instant::now() + FREED;
        let ended = |claim: &Claim| {
            claim.node == self.own.node
                && claim.container != *container
                && !self.has(network, &address)
                && !self.shared.is_pending(network, address)
        };
        while self.snapshot().addresses.get(&(network.clone(), address)).is_some_and(ended) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The owner of an address according to the store: the snapshot may be a moment old.
    fn claimant(&self, network: &NetworkId, address: IpAddr, what: &str) -> Result<Option<Claim>, ApiError> {
        let at = key(format_args!("address/{network}/{address}"));
        let records = self.read(&at, what)?;
        Ok(records.iter().find(|r| r.key == at).and_then(|r| serde_json::from_slice(&r.value).ok()))
    }

    fn none_free(&self, network: &Network, asked: Option<IpAddr>, snapshot: &Snapshot, what: &str) -> ApiError {
        let Some(address) = asked else {
            let used = snapshot.addresses.keys().filter(|(id, _)| *id == network.id).count();
            return ApiError::new(ErrorKind::Exhausted, what)
                .caused_by(format!("no free address: {used} are in use in the cluster"))
                .hint("remove containers, or create a network with a larger `--subnet`");
        };
        let claim = snapshot.addresses.get(&(network.id.clone(), address));
        let who = claim.map_or_else(String::new, |claim| {
            let host = snapshot.nodes.get(&claim.node).map_or(claim.node.short(), |node| node.name.as_str());
            let name =
                snapshot.of(&network.id).find(|(_, id, _)| **id == claim.container).map(|(_, _, e)| e.name.as_str());
            format!(": `{}` on host `{host}` has it", name.unwrap_or(claim.container.short()))
        });
        ApiError::new(ErrorKind::InUse, what)
            .caused_by(format!("address `{address}` is in use on this network{who}"))
            .hint("choose another address, or let netd choose one")
    }

    /// Claims a network that the writer has designed: its name, its VNI, and that its subnets are nobody else's.
    pub fn claim_network(&self, mut network: Network) -> Result<Network, ApiError> {
        let what = format!("cannot create network `{}`", network.name);
        let refuse =
            |kind, why: String, hint: &str| Err(ApiError::new(kind, what.clone()).caused_by(why).hint(hint.to_owned()));
        let of = |network: &Network| network.tunnel().and_then(|tunnel| tunnel.vni);
        let asked = of(&network);
        for _ in 0..TRIES {
            let (snapshot, records) = self.fresh(&what)?;
            if let Some(other) = snapshot.networks.values().find(|n| n.name == network.name) {
                return refuse(
                    ErrorKind::InUse,
                    format!("the cluster has a network `{}` already", other.name),
                    "choose another name",
                );
            }
            if let Some(why) = overlapping(&snapshot, &network) {
                return refuse(ErrorKind::InUse, why, "choose another `--subnet`");
            }
            let used = |vni: Vni| snapshot.networks.values().find(|n| of(n) == Some(vni));
            let vni = match asked {
                Some(vni) => match used(vni) {
                    Some(other) => {
                        let why = format!("network `{}` of the cluster has the VNI {vni}", other.name);
                        return refuse(ErrorKind::InUse, why, "choose another one, or leave `-o vni=` out");
                    }
                    None => vni,
                },
                None => free_vni(|vni| used(vni).is_some()).map_err(|error| no_random(&what, &error))?,
            };
            if let Some(options) = network.driver.overlay_mut() {
                options.vni = Some(vni);
            }
            if let Err(why) = schema::checked(&network.id, &network) {
                return refuse(
                    ErrorKind::Invalid,
                    format!("the other hosts would not take it: {why}"),
                    "create a smaller one",
                );
            }
            let mut when: Vec<Condition> = network_keys(&network).into_iter().map(Condition::Absent).collect();
            when.push(Condition::Unchanged(key("epoch"), revision(&records, &key("epoch"))));
            if self.ask(when, network_writes(&network), &what)? {
                return Ok(network);
            }
        }
        refuse(ErrorKind::System, "other hosts made networks all the while".into(), "try again")
    }

    /// Writes a changed network if nobody else changed it meanwhile and no other network has one of its subnets.
    /// Returns whether it was written.
    pub fn change_network(&self, next: &Network) -> Result<bool, ApiError> {
        let what = format!("cannot update network `{}`", next.name);
        let (snapshot, records) = self.fresh(&what)?;
        let Some(now) = snapshot.networks.get(&next.id) else {
            return Err(ApiError::new(ErrorKind::NotFound, what).caused_by("somebody removed it just now"));
        };
        if now.version >= next.version {
            return Ok(false);
        }
        if let Err(why) = schema::checked(&next.id, next) {
            return Err(
                ApiError::new(ErrorKind::Invalid, what).caused_by(format!("the other hosts would not take it: {why}"))
            );
        }
        if let Some(why) = overlapping(&snapshot, next) {
            return Err(ApiError::new(ErrorKind::InUse, what).caused_by(why).hint("choose another `--subnet`"));
        }
        let epoch = key("epoch");
        let (mut when, mut then) = network_newer(next, revision(&records, &network_key(&next.id)));
        when.push(Condition::Unchanged(epoch.clone(), revision(&records, &epoch)));
        then.push(put(epoch, next.id.as_str()));
        self.ask(when, then, &what)
    }

    /// The cluster as the store has it now, not as the watch last told.
    fn fresh(&self, what: &str) -> Result<(Snapshot, Vec<Record>), ApiError> {
        let records = self.read(PREFIX, what)?;
        let mut snapshot = Snapshot::default();
        for record in &records {
            // What is not understood was logged when it came.
            let _ = snapshot.take(&record.key, Some(&record.value));
        }
        Ok((snapshot, records))
    }

    /// Forgets a host with everything that it had.
    pub fn remove_node(&self, asked: &str, force: bool) -> Result<(), ApiError> {
        let what = format!("cannot remove host `{asked}`");
        let (snapshot, records) = self.fresh(&what)?;
        let exact = snapshot.nodes.iter().find(|(id, node)| node.name == asked || id.as_str() == asked);
        let mut starts = snapshot.nodes.iter().filter(|(id, _)| !asked.is_empty() && id.as_str().starts_with(asked));
        let found = exact.or_else(|| starts.next().filter(|_| starts.next().is_none()));
        let Some((node, record)) = found else {
            return Err(ApiError::new(ErrorKind::NotFound, what)
                .caused_by("there is no such host in the cluster")
                .hint("`rcr node ls` lists them"));
        };
        if snapshot.alive.contains(node) && !force {
            return Err(ApiError::new(ErrorKind::InUse, what)
                .caused_by("it is there, and would join again")
                .hint("end its netd first; `--force` removes it all the same"));
        }
        let part = format!("/{node}");
        let of_node = |record: &&Record| {
            record.key.contains(&part) || serde_json::from_slice::<Claim>(&record.value).is_ok_and(|c| c.node == *node)
        };
        let indexes = [format!("nodename/{}", record.name), format!("nodeaddress/{}", record.address)];
        let keys = records.iter().filter(of_node).map(|r| r.key.clone()).chain(indexes.iter().map(key));
        let writes: Vec<Write> = keys.collect::<BTreeSet<String>>().into_iter().map(Write::Delete).collect();
        for batch in writes.chunks(100) {
            self.ask(Vec::new(), batch.to_vec(), &what)?;
        }
        Ok(())
    }

    /// Removes a network, if nobody in the cluster is on it.
    pub fn remove_network(&self, id: &NetworkId, name: &str) -> Result<(), ApiError> {
        let what = format!("cannot remove network `{name}`");
        for _ in 0..TRIES {
            let (snapshot, records) = self.fresh(&what)?;
            let Some(network) = snapshot.networks.get(id) else { return Ok(()) };
            let users: Vec<String> = snapshot
                .of(id)
                .map(|(node, _, e)| {
                    let host = snapshot.nodes.get(node).map_or(node.short(), |node| node.name.as_str());
                    format!("`{}` on host `{host}`", e.name)
                })
                .collect();
            let claimed = snapshot.addresses.keys().any(|(network, _)| network == id);
            if !users.is_empty() || claimed {
                let who = if users.is_empty() { "a container that is being started".into() } else { users.join(", ") };
                return Err(ApiError::new(ErrorKind::InUse, what)
                    .caused_by(format!("attached: {who}"))
                    .hint("disconnect or remove the containers; those of a host that is gone go with `rcr node rm`"));
            }
            let uses = key(format_args!("uses/{id}"));
            let last_use = revision(&records, &uses);
            let [record, by_name, vni] = network_keys(network);
            let when = vec![Condition::Unchanged(uses.clone(), last_use), Condition::Present(record.clone())];
            let gone = [record, by_name, vni, uses].map(Write::Delete);
            let mut then = gone.to_vec();
            then.push(Write::DeletePrefix(key(format_args!("at/{id}/"))));
            then.push(put(key("epoch"), id.as_str()));
            if self.ask(when, then, &what)? {
                return Ok(());
            }
        }
        Err(ApiError::new(ErrorKind::InUse, what).caused_by("containers came and went all the while"))
    }
}

/// When a key was last changed; 0: it is not there.
fn revision(records: &[Record], key: &str) -> i64 {
    records.iter().find(|record| record.key == key).map_or(0, |record| record.revision)
}

fn free_vni(used: impl Fn(Vni) -> bool) -> std::io::Result<Vni> {
    loop {
        let chance = u32::from_le_bytes(random()?);
        let number = FIRST_VNI + chance % (Vni::MAX - FIRST_VNI);
        if let Ok(vni) = Vni::try_from(number)
            && !used(vni)
        {
            return Ok(vni);
        }
    }
}
