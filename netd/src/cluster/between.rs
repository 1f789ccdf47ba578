//! What passes between the client and those who need it.

use super::snapshot::Snapshot;
use crate::store::shared::{Condition, Record, Write};
use netd_api::{ContainerId, HostFindings, KeyInfo, NetworkId, NodeId, QuestionId};
use netd_core::model::Network;
use netd_core::schema::{Endpoint, Fact};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::mpsc::{Sender, SyncSender};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

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

/// A question to the store that somebody waits for.
pub struct Ask {
    pub work: Work,
    /// Nobody waits any more after this.
    pub until: Instant,
    pub answer: SyncSender<Result<Said, String>>,
}

/// What the store is asked.
pub enum Work {
    Txn(Vec<Condition>, Vec<Write>),
    /// The same, with all that is put under a lease of its own, which nobody renews.
    Lent(Duration, Vec<Condition>, Vec<Write>),
    /// All records that begin so.
    Read(String),
}

/// What the store says.
pub enum Said {
    Done(bool),
    Records(Vec<Record>),
}

/// Who is told of a question that this host is asked.
pub type Listener = Box<dyn Fn(Asked) + Send + Sync>;

/// What client and connections both see.
#[derive(Default)]
pub struct Shared {
    pub snapshot: RwLock<Arc<Snapshot>>,
    /// Why nothing can be claimed now.
    pub problem: RwLock<Option<String>>,
    /// Claimed, and not yet a container's: the client leaves them alone.
    pub pending: Mutex<BTreeSet<(NetworkId, IpAddr)>>,
    /// Who hears the questions of other hosts.
    pub questions: RwLock<Option<Listener>>,
    /// Who waits here for the answers to which question.
    pub waiting: Mutex<BTreeMap<QuestionId, Sender<(NodeId, HostFindings)>>>,
}

/// A question that came from another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub question: QuestionId,
    pub by: NodeId,
    pub repair: bool,
}

/// A panicking holder leaves these whole: every change is one assignment.
macro_rules! unpoisoned {
    ($lock:expr) => {
        $lock.unwrap_or_else(std::sync::PoisonError::into_inner)
    };
}
pub(super) use unpoisoned;

impl Shared {
    /// Why nothing can be claimed now, or that something can.
    pub fn set_problem(&self, problem: Option<String>) {
        *unpoisoned!(self.problem.write()) = problem;
    }

    /// Sets a new snapshot of the cluster.
    pub fn set_snapshot(&self, snapshot: Arc<Snapshot>) {
        *unpoisoned!(self.snapshot.write()) = snapshot;
    }

    /// Passes a question, or an answer, on to whom it concerns.
    pub fn pass_on(&self, fact: Fact, own: &NodeId) {
        match fact {
            Fact::Check(question, asked) if asked.node != *own => {
                let asked = Asked { question, by: asked.node, repair: asked.repair };
                unpoisoned!(self.questions.read()).iter().for_each(|hear| hear(asked.clone()));
            }
            Fact::Checked(question, node, found) => {
                if let Some(waits) = unpoisoned!(self.waiting.lock()).get(&question) {
                    // Whoever asked may have gone.
                    let _ = waits.send((node, *found));
                }
            }
            _ => {}
        }
    }

    /// Whether an address is claimed, and not yet a container's.
    pub fn is_pending(&self, network: &NetworkId, address: IpAddr) -> bool {
        unpoisoned!(self.pending.lock()).contains(&(network.clone(), address))
    }
}
