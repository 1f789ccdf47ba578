//! The way to the client: what the writer publishes and looks at, what connections wait for.

use super::between::{Ask, Identity, Own, Said, Shared, Work, unpoisoned};
use super::client::Client;
use super::snapshot::Snapshot;
use crate::store::shared::{Condition, Connect, Record, Write};
use netd_api::{ApiError, ErrorKind, NetworkId};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// How long callers wait for the store.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The writer's and the connections' way to the client.
#[derive(Clone)]
pub struct Cluster {
    pub own: Identity,
    /// For errors: where the store should be.
    pub endpoints: String,
    pub(super) shared: Arc<Shared>,
    asks: mpsc::UnboundedSender<Ask>,
    publish: Arc<watch::Sender<Own>>,
}

impl Cluster {
    /// Starts the client in the runtime. `known`: the networks that were known before, and what this host has. `tell`
    /// gets every new picture of the cluster; `log` gets lines.
    pub fn start(
        runtime: &tokio::runtime::Runtime,
        place: impl Connect,
        own: Identity,
        known: (Snapshot, Own),
        tell: impl Fn(Arc<Snapshot>) + Send + Sync + 'static,
        log: impl Fn(String) + Send + Sync + 'static,
    ) -> Self {
        let (asks, inbox) = mpsc::unbounded_channel();
        let (before, now) = known;
        let (publish, wanted) = watch::channel(now);
        let shared = Arc::new(Shared::default());
        shared.set_snapshot(Arc::new(before));
        let endpoints = place.place();
        shared.set_problem(Some("not connected yet".into()));
        let client = Client::new(place, own.clone(), shared.clone(), Box::new(tell), Box::new(log));
        runtime.spawn(client.run(inbox, wanted));
        Self { own, endpoints, shared, asks, publish: Arc::new(publish) }
    }

    /// What the cluster looks like.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        unpoisoned!(self.shared.snapshot.read()).clone()
    }

    /// Why nothing can be claimed now, if so.
    pub fn problem(&self) -> Option<String> {
        unpoisoned!(self.shared.problem.read()).clone()
    }

    /// What this host has now.
    pub fn publish(&self, own: Own) {
        self.publish.send_if_modified(|before| {
            let changed = *before != own;
            *before = own;
            changed
        });
    }

    /// Whether a container here has this address.
    pub(super) fn has(&self, network: &NetworkId, address: &IpAddr) -> bool {
        self.publish.borrow().holder(network, address).is_some()
    }

    /// Makes the client compare once more, after a claim was given up.
    pub(super) fn look_again(&self) {
        self.publish.send_modify(|_| {});
    }

    /// Blocks for [`PATIENCE`] at most: for connections, not for the writer. `what` is being done.
    pub(super) fn call(&self, work: Work, what: &str) -> Result<Said, ApiError> {
        let (answer, said) = std::sync::mpsc::sync_channel(1);
        if self.asks.send(Ask { work, until: Instant::now() + PATIENCE, answer }).is_err() {
            return Err(self.away(what, "netd is ending".into()));
        }
        match said.recv_timeout(PATIENCE) {
            Ok(said) => said.map_err(|why| self.away(what, why)),
            Err(_) => {
                let silent = || format!("no answer within {} s", PATIENCE.as_secs());
                Err(self.away(what, self.problem().unwrap_or_else(silent)))
            }
        }
    }

    pub(super) fn ask(&self, when: Vec<Condition>, then: Vec<Write>, what: &str) -> Result<bool, ApiError> {
        Ok(matches!(self.call(Work::Txn(when, then), what)?, Said::Done(true)))
    }

    pub(super) fn read(&self, prefix: &str, what: &str) -> Result<Vec<Record>, ApiError> {
        match self.call(Work::Read(prefix.to_owned()), what)? {
            Said::Records(records) => Ok(records),
            Said::Done(_) => Ok(Vec::new()),
        }
    }

    pub(super) fn away(&self, what: &str, why: String) -> ApiError {
        ApiError::new(ErrorKind::System, what)
            .caused_by(format!("the cluster's store ({}) can't be used: {why}", self.endpoints))
            .hint("running containers and local networks go on; `rcr node ls` shows what was known last")
    }
}
