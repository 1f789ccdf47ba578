//! Options' texts as values: what a command line and an HTTP API get as text alike. Pure: no file, no clock, no
//! environment is looked at. Each error says what was expected.
//!
//! | file | texts |
//! |---|---|
//! | [`ports`] | `5000:80/udp`, `80-90`, `target=80,published=8080` |
//! | [`mounts`] | `/a:/b:ro`, `type=bind,…`, `/t:size=64m` |
//! | [`limits`] | `512m`, `1.5` processors, `0-2,4`, `nofile=1024:2048` |
//! | [`attachment`], [`driver`] | a container's place on a network, and a network's options |
//! | [`logging`] | `json-file`, `max-size=10m` |
//! | [`namespaces`] | `host`, `container:name` |
//! | [`packets`] | `tcp port 80 and not host c2` |
//! | [`hosts`] | `name:address`, `container:name` |
//! | [`devices`], [`security`] | `/dev/fuse:rw`, `c 189:* rmw`; `seccomp=unconfined` |
//! | [`signal`], [`time`], [`keys`] | `TERM`, `10m`, `ctrl-p,ctrl-q` |
//! | [`filter`], [`instruction`], [`dockerfile`] | `label=a`; `CMD …`; `FROM alpine AS build` |
//! | [`condition`] | `healthy` |
//! | [`words`] | pairs, booleans, and suggestions for unknown words |

pub mod attachment;
pub mod condition;
pub mod devices;
pub mod dockerfile;
pub mod driver;
pub mod filter;
pub mod hosts;
pub mod instruction;
pub mod keys;
pub mod limits;
pub mod logging;
pub mod mounts;
pub mod namespaces;
pub mod packets;
pub mod ports;
pub mod security;
pub mod signal;
pub mod time;
pub mod words;

pub use words::Parsed;
