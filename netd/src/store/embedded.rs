//! The embedded engine: one redb file, locked by the one netd that uses it.
//!
//! All records are in memory, too. They are some MB at most, and can be read while the disk is full or broken. After
//! one failure redb refuses everything until it is opened again. The next transaction, or [`Store::settle`], does that,
//! and makes the file say what memory says: no lazy record is lost, and nothing of a failed transaction stays.

use super::{Change, Durability, SCHEMA, Store, StoreError};
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const TABLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("netd");
/// Bytes of redb's page cache: the records of thousands of containers are some MB at most, and mostly written.
const CACHE: usize = 1 << 20;
/// How often a file that another netd has is tried, and the time between: one that was killed has it until the last of
/// its threads is gone, and its other lock may be free before that.
const TRIES: usize = 40;
const BETWEEN_TRIES: Duration = Duration::from_millis(25);

type Records = BTreeMap<String, Vec<u8>>;

/// See the file's head.
pub struct Embedded {
    path: PathBuf,
    /// Absent after a failure, until it can be opened again.
    db: Option<Database>,
    /// Whether something lazy is not on the disk yet.
    owes: bool,
    records: Records,
}

/// redb's errors hide what the kernel said.
fn cause(error: impl Into<redb::Error>) -> String {
    match error.into() {
        redb::Error::Io(error) => crate::errors::why(&error),
        other => other.to_string(),
    }
}

fn write_failed(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Write(cause(error))
}

fn read_failed(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Read(cause(error))
}

impl Embedded {
    /// Opens the store, making it if there is none, and checks its schema.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let (db, records) = read(path)?;
        let mut store = Self { path: path.to_owned(), db: Some(db), owes: false, records };
        let parse = |bytes: &Vec<u8>| serde_json::from_slice::<u32>(bytes);
        let found = store.records.get("schema").map(parse).transpose();
        match found.map_err(|error| StoreError::Record { key: "schema".into(), cause: error.to_string() })? {
            None => store.txn(&[Change::put("schema", &SCHEMA)?], Durability::Durable)?,
            Some(found) if found > SCHEMA => return Err(StoreError::Newer { found }),
            // Its records are read as they are; what is written from now on an older netd would misread. On the disk with the first of it.
            Some(found) if found < SCHEMA => store.txn(&[Change::put("schema", &SCHEMA)?], Durability::Lazy)?,
            Some(_) => {}
        }
        Ok(store)
    }

    /// The file, opened again if it has to be, as memory is.
    fn database(&mut self) -> Result<&Database, StoreError> {
        let db = match self.db.take() {
            Some(db) => db,
            None => {
                let (db, there) = read(&self.path)?;
                let put = self.records.iter().filter(|(key, value)| there.get(*key) != Some(value));
                let put = put.map(|(key, value)| Change::Put(key.clone(), value.clone()));
                let gone = there.keys().filter(|key| !self.records.contains_key(*key));
                let changes: Vec<Change> = put.chain(gone.map(|key| Change::Delete(key.clone()))).collect();
                write(&db, &changes, Durability::Durable)?;
                db
            }
        };
        Ok(self.db.insert(db))
    }

    fn remember(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Put(key, value) => drop(self.records.insert(key.clone(), value.clone())),
                Change::Delete(key) => drop(self.records.remove(key)),
            }
        }
    }
}

/// Opens the file and reads all of it.
fn read(path: &Path) -> Result<(Database, Records), StoreError> {
    let open = || Database::builder().set_cache_size(CACHE).create(path);
    let mut opened = open();
    for _ in 0..TRIES {
        if !matches!(opened, Err(DatabaseError::DatabaseAlreadyOpen)) {
            break;
        }
        std::thread::sleep(BETWEEN_TRIES);
        opened = open();
    }
    let db = opened.map_err(|error| StoreError::Open { path: path.display().to_string(), cause: cause(error) })?;
    // A table must exist before it can be read.
    write(&db, &[], Durability::Lazy)?;
    let txn = db.begin_read().map_err(read_failed)?;
    let table = txn.open_table(TABLE).map_err(read_failed)?;
    let mut records = Records::new();
    for entry in table.iter().map_err(read_failed)? {
        let (key, value) = entry.map_err(read_failed)?;
        records.insert(key.value().to_owned(), value.value().to_vec());
    }
    drop((table, txn));
    Ok((db, records))
}

fn write(db: &Database, changes: &[Change], durability: Durability) -> Result<(), StoreError> {
    let mut txn = db.begin_write().map_err(write_failed)?;
    txn.set_durability(match durability {
        Durability::Durable => redb::Durability::Immediate,
        Durability::Lazy => redb::Durability::None,
    })
    .map_err(write_failed)?;
    {
        let mut table = txn.open_table(TABLE).map_err(write_failed)?;
        for change in changes {
            match change {
                Change::Put(key, value) => drop(table.insert(key.as_str(), value.as_slice()).map_err(write_failed)?),
                Change::Delete(key) => drop(table.remove(key.as_str()).map_err(write_failed)?),
            }
        }
    }
    txn.commit().map_err(write_failed)
}

impl Store for Embedded {
    fn range(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let from = self.records.range(prefix.to_owned()..);
        let found = from.take_while(|(key, _)| key.starts_with(prefix));
        Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    /// A crash may lose lazy records anyway. So while the disk takes nothing they wait in memory, and that is no
    /// failure.
    fn txn(&mut self, changes: &[Change], durability: Durability) -> Result<(), StoreError> {
        let written = self.database().and_then(|db| write(db, changes, durability));
        if written.is_err() {
            self.db = None;
        }
        self.owes = durability == Durability::Lazy || written.is_err();
        match (written, durability) {
            (Err(error), Durability::Durable) => Err(error),
            _ => {
                self.remember(changes);
                Ok(())
            }
        }
    }

    fn settle(&mut self) -> Result<bool, StoreError> {
        if self.db.is_some() {
            return Ok(false);
        }
        self.database().map(|_| true)
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        if self.owes { self.txn(&[], Durability::Durable) } else { Ok(()) }
    }

    fn describe(&self) -> String {
        "embedded".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lazy_is_there_after_a_flush_and_lost_without() {
        let dir = tempfile::tempdir().unwrap();
        let (path, copy) = (dir.path().join("netd.redb"), dir.path().join("copy.redb"));
        // A crash: the file as it is on the disk, without what the engine does when it is closed.
        let after_a_crash = || {
            std::fs::copy(&path, &copy).unwrap();
            crate::store::records::<u8>(&Embedded::open(&copy).unwrap(), "lazy").unwrap().len()
        };
        let mut store = Embedded::open(&path).unwrap();
        store.txn(&[Change::put("lazy", &1u8).unwrap()], Durability::Lazy).unwrap();
        assert_eq!(after_a_crash(), 0);
        store.flush().unwrap();
        assert_eq!(after_a_crash(), 1);
        let before = std::fs::metadata(&path).unwrap().modified().unwrap();
        store.flush().unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().modified().unwrap(),
            before,
            "nothing is owed, nothing is written"
        );
    }

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

    #[test]
    fn a_file_that_is_let_go_a_moment_later_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netd.redb");
        let first = Embedded::open(&path).unwrap();
        let ends = std::thread::spawn(move || {
            std::thread::sleep(BETWEEN_TRIES * 3);
            drop(first);
        });
        let second = Embedded::open(&path).unwrap();
        ends.join().unwrap();
        let error = Embedded::open(&path).err().unwrap();
        assert!(matches!(error, StoreError::Open { .. }), "{error}");
        drop(second);
    }

    #[test]
    fn a_store_of_an_older_schema_is_read_and_is_of_this_one_then() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netd.redb");
        let mut store = Embedded::open(&path).unwrap();
        let changes = [Change::put("schema", &1u32).unwrap(), Change::put("network/a", &2u8).unwrap()];
        store.txn(&changes, Durability::Durable).unwrap();
        drop(store);
        let mut store = Embedded::open(&path).unwrap();
        assert_eq!(crate::store::records::<u8>(&store, "network/").unwrap(), [("a".to_owned(), 2)]);
        store.txn(&[Change::put("network/b", &3u8).unwrap()], Durability::Durable).unwrap();
        drop(store);
        let all = crate::store::records::<u32>(&Embedded::open(&path).unwrap(), "schema").unwrap();
        assert_eq!(all, [(String::new(), SCHEMA)]);
    }
}
