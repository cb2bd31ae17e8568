//! Processes of a node that accept jobs all the time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use erawan::config::Redis;
use erawan::job::JobId;
use erawan::store::redis::RedisStore;
use erawan::store::{Accepted, Store, StoreError};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::connect;
use crate::harness::*;

const PROCESSES: usize = 3;
/// When a refused call is made again.
const LATER: Duration = Duration::from_millis(10);
/// Accepts under way in each.
const AT_ONCE: usize = 4;

pub struct Load {
    pub stores: Vec<Arc<RedisStore>>,
    acknowledged: Arc<Mutex<BTreeSet<JobId>>>,
    refused: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    accepting: JoinSet<()>,
}

impl Load {
    pub async fn begin(redis: &Redis) -> Self {
        let mut load = Self {
            stores: Vec::new(),
            acknowledged: Arc::default(),
            refused: Arc::default(),
            is_over: Arc::default(),
            accepting: JoinSet::new(),
        };
        for _ in 0..PROCESSES {
            let store = Arc::new(connect(redis.clone()).await);
            for line in 0..AT_ONCE {
                let accepts = accept_until(
                    Arc::clone(&store),
                    format!("line {line}"),
                    Arc::clone(&load.acknowledged),
                    Arc::clone(&load.refused),
                    Arc::clone(&load.is_over),
                );
                load.accepting.spawn(accepts);
            }
            load.stores.push(store);
        }
        load
    }

    /// What was acknowledged until now.
    pub fn acknowledged(&self) -> BTreeSet<JobId> {
        self.acknowledged.lock().clone()
    }

    /// Waits until this many more are acknowledged.
    pub async fn go_on_for(&self, jobs: usize) {
        let before = self.acknowledged.lock().len();
        eventually(|| async { self.acknowledged.lock().len() >= before + jobs }).await;
    }

    /// Waits until a call is refused, from now on.
    pub async fn meet_a_refusal(&self) {
        let before = self.refused.load(Ordering::Relaxed);
        eventually(|| async { self.refused.load(Ordering::Relaxed) > before }).await;
    }

    pub async fn end(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.accepting.join_next().await {
            ended.unwrap();
        }
    }

    /// The ids of all open jobs.
    pub async fn open(&self) -> BTreeSet<JobId> {
        let found = self.stores[0].open_ids(0, 1_000_000).await.unwrap();
        found.into_iter().map(|(_, id)| id).collect()
    }

    /// How often a process noticed that Redis had forgotten something.
    pub fn setbacks(&self) -> u64 {
        self.stores.iter().map(|store| store.setbacks()).sum()
    }
}

async fn accept_until(
    store: Arc<RedisStore>,
    key: String,
    acknowledged: Arc<Mutex<BTreeSet<JobId>>>,
    refused: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
) {
    while !is_over.load(Ordering::Relaxed) {
        let new = job(&key);
        let id = new.id;
        match store.accept(accept_of(vec![new])).await {
            Ok(Accepted::Stored { .. }) => drop(acknowledged.lock().insert(id)),
            Err(StoreError::Unavailable(_)) => {
                refused.fetch_add(1, Ordering::Relaxed);
                // As a client does that was told to come later.
                tokio::time::sleep(LATER).await;
            }
            other => panic!("{other:?}"),
        }
    }
}
