//! The versioned wire types between `rcr` and `netd`; `rcr_base` has the framing that carries them.
//!
//! One request, one reply, on a unix stream socket ([`SOCKET_NAME`] below the run folder). A frame is a little-endian
//! `u32` byte count followed by that many bytes of JSON; descriptors travel as `SCM_RIGHTS` beside the first byte of
//! the frame they belong to (unix(7)). No HTTP: descriptors can't travel over it.
//!
//! The types are parsed at the edge: whoever holds a [`IfName`] holds a valid one.

#![warn(missing_docs)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod bridge;
mod capture;
mod check;
mod graph;
mod key;
mod lan;
mod names;
mod network;
mod node;
mod obstacle;
mod overlay;
mod plan;
mod reply;
mod request;
mod sandbox;
mod show;
mod update;
mod why;

pub use bridge::{BridgeOptions, GatewayMode};
pub use capture::{CaptureAt, CaptureView, NamedAddress, TapView, TunnelView};
pub use check::{AroundView, CheckView, DifferenceView, HostCheckView, HostFindings};
pub use graph::{GraphEdge, GraphKind, GraphNode, GraphView};
pub use key::PublicKey;
pub use lan::{IpvlanFlag, IpvlanMode, IpvlanOptions, LanOptions, MacvlanMode, MacvlanOptions};
pub use names::{ContainerId, IfName, Mac, NameError, NetworkId, NetworkName, NodeId, QuestionId};
pub use network::{DriverSpec, NetworkCreate, NetworkInfo, Scope, SubnetInfo, SubnetRequest};
pub use node::{KeyInfo, NodeInfo, NodeState};
pub use obstacle::Obstacle;
pub use overlay::{OverlayOptions, VXLAN_PORT, Vni};
pub use plan::{PlanPart, PlanRow, PlanStep, PlanView};
/// An error as it travels.
pub use rcr_base::{Error as ApiError, Kind as ErrorKind};
pub use reply::{Reply, VersionInfo};
pub use request::{Call, Request};
pub use sandbox::{
    AttachmentInfo, AttachmentRequest, DnsRequest, HostPort, NetnsSource, Proto, PublishRequest, PublishedPort,
    SandboxInfo, SandboxRequest,
};
pub use show::{EndpointView, LinkState, LinkView, MtuOrigin, NetworkView, QueryView, RemoteView, RuleView, Traffic};
pub use update::NetworkChange;
pub use why::{Asleep, Fault, Hop, Reach, WhyAnswer, WhyRequest};

/// The version of this protocol. A daemon refuses a request of another major version by name.
pub const API_VERSION: u16 = 1;

/// netd's socket below the run folder (`/run/rcr/netd.sock` by default).
pub const SOCKET_NAME: &str = "netd.sock";

/// netd's pid file below the run folder.
pub const PID_NAME: &str = "netd.pid";

/// netd's log below the run folder.
pub const LOG_NAME: &str = "netd.log";
