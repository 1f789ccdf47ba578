//! Effects: the only room that talks to the kernel about networks, and the only one with `unsafe`.
//!
//! [`Kernel`] applies plans and undoes them. It is blocking on purpose: one thread, the daemon's single writer, owns it, and
//! a change takes microseconds. What must happen in a container's netns happens on a thread that enters it and ends there.
//! `apply` and `undo` walk through plans; what each op is to the kernel is in `ops`, by family; the other files speak to it.
//! `look` is for the threads of connections that show and explain: it changes nothing, and needs no [`Kernel`].

// The one room of netd that calls the kernel: what has no safe wrapper is argued at each block.
#![allow(unsafe_code)]

mod addr;
mod announce;
mod apply;
mod bpf;
mod conntrack;
mod datagrams;
mod dhcp;
mod dhcp_message;
mod echo;
mod failpoint;
mod fdb;
mod foreign;
mod hands;
mod journal;
mod lan;
mod link;
mod look;
mod memory;
mod netlink;
mod netns;
mod nft;
mod nft_encode;
mod nft_expression;
mod nft_names;
mod observe;
mod ops;
mod packet;
mod peer;
mod probe;
mod process;
mod redirect;
mod rights;
mod route;
mod rule;
mod sockdiag;
mod sysctl;
mod undo;
mod vxlan;
mod watch;
mod wireguard;

pub use apply::ApplyError;
pub use datagrams::Datagrams;
pub use dhcp::{Client as DhcpClient, Identity as DhcpIdentity};
pub use echo::answers;
pub use failpoint::Failpoint;
pub use foreign::forward_chains;
pub use hands::Kernel;
pub use journal::{Journal, JournalState, LeftBehind};
pub use lan::{is_wireless, knows_kind, load_dummy_module};
pub use link::delete_marked;
pub use look::{
    CheckWants, Mark, Probe, Trace, Wants, ask_by_udp, check_place, conntrack, forwards, full_size, host_addresses,
    last_handshake, links_here, links_inside, place, probe, rules_of_table, sets_value, stopping, tap,
};
pub use memory::{give_back, share_heap};
pub use netns::{Netns, Resolver, mac_inside, namespace_of, replace_dns};
pub use nft::Protection;
pub use observe::{Underlay, facts, host_networks, observe, underlay_mtu};
pub use peer::{Held, hold_port};
pub use process::{Daemonized, Ready, daemonize, lock_pid_file};
pub use redirect::possible as can_redirect;
pub use rights::{receive_fd, send_fd};
pub use sockdiag::busy_ports;
pub use watch::{Event, watch};

use nix::errno::Errno;

/// Why the kernel refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KernelError {
    #[error("netlink: {}{} ({errno:?})", .errno.desc().to_lowercase(), detail(.message))]
    Netlink { errno: Errno, message: Option<String> },
    #[error("{what}: {} ({errno:?})", .errno.desc().to_lowercase())]
    Call { what: String, errno: Errno },
    /// A VXLAN link of somebody else, and what ours would have to have.
    #[error("link `{link}` of somebody else has {what}")]
    TunnelTaken { link: String, what: String },
    #[error("there is no link `{0}`")]
    NoLink(String),
    #[error("link `{0}` exists and does not carry rcr's mark: it belongs to somebody else")]
    NotOurs(String),
    #[error("`{mac}` on the LAN has the address `{address}`")]
    Duplicate { address: std::net::IpAddr, mac: netd_api::Mac },
    #[error("no DHCP server of the LAN answered within 10 s")]
    NoLease,
    #[error("the kernel has no WireGuard (CONFIG_WIREGUARD)")]
    NoWireGuard,
    #[error("the kernel has no flow tables (CONFIG_NF_FLOW_TABLE_INET, CONFIG_NFT_FLOW_OFFLOAD)")]
    NoFlowTables,
    #[error("the kernel cannot put frames into a neighbour's link ({0:?}; Linux 6.6 can, with BPF)")]
    NoRedirect(Errno),
    #[error("this host's WireGuard key {0} is not in its store")]
    NoKey(u32),
    #[error("stopped by a failpoint")]
    Failpoint,
    #[error("the step needs the container's network namespace")]
    NoNetns,
}

fn detail(message: &Option<String>) -> String {
    message.as_ref().map(|m| format!(": {m}")).unwrap_or_default()
}

impl KernelError {
    /// The error number, where there is one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            KernelError::Netlink { errno, .. } | KernelError::Call { errno, .. } => Some(*errno),
            _ => None,
        }
    }

    pub(crate) fn call(what: impl Into<String>) -> impl FnOnce(Errno) -> Self {
        let what = what.into();
        move |errno| Self::Call { what, errno }
    }

    pub(crate) fn io(what: impl Into<String>, error: &std::io::Error) -> Self {
        Self::Call { what: what.into(), errno: Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)) }
    }

    /// Whether it says that no packet gets there: no route, one that forbids or swallows, or a source address that the host does not have.
    pub fn is_no_route(&self) -> bool {
        matches!(self.errno(), Some(Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::EACCES | Errno::EINVAL))
    }

    /// Whether it says that the object is not there.
    pub fn is_gone(&self) -> bool {
        matches!(self, KernelError::NoLink(_))
            || matches!(self.errno(), Some(Errno::ENOENT | Errno::ENODEV | Errno::ESRCH))
    }
}

/// What is not there need not be removed.
fn gone_is_fine(done: Result<(), KernelError>) -> Result<(), KernelError> {
    match done {
        Err(error) if error.is_gone() => Ok(()),
        other => other,
    }
}
