//! Networks: made, listed, removed; their kernel objects up and down.

use super::failures::{ipam_failed, kernel_failed, ledger_failed, refused, store_failed};
use super::host::Host;
use super::records::{BASE, NetworkState, network_key};
use super::state::Daemon;
use crate::clock::unix_time;
use crate::kernel::{Journal, KernelError, can_redirect};
use crate::random::{hex, no_random, random, random_mac};
use crate::store::{Change, Durability};
use ipnet::IpNet;
use netd_api::{
    ApiError, ErrorKind, IfName, NetworkCreate, NetworkId, NetworkInfo, PlanPart, PlanView, Reply, SubnetRequest,
};
use netd_core::drivers::{self, Ground};
use netd_core::ipam::{self, Leases};
use netd_core::model::{Facts, Network, Subnet};
use netd_core::plan::{Plan, Purpose, show_seen};
use rcr_base::Pool;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a network that doesn't keep its kernel objects keeps them without containers.
const LINGER: Duration = Duration::from_millis(1500);
/// The default network's bridge.
const DEFAULT_BRIDGE: &str = "rcr0";
fn new_id() -> Result<NetworkId, ApiError> {
    let bytes = random::<32>().map_err(|error| no_random("cannot make an id", &error))?;
    hex(&bytes).parse().map_err(|error| ApiError::new(ErrorKind::System, format!("make an id: {error}")))
}

impl Daemon {
    /// Makes the networks that exist from the start, where they are missing.
    pub(super) fn predefined_networks(&mut self) -> Result<(), ApiError> {
        for (name, driver) in drivers::predefined() {
            if self.host.networks.values().any(|n| n.network.name.as_str() == name) {
                continue;
            }
            let name = name.parse().map_err(|error| ApiError::new(ErrorKind::System, format!("{error}")))?;
            let spec = NetworkCreate {
                name,
                driver,
                subnets: Vec::new(),
                ipv6: false,
                ipv4: true,
                internal: false,
                labels: BTreeMap::new(),
            };
            let mut network = self.host.design(spec)?;
            network.predefined = true;
            if network.bridge().is_some() {
                network.interface = DEFAULT_BRIDGE.parse().ok();
            }
            self.remember(network)?;
        }
        Ok(())
    }

    pub(super) fn network_create(&mut self, spec: NetworkCreate, dry_run: bool) -> Result<Reply, ApiError> {
        let what = format!("cannot create network `{}`", spec.name);
        let network = self.host.design(spec)?;
        if dry_run {
            self.host.facts = self.host.look().map_err(|error| kernel_failed(&what, &error))?;
            let title = format!("create {} ({})", network.name, network.driver.name());
            return Ok(Reply::Plan(PlanView { parts: vec![self.host.shown_network(&title, &network)?] }));
        }
        let overlay = network.tunnel().is_some();
        let id = self.remember(network)?;
        if overlay {
            // Its kernel objects come with its first container here.
            self.host.note(&id, "create");
            return Ok(Reply::Network(self.network_info(&id)?));
        }
        if let Err(error) = self.host.network_up(&id) {
            self.forget(&id)?;
            return Err(ApiError { message: what, causes: [vec![error.message], error.causes].concat(), ..error });
        }
        self.host.note(&id, "create");
        let mut info = self.network_info(&id)?;
        info.unmet = unmet(&info);
        Ok(Reply::Network(info))
    }

    pub(super) fn remember(&mut self, network: Network) -> Result<NetworkId, ApiError> {
        let id = network.id.clone();
        let change = Change::put(format!("network/{id}"), &network);
        change
            .and_then(|change| self.host.ledger.record(&[change], Durability::Durable))
            .map_err(|error| store_failed(format!("cannot write network `{}` down", network.name), &error))?;
        let leases = network.subnets.iter().map(|_| Leases::default()).collect();
        self.sandboxes.values().for_each(|s| self.host.names.announce_host_on(&s.record, &network));
        self.host.networks.insert(id.clone(), NetworkState::new(network, leases));
        Ok(id)
    }

    pub(super) fn forget(&mut self, id: &NetworkId) -> Result<(), ApiError> {
        self.host.networks.remove(id);
        self.sandboxes.keys().for_each(|container| self.host.names.forget(id, container));
        let changes = [Change::Delete(format!("network/{id}")), Change::Delete(format!("leases/{id}"))];
        self.host
            .ledger
            .record(&changes, Durability::Durable)
            .map_err(|error| store_failed("cannot forget a network", &error))
    }

    pub(super) fn network_remove(&mut self, asked: &str) -> Result<(), ApiError> {
        let id = self.host.networks.find_network(asked)?;
        let what = format!("cannot remove network `{asked}`");
        let users: Vec<String> = self.sandboxes.on(&id).map(|s| format!("`{}`", s.record.name)).collect();
        if self.host.networks.get(&id).is_some_and(|n| n.network.predefined) {
            return Err(ApiError::new(ErrorKind::Invalid, what).caused_by("it is predefined"));
        }
        if !users.is_empty() {
            return Err(ApiError::new(ErrorKind::InUse, what)
                .caused_by(format!("attached: {}", users.join(", ")))
                .hint(format!("`rcr network disconnect {asked} CONTAINER`, or remove the containers")));
        }
        let left = self.host.network_down(&id)?;
        self.host.note(&id, "destroy");
        self.forget(&id)?;
        if left.is_empty() {
            return Ok(());
        }
        let mut failed =
            ApiError::new(ErrorKind::System, format!("network `{asked}` is removed, but not all of it went"));
        failed.left_behind = left;
        Err(failed)
    }

    /// Notes that nothing is attached any more.
    pub(super) fn network_idle(&mut self, id: &NetworkId) {
        let used = self.sandboxes.on(id).next().is_some();
        if let Some(state) = self.host.networks.get_mut(id)
            && (state.network.predefined || state.network.tunnel().is_some())
            && !used
        {
            state.idle = Some(Instant::now());
        }
    }
}

/// What a network's options ask for and this host's kernel does not do.
pub(super) fn unmet(info: &NetworkInfo) -> Option<String> {
    info.driver.bridge().filter(|options| options.redirect_peer)?;
    let error = can_redirect().err()?;
    Some(format!("`-o redirect_peer=true` does nothing here: {error}"))
}

impl Host {
    pub(super) fn shown_network(&mut self, title: &str, network: &Network) -> Result<PlanPart, ApiError> {
        let table = self.ledger.table_wanted();
        let seen = self.ledger.observe(table).map_err(|error| kernel_failed("cannot look at the host", &error))?;
        let mut plan = Plan::default();
        if self.base.is_none() && network.filtered() {
            plan.steps.extend(drivers::base(&self.facts).steps);
        }
        plan.steps.extend(drivers::fresh(network, &self.facts).steps);
        Ok(show_seen(title, &plan, Some(&seen)))
    }

    /// Checks what is asked for and chooses the rest. Nothing is changed.
    pub(super) fn design(&mut self, spec: NetworkCreate) -> Result<Network, ApiError> {
        let what = format!("cannot create network `{}`", spec.name);
        let refuse = |kind, why: String| Err(ApiError::new(kind, what.clone()).caused_by(why));
        if self.networks.values().any(|n| n.network.name == spec.name) {
            return refuse(ErrorKind::InUse, format!("there is a network `{}` already", spec.name));
        }
        drivers::of(&spec.driver).check(&spec).map_err(|refusal| refused(&what, refusal))?;
        let id = new_id()?;
        let driver = drivers::of(&spec.driver);
        let (subnets, interface) = match driver.ground(&spec.driver) {
            Ground::Bridge => {
                let name = spec.driver.bridge().and_then(|options| options.bridge_name.clone());
                let own = name.map_or_else(|| format!("br-{}", id.short()).parse::<IfName>(), Ok);
                let own =
                    own.map_err(|error| ApiError::new(ErrorKind::Invalid, what.clone()).caused_by(error.to_string()))?;
                if self.networks.values().any(|n| n.network.interface.as_ref() == Some(&own)) {
                    return refuse(ErrorKind::InUse, format!("another network has the bridge `{own}`"));
                }
                if spec.driver.bridge().is_some_and(|options| options.flowtable) {
                    self.ledger.can_flow_tables().map_err(|error| kernel_failed(&what, &error))?;
                }
                if let Some(tunnel) = driver.tunnel(&spec.driver).filter(|tunnel| tunnel.encrypted) {
                    self.can_encrypt(&what)?;
                    let ports = self.config.cluster.wireguard_port();
                    if (ports..=ports.saturating_add(1)).contains(&tunnel.port) {
                        return refuse(
                            ErrorKind::Invalid,
                            format!("UDP port {} is WireGuard's on this host (`cluster.wireguard_port`)", tunnel.port),
                        );
                    }
                }
                (self.choose_subnets(&spec, None, &what)?, Some(own))
            }
            Ground::Parent(kind) => return self.design_lan(spec, kind, id, &what),
            Ground::Nothing => (Vec::new(), None),
        };
        let ipv6 = subnets.iter().any(|s| matches!(s.subnet, IpNet::V6(_)));
        let (name, driver, internal, labels) = (spec.name, spec.driver, spec.internal, spec.labels);
        let (mac, created) = (random_mac().map_err(|error| no_random(&what, &error))?, unix_time());
        let (parent, own_link, predefined) = (None, None, false);
        Ok(Network {
            id,
            name,
            driver,
            internal,
            ipv6,
            subnets,
            interface,
            parent,
            own_link,
            mac,
            dns: Vec::new(),
            labels,
            shared: false,
            created,
            predefined,
            version: 0,
        })
    }

    /// The networks that the host's routes lead to, and the words for each. `lan`: a link whose routes don't count.
    fn routed_networks(&mut self, lan: Option<&IfName>, what: &str) -> Result<Vec<(IpNet, String)>, ApiError> {
        let mut routes = self.ledger.host_networks().map_err(|error| kernel_failed(what, &error))?;
        routes.retain(|(_, link)| lan.is_none_or(|lan| lan.as_str() != link));
        Ok(routes.into_iter().map(|(net, link)| (net, format!("the host's route to `{net}` (`{link}`)"))).collect())
    }

    /// Refuses subnets that were chosen on another host and lie on a route of this one: packets would go the wrong way.
    pub(super) fn refuse_collision(&mut self, subnets: &[Subnet], what: &str) -> Result<(), ApiError> {
        let taken = self.routed_networks(None, what)?;
        for subnet in subnets {
            free_of(&taken, &subnet.subnet, what).map_err(|error| {
                error
                    .hint("make the network anew with a `--subnet` that no host has a route to, or take the route away")
            })?;
        }
        Ok(())
    }

    /// `lan`: a link of the host whose networks this one may be in.
    pub(super) fn choose_subnets(
        &mut self,
        spec: &NetworkCreate,
        lan: Option<&IfName>,
        what: &str,
    ) -> Result<Vec<Subnet>, ApiError> {
        let mut taken = self.routed_networks(lan, what)?;
        for state in self.networks.values() {
            let name = &state.network.name;
            taken
                .extend(state.network.subnets.iter().map(|s| (s.subnet, format!("network `{name}` (`{}`)", s.subnet))));
        }
        let mut chosen: Vec<Subnet> = Vec::new();
        for asked in &spec.subnets {
            let subnet = complete(asked).map_err(|error| ipam_failed(what, &error))?;
            free_of(&taken, &subnet.subnet, what)
                .map_err(|error| error.hint("leave `--subnet` out, and one that is free is chosen"))?;
            taken.push((subnet.subnet, "another subnet of this network".into()));
            chosen.push(subnet);
        }
        let has = |chosen: &[Subnet], v6: bool| chosen.iter().any(|s| matches!(s.subnet, IpNet::V6(_)) == v6);
        let mut pools: Vec<Vec<Pool>> = Vec::new();
        if spec.ipv4 && !has(&chosen, false) && (spec.subnets.is_empty() || spec.ipv6) {
            pools.push(self.config.network.pools.clone());
        }
        if spec.ipv6 && !has(&chosen, true) {
            let configured = self.config.network.ipv6_pool.map(|base| Pool { base, size: 64 });
            pools.push(configured.or_else(|| ipam::ula_pool(self.host_bits)).into_iter().collect());
        }
        for pool in pools {
            let nets: Vec<IpNet> = taken.iter().map(|(net, _)| *net).collect();
            let subnet = ipam::choose_subnet(&pool, &nets).map_err(|error| ipam_failed(what, &error))?;
            let asked = SubnetRequest {
                subnet,
                gateway: None,
                no_gateway: false,
                ip_range: None,
                aux_addresses: BTreeMap::new(),
            };
            taken.push((subnet, "another subnet of this network".into()));
            chosen.push(complete(&asked).map_err(|error| ipam_failed(what, &error))?);
        }
        if chosen.is_empty() {
            return Err(ApiError::new(ErrorKind::Invalid, what).caused_by("a network needs a subnet"));
        }
        Ok(chosen)
    }

    /// What the host looks like now.
    pub(super) fn look(&mut self) -> Result<Facts, KernelError> {
        let underlay = self.membership.underlay();
        self.ledger.facts(&underlay)
    }

    /// Makes a network's kernel objects, if they aren't there.
    pub(super) fn network_up(&mut self, id: &NetworkId) -> Result<(), ApiError> {
        let Some(state) = self.networks.get_mut(id) else {
            return Ok(());
        };
        state.idle = None;
        if state.journal.is_some() || !state.network.linked() {
            return Ok(());
        }
        let network = state.network.clone();
        let what = format!("cannot set network `{}` up", network.name);
        self.facts = self.look().map_err(|error| kernel_failed(&what, &error))?;
        if network.encrypted() {
            self.can_encrypt(&what)?;
        }
        if network.shared {
            self.refuse_collision(&network.subnets, &what)?;
        }
        if self.base.is_none() && network.filtered() {
            let journal = self.apply_base(&what)?;
            self.base = Some(journal);
            if let Err(why) = self.settle_guard(None) {
                self.base_down_if_unused();
                return Err(ApiError::new(ErrorKind::System, what).caused_by(why));
            }
        }
        if network.tunnel().is_some()
            && network.shared
            && let Err(error) = self.open_tunnels(&network, &what)
        {
            self.close_tunnels();
            self.base_down_if_unused();
            return Err(error);
        }
        let mut plan = drivers::fresh(&network, &self.facts);
        if self.networks.shares_parent(&network) {
            // The other network's journal has it.
            plan.steps.retain(|step| step.purpose != Purpose::Parent);
        }
        match self.ledger.apply(&network_key(id), plan, None) {
            Ok(journal) => {
                if let Some(state) = self.networks.get_mut(id) {
                    state.journal = Some(journal);
                }
                if network.shared
                    && let Err(why) = self.settle_peers(id)
                {
                    self.log.line(why);
                }
                Ok(())
            }
            Err(error) => {
                self.close_tunnels();
                self.base_down_if_unused();
                Err(ledger_failed(what, &error))
            }
        }
    }

    fn apply_base(&mut self, what: &str) -> Result<Journal, ApiError> {
        let plan = drivers::base(&self.facts);
        self.ledger.apply(BASE, plan, None).map_err(|error| ledger_failed(what, &error))
    }

    /// Removes a network's kernel objects. Says what is left.
    pub(super) fn network_down(&mut self, id: &NetworkId) -> Result<Vec<String>, ApiError> {
        self.drop_peers(id);
        let Some(journal) = self.networks.get_mut(id).and_then(|state| state.journal.take()) else {
            return Ok(Vec::new());
        };
        let journal = self.hand_parent_over(id, journal)?;
        let left = self.undo(&network_key(id), journal);
        if self.networks.get(id).is_some_and(|state| state.network.shared) {
            self.close_tunnels();
        }
        Ok([left, self.base_down_if_unused()].concat())
    }

    fn base_down_if_unused(&mut self) -> Vec<String> {
        if self.networks.values().any(|n| n.journal.is_some() && n.network.filtered()) {
            return Vec::new();
        }
        self.base_down()
    }

    /// Takes down what all networks share. The cluster's elements lie in its table, so they go first.
    pub(super) fn base_down(&mut self) -> Vec<String> {
        let Some(journal) = self.base.take() else { return Vec::new() };
        if let Err(why) = self.settle_guard(None) {
            self.log.line(why);
        }
        self.undo(BASE, journal)
    }

    /// Undoes a journal of the host's; says what is left.
    pub(super) fn undo(&mut self, key: &str, journal: Journal) -> Vec<String> {
        self.ledger.undo(key, journal, None).iter().map(ToString::to_string).collect()
    }

    /// The default network keeps nothing on the host while nobody uses it.
    pub(super) fn rest_idle_networks(&mut self, now: Instant) {
        let due = |state: &NetworkState| state.idle.is_some_and(|since| now.duration_since(since) >= LINGER);
        let ids: Vec<NetworkId> = self.networks.iter().filter(|(_, s)| due(s)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            if let Some(state) = self.networks.get_mut(&id) {
                state.idle = None;
            }
            if let Err(error) = self.network_down(&id) {
                self.log.line(format!("cannot take a network down: {error}"));
            }
        }
    }
}

/// Refuses a subnet that overlaps a taken one. `taken`: each with the words for its owner.
fn free_of(taken: &[(IpNet, String)], subnet: &IpNet, what: &str) -> Result<(), ApiError> {
    match taken.iter().find(|(net, _)| ipam::overlap(net, subnet)) {
        None => Ok(()),
        Some((_, whose)) => {
            Err(ApiError::new(ErrorKind::InUse, what).caused_by(format!("subnet `{subnet}` overlaps {whose}")))
        }
    }
}

fn complete(asked: &SubnetRequest) -> Result<Subnet, ipam::IpamError> {
    // A router of the LAN may lie outside the subnet. For a bridge, which carries its gateway, the driver has refused
    // that.
    let outside = asked.gateway.filter(|gateway| !asked.subnet.contains(gateway));
    let mut subnet = ipam::complete_subnet(Subnet {
        subnet: asked.subnet,
        gateway: asked.gateway.filter(|_| outside.is_none()),
        ip_range: asked.ip_range,
        aux_addresses: asked.aux_addresses.clone(),
    })?;
    if outside.is_some() || asked.no_gateway {
        subnet.gateway = outside;
    }
    Ok(subnet)
}
