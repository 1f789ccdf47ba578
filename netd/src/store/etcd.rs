//! The shared store over etcd (v3 API), for several hosts.

use super::shared::{Condition, Connect, Event, Record, Shared, SharedError, Watching, Write};
use etcd_client::{
    Certificate, Client, Compare, CompareOp, ConnectOptions, DeleteOptions, Error, EventType, GetOptions, Identity,
    PutOptions, TlsOptions, Txn, TxnOp, WatchOptions, WatchStream,
};
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Keys in one answer: a message of more than 4 MiB is refused by gRPC, and a value of ours seldom has more than 1 KiB.
const PAGE: i64 = 500;

/// Where etcd is, and how to connect to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EtcdConfig {
    /// `host:port` each.
    pub endpoints: Vec<String>,
    pub user: Option<String>,
    pub password_file: Option<PathBuf>,
    /// With any of these, TLS.
    pub ca_file: Option<PathBuf>,
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
}

/// A connection to etcd.
#[derive(Clone)]
pub struct Etcd {
    client: Client,
}

/// A call with its time.
async fn timed<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, SharedError> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(failed(&error)),
        Err(_) => Err(SharedError::Unreachable(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

fn failed(error: &Error) -> SharedError {
    let text = error.to_string();
    let low = text.to_ascii_lowercase();
    if low.contains("lease not found") {
        return SharedError::LeaseGone;
    }
    let refused = ["invalid user", "authentication failed", "permission denied", "invalid auth", "user name is empty"];
    if refused.iter().any(|word| low.contains(word)) {
        return SharedError::Refused(text);
    }
    SharedError::Unreachable(text)
}

fn read(path: &PathBuf) -> Result<Vec<u8>, SharedError> {
    std::fs::read(path).map_err(|error| SharedError::Refused(format!("read `{}`: {error}", path.display())))
}

impl Connect for EtcdConfig {
    type Store = Etcd;

    /// An endpoint that does not answer delays nothing if another one does.
    async fn connect(&self) -> Result<Etcd, SharedError> {
        let mut options = ConnectOptions::new()
            .with_connect_timeout(PATIENCE)
            .with_timeout(PATIENCE)
            .with_keep_alive(Duration::from_secs(5), PATIENCE)
            .with_keep_alive_while_idle(true)
            .with_require_leader(true);
        if let Some(user) = &self.user {
            let password = self.password_file.as_ref().map(read).transpose()?.unwrap_or_default();
            let password = String::from_utf8_lossy(&password).trim_end_matches(['\r', '\n']).to_owned();
            options = options.with_user(user.clone(), password);
        }
        let tls = self.ca_file.is_some() || self.cert_file.is_some();
        if tls {
            let mut with = TlsOptions::new();
            if let Some(path) = &self.ca_file {
                with = with.ca_certificate(Certificate::from_pem(read(path)?));
            }
            if let (Some(cert), Some(key)) = (&self.cert_file, &self.key_file) {
                with = with.identity(Identity::from_pem(read(cert)?, read(key)?));
            }
            options = options.with_tls(with);
        }
        let scheme = if tls { "https" } else { "http" };
        let endpoints: Vec<String> = self.endpoints.iter().map(|e| format!("{scheme}://{e}")).collect();
        let client = timed(Client::connect(endpoints, Some(options))).await?;
        Ok(Etcd { client })
    }

    fn place(&self) -> String {
        self.endpoints.join(", ")
    }
}

/// The first key behind all that begin with `prefix`: etcd's ranges end before their end.
fn behind(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    // Keys of ours are text: no byte of theirs is the last there is.
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

fn compare(condition: Condition) -> Compare {
    match condition {
        Condition::Absent(key) => Compare::create_revision(key, CompareOp::Equal, 0),
        Condition::Present(key) => Compare::create_revision(key, CompareOp::Greater, 0),
        Condition::Unchanged(key, revision) => Compare::mod_revision(key, CompareOp::Equal, revision),
    }
}

fn operation(write: Write) -> TxnOp {
    match write {
        Write::Put { key, value, lease } => {
            TxnOp::put(key, value, lease.map(|lease| PutOptions::new().with_lease(lease)))
        }
        Write::Delete(key) => TxnOp::delete(key, None),
        Write::DeletePrefix(key) => TxnOp::delete(key, Some(DeleteOptions::new().with_prefix())),
    }
}

impl Shared for Etcd {
    type Watch = EtcdWatch;

    async fn range(&mut self, prefix: &str) -> Result<(Vec<Record>, i64), SharedError> {
        let record = |kv: &etcd_client::KeyValue| Record {
            key: String::from_utf8_lossy(kv.key()).into_owned(),
            value: kv.value().to_vec(),
            revision: kv.mod_revision(),
        };
        let (mut records, mut revision) = (Vec::new(), 0);
        let (mut from, end) = (prefix.as_bytes().to_vec(), behind(prefix));
        loop {
            // All pages are of one moment: that of the first.
            let page = GetOptions::new().with_range(end.clone()).with_limit(PAGE).with_revision(revision);
            let got = timed(self.client.get(from, Some(page))).await?;
            if revision == 0 {
                revision = got.header().map_or(0, |header| header.revision());
            }
            records.extend(got.kvs().iter().map(record));
            match got.kvs().last().filter(|_| got.more()) {
                Some(last) => from = [last.key(), b"\0"].concat(),
                None => return Ok((records, revision)),
            }
        }
    }

    async fn txn(&mut self, when: Vec<Condition>, then: Vec<Write>) -> Result<bool, SharedError> {
        let txn = Txn::new()
            .when(when.into_iter().map(compare).collect::<Vec<_>>())
            .and_then(then.into_iter().map(operation).collect::<Vec<_>>());
        Ok(timed(self.client.txn(txn)).await?.succeeded())
    }

    async fn watch(&mut self, prefix: &str, from: i64) -> Result<EtcdWatch, SharedError> {
        let options = WatchOptions::new().with_prefix().with_start_revision(from).with_fragment();
        let stream = timed(self.client.watch(prefix, Some(options))).await?;
        Ok(EtcdWatch { stream, from })
    }

    async fn grant(&mut self, ttl: Duration) -> Result<i64, SharedError> {
        let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        Ok(timed(self.client.lease_grant(seconds, None)).await?.id())
    }

    async fn keep(&mut self, lease: i64) -> Result<(), SharedError> {
        let beat = async {
            let (mut keeper, mut stream) = self.client.lease_keep_alive(lease).await?;
            keeper.keep_alive().await?;
            stream.message().await
        };
        match timed(beat).await? {
            Some(answer) if answer.ttl() > 0 => Ok(()),
            Some(_) => Err(SharedError::LeaseGone),
            None => Err(SharedError::Unreachable("the connection ended".into())),
        }
    }

    async fn revoke(&mut self, lease: i64) -> Result<(), SharedError> {
        timed(self.client.lease_revoke(lease)).await.map(drop)
    }
}

/// A watch of etcd's.
pub struct EtcdWatch {
    stream: WatchStream,
    from: i64,
}

impl Watching for EtcdWatch {
    async fn next(&mut self) -> Result<Vec<Event>, SharedError> {
        let message = self.stream.message().await.map_err(|error| failed(&error))?;
        let message = message.ok_or_else(|| SharedError::Unreachable("the watch ended".into()))?;
        if message.compact_revision() > 0 {
            return Err(SharedError::Compacted(self.from));
        }
        if message.canceled() {
            return Err(SharedError::Unreachable(format!("the watch was cancelled: {}", message.cancel_reason())));
        }
        let event = |event: &etcd_client::Event| {
            let kv = event.kv()?;
            Some(Event {
                key: String::from_utf8_lossy(kv.key()).into_owned(),
                value: (event.event_type() == EventType::Put).then(|| kv.value().to_vec()),
                revision: kv.mod_revision(),
            })
        };
        Ok(message.events().iter().filter_map(event).collect())
    }
}
