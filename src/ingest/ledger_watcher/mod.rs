//! Follows the ledger for the whole node: only the master (or the standalone
//! process) subscribes to new blocks; workers learn of them from it.
//!
//! For each block: every process of the node is told what it may have changed,
//! own transactions in it are settled, the block before it is acted on, and the
//! jobs of both are stored in one step with the progress. A block is retried
//! until that has succeeded; none is skipped (spec/ledger.md 1.6, 1.7;
//! spec/process-model-and-config.md 5.3, F08, F26-F31).

mod blocks;
mod catch_up;
mod session;
mod status_poll;
mod transactions;

#[cfg(test)]
mod idle_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::job::{Epoch, Job, Millis};
use crate::ledger::{BlockJobs, ChainUpdate, LedgerClient};
use crate::protocol::Blocks;
use crate::store::{SharedStore, StoreError};
use crate::tick;

/// Tells every process of the node what has been seen of the chain; the future
/// ends when that has been handed to the dispatcher.
pub type TellChain = Arc<dyn Fn(ChainUpdate) -> BoxFuture<'static, ()> + Send + Sync>;

/// Hands stored jobs to the dispatcher. Jobs that are not handed over because
/// of a crash are found in the store.
pub type HandOver = Arc<dyn Fn(Vec<Job>) -> BoxFuture<'static, ()> + Send + Sync>;

/// Ends when the node has room for what blocks lead to.
pub type QueueRoom = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// What the watcher works with.
#[derive(Clone)]
pub struct WatcherOptions {
    /// The ledger, not through a cache.
    pub client: Arc<LedgerClient>,
    /// Where progress and jobs go.
    pub store: SharedStore,
    /// Proof of mastership.
    pub epoch: Epoch,
    /// What the roles make of a block.
    pub block_jobs: Arc<dyn BlockJobs>,
    /// Towards the dispatcher.
    pub tell_chain: TellChain,
    /// Towards the dispatcher.
    pub hand_over: HandOver,
    /// Asked before blocks are taken over.
    pub room: QueueRoom,
    /// Notified when a worker is lost: it may not have broadcast what it stored.
    pub losses: Arc<Notify>,
    /// `NDID_NODE`: does not wait until the chain is initialised.
    pub ndid_node: bool,
    /// Intervals.
    pub timing: WatcherTiming,
}

/// Intervals of the watcher.
#[derive(Debug, Clone)]
pub struct WatcherTiming {
    /// `MAX_INTERVAL_TENDERMINT_SYNC_CHECK`: longest time between checks whether
    /// the ledger is synchronised and initialised.
    pub longest_sync_check: Duration,
    /// Between `status` calls while following, the fall-back for a subscription
    /// that shows nothing.
    pub poll: Duration,
    /// How long a subscription may be behind `status` before it is replaced.
    pub watchdog_patience: Duration,
    /// Between looks for transactions that no block has shown.
    pub confirm: Duration,
    /// How long progress may stay unstored while blocks are empty. After a crash
    /// they are read again, and lead to nothing again.
    pub empty: Duration,
}

impl WatcherTiming {
    /// Everything but the configurable interval.
    pub fn new(longest_sync_check: Duration) -> Self {
        Self {
            longest_sync_check,
            poll: tick::SECOND,
            watchdog_patience: Duration::from_secs(2),
            confirm: Duration::from_secs(30),
            empty: Duration::from_secs(5),
        }
    }
}

/// What the rest of the process may know, for readiness and dashboards.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WatcherState {
    /// The subscription's socket is open.
    pub connected: bool,
    /// `None` until the ledger has said.
    pub syncing: Option<bool>,
    /// Whether NDID has finished setting the chain up; `None` until asked.
    pub initialised: Option<bool>,
    /// Current chain.
    pub chain_id: Option<String>,
    /// Newest block that has been settled.
    pub height: u64,
    /// Newest block that is known to exist.
    pub tip: u64,
    /// Blocks that were seen and have not led to jobs yet.
    pub unsettled: Option<Blocks>,
    /// Every new block is being followed.
    pub ready: bool,
    /// The ledger is lower than what was seen of it: its height, and what was
    /// seen. Nothing shows yet whether it is behind or was replaced.
    pub lower: Option<(u64, u64)>,
    /// When this process noticed that the ledger had been replaced, last.
    pub replaced_at: Option<Millis>,
}

impl WatcherState {
    /// Why a process that follows the ledger is not ready, for operators.
    pub fn reasons(&self) -> Vec<String> {
        let lower = self.lower.map(|(height, seen)| {
            format!(
                "the ledger is at block {height}, although block {seen} was seen: its node is \
                 behind, or it was replaced and has made no block since"
            )
        });
        lower.into_iter().collect()
    }

    /// What else operators should know.
    pub fn notices(&self) -> Vec<String> {
        let behind = (self.tip > self.height).then(|| {
            let Self { height, tip, .. } = self;
            format!("catching up with the ledger: block {height} of {tip}")
        });
        let replaced = self.replaced_at.map(|at| {
            format!(
                "the ledger was replaced; noticed at {} (Unix time, ms)",
                at.0
            )
        });
        behind.into_iter().chain(replaced).collect()
    }
}

/// Why the watcher stopped by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatcherEnd {
    /// There is a later master.
    Deposed,
    /// A defect; the process should restart.
    Failed(String),
}

/// A running watcher; it stops when this is dropped. A stop at any instant is
/// safe: what is not stored is done again at the next start.
pub struct LedgerWatcher {
    state: watch::Receiver<WatcherState>,
    end: watch::Receiver<Option<WatcherEnd>>,
    task: JoinHandle<()>,
}

impl LedgerWatcher {
    /// Starts following. Must be called inside a Tokio runtime.
    pub fn start(options: WatcherOptions) -> Self {
        let (state_sender, state) = watch::channel(WatcherState::default());
        let (end_sender, end) = watch::channel(None);
        let task = tokio::spawn(async move {
            let mut following = JoinSet::new();
            following.spawn(session::run(options, state_sender));
            let reason = match following.join_next().await {
                Some(Ok(end)) => end,
                Some(Err(error)) => WatcherEnd::Failed(error.to_string()),
                None => WatcherEnd::Failed("not started".to_owned()),
            };
            tracing::error!(?reason, "no longer following the ledger");
            end_sender.send_replace(Some(reason));
        });
        Self { state, end, task }
    }

    /// What is known; changes are announced.
    pub fn state(&self) -> watch::Receiver<WatcherState> {
        self.state.clone()
    }

    /// Waits until the watcher stops by itself.
    pub async fn ended(&self) -> WatcherEnd {
        let mut end = self.end.clone();
        match end.wait_for(Option::is_some).await {
            Ok(end) => end
                .clone()
                .unwrap_or_else(|| WatcherEnd::Failed("ended without reason".to_owned())),
            Err(_) => WatcherEnd::Failed("stopped".to_owned()),
        }
    }
}

impl Drop for LedgerWatcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why work could not be done.
#[derive(Debug)]
enum Trouble {
    /// There is a later master: stop.
    Deposed,
    /// Try the same again after a while.
    Later(String),
    /// Begin anew from what is stored.
    Restart(String),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Deposed { .. } => Trouble::Deposed,
            StoreError::Unavailable(_) | StoreError::Corrupt(_) | StoreError::TooLarge(_) => {
                Trouble::Later(error.to_string())
            }
        }
    }
}

impl From<crate::error::Error> for Trouble {
    fn from(error: crate::error::Error) -> Self {
        Trouble::Later(error.to_string())
    }
}
