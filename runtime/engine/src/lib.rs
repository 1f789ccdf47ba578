//! The runtime as a library. A front (the command line, an API, an OCI runtime) makes a request and gets a value, a
//! stream or an [`rcr_base::Error`]. Nothing here prints, asks, or ends the process; warnings and progress go to the
//! front's [`Reporter`](reporter::Reporter).
//!
//! | room | what is in it |
//! |---|---|
//! | [`instance`], [`dirs`], [`store`] | what every verb works on: folders, configuration, netd; stored containers |
//! | [`config`] | what a container was asked to be, resolved once |
//! | [`create`], [`start`], [`stop`], [`remove`], [`rename`], [`exec`], [`wait`], [`update`] | a container's life, one request each |
//! | [`list`], [`status`], [`inspect`], [`logs`], [`top`], [`monitor`] | looking at what there is, and talking to the shim of a container that runs |
//! | [`copy`], [`diff`], [`commit`] | files between a container and the host; what it has changed; an image of that |
//! | [`build`] | images out of Dockerfiles, by `buildah` |
//! | [`images`], [`volumes`], [`networks`], [`nodes`], [`system`], [`info`] | the other objects, and the host |
//! | [`bundle`] | config → OCI runtime spec → init plan (pure) |
//! | [`explain`], [`capture`], [`draw`] | networks shown, explained, listened to; pictures |
//! | [`cdi`] | devices by their vendors' names |
//! | [`cgroup`], [`files`], [`net`], [`program`], [`spawn`] | cgroups; `/etc/hosts`, `hostname` and `resolv.conf`; netd's client; a further program's plan; starting the shim |
//! | [`parse`] | options' texts → values (pure) |
//! | [`freeze`] | a container's processes at a halt |
//! | [`boot`], [`limits`], [`many`], [`names`] | what starts at boot; helpers |
//! | [`usage`], [`size`] | how much room things take |
//! | [`stats`] | what containers that run take of the host |
//! | [`events`] | what has happened, and what happens |
//! | [`reporter`] | progress and warnings for the front |
//! | `snapshot`, `apart`, `watch`, `undo`, `force`, `sys` | a container's files, and who uses them; mounts that one thread alone sees; waiting for files; undoing a start; the last resort; this crate's `unsafe` |

#![warn(missing_docs)]
#![deny(clippy::print_stdout, clippy::print_stderr, clippy::exit)]

mod apart;
pub mod boot;
pub mod build;
pub mod bundle;
pub mod capture;
pub mod cdi;
pub mod cgroup;
pub mod commit;
pub mod config;
pub mod copy;
pub mod create;
pub mod diff;
pub mod dirs;
pub mod draw;
pub mod events;
pub mod exec;
pub mod explain;
pub mod files;
mod force;
pub mod freeze;
pub mod images;
pub mod info;
pub mod inspect;
pub mod instance;
pub mod limits;
pub mod list;
pub mod logs;
pub mod many;
pub mod monitor;
mod mountpoints;
pub mod names;
pub mod net;
pub mod networks;
pub mod nodes;
pub mod parse;
pub mod program;
pub mod remove;
pub mod rename;
pub mod reporter;
pub mod size;
mod snapshot;
pub mod spawn;
pub mod start;
pub mod stats;
pub mod status;
pub mod stop;
pub mod store;
mod sys;
pub mod system;
pub mod top;
mod undo;
pub mod update;
pub mod usage;
pub mod volumes;
pub mod wait;
mod watch;
