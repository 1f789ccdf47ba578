//! Names of containers: what each container resolves at 127.0.0.11.
//!
//! | file | what |
//! |---|---|
//! | [`zone`] | who has which name on which network (pure) |
//! | [`direct`] | the bytes of the question that is asked most → an answer's, without a message in between (pure) |
//! | [`respond`] | a query's bytes → an answer, or "ask outside" (pure) |
//! | `datagrams` | one thread for the questions of all containers |
//! | [`server`] | one service per container; TCP |
//! | [`lately`] | the last questions of a container, for people who look |
//! | [`forward`] | asking the host's resolvers, with a cache |
//!
//! netd opens the sockets inside the container's network namespace and hands them over; questions for the world outside
//! are asked from the host's. A container sees the names of the networks it is on, no others.

mod cache;
mod datagrams;
pub mod direct;
pub mod forward;
pub mod lately;
pub mod respond;
pub mod server;
pub mod zone;

pub use forward::{DnsConfig, search_of as search_domains};
pub use server::{Door, Service};
pub use zone::{Endpoint, View};

use crate::metrics::Metrics;
use netd_api::{ContainerId, NetworkId};
use std::sync::{Arc, RwLock};
use tokio::runtime::Handle;
use zone::Zone;

/// The names of this host's containers. Clones share them.
#[derive(Debug, Clone)]
pub struct Dns {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    zone: RwLock<Zone>,
    forwarder: forward::Forwarder,
    datagrams: Arc<datagrams::Datagrams>,
    /// Where TCP is spoken, and where others are asked.
    runtime: Handle,
    /// Answers are counted there.
    metrics: Arc<Metrics>,
}

impl Dns {
    /// A resolver without names. Must be called within a tokio runtime.
    pub fn new(config: DnsConfig, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let (zone, forwarder) = (RwLock::default(), forward::Forwarder::new(config));
        let (datagrams, runtime) = (datagrams::Datagrams::start()?, Handle::current());
        Ok(Self { shared: Arc::new(Shared { zone, forwarder, datagrams, runtime, metrics }) })
    }

    /// Sets a container's names and addresses on a network, in place of what it had there.
    pub fn set_endpoint(&self, network: &NetworkId, network_name: &str, endpoint: Endpoint) {
        write(&self.shared.zone).set(network, network_name, endpoint);
    }

    /// Forgets a container on a network.
    pub fn remove_endpoint(&self, network: &NetworkId, container: &ContainerId) {
        write(&self.shared.zone).remove(network, container);
    }

    /// Serves one container until the service is dropped. Must be called within a tokio runtime.
    pub fn serve(&self, udp: std::net::UdpSocket, tcp: std::net::TcpListener, view: View) -> Service {
        Service::start(self.shared.clone(), udp, tcp, view)
    }
}

/// A zone that a panicking writer left is still whole: every change is one insertion or removal.
fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}
