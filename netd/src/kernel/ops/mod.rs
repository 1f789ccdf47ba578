//! The families of ops, a file each: how the effect is made (`ensure`), how it is undone (`undo`), and the command with which somebody
//! removes or looks at by hand what was left behind (`by_hand`).
//!
//! What comes with a socket happens in the namespace of the socket; what comes with the `Kernel`, in netd's own. `ip` is how a command
//! names the namespace: `ip`, or `ip -n NETNS`.

pub mod address;
pub mod firewall;
pub mod lan;
pub mod link;
pub mod port;
pub mod route;
pub mod set;
pub mod sysctl;
pub mod vxlan;
pub mod wireguard;
