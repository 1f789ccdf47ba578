//! Who has which name on which network. Pure.

use netd_api::{ContainerId, NetworkId};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// A container on one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub container: ContainerId,
    /// The container's name first, then its short id and aliases.
    pub names: Vec<String>,
    pub addresses: Vec<IpAddr>,
}

/// What one container sees.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    pub networks: Vec<NetworkId>,
    /// Whether names outside may be asked for: false if all its networks are internal.
    pub forward: bool,
    /// `--dns`; empty: the configured ones, else the host's.
    pub servers: Vec<IpAddr>,
    /// `--dns-search`; empty: the host's domains. A `.` alone means none.
    pub search: Vec<String>,
}

/// All names of this host.
#[derive(Debug, Default)]
pub struct Zone {
    networks: BTreeMap<NetworkId, NetworkZone>,
}

#[derive(Debug, Default)]
struct NetworkZone {
    /// Lower case.
    name: String,
    endpoints: BTreeMap<ContainerId, Endpoint>,
    /// Lower-case names. Kept beside the endpoints, so that a query costs one look-up per network.
    by_name: HashMap<String, Vec<ContainerId>>,
    by_address: HashMap<IpAddr, ContainerId>,
}

/// What is known of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// It exists, with these addresses (of both families).
    Addresses(Vec<IpAddr>),
    /// It is none of ours.
    Foreign,
}

impl Zone {
    /// Sets a container's names and addresses on a network, in place of what it had there.
    pub fn set(&mut self, network: &NetworkId, network_name: &str, endpoint: Endpoint) {
        self.remove(network, &endpoint.container);
        let zone = self.networks.entry(network.clone()).or_default();
        zone.name = network_name.to_ascii_lowercase();
        for name in &endpoint.names {
            let holders = zone.by_name.entry(name.to_ascii_lowercase()).or_default();
            if !holders.contains(&endpoint.container) {
                holders.push(endpoint.container.clone());
            }
        }
        for address in &endpoint.addresses {
            zone.by_address.insert(*address, endpoint.container.clone());
        }
        zone.endpoints.insert(endpoint.container.clone(), endpoint);
    }

    /// Forgets a container on a network.
    pub fn remove(&mut self, network: &NetworkId, container: &ContainerId) {
        let Some(zone) = self.networks.get_mut(network) else { return };
        let Some(gone) = zone.endpoints.remove(container) else { return };
        for address in &gone.addresses {
            // It may be another's by now.
            if zone.by_address.get(address) == Some(container) {
                zone.by_address.remove(address);
            }
        }
        for name in &gone.names {
            let name = name.to_ascii_lowercase();
            if let Some(holders) = zone.by_name.get_mut(&name) {
                holders.retain(|holder| holder != container);
                if holders.is_empty() {
                    zone.by_name.remove(&name);
                }
            }
        }
        if zone.endpoints.is_empty() {
            self.networks.remove(network);
        }
    }

    /// The addresses of a name (lower case, without the dot at the end), as `view` sees it.
    pub fn lookup(&self, view: &View, name: &str) -> Known {
        let mut addresses: Vec<IpAddr> = Vec::new();
        self.find(view, name, &mut addresses);
        if addresses.is_empty() { Known::Foreign } else { Known::Addresses(addresses) }
    }

    /// The same, into a list of the caller's. One that stays empty: the name is none of ours.
    pub fn find(&self, view: &View, name: &str, addresses: &mut Vec<IpAddr>) {
        let seen = || view.networks.iter().filter_map(|id| self.networks.get(id));
        for zone in seen() {
            zone.collect(name, addresses);
        }
        // `name.network`: a network's name may itself hold dots, and may be that of a domain of the world outside. Only
        // what is found is ours.
        for zone in seen() {
            if let Some(host) = name.strip_suffix(&zone.name).and_then(|rest| rest.strip_suffix('.')) {
                zone.collect(host, addresses);
            }
        }
    }

    /// The name of the container that has an address, as `name.network`.
    pub fn reverse(&self, view: &View, address: IpAddr) -> Option<String> {
        view.networks.iter().filter_map(|id| self.networks.get(id)).find_map(|zone| {
            let endpoint = zone.endpoints.get(zone.by_address.get(&address)?)?;
            Some(format!("{}.{}", endpoint.names.first()?, zone.name))
        })
    }
}

impl NetworkZone {
    fn collect(&self, name: &str, addresses: &mut Vec<IpAddr>) {
        for container in self.by_name.get(name).into_iter().flatten() {
            for address in self.endpoints.get(container).into_iter().flat_map(|e| &e.addresses) {
                if !addresses.contains(address) {
                    addresses.push(*address);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(digit: char) -> T {
        digit.to_string().repeat(64).parse().unwrap()
    }

    fn endpoint(digit: char, names: &[&str], addresses: &[&str]) -> Endpoint {
        Endpoint {
            container: id(digit),
            names: names.iter().map(|n| n.to_string()).collect(),
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        }
    }

    fn view(networks: &[char]) -> View {
        View { networks: networks.iter().map(|d| id(*d)).collect(), forward: true, ..View::default() }
    }

    fn addresses(list: &[&str]) -> Known {
        Known::Addresses(list.iter().map(|a| a.parse().unwrap()).collect())
    }

    #[test]
    fn names_belong_to_networks() {
        let mut zone = Zone::default();
        zone.set(&id('a'), "Blue", endpoint('1', &["C1", "web"], &["10.0.0.2", "fd00::2"]));
        zone.set(&id('a'), "Blue", endpoint('2', &["c2", "web"], &["10.0.0.3"]));
        zone.set(&id('b'), "green", endpoint('3', &["c3"], &["10.0.1.2"]));
        let blue = view(&['a']);
        assert_eq!(zone.lookup(&blue, "c1"), addresses(&["10.0.0.2", "fd00::2"]));
        assert_eq!(zone.lookup(&blue, "web"), addresses(&["10.0.0.2", "fd00::2", "10.0.0.3"]));
        assert_eq!(zone.lookup(&blue, "c1.blue"), addresses(&["10.0.0.2", "fd00::2"]));
        assert_eq!(zone.lookup(&blue, "c3"), Known::Foreign);
        assert_eq!(zone.lookup(&blue, "c9.blue"), Known::Foreign);
        assert_eq!(zone.lookup(&blue, "c3.green"), Known::Foreign);
        assert_eq!(zone.lookup(&view(&['a', 'b']), "c3.green"), addresses(&["10.0.1.2"]));
        assert_eq!(zone.lookup(&blue, "example.org"), Known::Foreign);
        // Networks that are called like domains of the world outside.
        zone.set(&id('c'), "dev", endpoint('4', &["web"], &["10.0.2.2"]));
        assert_eq!(zone.lookup(&view(&['c']), "pkg.go.dev"), Known::Foreign);
        assert_eq!(zone.lookup(&view(&['c']), "web.dev"), addresses(&["10.0.2.2"]));
        assert_eq!(zone.reverse(&blue, "10.0.0.2".parse().unwrap()), Some("C1.blue".into()));
        assert_eq!(zone.reverse(&blue, "10.0.1.2".parse().unwrap()), None);
    }

    #[test]
    fn what_is_removed_is_gone() {
        let mut zone = Zone::default();
        zone.set(&id('a'), "blue", endpoint('1', &["c1"], &["10.0.0.2"]));
        zone.set(&id('a'), "blue", endpoint('1', &["new"], &["10.0.0.4"]));
        assert_eq!(zone.lookup(&view(&['a']), "c1"), Known::Foreign);
        assert_eq!(zone.lookup(&view(&['a']), "new"), addresses(&["10.0.0.4"]));
        zone.remove(&id('a'), &id('1'));
        assert_eq!(zone.lookup(&view(&['a']), "new"), Known::Foreign);
        assert!(zone.networks.is_empty());
    }
}
