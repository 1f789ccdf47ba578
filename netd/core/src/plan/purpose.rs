//! What steps are for.

use super::op::{ContainerOp, HostOp, Op};
use netd_api::IfName;
use serde::{Deserialize, Serialize};

/// What a step is for. Who changes a part of what stands finds the steps by it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A journal of before purposes were written does not say it.
    #[default]
    Unsaid,
    /// A link of the network's or the container's own.
    Link,
    /// A parent link that we made, which networks may share.
    Parent,
    /// Addresses, with what asks for them and announces them. Of a network whose LAN gives them all of them are leased.
    Addresses,
    /// Ways from the container to elsewhere, and back.
    Routes,
    /// Published ports, and the answers from them.
    Ports,
    /// What may pass, apart from ports.
    Firewall,
    /// Packets of others pass this host.
    Forwarding,
    /// Other hosts of the cluster, and what they have.
    Peers,
}

impl Purpose {
    /// What a step of a journal is for that does not say it. `parents`: the parent links that its plan makes. It matters for what is
    /// looked up in journals: parents go over to other networks, and leases to other addresses.
    pub(super) fn presumed(op: &Op, parents: &[IfName]) -> Self {
        if parents.iter().any(|parent| op.is_about(parent)) {
            return Purpose::Parent;
        }
        match op {
            Op::Host(HostOp::Address(_) | HostOp::Lan(_)) => Purpose::Addresses,
            Op::Container(ContainerOp::Address(_) | ContainerOp::Lan(_)) => Purpose::Addresses,
            Op::Host(HostOp::Route(_)) | Op::Container(ContainerOp::Route(_)) => Purpose::Routes,
            _ => Purpose::Unsaid,
        }
    }
}
