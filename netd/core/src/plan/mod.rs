//! Plans: what is to be done to a kernel, as data. No I/O, no clock, no randomness: same input, same plan.
//!
//! | room | what is in it |
//! |---|---|
//! | `step`, `purpose` | a plan, its steps, and what came of them; what each is for |
//! | `op` | the families of ops, and in which scope each goes: an op that makes no sense in a container can't be put there |
//! | `link`, `set`, `port`, `address`, `route`, `sysctl`, `lan`, `firewall`, `vxlan`, `wireguard` | a family each |
//! | `effect` | what every op says of itself: its name, its link, its place, its text |
//! | `diff`, `change`, `compare` | which steps a kernel lacks; from one plan to another; from what was done to what is wanted |
//! | `show` | how a plan reads |

mod address;
mod change;
mod compare;
mod diff;
mod effect;
mod firewall;
mod lan;
mod link;
mod op;
mod port;
mod purpose;
mod route;
mod set;
mod show;
mod step;
mod sysctl;
mod vxlan;
mod wireguard;

pub use address::AddressOp;
pub use change::{change, is_same_object, turned};
pub use compare::{Difference, Done, Places, beside, compare};
pub use diff::{LinkSeen, Observed, missing};
pub use effect::{Effect, End, Mtu, Object, Place, Row};
pub use firewall::FirewallOp;
pub use lan::LanOp;
pub use link::{Child, LinkOp};
pub use op::{ContainerOp, HostOp, Op, Scope};
pub use port::PortOp;
pub use purpose::Purpose;
pub use route::{ReplyOp, RouteOp};
pub use set::SetOp;
pub use show::{show, show_seen, show_there};
pub use step::{Outcome, Plan, Step};
pub use sysctl::{Key, SysctlOp};
pub use vxlan::VxlanOp;
pub use wireguard::WireGuardOp;
