//! The embedded engine: one redb file, locked by the one netd that uses it.

use super::{Change, Durability, SCHEMA, Store, StoreError};
use redb::{Database, ReadableDatabase, TableDefinition};
use std::fmt::Display;
use std::path::Path;

const TABLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("netd");
/// Bytes of redb's page cache: the records of thousands of containers are some MB at most, and mostly written.
const CACHE: usize = 1 << 20;

/// See the file's head.
pub struct Embedded {
    db: Database,
}

fn write_failed(error: impl Display) -> StoreError {
    StoreError::Write(error.to_string())
}

fn read_failed(error: impl Display) -> StoreError {
    StoreError::Read(error.to_string())
}

impl Embedded {
    /// Opens the store, making it if there is none, and checks its schema.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let opened = Database::builder().set_cache_size(CACHE).create(path);
        let failed = |cause: String| StoreError::Open { path: path.display().to_string(), cause };
        let db = opened.map_err(|error| failed(error.to_string()))?;
        let mut store = Self { db };
        // A table must exist before it can be read.
        store.txn(&[], Durability::Lazy)?;
        match store.range("schema")?.first() {
            None => store.txn(&[Change::put("schema", &SCHEMA)?], Durability::Durable)?,
            Some((key, bytes)) => {
                let found: u32 = serde_json::from_slice(bytes)
                    .map_err(|error| StoreError::Record { key: key.clone(), cause: error.to_string() })?;
                if found > SCHEMA {
                    return Err(StoreError::Newer { found });
                }
            }
        }
        Ok(store)
    }
}

impl Store for Embedded {
    fn range(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let txn = self.db.begin_read().map_err(read_failed)?;
        let table = txn.open_table(TABLE).map_err(read_failed)?;
        let mut out = Vec::new();
        for entry in table.range(prefix..).map_err(read_failed)? {
            let (key, value) = entry.map_err(read_failed)?;
            if !key.value().starts_with(prefix) {
                break;
            }
            out.push((key.value().to_owned(), value.value().to_vec()));
        }
        Ok(out)
    }

    fn txn(&mut self, changes: &[Change], durability: Durability) -> Result<(), StoreError> {
        let mut txn = self.db.begin_write().map_err(write_failed)?;
        txn.set_durability(match durability {
            Durability::Durable => redb::Durability::Immediate,
            Durability::Lazy => redb::Durability::None,
        })
        .map_err(write_failed)?;
        {
            let mut table = txn.open_table(TABLE).map_err(write_failed)?;
            for change in changes {
                match change {
                    Change::Put(key, value) => {
                        drop(table.insert(key.as_str(), value.as_slice()).map_err(write_failed)?)
                    }
                    Change::Delete(key) => drop(table.remove(key.as_str()).map_err(write_failed)?),
                }
            }
        }
        txn.commit().map_err(write_failed)
    }

    fn describe(&self) -> String {
        "embedded".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_outlive_the_process_and_a_newer_schema_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netd.redb");
        let mut store = Embedded::open(&path).unwrap();
        let changes = [Change::put("network/b", &1u8).unwrap(), Change::put("network/a", &2u8).unwrap()];
        store.txn(&changes, Durability::Durable).unwrap();
        drop(store);
        let mut store = Embedded::open(&path).unwrap();
        let all: Vec<(String, u8)> = crate::store::records(&store, "network/").unwrap();
        assert_eq!(all, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
        store.txn(&[Change::put("schema", &99u32).unwrap()], Durability::Durable).unwrap();
        drop(store);
        let error = Embedded::open(&path).err().unwrap();
        assert!(matches!(error, StoreError::Newer { found: 99 }));
    }
}
