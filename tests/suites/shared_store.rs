//! The shared store: what both engines promise, each tried on both; etcd's TLS and passwords; a store larger than one
//! message.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use netd::store::etcd::EtcdConfig;
use netd::store::memory::Memory;
use netd::store::shared::{Condition, Connect, Event, Shared, SharedError, Watching, Write};
use std::time::Duration;
use tests::cluster::{Cluster, STORE};
use tests::{Host, eventually};

fn put(key: &str, value: &str) -> Write {
    Write::Put { key: key.into(), value: value.into(), lease: None }
}

fn etcd() -> EtcdConfig {
    EtcdConfig { endpoints: vec![format!("{STORE}:2379")], ..EtcdConfig::default() }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Everything that is promised, on one engine. `compact` forgets what happened before a revision.
async fn conforms(place: impl Connect, compact: impl Fn(i64)) {
    let mut store = place.connect().await.unwrap();
    ranges(&mut store).await;
    transactions(&mut store).await;
    watches(&mut store, compact).await;
    leases(&mut store).await;
    // More than one message of gRPC's may hold, and more keys than one answer has.
    let value = vec![b'x'; 4000];
    for batch in (0..2100).collect::<Vec<_>>().chunks(100) {
        let writes =
            batch.iter().map(|i| Write::Put { key: format!("/t/l/{i:04}"), value: value.clone(), lease: None });
        assert!(store.txn(vec![], writes.collect()).await.unwrap());
    }
    let (all, _) = store.range("/t/l/").await.unwrap();
    assert_eq!(all.len(), 2100);
    assert!(all.windows(2).all(|pair| pair[0].key < pair[1].key) && all.iter().all(|r| r.value.len() == 4000));
}

async fn ranges(store: &mut impl Shared) {
    let (none, at) = store.range("/t/").await.unwrap();
    assert!(none.is_empty() && at > 0);
    assert!(store.txn(vec![], vec![put("/t/b", "2"), put("/t/a", "1"), put("/u", "3")]).await.unwrap());
    let (found, now) = store.range("/t/").await.unwrap();
    let plain: Vec<_> = found.iter().map(|r| (r.key.as_str(), r.value.as_slice(), r.revision)).collect();
    assert_eq!(plain, [("/t/a", &b"1"[..], at + 1), ("/t/b", b"2", at + 1)]);
    assert_eq!(now, at + 1);
}

async fn transactions(store: &mut impl Shared) {
    let (absent, present) = (|key: &str| Condition::Absent(key.into()), |key: &str| Condition::Present(key.into()));
    assert!(store.txn(vec![absent("/t/c")], vec![put("/t/c", "first")]).await.unwrap());
    // All or nothing, and no second time.
    assert!(!store.txn(vec![absent("/t/c")], vec![put("/t/c", "second"), put("/t/d", "x")]).await.unwrap());
    assert!(!store.txn(vec![present("/t/c"), present("/t/d")], vec![put("/t/d", "x")]).await.unwrap());
    let (found, now) = store.range("/t/").await.unwrap();
    assert_eq!(found.iter().map(|r| r.value.as_slice()).collect::<Vec<_>>(), [&b"1"[..], b"2", b"first"]);
    let unchanged = |revision| Condition::Unchanged("/t/c".into(), revision);
    assert!(!store.txn(vec![unchanged(now - 1)], vec![put("/t/c", "third")]).await.unwrap());
    assert!(store.txn(vec![unchanged(now)], vec![put("/t/c", "third")]).await.unwrap());
    assert!(store.txn(vec![Condition::Unchanged("/t/d".into(), 0)], vec![put("/t/d", "y")]).await.unwrap());
    assert!(store.txn(vec![], vec![Write::Delete("/t/nothing".into()), Write::Delete("/t/d".into())]).await.unwrap());
    assert!(store.txn(vec![], vec![put("/t/e", "1"), put("/t/e", "2")]).await.is_err());
    assert!(store.range("/t/e").await.unwrap().0.is_empty());
}

async fn watches(store: &mut impl Shared, compact: impl Fn(i64)) {
    let (_, now) = store.range("/t/").await.unwrap();
    // What happened before the watch and what happens after: in order, nothing twice, nothing of others.
    store.txn(vec![], vec![put("/t/w/1", "a"), put("/v", "no")]).await.unwrap();
    let mut watch = store.watch("/t/w/", now + 1).await.unwrap();
    store.txn(vec![], vec![put("/t/w/2", "b")]).await.unwrap();
    store.txn(vec![], vec![Write::DeletePrefix("/t/w/".into())]).await.unwrap();
    let mut seen: Vec<Event> = Vec::new();
    while seen.len() < 4 {
        seen.extend(tokio::time::timeout(Duration::from_secs(5), watch.next()).await.expect("events").unwrap());
    }
    let event = |key: &str, value: Option<&str>, revision| Event {
        key: key.into(),
        value: value.map(|value| value.as_bytes().to_vec()),
        revision,
    };
    let all = [
        event("/t/w/1", Some("a"), now + 1),
        event("/t/w/2", Some("b"), now + 2),
        event("/t/w/1", None, now + 3),
        event("/t/w/2", None, now + 3),
    ];
    assert_eq!(seen, all);
    assert!(tokio::time::timeout(Duration::from_millis(200), watch.next()).await.is_err(), "nothing more happened");
    compact(now + 3);
    assert!(matches!(old_news(store, now + 1).await, Err(SharedError::Compacted(_))));
}

/// What a watch from an old revision says first. etcd may say before that it has begun.
async fn old_news(store: &mut impl Shared, from: i64) -> Result<Vec<Event>, SharedError> {
    let mut watch = store.watch("/t/w/", from).await?;
    loop {
        let news = tokio::time::timeout(Duration::from_secs(5), watch.next()).await.expect("an answer")?;
        if !news.is_empty() {
            return Ok(news);
        }
    }
}

async fn leases(store: &mut impl Shared) {
    let (_, now) = store.range("/t/").await.unwrap();
    let mut watch = store.watch("/t/x/", now + 1).await.unwrap();
    let (short, long) =
        (store.grant(Duration::from_secs(1)).await.unwrap(), store.grant(Duration::from_secs(60)).await.unwrap());
    let bound = |key: &str, lease| Write::Put { key: key.into(), value: vec![], lease: Some(lease) };
    assert!(store.txn(vec![], vec![bound("/t/x/s", short), bound("/t/x/l", long)]).await.unwrap());
    store.keep(short).await.unwrap();
    // It is not kept: its key goes by itself, and who watches is told.
    let mut gone = Vec::new();
    while gone.is_empty() {
        let events = tokio::time::timeout(Duration::from_secs(15), watch.next()).await.expect("an end").unwrap();
        gone.extend(events.into_iter().filter(|event| event.value.is_none()).map(|event| event.key));
    }
    assert_eq!(gone, ["/t/x/s"]);
    assert_eq!(store.keep(short).await, Err(SharedError::LeaseGone));
    assert!(store.txn(vec![], vec![bound("/t/x/s", short)]).await.is_err());
    store.keep(long).await.unwrap();
    store.revoke(long).await.unwrap();
    assert!(store.range("/t/x/").await.unwrap().0.is_empty());
}

#[test]
fn the_engine_in_memory_conforms() {
    let store = Memory::default();
    block_on(conforms(store.clone(), |revision| store.compact(revision)));
}

#[test]
fn etcd_conforms() {
    let cluster = Cluster::new(0, false);
    let netns = cluster.store.clone();
    netns.inside(move || {
        let compact = |revision: i64| drop(cluster.etcdctl(&["compact", "--physical", &revision.to_string()]));
        block_on(conforms(etcd(), compact));
    });
}

/// A certificate authority in `dir`, with certificates for etcd (`server`) and for hosts (`client`).
fn certificates(cluster: &Cluster, dir: &std::path::Path) {
    let run = |line: &str| {
        let output = cluster.store.command("sh").current_dir(dir).args(["-ec", line]).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-ca -keyout ca.key -out ca.pem \
         -addext basicConstraints=critical,CA:true");
    for name in ["server", "client"] {
        run(&format!(
            "openssl req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr
             printf 'subjectAltName=IP:{STORE}\nextendedKeyUsage=serverAuth,clientAuth\n' > {name}.ext
             openssl x509 -req -days 2 -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile {name}.ext -out {name}.pem"
        ));
    }
}

/// A netd with this configuration.
fn join(host: &mut Host, text: &str) {
    if host.netd_pid().is_some() {
        host.kill_netd();
    }
    host.configure(text);
    host.ok(&["network", "ls"]);
}

#[test]
fn a_store_with_tls_and_passwords() {
    let mut cluster = Cluster::new(2, false);
    let dir = cluster.hosts[0].scratch();
    certificates(&cluster, &dir);
    cluster.etcdctl(&["user", "add", "root:top"]);
    cluster.etcdctl(&["user", "add", "rcr:secret"]);
    cluster.etcdctl(&["role", "add", "rcr"]);
    cluster.etcdctl(&["role", "grant-permission", "rcr", "readwrite", "--prefix=true", "/rcr/v1/"]);
    cluster.etcdctl(&["user", "grant-role", "root", "root"]);
    cluster.etcdctl(&["user", "grant-role", "rcr", "rcr"]);
    cluster.etcdctl(&["auth", "enable"]);
    cluster.stop_store();
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (cert, key, ca) = (file("server.pem"), file("server.key"), file("ca.pem"));
    let flags = ["--cert-file", &cert, "--key-file", &key, "--client-cert-auth", "--trusted-ca-file", &ca];
    cluster.start_store_with("https", &flags);
    std::fs::write(dir.join("password"), "secret\n").unwrap();
    std::fs::write(dir.join("wrong"), "guess\n").unwrap();
    let text = |number: usize, certificate: &str, password: &str| {
        let (client, key, password) =
            (file(&format!("{certificate}.pem")), file(&format!("{certificate}.key")), file(password));
        format!(
            "[cluster]\nstore = \"etcd://{STORE}:2379\"\nnode_name = \"node{number}\"\nnode_address = \"192.0.2.1{number}\"\n\
             ca_file = \"{ca}\"\ncert_file = \"{client}\"\nkey_file = \"{key}\"\nuser = \"rcr\"\npassword_file = \"{password}\"\n"
        )
    };
    join(&mut cluster.hosts[0], &text(1, "client", "password"));
    let ready = |cluster: &Cluster| cluster.hosts[0].ok(&["node", "ls"]).matches(" ready ").count();
    eventually("the first host is in", || ready(&cluster) == 1);
    // A wrong password, a file that is not there, and no TLS at all: each is said by whoever needs the store.
    let plain = format!("[cluster]\nstore = \"etcd://{STORE}:2379\"\nnode_address = \"192.0.2.12\"\n");
    for (what, text, words) in [
        ("a wrong password", text(2, "client", "wrong"), "authentication failed"),
        ("no such file", text(2, "absent", "password"), "absent.pem"),
        ("no TLS", plain, "192.0.2.2:2379"),
    ] {
        join(&mut cluster.hosts[1], &text);
        let create = ["network", "create", "-d", "overlay", "mesh"];
        eventually(what, || cluster.hosts[1].refused(&create).contains(words));
    }
    join(&mut cluster.hosts[1], &text(2, "client", "password"));
    eventually("the second host is in", || ready(&cluster) == 2);
    cluster.hosts[1].ok(&["network", "create", "-d", "overlay", "--subnet", "10.4.0.0/24", "mesh"]);
    eventually("the network is there", || cluster.hosts[0].ok(&["network", "ls"]).contains("mesh"));
}
