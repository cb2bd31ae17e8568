//! Follows the ledger for the whole node. Only the master (or the standalone
//! process) subscribes to new blocks and tells the workers of them.
//!
//! For each block, it tells every process of the node what the block may have
//! changed, settles our own transactions in it, acts on the block before it,
//! and stores the jobs of both in one step with the progress. It retries a
//! block until that succeeds and skips none (spec/ledger.md 1.6, 1.7;
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

/// Tells every process of the node the state of the chain. The future ends when
/// the dispatcher has the news.
pub type TellChain = Arc<dyn Fn(ChainUpdate) -> BoxFuture<'static, ()> + Send + Sync>;

/// Hands stored jobs to the dispatcher. Jobs that a crash kept from being
/// handed over are found in the store.
pub type HandOver = Arc<dyn Fn(Vec<Job>) -> BoxFuture<'static, ()> + Send + Sync>;

/// Resolves when the node has room for the jobs of blocks.
pub type QueueRoom = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

#[derive(Clone)]
pub struct WatcherOptions {
    /// Without a cache.
    pub client: Arc<LedgerClient>,
    /// Stores progress and jobs.
    pub store: SharedStore,
    /// Proof of mastership.
    pub epoch: Epoch,
    /// Makes the jobs of the roles for a block.
    pub block_jobs: Arc<dyn BlockJobs>,
    pub tell_chain: TellChain,
    pub hand_over: HandOver,
    /// Awaited before blocks are taken over.
    pub room: QueueRoom,
    /// Notified when a worker is lost, which may not have broadcast what it
    /// stored.
    pub losses: Arc<Notify>,
    /// `NDID_NODE`: do not wait until the chain is initialised.
    pub ndid_node: bool,
    pub timing: WatcherTiming,
}

/// Intervals of the watcher.
#[derive(Debug, Clone)]
pub struct WatcherTiming {
    /// `MAX_INTERVAL_TENDERMINT_SYNC_CHECK`: longest time between checks whether
    /// the ledger is synchronised and initialised.
    pub longest_sync_check: Duration,
    /// Pause between `status` calls while following: the fallback for a silent
    /// subscription.
    pub poll: Duration,
    /// How long a subscription may be behind `status` before it is replaced.
    pub watchdog_patience: Duration,
    /// Pause between look-ups of transactions that no block has shown.
    pub confirm: Duration,
    /// How long progress may stay unstored while blocks are empty. After a
    /// crash they are read again and lead to nothing again.
    pub empty: Duration,
}

impl WatcherTiming {
    /// Uses the defaults for all other intervals.
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

/// The watcher's state, for readiness and dashboards.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WatcherState {
    /// The subscription's socket is open.
    pub connected: bool,
    /// `None` until the ledger has answered.
    pub syncing: Option<bool>,
    /// Whether NDID has finished setting the chain up; `None` until asked.
    pub initialised: Option<bool>,
    /// Current chain.
    pub chain_id: Option<String>,
    /// Newest settled block.
    pub height: u64,
    /// Newest known block.
    pub tip: u64,
    /// Blocks that were seen and have not led to jobs yet.
    pub unsettled: Option<Blocks>,
    /// Whether every new block is being followed.
    pub ready: bool,
    /// The ledger's height and the height seen before, while the ledger is
    /// lower. It is not known yet whether it is behind or was replaced.
    pub lower: Option<(u64, u64)>,
    /// When this process last noticed that the ledger had been replaced.
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

    /// Other notices for operators.
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
    /// Because of a defect; the process should restart.
    Failed(String),
}

/// A running watcher. Dropping it stops it, which is safe at any instant:
/// unstored work is repeated at the next start.
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

    /// The current state and its changes.
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

/// Why a step failed.
#[derive(Debug)]
enum Trouble {
    /// There is a later master: stop.
    Deposed,
    /// Try the same again after a while.
    Later(String),
    /// Begin again from the stored progress.
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
