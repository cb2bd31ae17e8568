//! Waits until enough replicas have what was written
//! (`DB_MIN_REPLICAS_TO_ACK`), on a connection of its own: `WAIT` holds up what
//! comes behind it. One `WAIT` covers all writes that were answered before it
//! was sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use redis::Cmd;
use tokio::sync::Mutex;

use super::answers::{store_error, typed};
use super::link::{Answer, CommandLane, RedisConnections};
use super::size::Measured;
use crate::config::ReplicaPromise;
use crate::store::StoreError;

/// How long the key of a mark is kept.
const MARK_KEPT: Duration = Duration::from_secs(10);

pub(super) struct Replicas {
    promise: ReplicaPromise,
    /// Written before each `WAIT`: a connection that has written nothing waits
    /// for nothing.
    mark: String,
    begun: AtomicU64,
    last: Mutex<Round>,
    are_behind: AtomicBool,
}

/// A `WAIT` that has ended.
struct Round {
    number: u64,
    /// The age of its connection, or why it was in vain.
    outcome: Result<u64, String>,
}

impl Replicas {
    pub fn new(promise: ReplicaPromise, mark: String) -> Self {
        Self {
            promise,
            mark,
            begun: AtomicU64::new(0),
            last: Mutex::new(Round {
                number: 0,
                outcome: Ok(0),
            }),
            are_behind: AtomicBool::new(false),
        }
    }

    /// Fails while too few replicas follow, so that nothing is stored that
    /// cannot be acknowledged.
    pub async fn check(&self, link: &RedisConnections) -> Result<(), StoreError> {
        match self.are_behind.load(Ordering::Acquire) {
            true => self.wait(link, None).await,
            false => Ok(()),
        }
    }

    /// Waits for what has been answered by now, over a connection of this age.
    pub async fn wait(&self, link: &RedisConnections, age: Option<u64>) -> Result<(), StoreError> {
        let needed = self.begun.load(Ordering::Acquire) + 1;
        let mut last = self.last.lock().await;
        if last.number < needed {
            let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
            let outcome = self.ask(link).await.map_err(|error| error.to_string());
            *last = Round { number, outcome };
        }
        match &last.outcome {
            // What one server stored is not what the replicas of the next have.
            Ok(of) if age.is_none_or(|age| age == *of) => Ok(()),
            Ok(_) => Err(unavailable("another server has taken over meanwhile")),
            Err(why) => Err(unavailable(why)),
        }
    }

    /// The age of the connection.
    async fn ask(&self, link: &RedisConnections) -> Result<u64, StoreError> {
        let send = async |command: &Cmd| -> Result<Answer, StoreError> {
            let answer = link.send(CommandLane::Replicas, Measured::new(command));
            Ok(answer.await?)
        };
        let mut mark = redis::cmd("SET");
        mark.arg(&self.mark).arg("");
        mark.arg("PX").arg(MARK_KEPT.as_millis() as u64);
        let marked = send(&mark).await?;
        let ReplicaPromise { replicas, patience } = self.promise;
        let mut wait = redis::cmd("WAIT");
        wait.arg(replicas).arg(patience.as_millis() as u64);
        let waited = send(&wait).await?;
        if !Arc::ptr_eq(&marked.connection, &waited.connection) {
            return Err(unavailable("the connection was replaced meanwhile"));
        }
        let have: u32 = typed(waited.value).map_err(store_error)?;
        self.note(have);
        match have >= replicas {
            true => Ok(waited.age),
            false => Err(unavailable(&format!(
                "{have} of {replicas} replicas have what was written (DB_MIN_REPLICAS_TO_ACK)"
            ))),
        }
    }

    fn note(&self, have: u32) {
        let wanted = self.promise.replicas;
        let are_behind = have < wanted;
        let were_behind = self.are_behind.swap(are_behind, Ordering::AcqRel);
        if are_behind {
            metrics::counter!("erawan_store_unreplicated_total").increment(1);
        }
        match (were_behind, are_behind) {
            (false, true) => tracing::warn!(
                have,
                wanted,
                "too few replicas of Redis follow (DB_MIN_REPLICAS_TO_ACK): nothing is accepted \
                 until more do"
            ),
            (true, false) => tracing::info!(have, wanted, "enough replicas of Redis follow again"),
            (true, true) | (false, false) => {}
        }
    }
}

fn unavailable(why: &str) -> StoreError {
    StoreError::Unavailable(why.to_owned())
}
