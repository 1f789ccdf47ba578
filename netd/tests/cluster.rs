//! What hosts claim and publish, over a store in memory that does everything to them that a store can do.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use netd::cluster::claims::Claimed;
use netd::cluster::{Cluster, Identity, Own, Snapshot};
use netd::store::memory::Memory;
use netd::store::shared::Shared;
use netd_api::*;
use netd_core::model::{Network, Subnet};
use netd_core::schema::{Endpoint, key};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const HOSTS: usize = 3;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// An overlay network with 13 addresses for containers: 14, less the gateway.
fn network() -> Network {
    let id: NetworkId = "a".repeat(64).parse().unwrap();
    let subnet = Subnet {
        subnet: "10.4.0.0/28".parse().unwrap(),
        gateway: "10.4.0.1".parse().ok(),
        ip_range: None,
        aux_addresses: BTreeMap::new(),
    };
    serde_json::from_value(serde_json::json!({
        "id": id, "name": "mesh", "driver": DriverSpec::Overlay(OverlayOptions::default()), "internal": false, "ipv6": false,
        "shared": true, "created": 0, "predefined": false, "labels": {}, "interface": "br-aaaaaaaaaaaa",
        "mac": "02:00:00:00:00:01", "subnets": [subnet],
    }))
    .unwrap()
}

fn within(seconds: u64, what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(seconds);
    while !holds() {
        assert!(Instant::now() < end, "not within {seconds} s: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A host with what its containers have; its client comes and goes.
struct Host {
    number: usize,
    client: Cluster,
    own: Own,
}

fn join(runtime: &Runtime, store: &Memory, number: usize, own: Own) -> Cluster {
    let identity = Identity {
        node: format!("{number:032x}").parse().unwrap(),
        name: format!("node{number}"),
        address: Ipv4Addr::new(192, 0, 2, number as u8 + 1).into(),
    };
    Cluster::start(runtime, store.clone(), identity, (Snapshot::default(), own), |_| {}, |_| {})
}

impl Host {
    fn new(runtime: &Runtime, store: &Memory, number: usize) -> Self {
        Self { number, client: join(runtime, store, number, Own::default()), own: Own::default() }
    }

    fn container(&self, slot: u8) -> ContainerId {
        format!("{:064x}", self.number * 256 + usize::from(slot)).parse().unwrap()
    }

    fn claim(&self, network: &Network, slot: u8) -> Result<(IpAddr, Claimed), ApiError> {
        let mut requests = [AttachmentRequest::to(network.name.as_str())];
        let claimed = self.client.claim_addresses(&self.container(slot), "c", &mut requests)?;
        Ok((requests[0].ip.expect("an address was chosen").into(), claimed))
    }

    /// What a container's start does, as the writer does it. Says whether there was an address.
    fn start(&mut self, network: &Network, slot: u8) -> bool {
        let id = (network.id.clone(), self.container(slot));
        if self.own.endpoints.contains_key(&id) {
            return true;
        }
        let Ok((address, claimed)) = self.claim(network, slot) else { return false };
        let mac = Mac([2, 0, 0, 0, self.number as u8, slot]);
        let name = format!("c{}-{slot}", self.number);
        self.own
            .endpoints
            .insert(id, Endpoint { name, aliases: vec![], addresses: vec![address], mac, withheld: false });
        self.own.networks.insert(network.id.clone(), network.clone());
        self.own.at.insert(network.id.clone());
        self.client.publish(self.own.clone());
        drop(claimed);
        true
    }

    fn end(&mut self, network: &Network, slot: u8) {
        self.own.endpoints.remove(&(network.id.clone(), self.container(slot)));
        if self.own.endpoints.is_empty() {
            (self.own.networks, self.own.at) = Default::default();
        }
        self.client.publish(self.own.clone());
    }
}

/// All addresses that containers have; each has one holder.
fn addresses(hosts: &[Host]) -> Result<BTreeMap<IpAddr, ContainerId>, String> {
    let mut all = BTreeMap::new();
    for ((_, container), endpoint) in hosts.iter().flat_map(|host| &host.own.endpoints) {
        for address in &endpoint.addresses {
            if let Some(other) = all.insert(*address, container.clone()) {
                return Err(format!("{address} was handed out twice: {} and {}", other.short(), container.short()));
            }
        }
    }
    Ok(all)
}

/// Store and hosts agree about who has what, and nothing is left of what is gone.
fn settled(runtime: &Runtime, store: &Memory, hosts: &[Host], network: &Network) -> bool {
    let count =
        |prefix: String| runtime.block_on(store.clone().range(&prefix)).map_or(usize::MAX, |(found, _)| found.len());
    let total: usize = hosts.iter().map(|host| host.own.endpoints.len()).sum();
    let at = hosts.iter().filter(|host| !host.own.at.is_empty()).count();
    count(key(format_args!("endpoint/{}/", network.id))) == total
        && count(key(format_args!("address/{}/", network.id))) == total
        && count(key(format_args!("at/{}/", network.id))) == at
        && hosts.iter().all(|host| {
            let seen = host.client.snapshot();
            seen.endpoints.size() == total
                && seen.alive.len() == HOSTS
                && hosts.iter().flat_map(|other| &other.own.endpoints).all(|((_, id), endpoint)| {
                    seen.endpoints.iter().any(|((_, _, seen), e)| seen == id && e == endpoint)
                })
        })
}

#[derive(Debug, Clone)]
enum Act {
    Start(usize, u8),
    End(usize, u8),
    /// Claimed, and then nothing came of it.
    GiveUp(usize, u8),
    /// netd is killed and started again.
    Restart(usize),
    /// Nobody answers, while one of them wants something.
    Away(usize, u8),
    Compact,
    Settle,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let (host, slot) = (0..HOSTS, 0..6u8);
    let act = prop_oneof![
        6 => (host.clone(), slot.clone()).prop_map(|(h, s)| Act::Start(h, s)),
        4 => (host.clone(), slot.clone()).prop_map(|(h, s)| Act::End(h, s)),
        1 => (host.clone(), slot.clone()).prop_map(|(h, s)| Act::GiveUp(h, s)),
        1 => host.clone().prop_map(Act::Restart),
        1 => (host, slot).prop_map(|(h, s)| Act::Away(h, s)),
        1 => Just(Act::Compact),
        1 => Just(Act::Settle),
    ];
    proptest::collection::vec(act, 1..40)
}

/// One life of three hosts.
fn live(acts: &[Act]) -> Result<(), TestCaseError> {
    let (runtime, store, network) = (runtime(), Memory::default(), network());
    let mut hosts: Vec<Host> = (0..HOSTS).map(|number| Host::new(&runtime, &store, number)).collect();
    within(10, "all are there", || hosts.iter().all(|host| host.client.snapshot().alive.len() == HOSTS));
    let made = hosts[0].client.claim_network(network).map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
    within(10, "all know it", || hosts.iter().all(|host| host.client.snapshot().networks.contains_key(&made.id)));
    for act in acts {
        match act {
            Act::Start(host, slot) => {
                let free = addresses(&hosts).map_err(TestCaseError::fail)?.len() < 13;
                let went = hosts[*host].start(&made, *slot);
                prop_assert!(went || !free || !settled(&runtime, &store, &hosts, &made), "refused with addresses left");
            }
            Act::End(host, slot) => hosts[*host].end(&made, *slot),
            Act::GiveUp(host, slot) => drop(hosts[*host].claim(&made, *slot + 100)),
            Act::Restart(host) => {
                let own = hosts[*host].own.clone();
                hosts[*host].client = join(&runtime, &store, *host, own);
                within(10, "it is back", || hosts[*host].client.problem().is_none());
            }
            Act::Away(host, slot) => {
                store.set_away(true);
                within(10, "it is noticed", || hosts[*host].client.problem().is_some());
                let had = hosts[*host].own.endpoints.contains_key(&(made.id.clone(), hosts[*host].container(*slot)));
                prop_assert_eq!(hosts[*host].start(&made, *slot), had);
                store.set_away(false);
                within(10, "all are back", || hosts.iter().all(|host| host.client.problem().is_none()));
            }
            Act::Compact => {
                let now = runtime.block_on(store.clone().range("/")).unwrap().1;
                store.compact(now);
            }
            Act::Settle => within(10, "all agree", || settled(&runtime, &store, &hosts, &made)),
        }
        addresses(&hosts).map_err(TestCaseError::fail)?;
    }
    within(10, "all agree in the end", || settled(&runtime, &store, &hosts, &made));
    drop(hosts);
    runtime.shutdown_background();
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_handed_out_twice_and_all_agree(acts in acts()) {
        live(&acts)?;
    }
}

#[test]
fn a_store_that_went_back_in_time_is_told_everything_again() {
    let (runtime, store, network) = (runtime(), Memory::default(), network());
    let mut hosts: Vec<Host> = (0..HOSTS).map(|number| Host::new(&runtime, &store, number)).collect();
    within(10, "all are there", || hosts.iter().all(|host| host.client.snapshot().alive.len() == HOSTS));
    let empty = store.backup();
    let made = hosts[0].client.claim_network(network).unwrap();
    within(10, "all know it", || hosts.iter().all(|host| host.client.snapshot().networks.contains_key(&made.id)));
    for slot in 0..3 {
        hosts.iter_mut().for_each(|host| assert!(host.start(&made, slot)));
    }
    within(10, "all agree", || settled(&runtime, &store, &hosts, &made));
    store.restore(&empty);
    // While they say it again, what they have is not given to others: four more go in, and none gets an address that is taken.
    for slot in 3..7u8 {
        let host = &mut hosts[usize::from(slot) % HOSTS];
        within(10, "an address", || host.start(&made, slot));
    }
    addresses(&hosts).unwrap();
    within(10, "all agree again", || settled(&runtime, &store, &hosts, &made));
}
