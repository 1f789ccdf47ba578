//! What every program of rcr uses, and nothing else: no room of the house lies below this one.
//!
//! | file | what is in it |
//! |---|---|
//! | [`error`] | the one error: kind, message, causes, hint, what was left behind |
//! | [`mod@errno`] | an errno in words: `no such file or directory (ENOENT)` |
//! | `arguments` | command lines of the programs beside `rcr` |
//! | [`command`] | command lines of `rcr` that hints name |
//! | `frame` | JSON over a unix socket, with descriptors beside it |
//! | `small` | reading many small files |
//! | [`socket`] | unix sockets in deep folders, and connecting with a limit |
//! | [`events`] | the record of what happens to an instance's objects: writing |
//! | [`program`] | where the other programs of rcr are |
//! | [`timings`] | when what happened, for who asks |
//! | `metrics_address` | where netd's metrics may be |
//! | `readers` | the group whose members may look |
//! | `config` | `/etc/rcr/config.toml` (feature `config`) |

#![warn(missing_docs)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod arguments;
pub mod command;
#[cfg(feature = "config")]
mod config;
pub mod errno;
pub mod error;
pub mod events;
mod frame;
mod metrics_address;
pub mod program;
mod readers;
mod small;
pub mod socket;
pub mod timings;

pub use arguments::{Arguments, InstanceArguments};
#[cfg(feature = "config")]
pub use config::{
    ClusterConfig, Config, DnsConfig, ImageLimits, ImagesConfig, LogConfig, MetricsConfig, NetworkConfig, Pool,
    SecurityConfig, WIREGUARD_PORT,
};
pub use errno::{errno, errno_text, io_text};
pub use error::{Doing, Error, Kind, Outcome};
pub use frame::{FrameError, MAX_FDS, MAX_FRAME, recv_frame, recv_many, send_frame};
pub use metrics_address::{METRICS_ADDRESSES, MetricsAddress};
pub use program::sibling;
pub use readers::{READERS, open_to_readers, readers};
pub use small::SmallFiles;
pub use socket::{connect, with_short_path};
