//! Asks the ledger for its status repeatedly, in a task of its own, so that a
//! slow answer holds up nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::ledger::LedgerClient;
use crate::ledger::rpc::answers::LedgerStatus;
use crate::tick;

/// A running poll. Dropping it stops it.
pub(super) struct StatusPoll {
    told: watch::Receiver<Option<LedgerStatus>>,
    task: JoinHandle<()>,
}

impl StatusPoll {
    /// Asks every `period`.
    pub fn start(client: Arc<LedgerClient>, period: Duration) -> Self {
        let (sender, told) = watch::channel(None);
        let task = tokio::spawn(async move {
            loop {
                sleep(tick::stretch(period)).await;
                match client.status().await {
                    Ok(status) => {
                        sender.send_replace(Some(status));
                    }
                    // No news; the next call may bring some.
                    Err(error) => tracing::debug!(%error, "status"),
                }
            }
        });
        Self { told, task }
    }

    /// The next answer; waits for ever if none comes.
    pub async fn next(&mut self) -> LedgerStatus {
        loop {
            if self.told.changed().await.is_err() {
                return std::future::pending().await;
            }
            if let Some(status) = self.told.borrow_and_update().clone() {
                return status;
            }
        }
    }
}

impl Drop for StatusPoll {
    fn drop(&mut self) {
        self.task.abort();
    }
}
