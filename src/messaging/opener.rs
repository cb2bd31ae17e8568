//! Opens messages before they are stored, so that the role's job is stored
//! directly. Only small, correct and cheap messages are opened here, a limited
//! number in a short time. All others are stored as they came, and `mq.receive`
//! opens them within its bounds.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use metrics::{Histogram, histogram};
use tokio::time::timeout;

use super::inbound::{RawMessage, Taken, open_at_once};
use crate::context::Context;
use crate::job::{Millis, NewJob};

/// Most messages opened in one step. Workers open the others. Each costs a
/// private key operation.
const MOST: usize = 16;

/// Longest duration of a step. The keys of senders are mostly known.
const PATIENCE: Duration = Duration::from_millis(250);

#[derive(Clone)]
pub struct Opener {
    context: Context,
    durations: Arc<Durations>,
}

struct Durations {
    waiting: Histogram,
    not_waiting: Histogram,
}

impl Opener {
    /// `None` if an external service decrypts, which may take long.
    pub fn new(context: Context) -> Option<Self> {
        let histogram = |waits: &'static str| histogram!("inbound_mq_message_process_duration_ms", "type" => waits);
        let durations = Durations {
            waiting: histogram("wait_for_block"),
            not_waiting: histogram("does_not_wait_for_block"),
        };
        let is_local = context.crypto.is_local();
        is_local.then(|| Self {
            context,
            durations: Arc::new(durations),
        })
    }

    /// Opens the first of these messages. Returns one entry for each in order;
    /// `None`: store it as it came.
    pub async fn open(&self, messages: &[RawMessage]) -> Vec<Option<Taken>> {
        let first = messages.iter().take(MOST).map(|raw| async {
            let opened = timeout(PATIENCE, open_at_once(&self.context, raw)).await;
            let taken = opened.ok().flatten()?;
            self.note(raw, &taken.job);
            Some(taken)
        });
        let mut opened = join_all(first).await;
        opened.resize(messages.len(), None);
        opened
    }

    fn note(&self, raw: &RawMessage, job: &NewJob) {
        let height = self.context.ledger.height();
        let histogram = match job.after_height.is_some_and(|block| block >= height) {
            true => &self.durations.waiting,
            false => &self.durations.not_waiting,
        };
        histogram.record(raw.received_at.until(Millis::now()).as_millis() as f64);
    }
}
