//! Calls that the cluster has a say in: settled by the connection's own thread, which may wait for the store, before the writer is asked.

use super::server::Connection;
use super::state::Input;
use crate::cluster::Cluster;
use crate::cluster::claims::Claimed;
use netd_api::{ApiError, Call, DriverSpec, ErrorKind, NetworkCreate, Reply};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

/// How long our own writer may take to hear of a network that we made.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of it.
pub enum Settled {
    Answer(Reply),
    /// The writer goes on; the claims are held until it has.
    GoOn(Option<Claimed>),
}

/// Without a store there are no hosts.
pub fn no_cluster() -> ApiError {
    ApiError::new(ErrorKind::Invalid, "this host is in no cluster")
        .hint("name the store that the hosts share: `[cluster] store = \"etcd://HOST:PORT\"` in /etc/rcr/config.toml")
}

impl Connection {
    /// Settles the cluster's part of a call.
    pub(super) fn with_cluster(&self, call: &mut Call) -> Result<Settled, ApiError> {
        let Some(cluster) = &self.cluster else { return Ok(Settled::GoOn(None)) };
        match call {
            Call::NodeList => {
                Ok(Settled::Answer(Reply::Nodes(cluster.snapshot().listing(&cluster.own.node, super::networks::now()))))
            }
            Call::NodeRemove { node, force } => {
                cluster.remove_node(node, *force).map(|()| Settled::Answer(Reply::Done))
            }
            Call::NetworkCreate { spec, dry_run: false } if matches!(spec.driver, DriverSpec::Overlay(_)) => {
                self.create_network(cluster, spec.clone()).map(Settled::Answer)
            }
            Call::NetworkRemove { network } => match cluster.snapshot().find(network) {
                Some(found) => {
                    cluster.remove_network(&found.id, found.name.as_str())?;
                    self.await_network(found.id.as_str(), false)?;
                    Ok(Settled::Answer(Reply::Done))
                }
                None => Ok(Settled::GoOn(None)),
            },
            Call::NetworkUpdate { network, .. } if cluster.snapshot().find(network).is_some() => {
                Err(ApiError::new(ErrorKind::Unsupported, format!("cannot change network `{network}`"))
                    .caused_by("networks of the cluster can't be changed yet")
                    .hint("create another one, and connect the containers to it"))
            }
            Call::SandboxCreate { spec, dry_run: false } => {
                let (id, name) = (spec.id.clone(), spec.name.clone());
                cluster.claim_addresses(&id, &name, &mut spec.attachments).map(|claims| Settled::GoOn(Some(claims)))
            }
            Call::Connect { id, attachment } => {
                let name = id.short().to_owned();
                let requests = std::slice::from_mut(attachment);
                cluster.claim_addresses(id, &name, requests).map(|claims| Settled::GoOn(Some(claims)))
            }
            _ => Ok(Settled::GoOn(None)),
        }
    }

    fn create_network(&self, cluster: &Cluster, spec: NetworkCreate) -> Result<Reply, ApiError> {
        let (answer, designed) = sync_channel(1);
        let ending = || ApiError::new(ErrorKind::System, "netd is ending");
        self.inbox.send(Input::Design(Box::new(spec), answer)).map_err(|_| ending())?;
        let network = *designed.recv().map_err(|_| ending())??;
        let network = cluster.claim_network(network)?;
        self.await_network(network.id.as_str(), true)
    }

    /// Waits until our own writer has heard of it.
    fn await_network(&self, id: &str, there: bool) -> Result<Reply, ApiError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let (reply, _) = self.ask_writer(Call::NetworkInspect { network: id.to_owned() }, Vec::new());
            if matches!(reply, Reply::Network(_)) == there {
                return Ok(reply);
            }
            if Instant::now() > until {
                return Err(ApiError::new(ErrorKind::System, "the cluster's store has it, but this host was not told")
                    .hint("netd's log says why; `rcr network ls` shows what this host knows"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
