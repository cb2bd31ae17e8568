//! One master per node id: a lease in the store, renewed while the process
//! lives. Whoever does not get it waits as a hot standby.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::store::{Epoch, Lease, SharedStore, StoreError};

const TTL: Duration = Duration::from_secs(3);
const RENEWAL: Duration = Duration::from_secs(1);
const STANDBY_POLL: Duration = Duration::from_millis(250);

/// Mastership held by this process.
pub struct Mastership {
    holder: String,
    epoch: Epoch,
    store: SharedStore,
    renewal: JoinHandle<()>,
    lost: watch::Receiver<Option<String>>,
}

impl Mastership {
    /// Waits until the lease is ours.
    pub async fn acquire(store: SharedStore, holder: String) -> Self {
        let mut told: Option<String> = None;
        let epoch = loop {
            let wait = match store.acquire_lease(&holder, TTL).await {
                Ok(Lease::Held { epoch }) => break epoch,
                Ok(Lease::HeldBy { holder, remaining }) => {
                    if told.as_ref() != Some(&holder) {
                        tracing::info!(holder, "another master is active: standing by");
                        told = Some(holder);
                    }
                    remaining.min(STANDBY_POLL)
                }
                Err(error) => {
                    tracing::warn!(%error, "asking for mastership");
                    STANDBY_POLL
                }
            };
            tokio::time::sleep(wait.max(Duration::from_millis(10))).await;
        };
        tracing::info!(epoch = epoch.0, "this process is the master");
        let (sender, lost) = watch::channel(None);
        let renewal = tokio::spawn(renew(store.clone(), holder.clone(), epoch, sender));
        Self {
            holder,
            epoch,
            store,
            renewal,
            lost,
        }
    }

    /// Goes with every write of this master.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Resolves with the reason when mastership is lost.
    pub async fn lost(&self) -> String {
        let mut lost = self.lost.clone();
        match lost.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => "the renewal of mastership ended".to_owned(),
        }
    }

    /// Gives the lease up, so that a standby takes over at once.
    pub async fn release(self) {
        self.renewal.abort();
        if let Err(error) = self.store.release_lease(&self.holder).await {
            tracing::warn!(%error, "mastership was not given up; it ends in {TTL:?}");
        }
    }
}

async fn renew(
    store: SharedStore,
    holder: String,
    epoch: Epoch,
    lost: watch::Sender<Option<String>>,
) {
    loop {
        tokio::time::sleep(RENEWAL).await;
        let reason = match store.acquire_lease(&holder, TTL).await {
            Ok(Lease::Held { epoch: held }) if held == epoch => continue,
            Ok(Lease::Held { .. }) => "another process was master in between".to_owned(),
            Ok(Lease::HeldBy { holder, .. }) => format!("{holder} is the master"),
            Err(StoreError::Deposed { current }) => format!("a later epoch {} exists", current.0),
            Err(error) => {
                // Without the store nobody can become master, and nothing that
                // this one writes takes effect; the next renewal decides.
                tracing::warn!(%error, "renewing mastership");
                continue;
            }
        };
        lost.send_replace(Some(reason));
        return;
    }
}
