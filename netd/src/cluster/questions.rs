//! A question to all hosts: what of theirs is not as it was made. There is no way from host to host but the store. A
//! question lies there under a short lease, each host that is there looks at itself and writes down what it finds, under
//! a short lease, too; who asked waits for that, not for ever, and clears it away. Each host repairs its own.

use super::between::{Asked, Said, Work, unpoisoned};
use super::handle::Cluster;
use crate::random::{hex, no_random, random};
use crate::store::shared::{Condition, Write};
use netd_api::{ApiError, ErrorKind, HostCheckView, HostFindings, NodeId, QuestionId};
use netd_core::schema::{LONGEST, Question, key};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long a question and its answers stay in the store if nobody clears them away.
const STAYS: Duration = Duration::from_secs(90);
/// How long hosts may take to look, and to repair.
const LOOKING: Duration = Duration::from_secs(10);
const REPAIRING: Duration = Duration::from_secs(30);

/// A question that was put, until it is cleared away by the drop.
pub struct Put {
    cluster: Cluster,
    question: QuestionId,
    answers: Receiver<(NodeId, HostFindings)>,
    /// The hosts that can answer, with their names.
    there: BTreeMap<NodeId, String>,
    /// The others.
    away: Vec<String>,
    until: Instant,
    limit: Duration,
}

impl Cluster {
    /// Asks all hosts that are there. Nothing where there is none beside this one.
    pub fn ask_all(&self, repair: bool) -> Result<Option<Put>, ApiError> {
        const WHAT: &str = "cannot ask the cluster's other hosts";
        let snapshot = self.snapshot();
        let others = snapshot.nodes.iter().filter(|(id, _)| **id != self.own.node);
        let (there, away): (Vec<_>, Vec<_>) = others.partition(|(id, _)| snapshot.alive.contains(*id));
        let away = away.into_iter().map(|(_, node)| node.name.clone()).collect();
        let there: BTreeMap<_, _> = there.into_iter().map(|(id, node)| (id.clone(), node.name.clone())).collect();
        let chance = random::<16>().map_err(|error| no_random(WHAT, &error))?;
        let question: QuestionId =
            hex(&chance).parse().map_err(|error| ApiError::new(ErrorKind::System, format!("{WHAT}: {error}")))?;
        let (sender, answers) = channel();
        unpoisoned!(self.shared.waiting.lock()).insert(question.clone(), sender);
        let limit = if repair { REPAIRING } else { LOOKING };
        let (cluster, until) = (self.clone(), Instant::now() + limit);
        let put = Put { cluster, question, answers, there, away, until, limit };
        if put.there.is_empty() {
            return Ok((!put.away.is_empty()).then_some(put));
        }
        let value = serde_json::to_vec(&Question { node: self.own.node.clone(), repair }).unwrap_or_default();
        let write = Write::Put { key: key(format_args!("check/{}", put.question)), value, lease: None };
        self.call(Work::Lent(STAYS, Vec::new(), vec![write]), WHAT)?;
        Ok(Some(put))
    }

    /// Answers a question that is still put.
    pub fn answer(&self, question: &QuestionId, mut findings: HostFindings) -> Result<(), ApiError> {
        let mut value = serde_json::to_vec(&findings).unwrap_or_default();
        if value.len() > LONGEST {
            // Texts of nothing but control characters, say.
            let lines = findings.differences.len() + findings.around.len() + findings.unseen.len();
            findings =
                HostFindings { looked: findings.looked, more: findings.more + lines as u64, ..HostFindings::default() };
            value = serde_json::to_vec(&findings).unwrap_or_default();
        }
        let put = key(format_args!("check/{question}"));
        let write = Write::Put { key: key(format_args!("checked/{question}/{}", self.own.node)), value, lease: None };
        let what = "cannot tell the other host of a check";
        // A question that is gone by now: nobody waits.
        self.call(Work::Lent(STAYS, vec![Condition::Present(put)], vec![write]), what).map(drop)
    }

    /// Who hears the questions of other hosts.
    pub fn hear_questions(&self, hear: impl Fn(Asked) + Send + Sync + 'static) {
        *unpoisoned!(self.shared.questions.write()) = Some(Box::new(hear));
    }
}

impl Put {
    /// What the hosts say, by their names; of those that say nothing until the limit, that.
    pub fn answers(mut self) -> Vec<HostCheckView> {
        let not = |host: String, why: String| HostCheckView { host, found: None, why: Some(why) };
        let mut all: Vec<HostCheckView> = std::mem::take(&mut self.away)
            .into_iter()
            .map(|host| not(host, "it has not been heard of for a while".into()))
            .collect();
        while !self.there.is_empty() {
            match self.answers.recv_timeout(self.until.saturating_duration_since(Instant::now())) {
                Ok((node, found)) => {
                    let host = self.there.remove(&node);
                    all.extend(host.map(|host| HostCheckView { host, found: Some(found), why: None }));
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        let silent = format!("no answer within {} s", self.limit.as_secs());
        all.extend(std::mem::take(&mut self.there).into_values().map(|host| not(host, silent.clone())));
        all.sort_by(|a, b| a.host.cmp(&b.host));
        all
    }
}

impl Drop for Put {
    fn drop(&mut self) {
        unpoisoned!(self.cluster.shared.waiting.lock()).remove(&self.question);
        let (asked, told) = (format_args!("check/{}", self.question), format_args!("checked/{}/", self.question));
        let gone = vec![Write::Delete(key(asked)), Write::DeletePrefix(key(told))];
        // If the store is away, the leases end by themselves.
        let _: Result<Said, ApiError> = self.cluster.call(Work::Txn(Vec::new(), gone), "cannot clear a question away");
    }
}
