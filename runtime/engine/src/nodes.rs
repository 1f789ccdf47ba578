//! The hosts of a cluster.

use crate::instance::Instance;
use crate::net::{Netd, unexpected};
use netd_api::{Call, KeyInfo, NodeInfo, Reply};
use rcr_base::Outcome;
use std::time::{Duration, Instant};

/// How often the other hosts are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// All of them, sorted by name.
pub fn list(instance: &Instance) -> Outcome<Vec<NodeInfo>> {
    list_by(&mut instance.netd()?)
}

fn list_by(netd: &mut Netd) -> Outcome<Vec<NodeInfo>> {
    match netd.call(Call::NodeList)? {
        Reply::Nodes(nodes) => Ok(nodes),
        other => Err(unexpected(&other)),
    }
}

/// Removes a host from the cluster with everything it had; a host that is up only with `force`.
pub fn remove(instance: &Instance, node: &str, force: bool) -> Outcome<()> {
    instance.netd()?.call(Call::NodeRemove { node: node.to_owned(), force }).map(drop)
}

/// Gives this host a new key.
pub fn rekey(instance: &Instance) -> Outcome<KeyInfo> {
    match instance.netd()?.call(Call::NodeRekey)? {
        Reply::Key(key) => Ok(key),
        other => Err(unexpected(&other)),
    }
}

/// Waits until only this key is valid. `Some`: it took longer than `patience`; the hosts that have not switched to it.
pub fn await_rekeyed(instance: &Instance, key: &KeyInfo, patience: Duration) -> Outcome<Option<Vec<String>>> {
    let mut netd = instance.netd()?;
    let until = Instant::now() + patience;
    loop {
        // What the store says of this host may still be older than the key.
        let own = list_by(&mut netd)?.into_iter().find(|node| node.own);
        let Some(own) = own.filter(|own| own.keys.iter().any(|k| k.generation != key.generation)) else {
            return Ok(None);
        };
        if Instant::now() >= until {
            return Ok(Some(own.behind));
        }
        std::thread::sleep(LOOK);
    }
}
