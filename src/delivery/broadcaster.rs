//! Broadcasts a transaction right after this process has stored it. The stored
//! record ([`Expected`]) is the intent, so nothing else needs to be stored.
//! After a kill the master looks the transaction up (`ledger.confirm`): when it
//! learns that a process is gone, when its term begins, and in any case after a
//! while. What the first try cannot finish becomes a job
//! (`deliver.transaction`).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::reconnect_backoff;
use super::transaction::{self, Expected};
use crate::context::Context;
use crate::job::{Commit, Guard, Job, Millis, Run, Table, Write, codec};
use crate::ledger::TransactionHash;
use crate::logging::spans::{self, Work};
use crate::store::{Accept, Accepted, SharedStore, StoreError};

#[cfg(test)]
mod tests;

/// Most concurrent first tries. Further ones become jobs at once.
const PLACES: u32 = 128;

/// First and longest pause while the store is away.
const STORE_RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

type AnnounceJobs = Box<dyn Fn(Vec<Job>) + Send + Sync>;

#[derive(Clone)]
pub struct Broadcaster(Arc<Shared>);

struct Shared {
    context: Context,
    store: SharedStore,
    threads: Handle,
    places: Arc<Semaphore>,
    announce: OnceLock<AnnounceJobs>,
}

/// A transaction as it was stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Intent {
    hash: TransactionHash,
    /// Its row in `ExpectedTransaction`.
    record: Vec<u8>,
}

impl Intent {
    /// The transactions among these writes.
    pub fn of(writes: &[Write]) -> Vec<Self> {
        let intents = writes.iter().filter_map(|write| match write {
            Write::Put {
                table: Table::ExpectedTransaction,
                row,
                value,
                ..
            } => Some(Self {
                hash: row.clone(),
                record: value.clone(),
            }),
            _ => None,
        });
        intents.collect()
    }
}

impl Broadcaster {
    /// Its tasks run on `threads`.
    pub fn new(context: Context, store: SharedStore, threads: Handle) -> Self {
        Self(Arc::new(Shared {
            context,
            store,
            threads,
            places: Arc::new(Semaphore::new(PLACES as usize)),
            announce: OnceLock::new(),
        }))
    }

    /// Sets who announces its jobs. Without it the dispatcher finds them by its
    /// scan.
    pub fn announce_by(&self, announce: impl Fn(Vec<Job>) + Send + Sync + 'static) {
        // Set once, when the process starts.
        let _ = self.0.announce.set(Box::new(announce));
    }

    /// Broadcasts transactions that have been stored.
    pub(super) fn stored(&self, intents: Vec<Intent>) {
        for intent in intents {
            let shared = self.0.clone();
            let place = shared.places.clone().try_acquire_owned().ok();
            self.0.threads.spawn(async move {
                shared.begin(intent, place).await;
            });
        }
    }

    /// Broadcasts transactions that may have been stored: the store's answer
    /// was lost.
    pub(super) fn perhaps_stored(&self, intents: Vec<Intent>) {
        for intent in intents {
            let shared = self.0.clone();
            self.0.threads.spawn(async move {
                let (table, hash) = (Table::ExpectedTransaction, intent.hash.clone());
                let found = persist(|| shared.store.get(table, &hash, "")).await;
                if found == Some(Some(intent.record.clone())) {
                    let place = shared.places.clone().try_acquire_owned().ok();
                    shared.begin(intent, place).await;
                }
            });
        }
    }

    /// Resolves when nothing is under way.
    pub async fn idle(&self) {
        // An error means that nothing can be under way.
        let _ = self.0.places.acquire_many(PLACES).await;
    }
}

impl Shared {
    async fn begin(&self, intent: Intent, place: Option<OwnedSemaphorePermit>) {
        if place.is_none() {
            return self.leave_to_job(&intent, Duration::ZERO).await;
        }
        let expected: Expected = match codec::decode(&intent.record) {
            Ok(expected) => expected,
            Err(error) => {
                let hash = intent.hash;
                tracing::error!(hash, %error, "a transaction to be broadcast cannot be read");
                return;
            }
        };
        let work = Work {
            name: "transaction",
            is_outgoing: true,
            key: &expected.transact.method,
            id: &intent.hash,
            attempt: 1,
            waited_ms: expected.signed_at.until(Millis::now()).as_millis() as u64,
        };
        let (trace, span) = (expected.trace, spans::of_work(work, expected.trace));
        spans::within(&span, trace, self.first_try(&intent, &expected)).await;
    }

    async fn first_try(&self, intent: &Intent, expected: &Expected) {
        match transaction::first_try(&self.context, &intent.hash, expected).await {
            Ok(Run::Commit(commit)) => self.settle(intent, commit).await,
            Ok(Run::Retry { after, reason }) => {
                tracing::debug!(hash = intent.hash, reason, "to be broadcast again");
                self.leave_to_job(intent, after).await;
            }
            Ok(Run::Park { reason }) => {
                tracing::debug!(hash = intent.hash, reason, "to be broadcast again");
                self.leave_to_job(intent, reconnect_backoff(0)).await;
            }
            Err(error) => {
                tracing::debug!(hash = intent.hash, %error, "to be broadcast again");
                self.leave_to_job(intent, reconnect_backoff(0)).await;
            }
        }
    }

    /// Stores the consequences of the ledger's answer, unless another process
    /// has.
    async fn settle(&self, intent: &Intent, commit: Commit) {
        let Commit { writes, jobs, .. } = commit;
        if !writes.is_empty() || !jobs.is_empty() {
            self.store_once(
                intent,
                Accept {
                    writes,
                    jobs,
                    ..Accept::default()
                },
            )
            .await;
        }
    }

    async fn leave_to_job(&self, intent: &Intent, after: Duration) {
        let job = transaction::try_again(&intent.hash, after);
        self.store_once(
            intent,
            Accept {
                jobs: vec![job],
                ..Accept::default()
            },
        )
        .await;
    }

    /// Stores them only while the transaction is still expected.
    async fn store_once(&self, intent: &Intent, mut accept: Accept) {
        accept.guards.push(Guard::Equals {
            table: Table::ExpectedTransaction,
            row: intent.hash.clone(),
            value: Some(intent.record.clone()),
        });
        let accepted = persist(|| self.store.accept(accept.clone())).await;
        if let Some(Accepted::Stored { jobs, .. }) = accepted
            && let Some(announce) = self.announce.get()
        {
            announce(jobs);
        }
    }
}

/// Repeats a question until the store answers. `None`: it never will, and
/// `ledger.confirm` takes over the transaction.
async fn persist<T, F>(mut ask: impl FnMut() -> F) -> Option<T>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let (mut pause, longest) = STORE_RETRY;
    loop {
        match ask().await {
            Ok(answer) => return Some(answer),
            Err(error @ (StoreError::Corrupt(_) | StoreError::TooLarge(_))) => {
                tracing::error!(%error, "the result of a transaction cannot be stored");
                return None;
            }
            Err(StoreError::Unavailable(_) | StoreError::Deposed { .. }) => sleep(pause).await,
        }
        pause = (pause * 2).min(longest);
    }
}
