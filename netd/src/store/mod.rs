//! What outlives netd: small JSON records under text keys, changed in transactions.
//!
//! ```text
//! schema                     the version of all this; a newer one is refused
//! boot                       the kernel's boot id: after a reboot no kernel object is left
//! keys                       netd_core::keys::Keyring: this host's WireGuard keys, the private ones too
//! node                       this host's id in its cluster
//! host                       this host's random bits, for its IPv6 prefix
//! network/<id>               netd_core::model::Network
//! leases/<id>                netd_core::ipam::Leases by subnet
//! sandbox/<container>        daemon::records::Record
//! update/<id>                daemon::update::Part, while a change of a network goes on
//! journal/host, journal/network/<id>, journal/attach/<container>/<id>
//! journal/tunnels, journal/wireguard, journal/peers/<id>: see ledger::bring
//! ```

mod embedded;
pub mod etcd;
pub mod memory;
pub mod shared;
mod timed;

pub use embedded::Embedded;
pub use timed::Timed;

/// The version of the records that this netd writes. 2: a network has an `own_link`, which was `shim`, and journals say so, too.
pub const SCHEMA: u32 = 2;

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("open the store `{path}`: {cause}")]
    Open { path: String, cause: String },
    #[error("the store is of schema {found}, this netd knows up to {SCHEMA}: a newer netd wrote it")]
    Newer { found: u32 },
    #[error("write the store: {0}")]
    Write(String),
    #[error("read the store: {0}")]
    Read(String),
    #[error("record `{key}` of the store: {cause}")]
    Record { key: String, cause: String },
}

/// One change of a transaction.
#[derive(Debug, Clone)]
pub enum Change {
    Put(String, Vec<u8>),
    Delete(String),
}

impl Change {
    /// Writes a record.
    pub fn put<T: serde::Serialize>(key: impl Into<String>, record: &T) -> Result<Self, StoreError> {
        let key = key.into();
        match serde_json::to_vec(record) {
            Ok(bytes) => Ok(Self::Put(key, bytes)),
            Err(error) => Err(StoreError::Record { key, cause: error.to_string() }),
        }
    }
}

/// Whether a transaction must be on the disk when the call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// On the disk.
    Durable,
    /// With the next durable one, or with [`Store::flush`]; a crash before may lose it.
    Lazy,
}

/// An engine.
pub trait Store: Send {
    /// All records whose keys start with `prefix`, in the order of keys.
    fn range(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError>;
    /// All changes or none.
    fn txn(&mut self, changes: &[Change], durability: Durability) -> Result<(), StoreError>;
    /// After a failure: tries to write what the disk lacks. Returns whether there was something, and it is written now.
    fn settle(&mut self) -> Result<bool, StoreError>;
    /// Writes lazy records to the disk, if there are any.
    fn flush(&mut self) -> Result<(), StoreError>;
    /// Where the data is, for `rcr version`.
    fn describe(&self) -> String;
}

/// The records below `prefix`, parsed, with the rest of their keys.
pub fn records<T: serde::de::DeserializeOwned>(
    store: &dyn Store,
    prefix: &str,
) -> Result<Vec<(String, T)>, StoreError> {
    let parse = |(key, bytes): (String, Vec<u8>)| match serde_json::from_slice(&bytes) {
        Ok(record) => Ok((key[prefix.len()..].to_owned(), record)),
        Err(error) => Err(StoreError::Record { key, cause: error.to_string() }),
    };
    store.range(prefix)?.into_iter().map(parse).collect()
}
