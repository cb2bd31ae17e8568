//! Receivers whose deliveries an operator has paused. The store keeps who did it
//! and why, so that a pause outlives masters; the dispatcher of the master
//! assigns nothing to a paused receiver.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use serde::{Deserialize, Serialize};

use crate::actors::dispatcher::{Dispatcher, PauseReceivers};
use crate::job::{Millis, Table, Write, codec};
use crate::store::{Accept, SharedStore, Store, StoreError};
use crate::tick;

crate::job::stored! {
    "receiver_decision": ReceiverDecision = 1,
}

/// The row with the receivers that are paused now.
const PAUSED: &str = "paused";
/// The row with the latest decisions.
const DECISIONS: &str = "decisions";
/// Most decisions that are kept.
const KEPT: usize = 1000;
/// How often a master looks for pauses that another process has stored.
const LOOK: Duration = Duration::from_millis(9500);

/// An operator pauses or resumes the deliveries to a receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverDecision {
    /// As the keys of its deliveries begin.
    pub receiver: String,
    /// Otherwise they go on.
    pub is_pause: bool,
    pub who: String,
    pub why: String,
    pub at: Millis,
}

/// The pauses in force.
/// # Errors
/// When the store fails.
pub(super) async fn in_force(store: &dyn Store) -> Result<Vec<ReceiverDecision>, StoreError> {
    read(store, PAUSED).await
}

/// The latest decisions, oldest first.
/// # Errors
/// When the store fails.
pub(super) async fn decisions(store: &dyn Store) -> Result<Vec<ReceiverDecision>, StoreError> {
    read(store, DECISIONS).await
}

async fn read(store: &dyn Store, row: &str) -> Result<Vec<ReceiverDecision>, StoreError> {
    let columns = store.columns(Table::Receiver, row).await?;
    let decoded = columns.into_iter().map(|(column, value)| {
        let unreadable = |error| StoreError::Corrupt(format!("receiver {row} {column}: {error}"));
        codec::decode(&value).map_err(unreadable)
    });
    decoded.collect()
}

/// Stores a decision.
/// # Errors
/// When the store fails.
pub(super) async fn decide(
    store: &dyn Store,
    decision: &ReceiverDecision,
) -> Result<(), StoreError> {
    let value = codec::encode(decision);
    let now = match decision.is_pause {
        true => Write::put_column(Table::Receiver, PAUSED, &decision.receiver, value.clone()),
        false => Write::DeleteColumn {
            table: Table::Receiver,
            row: PAUSED.to_owned(),
            column: decision.receiver.clone(),
        },
    };
    let place = format!("{:015} {}", decision.at.0, uuid::Uuid::now_v7());
    let mut writes = vec![
        now,
        Write::put_column(Table::Receiver, DECISIONS, place, value),
    ];
    let known = store.columns(Table::Receiver, DECISIONS).await?;
    let too_many = (known.len() + 1).saturating_sub(KEPT);
    let oldest = known.into_iter().take(too_many);
    writes.extend(oldest.map(|(column, _)| Write::DeleteColumn {
        table: Table::Receiver,
        row: DECISIONS.to_owned(),
        column,
    }));
    let accept = Accept {
        writes,
        ..Accept::default()
    };
    store.accept(accept).await.map(|_| ())
}

/// Tells a dispatcher what is paused. True if the store could be asked and the
/// dispatcher still runs.
pub(super) async fn tell(store: &dyn Store, dispatcher: &Addr<Dispatcher>) -> bool {
    match in_force(store).await {
        Ok(paused) => {
            let names: BTreeSet<Arc<str>> = paused
                .iter()
                .map(|pause| Arc::from(pause.receiver.as_str()))
                .collect();
            dispatcher.send(PauseReceivers(names)).await.is_ok()
        }
        Err(error) => {
            tracing::warn!(%error, "cannot read which receivers are paused");
            false
        }
    }
}

/// Keeps a dispatcher told until it ends.
pub async fn follow(store: SharedStore, dispatcher: Addr<Dispatcher>) {
    while dispatcher.connected() {
        tell(&*store, &dispatcher).await;
        tokio::time::sleep(tick::stretch(LOOK)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::embedded::{EmbeddedStore, Options};

    fn decision(receiver: &str, is_pause: bool, at: u64) -> ReceiverDecision {
        ReceiverDecision {
            receiver: receiver.to_owned(),
            is_pause,
            who: "alice".to_owned(),
            why: "it is being mended".to_owned(),
            at: Millis(at),
        }
    }

    #[tokio::test]
    async fn a_pause_is_kept_until_it_is_resumed_and_both_are_recorded() {
        let directory = tempfile::tempdir().unwrap();
        let options = || Options {
            path: directory.path().join("store"),
            node_id: "rp1".to_owned(),
        };
        let store = EmbeddedStore::open(options()).unwrap();
        let (a, b) = (decision("a", true, 1), decision("b", true, 2));
        for pause in [&a, &b] {
            decide(&store, pause).await.unwrap();
        }
        drop(store);
        let store = EmbeddedStore::open(options()).unwrap();
        assert_eq!(in_force(&store).await.unwrap(), [a.clone(), b.clone()]);
        let resumed = decision("a", false, 3);
        decide(&store, &resumed).await.unwrap();
        assert_eq!(in_force(&store).await.unwrap(), std::slice::from_ref(&b));
        assert_eq!(decisions(&store).await.unwrap(), [a, b, resumed]);
    }
}
