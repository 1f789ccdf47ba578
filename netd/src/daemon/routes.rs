//! Which addresses and default routes attachments get. Only leases are taken.

use super::records::NetworkState;
use ipnet::IpNet;
use netd_api::{AttachmentRequest, GatewayMode};
use netd_core::ipam::{IpamError, Lease};
use netd_core::model::Attachment;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One address per family: the static one, else one from the first subnet that has any.
pub fn lease_addresses(state: &mut NetworkState, request: &AttachmentRequest) -> Result<Vec<Lease>, IpamError> {
    let mut got: Vec<Lease> = Vec::new();
    let wishes = [request.ip.map(IpAddr::V4), request.ip6.map(IpAddr::V6)];
    for (wish, v6) in wishes.into_iter().zip([false, true]) {
        let lease = match wish {
            Some(address) => take_static(state, address).map(Some),
            None => choose(state, &request.prefer, v6),
        };
        match lease {
            Ok(lease) => got.extend(lease),
            Err(error) => {
                // All or none.
                for lease in got {
                    for (subnet, leases) in state.network.subnets.iter().zip(&mut state.leases) {
                        if subnet.subnet.contains(&lease.address) {
                            leases.free_address(lease.address);
                        }
                    }
                }
                return Err(error);
            }
        }
    }
    Ok(got)
}

fn take_static(state: &mut NetworkState, address: IpAddr) -> Result<Lease, IpamError> {
    let mut pairs = state.network.subnets.iter().zip(&mut state.leases);
    match pairs.find(|(subnet, _)| subnet.subnet.contains(&address)) {
        Some((subnet, leases)) => leases.take(subnet, address),
        None => Err(IpamError::Outside { address }),
    }
}

pub fn choose(state: &mut NetworkState, prefer: &[IpAddr], v6: bool) -> Result<Option<Lease>, IpamError> {
    let mut full = None;
    for (subnet, leases) in state.network.subnets.iter().zip(&mut state.leases) {
        if matches!(subnet.subnet, IpNet::V6(_)) != v6 {
            continue;
        }
        match leases.choose(subnet, prefer) {
            Ok(lease) => return Ok(Some(lease)),
            Err(error) => full = Some(error),
        }
    }
    full.map_or(Ok(None), Err)
}

pub fn gateways(state: &NetworkState, leases: &[Lease]) -> Vec<IpAddr> {
    let network = &state.network;
    if network.routed_only() && !network.internal {
        // No neighbour carries packets on: all leave by the link itself.
        let any = |v6| if v6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
        let has = |v6: bool| leases.iter().any(|l| l.address.is_ipv6() == v6);
        return [false, true].into_iter().filter(|v6| has(*v6)).map(any).collect();
    }
    let leads_out =
        |subnet: &&netd_core::model::Subnet| !network.internal && network.gateway_mode(subnet) != GatewayMode::Isolated;
    let holds = |subnet: &&netd_core::model::Subnet| leases.iter().any(|l| subnet.subnet.contains(&l.address));
    network.subnets.iter().filter(leads_out).filter(holds).filter_map(|s| s.gateway).collect()
}

/// Gives the default routes to the attachment with the highest priority, per family; the first wins a tie.
pub fn choose_default_routes(attachments: &mut [Attachment]) {
    for attachment in attachments.iter_mut() {
        attachment.default_via.clear();
    }
    for v4 in [true, false] {
        let mut best: Option<(usize, i32, IpAddr)> = None;
        for (i, attachment) in attachments.iter().enumerate() {
            let Some(gateway) = attachment.gateways.iter().find(|g| g.is_ipv4() == v4) else {
                continue;
            };
            if best.is_none_or(|(_, priority, _)| attachment.gw_priority > priority) {
                best = Some((i, attachment.gw_priority, *gateway));
            }
        }
        if let Some((i, _, gateway)) = best {
            attachments[i].default_via.push(gateway);
        }
    }
}
