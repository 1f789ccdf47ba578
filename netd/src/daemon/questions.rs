//! Answers what another host of the cluster asks of all hosts: the check of `check.rs`, in a thread of its own, so that
//! the writer goes on serving everybody else.

use super::check::check_here;
use super::host::Host;
use super::writer::Writer;
use crate::cluster::Asked;
use netd_core::findings::told;
use std::sync::atomic::Ordering;

/// Questions that are answered at a time. Who asks more often gets no answer, and says so.
const MOST: usize = 4;

impl Host {
    /// Looks, repairs where that is asked for, and tells.
    pub(super) fn answer_question(&self, asked: Asked) {
        let Some(cluster) = self.membership.cluster.clone() else { return };
        let (answering, log) = (self.membership.answering.clone(), self.log.clone());
        if answering.load(Ordering::Relaxed) >= MOST {
            return;
        }
        answering.fetch_add(1, Ordering::Relaxed);
        if asked.repair {
            let by = self.membership.snapshot.nodes.get(&asked.by).map_or(asked.by.short(), |node| &node.name);
            self.log.line(format!("host `{by}` asks all hosts to repair what is not as it was made"));
        }
        let (writer, done) = (Writer { inbox: self.sender.clone(), connection: 0 }, answering.clone());
        let work = move || {
            let told = check_here(&writer, asked.repair).and_then(|view| cluster.answer(&asked.question, told(&view)));
            if let Err(error) = told {
                log.line(format!("a question of another host is not answered: {error}"));
            }
            done.fetch_sub(1, Ordering::Relaxed);
        };
        let thread = std::thread::Builder::new().name("check".into()).stack_size(512 << 10).spawn(work);
        if let Err(error) = thread {
            answering.fetch_sub(1, Ordering::Relaxed);
            self.log.line(format!("a question of another host is not answered: {error}"));
        }
    }
}
