//! The task that keeps the connection to the store: it registers this host, watches, and answers. `bring` is the other
//! half of it.

use super::between::{Ask, Identity, Own, Said, Shared, Work};
use super::held::Held;
use super::snapshot::Snapshot;
use crate::clock::since_epoch;
use crate::store::shared::{Condition, Connect, Event, Shared as Store, SharedError, Watching, Write};
use netd_core::schema::{Key, SCHEMA, key, parse, parse_key};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// A host that says nothing for so long has no names any more.
pub const LEASE: Duration = Duration::from_secs(60);
/// How long the entries of a host are kept that a restored store has forgotten and the host does not write again.
pub const GRACE: Duration = Duration::from_secs(900);
/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(5);
/// Between two tries to reach the store: doubled from the first to the second.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(4)];
/// Changes that come within this time are shown as one. A start writes several, and the last is its container's address:
/// its first packet must not come before the other hosts know that, or their answer takes a second.
const TOGETHER: Duration = Duration::from_millis(2);
/// Making a snapshot of a large cluster takes time: at most one part in so many of all time goes into it.
const SHARE: u32 = 10;
/// But changes don't wait for longer than this.
const LONGEST: Duration = Duration::from_millis(500);

type Tell = Box<dyn Fn(Arc<Snapshot>) + Send + Sync>;
type Log = Box<dyn Fn(String) + Send + Sync>;

/// See the file's head.
pub struct Client<C> {
    place: C,
    pub(super) own: Identity,
    pub(super) shared: Arc<Shared>,
    tell: Tell,
    log: Log,
    /// What the store says.
    pub(super) snapshot: Snapshot,
    /// What a restored store has forgotten, and when that was noticed.
    held: Held,
    held_since: Instant,
    /// See `said` of [`netd_core::schema::Node`].
    pub(super) said_up_to: u64,
    pub(super) lease: Option<i64>,
    /// The last line that was logged: a store that is away for a day is one line.
    said: Option<String>,
}

impl<C: Connect> Client<C> {
    /// A client that has not connected yet.
    pub fn new(place: C, own: Identity, shared: Arc<Shared>, tell: Tell, log: Log) -> Self {
        let (snapshot, held, held_since) = (Snapshot::default(), Held::default(), Instant::now());
        Self { place, own, shared, tell, log, snapshot, held, held_since, said_up_to: 0, lease: None, said: None }
    }

    /// Runs until netd ends.
    pub async fn run(mut self, mut asks: mpsc::UnboundedReceiver<Ask>, mut wanted: watch::Receiver<Own>) {
        let mut pause = PAUSES[0];
        loop {
            let since = Instant::now();
            let ended = match self.place.connect().await {
                Ok(mut store) => self.serve(&mut store, &mut asks, &mut wanted).await,
                Err(error) => Err(error),
            };
            let Err(error) = ended else { return };
            let why = error.to_string();
            self.shared.set_problem(Some(why.clone()));
            self.say(format!("the cluster's store ({}): {why}", self.place.place()));
            pause = if since.elapsed() > PAUSES[1] { PAUSES[0] } else { (pause * 2).min(PAUSES[1]) };
            // Meanwhile callers get an answer at once.
            let over = tokio::time::sleep(pause);
            tokio::pin!(over);
            loop {
                tokio::select! {
                    () = &mut over => break,
                    ask = asks.recv() => match ask {
                        Some(ask) => drop(ask.answer.send(Err(why.clone()))),
                        None => return,
                    },
                }
            }
        }
    }

    pub(super) fn say(&mut self, line: String) {
        if self.said.as_ref() != Some(&line) {
            (self.log)(line.clone());
            self.said = Some(line);
        }
    }

    /// One connection, from its first look to its end. `Ok`: netd ends.
    async fn serve(
        &mut self,
        store: &mut impl Store,
        asks: &mut mpsc::UnboundedReceiver<Ask>,
        wanted: &mut watch::Receiver<Own>,
    ) -> Result<(), SharedError> {
        let revision = self.look(store).await?;
        self.register(store).await?;
        let mut watch = store.watch(netd_core::schema::PREFIX, revision + 1).await?;
        let own = wanted.borrow_and_update().clone();
        self.bring(store, &own, true).await?;
        self.shared.set_problem(None);
        self.say(format!("joined the cluster as `{}` ({})", self.own.name, self.own.address));
        let (mut due, mut news, mut ours) = (Instant::now(), false, false);
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                events = watch.next() => {
                    for event in events? {
                        if self.is_question(&event) {
                            continue;
                        }
                        ours |= self.hear(&event);
                        news = true;
                    }
                    // A single change is shown at once, many together.
                    if news && Instant::now() >= due {
                        (due, news) = (self.show(), false);
                    }
                    if self.snapshot.schema.is_some_and(|v| v > SCHEMA) {
                        return Err(newer(self.snapshot.schema));
                    }
                }
                () = tokio::time::sleep_until(due.into()), if news || ours => {
                    due = if news { self.show() } else { Instant::now() + TOGETHER };
                    if ours {
                        // Somebody else changed a record of ours, or a claim was given up before we saw it.
                        let own = wanted.borrow().clone();
                        self.bring(store, &own, false).await?;
                    }
                    (news, ours) = (false, false);
                }
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let own = wanted.borrow_and_update().clone();
                    self.bring(store, &own, false).await?;
                }
                ask = asks.recv() => match ask {
                    None => return Ok(()),
                    Some(ask) if ask.until < Instant::now() => {}
                    Some(ask) => answer(store, ask).await?,
                },
                _ = beat.tick() => self.beat(store).await?,
            }
        }
    }

    /// Passes a question or an answer on. They change nothing of what the cluster looks like.
    fn is_question(&mut self, event: &Event) -> bool {
        if !matches!(parse_key(&event.key), Ok(Key::Check(_) | Key::Checked(..))) {
            return false;
        }
        match event.value.as_deref().map(|value| parse(&event.key, value)) {
            Some(Ok(fact)) => self.shared.pass_on(fact, &self.own.node),
            Some(Err(why)) => {
                self.say(format!("record `{}` of the cluster's store is not understood: {why}", event.key))
            }
            None => {}
        }
        true
    }

    /// Takes in a change of the store. Returns whether it concerns a record of this host.
    fn hear(&mut self, event: &Event) -> bool {
        if let Err(why) = self.snapshot.take(&event.key, event.value.as_deref()) {
            self.say(why);
        }
        match parse_key(&event.key) {
            Ok(Key::Node(id)) => self.held.heard(&id, self.snapshot.nodes.get(&id)),
            // Whoever deleted it, we are alive: the next sign of life writes it again.
            Ok(Key::Alive(id)) if event.value.is_none() && id == self.own.node => self.lease = None,
            Ok(Key::Alive(id)) if event.value.is_none() => {
                let last = since_epoch().saturating_sub(LEASE).as_secs() as i64;
                self.snapshot.seen.insert(id, last);
            }
            _ => {}
        }
        self.is_ours(&event.key)
    }

    /// Reads everything. A restored backup gets what we have once more, as from every other host; until the others have
    /// written again nothing of theirs is taken down here.
    async fn look(&mut self, store: &mut impl Store) -> Result<i64, SharedError> {
        let (records, revision) = store.range(netd_core::schema::PREFIX).await?;
        let mut snapshot = Snapshot { seen: std::mem::take(&mut self.snapshot.seen), ..Snapshot::default() };
        for record in records {
            if let Err(why) = snapshot.take(&record.key, Some(&record.value)) {
                self.say(why);
            }
        }
        if snapshot.schema.is_some_and(|v| v > SCHEMA) {
            return Err(newer(snapshot.schema));
        }
        let held = Held::new(&self.held.over(&self.snapshot), &snapshot, &self.own.node);
        if self.held.is_empty() && !held.is_empty() {
            self.held_since = Instant::now();
            self.say(
                "the cluster's store knows less than before: what the other hosts had is kept until they say it again"
                    .into(),
            );
        }
        (self.snapshot, self.held) = (snapshot, held);
        self.show();
        Ok(revision)
    }

    /// What is held does not last for ever.
    fn expire_held(&mut self) {
        if self.held.is_empty() || self.held_since.elapsed() < LEASE {
            return;
        }
        self.held.fall_silent();
        if self.held_since.elapsed() > GRACE {
            self.held = Held::default();
        }
        self.show();
    }

    /// Publishes a snapshot of the cluster. Returns when the next one may come.
    fn show(&self) -> Instant {
        let begin = Instant::now();
        let snapshot =
            Arc::new(if self.held.is_empty() { self.snapshot.clone() } else { self.held.over(&self.snapshot) });
        self.shared.set_snapshot(snapshot.clone());
        (self.tell)(snapshot);
        let now = Instant::now();
        now + ((now - begin) * SHARE).clamp(TOGETHER, LONGEST)
    }

    /// Registers this host: its name and address, which no other may have.
    async fn register(&mut self, store: &mut impl Store) -> Result<(), SharedError> {
        let put = |key: String, value: String| Write::Put { key, value: value.into_bytes(), lease: None };
        if self.snapshot.schema.is_none() {
            let schema = key("schema");
            store.txn(vec![Condition::Absent(schema.clone())], vec![put(schema, SCHEMA.to_string())]).await?;
        }
        let node = self.own.node.as_str();
        let wanted = [
            (key(format_args!("nodename/{}", self.own.name)), format!("name `{}`", self.own.name)),
            (key(format_args!("nodeaddress/{}", self.own.address)), format!("address `{}`", self.own.address)),
        ];
        for (index, value) in wanted {
            let claim = put(index.clone(), node.to_owned());
            if store.txn(vec![Condition::Absent(index.clone())], vec![claim]).await? {
                continue;
            }
            let (found, _) = store.range(&index).await?;
            let holder = found.iter().find(|r| r.key == index).map(|r| String::from_utf8_lossy(&r.value).into_owned());
            if holder.as_deref().is_some_and(|holder| holder != node) {
                let who = holder.and_then(|h| h.get(..12).map(str::to_owned)).unwrap_or_default();
                return Err(SharedError::Refused(format!(
                    "another host (`{who}`) has the {value}: give this one another by `node_name` or `node_address`, or, \
                     if that host is gone, `rcr node rm {who}`"
                )));
            }
        }
        self.forget_old_claims(store).await?;
        self.lease = None;
        let known = self.snapshot.nodes.get(&self.own.node).map_or(0, |node| node.said);
        self.said_up_to = self.said_up_to.max(known).max(since_epoch().as_millis() as u64);
        Ok(())
    }

    /// The name and the address that this host had before it was given others.
    async fn forget_old_claims(&self, store: &mut impl Store) -> Result<(), SharedError> {
        let Some(before) = self.snapshot.nodes.get(&self.own.node) else { return Ok(()) };
        let mut writes = Vec::new();
        if before.name != self.own.name {
            writes.push(Write::Delete(key(format_args!("nodename/{}", before.name))));
        }
        if before.address != self.own.address {
            writes.push(Write::Delete(key(format_args!("nodeaddress/{}", before.address))));
        }
        if writes.is_empty() { Ok(()) } else { store.txn(Vec::new(), writes).await.map(drop) }
    }

    /// A sign of life. A lease that ran out while we were suspended is taken anew.
    async fn beat(&mut self, store: &mut impl Store) -> Result<(), SharedError> {
        self.expire_held();
        let Some(lease) = self.lease else { return self.live(store).await };
        match store.keep(lease).await {
            Err(SharedError::LeaseGone) => {
                self.say("this host's lease had ended: it is taken again".into());
                self.live(store).await
            }
            other => other,
        }
    }

    /// A lease, that says that this host is there.
    pub(super) async fn live(&mut self, store: &mut impl Store) -> Result<(), SharedError> {
        let lease = store.grant(LEASE).await?;
        self.lease = Some(lease);
        let alive = key(format_args!("alive/{}", self.own.node));
        store.txn(Vec::new(), vec![Write::Put { key: alive, value: Vec::new(), lease: Some(lease) }]).await.map(drop)
    }
}

/// Does what a caller waits for. A failure goes to the caller, and ends the connection.
async fn answer(store: &mut impl Store, ask: Ask) -> Result<(), SharedError> {
    let said = match ask.work {
        Work::Txn(when, then) => store.txn(when, then).await.map(Said::Done),
        Work::Lent(ttl, when, then) => lend(store, ttl, when, then).await.map(Said::Done),
        Work::Read(prefix) => store.range(&prefix).await.map(|(records, _)| Said::Records(records)),
    };
    let (told, ended) = match said {
        Ok(said) => (Ok(said), Ok(())),
        Err(error) => (Err(error.to_string()), Err(error)),
    };
    // Whoever asked may have gone.
    let _ = ask.answer.send(told);
    ended
}

/// Puts something under a lease that nobody renews.
async fn lend(
    store: &mut impl Store,
    ttl: Duration,
    when: Vec<Condition>,
    mut then: Vec<Write>,
) -> Result<bool, SharedError> {
    let granted = store.grant(ttl).await?;
    for write in &mut then {
        if let Write::Put { lease, .. } = write {
            *lease = Some(granted);
        }
    }
    store.txn(when, then).await
}

fn newer(found: Option<u32>) -> SharedError {
    let found = found.unwrap_or_default();
    SharedError::Refused(format!("it is of schema {found}, this netd knows up to {SCHEMA}: a newer netd wrote it"))
}
