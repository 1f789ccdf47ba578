//! Calls that concern the cluster. The connection's own thread, which may wait for the store, settles that part before
//! it asks the writer.

use super::input::{Designed, Input};
use super::writer::Writer;
use crate::cluster::Cluster;
use crate::cluster::claims::Claimed;
use netd_api::{ApiError, Call, ErrorKind, NetworkChange, NetworkCreate, NetworkId, NetworkInfo, Reply};
use netd_core::drivers;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// How long our own writer may take to hear of a network that we made.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of it.
pub enum Verdict {
    Answer(Reply),
    /// Ask the writer; hold the claims until it has answered.
    GoOn(Option<Claimed>),
}

/// The calls of one connection.
pub struct SharedCalls {
    pub writer: Writer,
    pub cluster: Option<Cluster>,
}

impl SharedCalls {
    /// Settles the cluster's part of a call.
    pub fn settle(&self, call: &mut Call) -> Result<Verdict, ApiError> {
        let Some(cluster) = &self.cluster else { return Ok(Verdict::GoOn(None)) };
        match call {
            Call::NodeList => Ok(Verdict::Answer(Reply::Nodes(
                cluster.snapshot().listing(&cluster.own.node, crate::clock::unix_time()),
            ))),
            Call::NodeRemove { node, force } => {
                cluster.remove_node(node, *force).map(|()| Verdict::Answer(Reply::Done))
            }
            Call::NetworkCreate { spec, dry_run: false }
                if drivers::of(&spec.driver).tunnel(&spec.driver).is_some() =>
            {
                self.create_network(cluster, spec.clone()).map(Verdict::Answer)
            }
            Call::NetworkRemove { network } => match cluster.snapshot().find(network) {
                Some(found) => {
                    cluster.remove_network(&found.id, found.name.as_str())?;
                    self.await_network(found.id.as_str(), |info| info.is_none())?;
                    Ok(Verdict::Answer(Reply::Done))
                }
                None => Ok(Verdict::GoOn(None)),
            },
            Call::NetworkUpdate { network, change, dry_run } => match cluster.snapshot().find(network) {
                Some(found) => {
                    let (id, change) = (found.id.clone(), change.clone());
                    self.update_network(cluster, &id, &change, *dry_run).map(Verdict::Answer)
                }
                None => Ok(Verdict::GoOn(None)),
            },
            Call::SandboxCreate { spec, dry_run: false } => {
                let (id, name) = (spec.id.clone(), spec.name.clone());
                cluster.claim_addresses(&id, &name, &mut spec.attachments).map(|claims| Verdict::GoOn(Some(claims)))
            }
            Call::Connect { id, attachment } => {
                let name = id.short().to_owned();
                let requests = std::slice::from_mut(attachment);
                cluster.claim_addresses(id, &name, requests).map(|claims| Verdict::GoOn(Some(claims)))
            }
            _ => Ok(Verdict::GoOn(None)),
        }
    }

    fn create_network(&self, cluster: &Cluster, spec: NetworkCreate) -> Result<Reply, ApiError> {
        let network = self.designed(|answer| Input::Design(Box::new(spec), answer))?;
        let network = cluster.claim_network(network)?;
        self.await_network(network.id.as_str(), |info| info.is_some())
    }

    /// What the writer would make.
    fn designed<T>(&self, input: impl FnOnce(SyncSender<Result<Box<T>, ApiError>>) -> Input) -> Result<T, ApiError> {
        let (answer, designed) = sync_channel(1);
        let ending = || ApiError::new(ErrorKind::System, "netd is ending");
        self.writer.inbox.send(input(answer)).map_err(|_| ending())?;
        designed.recv().map_err(|_| ending())?.map(|one| *one)
    }

    /// The writer designs the changed network, the store takes it if nobody else changed it meanwhile, and every host
    /// carries it out.
    fn update_network(
        &self,
        cluster: &Cluster,
        id: &NetworkId,
        wanted: &NetworkChange,
        dry_run: bool,
    ) -> Result<Reply, ApiError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let design = |answer| Input::DesignChange(id.clone(), Box::new(wanted.clone()), answer);
            let Designed { network, plan } = self.designed(design)?;
            if dry_run {
                return Ok(Reply::Plan(plan));
            }
            if cluster.change_network(&network)? {
                return self.await_network(id.as_str(), |info| info.is_none_or(|info| info.version >= network.version));
            }
            if Instant::now() > until {
                return Err(ApiError::new(ErrorKind::System, format!("cannot update network `{}`", network.name))
                    .caused_by("other hosts changed it all the while")
                    .hint("try again"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until our own writer has heard of it: until what it says of the network, if it knows it, is as wanted.
    fn await_network(&self, id: &str, wanted: impl Fn(Option<&NetworkInfo>) -> bool) -> Result<Reply, ApiError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let (reply, _) = self.writer.ask(Call::NetworkInspect { network: id.to_owned() }, Vec::new());
            let info = if let Reply::Network(info) = &reply { Some(info) } else { None };
            if wanted(info) {
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
