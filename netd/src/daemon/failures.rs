//! Errors of the rooms below as answers: what was being done, why it failed, the way out.

use crate::kernel::{ApplyError, KernelError};
use crate::ledger::LedgerError;
use crate::store::StoreError;
use netd_api::{ApiError, ContainerId, ErrorKind};
use netd_core::drivers::Refusal;
use netd_core::ipam::IpamError;
use netd_core::ports::PortError;
use std::net::IpAddr;

/// A failure of the kernel while doing `what`.
pub fn kernel_failed(what: impl Into<String>, error: &KernelError) -> ApiError {
    let hint = match error.errno() {
        Some(nix::errno::Errno::EPERM) => Some("netd needs CAP_NET_ADMIN and CAP_SYS_ADMIN: start it as root"),
        Some(nix::errno::Errno::EBUSY) => {
            Some("the parent carries links of another kind or mode, which somebody else made: `ip -d link` shows them")
        }
        Some(nix::errno::Errno::EADDRINUSE) => Some(
            "another program has the UDP port (`ss -ulnp` shows which): `-o vxlan_port=`, and for WireGuard `cluster.wireguard_port`, choose others",
        ),
        Some(nix::errno::Errno::EXFULL) => Some("a bridge has at most 1023 ports: use a second network"),
        _ if matches!(error, KernelError::NoWireGuard) => Some(
            "install or build the kernel's module `wireguard` (Linux 5.6 or newer has it), or leave `-o encrypted` out",
        ),
        _ if matches!(error, KernelError::NoFlowTables) => Some(
            "leave `-o flowtable` out, or load or build the kernel's modules `nf_flow_table_inet` and `nft_flow_offload`",
        ),
        _ if matches!(error, KernelError::TunnelTaken { .. }) => Some(
            "`ip -d link` shows what it is: delete it, or create the network with another `-o vni=` or `-o vxlan_port=`",
        ),
        _ if matches!(error, KernelError::Duplicate { .. }) => Some(
            "choose another address, keep netd from choosing it by `--ip-range` or `--aux-address`, or ask nobody: `-o probe=false`",
        ),
        _ => None,
    };
    let taken =
        matches!(error, KernelError::NotOurs(_) | KernelError::Duplicate { .. } | KernelError::TunnelTaken { .. });
    let kind = match error {
        KernelError::NoWireGuard | KernelError::NoFlowTables => ErrorKind::Unsupported,
        _ if taken => ErrorKind::InUse,
        _ => ErrorKind::System,
    };
    let failed = ApiError::new(kind, what).caused_by(error.to_string());
    match hint {
        Some(hint) => failed.hint(hint),
        None => failed,
    }
}

/// A plan that could not be applied while doing `what`.
pub fn apply_failed(what: impl Into<String>, error: &ApplyError) -> ApiError {
    let mut failed = kernel_failed(what, &error.cause);
    failed.causes.insert(0, error.what.clone());
    failed.left_behind = error.left.iter().map(ToString::to_string).collect();
    failed
}

/// An attachment that could not be made.
pub struct Unattached {
    pub error: Box<ApiError>,
    /// The address that somebody on the LAN turned out to have, if that was why.
    pub duplicate: Option<IpAddr>,
}

impl From<ApiError> for Unattached {
    fn from(error: ApiError) -> Self {
        Self { error: Box::new(error), duplicate: None }
    }
}

impl From<Unattached> for ApiError {
    fn from(unattached: Unattached) -> Self {
        *unattached.error
    }
}

impl Unattached {
    /// A plan that could not be applied while doing `what`.
    pub fn because(what: impl Into<String>, error: &ApplyError) -> Self {
        let duplicate = match error.cause {
            KernelError::Duplicate { address, .. } => Some(address),
            _ => None,
        };
        Self { error: Box::new(apply_failed(what, error)), duplicate }
    }
}

/// A plan that could not be written down or applied while doing `what`.
pub fn ledger_failed(what: impl Into<String>, error: &LedgerError) -> ApiError {
    match error {
        LedgerError::Store(error) => store_failed(what, error),
        LedgerError::Apply(error) => apply_failed(what, error),
    }
}

/// The store's failure while doing `what`.
pub fn store_failed(what: impl Into<String>, error: &StoreError) -> ApiError {
    ApiError::new(ErrorKind::System, what).caused_by(error.to_string())
}

/// No address or subnet while doing `what`.
pub fn ipam_failed(what: impl Into<String>, error: &IpamError) -> ApiError {
    let (kind, hint) = match error {
        IpamError::PoolsEmpty { .. } => {
            (ErrorKind::Exhausted, Some("add to `network.pools` in the configuration, or name a `--subnet`"))
        }
        IpamError::Full { .. } => {
            (ErrorKind::Exhausted, Some("remove containers, or create a network with a larger `--subnet`"))
        }
        IpamError::Taken { .. } => (ErrorKind::InUse, Some("choose another address, or let netd choose one")),
        _ => (ErrorKind::Invalid, None),
    };
    let failed = ApiError::new(kind, what).caused_by(error.to_string());
    match hint {
        Some(hint) => failed.hint(hint),
        None => failed,
    }
}

/// What a driver refuses, as an answer.
pub fn refused(what: &str, refusal: Refusal) -> ApiError {
    let failed = ApiError::new(ErrorKind::Invalid, what).caused_by(refusal.why);
    match refusal.hint {
        Some(hint) => failed.hint(hint),
        None => failed,
    }
}

/// No port while doing `what`.
pub fn port_failed(what: impl Into<String>, error: &PortError) -> ApiError {
    let failed = |kind| ApiError::new(kind, what).caused_by(error.to_string());
    match error {
        PortError::Published { .. } | PortError::Busy { .. } => {
            failed(ErrorKind::InUse).hint("publish another port, or leave the host's part out to get a free one")
        }
        PortError::NoneFree { .. } => failed(ErrorKind::Exhausted),
        PortError::NoCarrier => {
            failed(ErrorKind::Invalid).hint("internal networks publish nothing: add a network that is not internal")
        }
        PortError::Beyond { .. } | PortError::Zero => failed(ErrorKind::Invalid),
    }
}

/// Without a store there are no hosts.
pub fn no_cluster() -> ApiError {
    ApiError::new(ErrorKind::Invalid, "this host is in no cluster")
        .hint("name the store that the hosts share: `[cluster] store = \"etcd://HOST:PORT\"` in /etc/rcr/config.toml")
}

/// A container that is not running has no sandbox.
pub fn no_sandbox(id: &ContainerId) -> ApiError {
    ApiError::new(ErrorKind::NotFound, format!("container `{}` has no network: it is not running", id.short()))
}
