//! Calls whose clients wait for the outcome of their jobs.
//!
//! The job that settles a call may run on any worker. Its commit writes the answer,
//! the dispatcher tells this process, and the call takes it. A call also looks into
//! the store once a second, so it gets its answer even if a worker or a master dies
//! on the way.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::api::{self, SettledAnswer};
use crate::error::{Error, codes};
use crate::job::{Caller, JobId};
use crate::store::{Accept, SharedStore};

/// Pause between two looks at the store without a notice from the dispatcher.
const LOOK: Duration = Duration::from_secs(1);

/// Longest wait of a client. The replaced system lets it wait for ever; after this
/// time an answer that the outcome is open is more useful.
pub const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// The waiting calls of a process.
pub struct WaitingCalls {
    process: String,
    store: SharedStore,
    patience: Duration,
    open: Mutex<HashMap<JobId, Arc<Notify>>>,
}

impl WaitingCalls {
    /// No calls yet. `process` is the worker's id.
    pub fn new(process: &str, store: SharedStore, patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            process: process.to_owned(),
            store,
            patience,
            open: Mutex::default(),
        })
    }

    /// The address of the answer to a new call.
    pub(super) fn caller(&self) -> Caller {
        Caller::new(&self.process)
    }

    /// Whether a client waits here for the answer to this call.
    pub(super) fn is_open(&self, caller: &Caller) -> bool {
        self.open.lock().contains_key(&caller.call)
    }

    /// Wakes these calls: their answers are in the store.
    pub fn answered(&self, calls: &[JobId]) {
        let open = self.open.lock();
        for call in calls.iter().filter_map(|call| open.get(call)) {
            call.notify_one();
        }
    }

    /// Begins to listen. To be called before the job that answers is stored.
    pub(super) fn listen(self: &Arc<Self>, caller: Caller) -> OpenCall {
        let told = Arc::new(Notify::new());
        self.open.lock().insert(caller.call, told.clone());
        OpenCall {
            waiting: self.clone(),
            caller,
            told,
        }
    }
}

/// A call whose client waits. Dropped when the client hangs up.
pub(super) struct OpenCall {
    waiting: Arc<WaitingCalls>,
    caller: Caller,
    told: Arc<Notify>,
}

impl OpenCall {
    /// Waits for the answer, and takes it out of the store.
    ///
    /// # Errors
    /// When the answer does not come in time. The job may still succeed.
    pub async fn answer(self) -> Result<SettledAnswer, Error> {
        let until = Instant::now() + self.waiting.patience;
        loop {
            match SettledAnswer::load(self.waiting.store.as_ref(), &self.caller).await {
                Ok(Some(answer)) => {
                    self.take().await;
                    return Ok(answer);
                }
                Ok(None) => {}
                // The answer will be there when the store is back.
                Err(error) if error.is_temporary() => {}
                Err(error) => return Err(error),
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::with_message(
                    codes::UNKNOWN_ERROR,
                    "the ledger has not decided yet; what was asked for may still take effect",
                ));
            }
            // After a notice or a pause: the store has the truth.
            let _ = timeout(LOOK.min(left), self.told.notified()).await;
        }
    }

    async fn take(&self) {
        if let Err(error) = self.forget().await {
            // `answer.expired` deletes it later.
            tracing::debug!(%error, "an answer stays until it expires");
        }
    }

    async fn forget(&self) -> Result<(), Error> {
        let store = &self.waiting.store;
        let writes = api::forget(store.as_ref(), &self.caller.row()).await?;
        let taken = Accept {
            writes,
            ..Accept::default()
        };
        store.accept(taken).await?;
        Ok(())
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.waiting.open.lock().remove(&self.caller.call);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use std::pin::pin;

    use serde_json::json;

    use super::*;
    use crate::http::repeats::RepeatedCall;
    use crate::job::{Attempt, Commit, NewJob, Table};
    use crate::store::embedded::{EmbeddedStore, Options};
    use crate::store::{Accepted, Committed};

    struct Node {
        store: SharedStore,
        waiting: Arc<WaitingCalls>,
        _directory: tempfile::TempDir,
    }

    fn node(patience: Duration) -> Node {
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(Options {
            path: directory.path().join("store"),
            node_id: "ndid1".to_owned(),
        });
        let store: SharedStore = Arc::new(store.unwrap());
        Node {
            waiting: WaitingCalls::new("worker1", store.clone(), patience),
            store,
            _directory: directory,
        }
    }

    impl Node {
        /// Answers a call as a job of any worker does.
        async fn settle(&self, caller: &Caller, answer: &SettledAnswer) {
            let accept = Accept {
                jobs: vec![NewJob::new(crate::job::noop::NOOP, "key", &())],
                ..Accept::default()
            };
            let Ok(Accepted::Stored { jobs, .. }) = self.store.accept(accept).await else {
                panic!("not accepted");
            };
            let mut commit = Commit::nothing();
            answer.tell(caller, &mut commit);
            let attempt = Attempt {
                job: jobs[0].id(),
                number: jobs[0].attempt,
            };
            let committed = self.store.commit(attempt, commit.into()).await.unwrap();
            assert!(matches!(committed, Committed::Applied { .. }));
        }

        async fn is_kept(&self, caller: &Caller) -> bool {
            let kept = SettledAnswer::load(self.store.as_ref(), caller)
                .await
                .unwrap();
            kept.is_some()
        }
    }

    #[tokio::test]
    async fn a_call_is_answered_when_its_process_is_told() {
        let node = node(PATIENCE);
        let caller = node.waiting.caller();
        let mut answer = pin!(node.waiting.listen(caller.clone()).answer());
        assert!(poll!(&mut answer).is_pending());
        node.settle(&caller, &SettledAnswer::done(204)).await;
        node.waiting.answered(&[caller.call]);
        assert_eq!(answer.await.unwrap(), SettledAnswer::done(204));
        assert!(!node.is_kept(&caller).await, "it was not taken");
        assert!(node.waiting.open.lock().is_empty());
    }

    /// A worker or a master died on the way.
    #[tokio::test]
    async fn a_call_that_nobody_tells_finds_its_answer() {
        let node = node(PATIENCE);
        let caller = node.waiting.caller();
        let listener = node.waiting.listen(caller.clone());
        let refused = SettledAnswer::Refused {
            code: 25013,
            message: "exists".to_owned(),
        };
        let (answer, ()) = tokio::join!(listener.answer(), node.settle(&caller, &refused));
        assert_eq!(answer.unwrap(), refused);
    }

    #[tokio::test]
    async fn a_call_that_is_not_settled_in_time_says_so() {
        let node = node(Duration::from_millis(20));
        let caller = node.waiting.caller();
        let answer = node.waiting.listen(caller.clone()).answer().await;
        let error = answer.unwrap_err();
        assert!(error.message().contains("may still take effect"), "{error}");
        assert!(node.waiting.open.lock().is_empty());
    }

    /// Its client hung up: the answer stays until its expiry job deletes it.
    #[tokio::test]
    async fn what_nobody_takes_is_forgotten() {
        let node = node(PATIENCE);
        let caller = node.waiting.caller();
        drop(node.waiting.listen(caller.clone()));
        node.settle(&caller, &SettledAnswer::done(204)).await;
        assert!(node.is_kept(&caller).await);
        let jobs = node.store.open_jobs(0, 10).await.unwrap();
        let expiry = jobs.iter().find(|job| job.kind() == crate::api::EXPIRED);
        let expiry = expiry.expect("no job forgets it");
        let attempt = Attempt {
            job: expiry.id(),
            number: expiry.attempt,
        };
        let state = node.store.as_ref();
        let commit = crate::api::expire(state, expiry).await.unwrap();
        node.store.commit(attempt, commit.into()).await.unwrap();
        assert!(!node.is_kept(&caller).await);
    }

    /// Stores a call that can be recognised.
    async fn begin(node: &Node, repeat: &RepeatedCall) -> Caller {
        let caller = node.waiting.caller();
        let mut accept = Accept::default();
        repeat.note(&caller, &mut accept);
        node.store.accept(accept).await.unwrap();
        caller
    }

    #[tokio::test]
    async fn a_call_is_known_again_until_somebody_was_told() {
        let node = node(PATIENCE);
        let repeat = RepeatedCall::of("ndid1", "/ndid/add_node_token", &json!({"amount": 5}));
        let first = async || {
            let state = node.store.as_ref();
            repeat.abandoned(&node.waiting, state).await.unwrap()
        };
        assert_eq!(first().await, None);
        let caller = begin(&node, &repeat).await;
        let listener = node.waiting.listen(caller.clone());
        assert_eq!(first().await, None, "its client still waits");
        drop(listener);
        assert_eq!(first().await, Some(caller.clone()), "the client hung up");
        node.settle(&caller, &SettledAnswer::done(204)).await;
        let again = first().await.unwrap();
        let answer = node.waiting.listen(again).answer().await.unwrap();
        assert_eq!(answer, SettledAnswer::done(204));
        assert_eq!(first().await, None, "it has been told");
        let rows = node.store.rows(Table::Call, "").await.unwrap();
        assert!(rows.is_empty(), "{rows:?}");
        let other = RepeatedCall::of("ndid1", "/ndid/add_node_token", &json!({"amount": 6}));
        begin(&node, &other).await;
        assert_eq!(first().await, None, "another call");
    }

    /// The call that took the mark over is not forgotten with the previous one.
    #[tokio::test]
    async fn the_same_call_of_two_clients_is_two_calls() {
        let node = node(PATIENCE);
        let repeat = RepeatedCall::of("ndid1", "/ndid/add_node_token", &json!({}));
        let one = begin(&node, &repeat).await;
        let other = begin(&node, &repeat).await;
        node.settle(&one, &SettledAnswer::done(204)).await;
        node.waiting.listen(one).answer().await.unwrap();
        let state = node.store.as_ref();
        let first = repeat.abandoned(&node.waiting, state).await.unwrap();
        assert_eq!(first, Some(other));
    }
}
