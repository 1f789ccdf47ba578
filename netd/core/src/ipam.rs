//! Addresses: which subnet a network gets, which address a container gets. Pure; both families in one code path.
//!
//! An address that was never used comes first; then the one that was freed longest ago. Resting is a preference, never
//! a refusal: a full subnet hands out an address that was freed a moment ago.

use ipnet::{IpNet, Ipv6Net};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::Subnet;
use rcr_base::Pool;

/// Why there is no address or subnet.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum IpamError {
    #[error("no free subnet in the pools ({pools}): {count} networks or host routes lie in them")]
    PoolsEmpty { pools: String, count: usize },
    #[error("no free address in `{range}`: {used} of {total} in use")]
    Full { range: IpNet, used: u128, total: u128 },
    #[error("address `{address}` is in use on this network")]
    Taken { address: IpAddr },
    #[error("address `{address}` is {what} of subnet `{subnet}`")]
    Reserved { address: IpAddr, what: &'static str, subnet: IpNet },
    #[error("address `{address}` is in none of the network's subnets")]
    Outside { address: IpAddr },
    #[error("`{inner}` does not lie in subnet `{subnet}`")]
    NotInSubnet { inner: IpNet, subnet: IpNet },
    #[error("subnet `{0}` has host bits set")]
    HostBits(IpNet),
    #[error("subnet `{0}` is too small for a gateway and a container")]
    TooSmall(IpNet),
}

/// The first subnet of the pools that overlaps nothing in `taken`. Jumps over what overlaps instead of trying each.
pub fn choose_subnet(pools: &[Pool], taken: &[IpNet]) -> Result<IpNet, IpamError> {
    for pool in pools {
        let step = 1u128.checked_shl(u32::from(pool.base.max_prefix_len() - pool.size)).unwrap_or(0);
        let (mut at, last) = (number(pool.base.network()), number(pool.base.broadcast()));
        while step > 0 && at <= last {
            let Ok(candidate) = IpNet::new(address(&pool.base, at), pool.size) else {
                break;
            };
            match taken.iter().find(|net| overlap(net, &candidate)) {
                None => return Ok(candidate),
                // Go on behind whatever is in the way, on a multiple of the step.
                Some(net) => {
                    let behind = number(net.broadcast()).max(number(candidate.broadcast()));
                    let Some(next) = behind.checked_add(1) else {
                        break;
                    };
                    at = next.div_ceil(step).saturating_mul(step);
                }
            }
        }
    }
    let pools: Vec<String> = pools.iter().map(|p| format!("{} in /{}", p.base, p.size)).collect();
    Err(IpamError::PoolsEmpty { pools: pools.join(", "), count: taken.len() })
}

/// Whether two networks share an address. A default route shares with nothing: it is where everything else goes.
pub fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.prefix_len() > 0 && b.prefix_len() > 0 && (a.contains(b) || b.contains(a))
}

/// Checks a subnet and fills its gateway in: the first address of it (of the range, when a range is given and the first
/// is taken).
pub fn complete_subnet(mut subnet: Subnet) -> Result<Subnet, IpamError> {
    let net = subnet.subnet;
    if net.addr() != net.network() {
        return Err(IpamError::HostBits(net));
    }
    if net.max_prefix_len() - net.prefix_len() < 2 {
        return Err(IpamError::TooSmall(net));
    }
    if let Some(range) = subnet.ip_range
        && !net.contains(&range)
    {
        return Err(IpamError::NotInSubnet { inner: range, subnet: net });
    }
    for inner in subnet.gateway.iter().chain(subnet.aux_addresses.values()) {
        if !net.contains(inner) {
            return Err(IpamError::NotInSubnet { inner: IpNet::from(*inner), subnet: net });
        }
    }
    if let Some(gateway) = subnet.gateway
        && let Some(what) = edge(&net, gateway)
    {
        return Err(IpamError::Reserved { address: gateway, what, subnet: net });
    }
    if subnet.gateway.is_none() {
        let taken: BTreeSet<u128> = subnet.aux_addresses.values().map(|a| number(*a)).collect();
        let first = number(net.network()) + 1;
        let free = (first..=number(net.broadcast())).find(|n| !taken.contains(n));
        subnet.gateway = free.map(|n| address(&net, n));
    }
    Ok(subnet)
}

/// What is known of a subnet's addresses beyond those in use: which one is next, which ones rest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Leases {
    /// Addresses below this offset into the range were used before.
    cursor: u128,
    /// Freed addresses, the oldest first.
    rest: VecDeque<IpAddr>,
    #[serde(skip)]
    used: BTreeSet<IpAddr>,
}

/// An address that was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    pub address: IpAddr,
    /// Somebody had it before: old flows and neighbour entries may exist.
    pub reused: bool,
}

impl Leases {
    /// Marks an address as in use: at start, from the records.
    pub fn occupy(&mut self, address: IpAddr) {
        self.rest.retain(|a| *a != address);
        self.used.insert(address);
    }

    /// How many are in use.
    pub fn used(&self) -> u64 {
        self.used.len() as u64
    }

    /// How many a container could still get by itself.
    pub fn free(&self, subnet: &Subnet) -> u64 {
        let (first, last) = bounds(subnet);
        let range = first..=last;
        let taken = self.used.iter().chain(reserved(subnet)).filter(|a| range.contains(&number(**a))).count();
        u64::try_from((last - first + 1).saturating_sub(taken as u128)).unwrap_or(u64::MAX)
    }

    /// Hands out exactly this address.
    pub fn take(&mut self, subnet: &Subnet, address: IpAddr) -> Result<Lease, IpamError> {
        if let Some(what) = edge(&subnet.subnet, address) {
            return Err(IpamError::Reserved { address, what, subnet: subnet.subnet });
        }
        if subnet.gateway == Some(address) {
            return Err(IpamError::Reserved { address, what: "the gateway", subnet: subnet.subnet });
        }
        if subnet.aux_addresses.values().any(|a| *a == address) {
            return Err(IpamError::Reserved { address, what: "an auxiliary address", subnet: subnet.subnet });
        }
        if self.used.contains(&address) {
            return Err(IpamError::Taken { address });
        }
        let reused = self.rest.contains(&address);
        self.occupy(address);
        Ok(Lease { address, reused })
    }

    /// Hands out an address: one of `prefer` if it is free, else one never used, else the one that rested longest.
    pub fn choose(&mut self, subnet: &Subnet, prefer: &[IpAddr]) -> Result<Lease, IpamError> {
        for wish in prefer.iter().filter(|a| subnet.subnet.contains(*a)) {
            if let Ok(lease) = self.take(subnet, *wish) {
                return Ok(lease);
            }
        }
        let (first, last) = bounds(subnet);
        while let Some(at) = first.checked_add(self.cursor).filter(|at| *at <= last) {
            self.cursor += 1;
            let fresh = address(&subnet.subnet, at);
            if self.rest.contains(&fresh) {
                continue;
            }
            if let Ok(lease) = self.take(subnet, fresh) {
                return Ok(lease);
            }
        }
        let in_range = |a: &IpAddr| (first..=last).contains(&number(*a));
        if let Some(oldest) = self.rest.iter().copied().find(in_range) {
            return self.take(subnet, oldest);
        }
        let range = subnet.ip_range.unwrap_or(subnet.subnet);
        let within = |a: &&IpAddr| in_range(a);
        let reserved = reserved(subnet).filter(within).count() as u128;
        Err(IpamError::Full {
            range,
            used: self.used.iter().filter(within).count() as u128,
            total: (last - first + 1).saturating_sub(reserved),
        })
    }

    /// Takes an address back; it rests behind all that were freed before.
    pub fn free_address(&mut self, address: IpAddr) {
        if self.used.remove(&address) {
            self.rest.push_back(address);
        }
    }
}

fn reserved(subnet: &Subnet) -> impl Iterator<Item = &IpAddr> {
    subnet.gateway.iter().chain(subnet.aux_addresses.values())
}

/// The first and last address that may be chosen.
fn bounds(subnet: &Subnet) -> (u128, u128) {
    let net = subnet.subnet;
    let range = subnet.ip_range.unwrap_or(net);
    let top = number(net.broadcast()) - u128::from(matches!(net, IpNet::V4(_)));
    let first = number(range.network()).max(number(net.network()) + 1);
    (first, number(range.broadcast()).min(top))
}

/// What is special about an address of a subnet.
fn edge(net: &IpNet, address: IpAddr) -> Option<&'static str> {
    if address == net.network() {
        return Some("the network address");
    }
    (matches!(net, IpNet::V4(_)) && address == net.broadcast()).then_some("the broadcast address")
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(u32::from(a)),
        IpAddr::V6(a) => u128::from(a),
    }
}

/// The address with this number, of the family of `like`.
fn address(like: &IpNet, number: u128) -> IpAddr {
    match like {
        IpNet::V4(_) => IpAddr::V4(Ipv4Addr::from(number as u32)),
        IpNet::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

/// The pool of IPv6 networks: a unique local /48 (RFC 4193) cut into /64s. `global_id` are its 40 random bits.
pub fn ula_pool(global_id: u64) -> Option<Pool> {
    let bits = (0xfdu128 << 120) | (u128::from(global_id & 0xff_ffff_ffff) << 80);
    Ipv6Net::new(Ipv6Addr::from(bits), 48).ok().map(|base| Pool { base: IpNet::V6(base), size: 64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(net: &str) -> Subnet {
        let bare =
            Subnet { subnet: net.parse().unwrap(), gateway: None, ip_range: None, aux_addresses: Default::default() };
        complete_subnet(bare).unwrap()
    }

    #[test]
    fn subnets_avoid_routes_and_each_other() {
        let pools: Vec<Pool> = [("10.176.0.0/12", 24), ("172.28.0.0/14", 24)]
            .map(|(base, size)| Pool { base: base.parse().unwrap(), size })
            .to_vec();
        let taken: Vec<IpNet> =
            ["0.0.0.0/0", "10.176.0.0/16", "10.177.0.128/25"].iter().map(|n| n.parse().unwrap()).collect();
        assert_eq!(choose_subnet(&pools, &taken).unwrap().to_string(), "10.177.1.0/24");
        let mut all: Vec<IpNet> = Vec::new();
        for _ in 0..300 {
            all.push(choose_subnet(&pools, &all).unwrap());
        }
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 300);
        let error =
            choose_subnet(&pools, &["10.0.0.0/8".parse().unwrap(), "172.16.0.0/12".parse().unwrap()]).unwrap_err();
        assert!(error.to_string().contains("10.176.0.0/12 in /24"), "{error}");
    }

    #[test]
    fn the_address_freed_longest_ago_is_reused_first_and_a_full_pool_says_so() {
        let net = subnet("10.0.0.0/29");
        assert_eq!(net.gateway, Some("10.0.0.1".parse().unwrap()));
        let mut leases = Leases::default();
        let all: Vec<IpAddr> = (0..5).map(|_| leases.choose(&net, &[]).unwrap().address).collect();
        assert_eq!(all.last().unwrap().to_string(), "10.0.0.6");
        let error = leases.choose(&net, &[]).unwrap_err();
        assert_eq!(error.to_string(), "no free address in `10.0.0.0/29`: 5 of 5 in use");
        assert_eq!(leases.free(&net), 0);
        leases.free_address(all[3]);
        leases.free_address(all[1]);
        assert_eq!(leases.choose(&net, &[]).unwrap(), Lease { address: all[3], reused: true });
        assert_eq!(leases.choose(&net, &[all[1]]).unwrap().address, all[1]);
    }

    #[test]
    fn static_addresses_are_checked() {
        let net = subnet("10.0.0.0/24");
        let mut leases = Leases::default();
        for bad in ["10.0.0.0", "10.0.0.255", "10.0.0.1"] {
            assert!(leases.take(&net, bad.parse().unwrap()).is_err(), "{bad}");
        }
        let wanted = "10.0.0.2".parse().unwrap();
        assert!(!leases.take(&net, wanted).unwrap().reused);
        assert_eq!(leases.take(&net, wanted), Err(IpamError::Taken { address: wanted }));
        assert_eq!(leases.choose(&net, &[]).unwrap().address.to_string(), "10.0.0.3");
    }

    #[test]
    fn both_families_take_one_path_and_ranges_bound_them() {
        let net = subnet("fd00:1::/64");
        assert_eq!(net.gateway.unwrap().to_string(), "fd00:1::1");
        assert_eq!(Leases::default().choose(&net, &[]).unwrap().address.to_string(), "fd00:1::2");
        let mut ranged = subnet("10.0.0.0/24");
        ranged.ip_range = Some("10.0.0.128/30".parse().unwrap());
        let mut leases = Leases::default();
        let got: Vec<String> = (0..4).map(|_| leases.choose(&ranged, &[]).unwrap().address.to_string()).collect();
        assert_eq!(got, ["10.0.0.128", "10.0.0.129", "10.0.0.130", "10.0.0.131"]);
        assert!(leases.choose(&ranged, &[]).is_err());
    }
}
