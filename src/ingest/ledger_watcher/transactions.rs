//! Our own transactions that no block will settle by itself: those that a
//! disabled chain refused, and those that may have been lost on the way.

use super::Trouble;
use super::session::Watcher;
use crate::delivery::transaction;
use crate::delivery::transaction::{CONFIRM_AFTER, Expected, Transact};
use crate::job::{Guard, Millis, NewJob, Table, Write, codec};
use crate::store::{Accept, Accepted};

/// Most records read, and jobs stored, in one step.
const PORTION: usize = 500;

/// Which pending transactions are looked up.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    /// Those that no block has shown for a while (F26).
    Old,
    /// All, because the process that was to broadcast some may be gone.
    Abandoned,
    /// All, because the ledger was replaced and this era began.
    Replaced {
        /// Counted from 0.
        era: u64,
    },
}

impl Watcher {
    /// Has every transaction that a disabled chain refused signed and sent
    /// again (spec/ledger.md 2.7). The step that stores the job deletes the
    /// record, so two triggers make one job.
    pub async fn resend_disabled(&self) -> Result<(), Trouble> {
        let store = &self.options.store;
        let mut rows = store.rows(Table::DisabledTransaction, "").await?;
        rows.sort_unstable();
        for portion in rows.chunks(PORTION) {
            let records = store.get_many(Table::DisabledTransaction, portion).await?;
            for (row, record) in portion.iter().zip(records) {
                if let Some(record) = record {
                    self.resend(row, record).await?;
                }
            }
        }
        Ok(())
    }

    async fn resend(&self, row: &str, record: Vec<u8>) -> Result<(), Trouble> {
        let transact: Transact = match codec::decode(&record) {
            Ok(transact) => transact,
            // It must not stop the following of blocks.
            Err(error) => {
                tracing::error!(row, %error, "disabled transaction cannot be read");
                return Ok(());
            }
        };
        let job = NewJob::new(transaction::TRANSACT, format!("sign:{row}"), &transact)
            .source(format!("resend:{row}"));
        self.store_and_hand_over(Accept {
            guards: vec![Guard::Equals {
                table: Table::DisabledTransaction,
                row: row.to_owned(),
                value: Some(record),
            }],
            jobs: vec![job],
            writes: vec![Write::delete(Table::DisabledTransaction, row)],
            epoch: Some(self.options.epoch),
        })
        .await
    }

    /// Has pending transactions looked up, and broadcast if the ledger does not
    /// know them.
    pub async fn confirm_expected(&self, which: Which) -> Result<(), Trouble> {
        let store = &self.options.store;
        let rows = store.rows(Table::ExpectedTransaction, "").await?;
        metrics::gauge!("expected_txs_total").set(rows.len() as f64);
        let now = Millis::now();
        for portion in rows.chunks(PORTION) {
            let records = store.get_many(Table::ExpectedTransaction, portion).await?;
            let jobs: Vec<NewJob> = portion
                .iter()
                .zip(records)
                .filter_map(|(hash, record)| confirm_job(hash, &record?, now, which))
                .collect();
            if !jobs.is_empty() {
                let epoch = Some(self.options.epoch);
                self.store_and_hand_over(Accept {
                    jobs,
                    epoch,
                    ..Accept::default()
                })
                .await?;
            }
        }
        Ok(())
    }

    async fn store_and_hand_over(&self, accept: Accept) -> Result<(), Trouble> {
        if let Accepted::Stored { jobs, .. } = self.options.store.accept(accept).await? {
            (self.options.hand_over)(jobs).await;
        }
        Ok(())
    }
}

/// The job that looks a transaction up, if it is time: once in each period,
/// after each loss, and in each era of the ledger.
fn confirm_job(hash: &str, record: &[u8], now: Millis, which: Which) -> Option<NewJob> {
    let expected: Expected = match codec::decode(record) {
        Ok(expected) => expected,
        Err(error) => {
            tracing::error!(hash, %error, "expected transaction cannot be read");
            return None;
        }
    };
    let period = match which {
        Which::Replaced { era } => format!("era {era}"),
        Which::Abandoned => format!("loss {}", now.0),
        Which::Old if expected.signed_at.after(CONFIRM_AFTER) > now => return None,
        Which::Old => (now.0 / CONFIRM_AFTER.as_millis() as u64).to_string(),
    };
    Some(look_up(hash, &period))
}

/// The job that finds the result of a transaction, once in each period.
pub(super) fn look_up(hash: &str, period: &str) -> NewJob {
    let key = format!("transaction:{hash}");
    let job = NewJob::new(transaction::CONFIRM, key, &hash.to_owned());
    job.source(format!("confirm:{hash}:{period}"))
}
