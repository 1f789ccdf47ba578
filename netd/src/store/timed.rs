//! A store whose transactions are timed and counted, and that is otherwise the one within.

use super::{Change, Durability, Store, StoreError};
use crate::metrics::Metrics;
use std::sync::Arc;
use std::time::Instant;

/// See the file's head.
pub struct Timed<S> {
    store: S,
    metrics: Arc<Metrics>,
}

impl<S: Store> Timed<S> {
    /// A store that is measured from now on.
    pub fn new(store: S, metrics: Arc<Metrics>) -> Self {
        Self { store, metrics }
    }

    fn counted<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if result.is_err() {
            self.metrics.store_failed.add(1);
        }
        result
    }
}

impl<S: Store> Store for Timed<S> {
    fn range(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.store.range(prefix)
    }

    fn txn(&mut self, changes: &[Change], durability: Durability) -> Result<(), StoreError> {
        let began = Instant::now();
        let result = self.store.txn(changes, durability);
        let times = match durability {
            Durability::Durable => &self.metrics.durable,
            Durability::Lazy => &self.metrics.lazy,
        };
        times.add(began.elapsed());
        self.counted(result)
    }

    fn settle(&mut self) -> Result<bool, StoreError> {
        self.store.settle()
    }

    /// Of little interest while nothing is owed: that takes no time, and is not counted.
    fn flush(&mut self) -> Result<(), StoreError> {
        let result = self.store.flush();
        self.counted(result)
    }

    fn describe(&self) -> String {
        self.store.describe()
    }
}
