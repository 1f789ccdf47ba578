//! What runs beside and inside a container. The command line and the engine know this crate's plans and protocols; it
//! knows nothing of theirs.
//!
//! The shim: one small process per container, the parent of its init.
//!
//! It owns the terminal or the pipes, the log, the exit status and the restart policy, keeps the network namespace's
//! descriptor, and cleans up when the container is gone. It is executed from a read-only detached mount of its own
//! file: a container that gets hold of `/proc/self/exe` of a process that is about to enter it finds nothing to
//! overwrite (CVE-2019-5736). The price is one execve(2) of a small static program.
//!
//! | file | what |
//! |---|---|
//! | [`config`] | what `rcr` tells it |
//! | [`launch`] | clone3, cgroup, handshake |
//! | [`server`] | the event loop: stdio, clients, exit, restart |
//! | [`client`] | one connection to `shim.sock` |
//! | [`others`] | other containers whose namespaces one joins |
//! | [`protocol`] | what is spoken there |
//! | [`log`] | JSON lines in files that rotate, and log services |
//! | [`cleanup`] | cgroups, and with `--rm` everything |
//! | [`exec`] | `rcr exec`: another process in the container |
//! | [`health`], [`check`] | health checks: what they are and have found; one that runs |
//! | [`freezer`] | a cgroup's processes at a halt |
//! | [`tiny_init`] | `--init`: the same file as a container's first process |
//! | [`state`], [`process`] | what is known of a container's process, and naming one so that no other is mistaken for it |
//! | [`init`] | the init plan, and the child that runs it between clone3(2) and execve(2) |
//! | [`terminal`] | terminals that no program has open |
//! | [`passing`] | descriptors over sockets |
//! | [`sys`] | this crate's `unsafe` |

#![warn(missing_docs)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod check;
pub mod cleanup;
pub mod client;
pub mod config;
pub mod exec;
pub mod freezer;
pub mod health;
pub mod init;
pub mod launch;
pub mod log;
pub mod others;
pub mod passing;
pub mod process;
pub mod protocol;
pub mod server;
pub mod state;
pub mod sys;
pub mod terminal;
pub mod tiny_init;
