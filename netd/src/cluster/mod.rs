//! Several hosts that share overlay networks, by way of a store that all of them reach.
//!
//! | file | what |
//! |---|---|
//! | [`schema`] | PURE: the keys and what is in them; hostile values end here |
//! | [`snapshot`] | PURE: what the cluster looks like, from records and changes |
//! | [`held`] | PURE: what a restored store has forgotten, until its hosts say it again |
//! | [`client`] | the task that keeps the connection, watches, and publishes what this host has |
//! | [`claims`] | what is taken by compare-and-swap before the writer is asked: names, VNIs, subnets, addresses |
//!
//! What others have comes in as a [`Snapshot`]; what this host has goes out as an [`Own`], whole, and the client brings the store to
//! it: after an outage, a lost lease, a restored backup or a restart there is nothing else to do. Only addresses, names and
//! numbers that two could want are claimed one by one, by who waits for them, never by the writer.

pub mod claims;
pub mod client;
pub mod held;
pub mod schema;
pub mod snapshot;

pub use snapshot::Snapshot;

use crate::model::Network;
use crate::store::shared::{Condition, Connect, Record, Write};
use netd_api::{ApiError, ContainerId, ErrorKind, KeyInfo, NetworkId, NodeId};
use schema::Endpoint;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// How long whoever needs the store waits for it.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// This host, as the others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub node: NodeId,
    pub name: String,
    pub address: IpAddr,
}

/// What this host has of the cluster's networks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Own {
    pub endpoints: BTreeMap<(NetworkId, ContainerId), Endpoint>,
    /// Networks whose kernel objects are here.
    pub at: BTreeSet<NetworkId>,
    /// Networks that containers here are on: a store that has lost one gets it back.
    pub networks: BTreeMap<NetworkId, Network>,
    /// The keys that frames of encrypted networks are taken by, while there are such networks here.
    pub keys: Vec<KeyInfo>,
    /// Of hosts that have several keys: the newest one that is in the kernel here.
    pub knows: BTreeMap<NodeId, u32>,
}

impl Own {
    /// Who has this address here.
    pub fn holder(&self, network: &NetworkId, address: &IpAddr) -> Option<&ContainerId> {
        let on = self.endpoints.iter().filter(|((id, _), _)| id == network);
        on.filter(|(_, endpoint)| endpoint.addresses.contains(address)).map(|((_, id), _)| id).next()
    }
}

/// What somebody waits for.
pub struct Ask {
    pub work: Work,
    /// Nobody waits any more after this.
    pub until: Instant,
    pub answer: SyncSender<Result<Said, String>>,
}

/// What the store is asked.
pub enum Work {
    Txn(Vec<Condition>, Vec<Write>),
    /// All records that begin so.
    Read(String),
}

/// What the store says.
pub enum Said {
    Done(bool),
    Records(Vec<Record>),
}

/// The writer's and the connections' way to the client.
#[derive(Clone)]
pub struct Cluster {
    pub own: Identity,
    /// For errors: where the store should be.
    pub endpoints: String,
    shared: Arc<Shared>,
    asks: mpsc::UnboundedSender<Ask>,
    publish: Arc<watch::Sender<Own>>,
}

/// What client and connections both see.
#[derive(Default)]
pub struct Shared {
    snapshot: RwLock<Arc<Snapshot>>,
    /// Why nothing can be claimed now.
    problem: RwLock<Option<String>>,
    /// Claimed, and not yet a container's: the client leaves them alone.
    pending: Mutex<BTreeSet<(NetworkId, IpAddr)>>,
}

/// A panicking holder leaves these whole: every change is one assignment.
macro_rules! unpoisoned {
    ($lock:expr) => {
        $lock.unwrap_or_else(std::sync::PoisonError::into_inner)
    };
}
use unpoisoned;

impl Shared {
    fn set_problem(&self, problem: Option<String>) {
        *unpoisoned!(self.problem.write()) = problem;
    }

    fn set_snapshot(&self, snapshot: Arc<Snapshot>) {
        *unpoisoned!(self.snapshot.write()) = snapshot;
    }

    fn is_pending(&self, network: &NetworkId, address: IpAddr) -> bool {
        unpoisoned!(self.pending.lock()).contains(&(network.clone(), address))
    }
}

impl Cluster {
    /// Starts the client in the runtime. `known`: the networks that were known before, and what this host has. `tell` gets every new picture of the cluster; `log` gets lines.
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
        let client = client::Client::new(place, own.clone(), shared.clone(), Box::new(tell), Box::new(log));
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

    /// Looks at what this host has once more, where a claim came to nothing.
    fn look_again(&self) {
        self.publish.send_modify(|_| {});
    }

    /// Blocks for [`PATIENCE`] at most: for connections, not for the writer. `what` is being done.
    fn call(&self, work: Work, what: &str) -> Result<Said, ApiError> {
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

    fn ask(&self, when: Vec<Condition>, then: Vec<Write>, what: &str) -> Result<bool, ApiError> {
        Ok(matches!(self.call(Work::Txn(when, then), what)?, Said::Done(true)))
    }

    fn read(&self, prefix: &str, what: &str) -> Result<Vec<Record>, ApiError> {
        match self.call(Work::Read(prefix.to_owned()), what)? {
            Said::Records(records) => Ok(records),
            Said::Done(_) => Ok(Vec::new()),
        }
    }

    fn away(&self, what: &str, why: String) -> ApiError {
        ApiError::new(ErrorKind::System, what)
            .caused_by(format!("the cluster's store ({}) can't be used: {why}", self.endpoints))
            .hint("running containers and local networks go on; `rcr node ls` shows what was known last")
    }
}
