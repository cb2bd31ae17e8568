//! Reports how far a node has caught up with missed blocks.

use std::time::{Duration, Instant};

use crate::ledger::follow::Follow;

/// Fewer missing blocks are not reported.
const WORTH_TELLING: u64 = 200;
/// Pause between two log lines.
const INTERVAL: Duration = Duration::from_secs(2);

/// From the first missing block to the last.
pub(super) struct CatchUp {
    from: u64,
    began: Instant,
    told: Option<Instant>,
}

impl CatchUp {
    pub(super) fn begin(follow: &Follow) -> Self {
        let mut catch_up = Self {
            from: follow.progress().settled,
            began: Instant::now(),
            told: None,
        };
        let missing = follow.tip() - catch_up.from;
        if missing >= WORTH_TELLING {
            let (height, target) = (catch_up.from, follow.tip());
            tracing::info!(
                height,
                target_height = target,
                missing,
                "catching up with the ledger"
            );
            catch_up.told = Some(catch_up.began);
        }
        catch_up
    }

    /// Reports the progress: always in metrics, and in the log from time to
    /// time.
    pub(super) fn show(&mut self, follow: &Follow) {
        let (height, target) = (follow.progress().settled, follow.tip());
        metrics::gauge!("ledger_block_height").set(height as f64);
        metrics::gauge!("erawan_ledger_target_height").set(target as f64);
        metrics::gauge!("processing_blocks_total").set((target - height) as f64);
        let Some(told) = self.told.filter(|told| told.elapsed() >= INTERVAL) else {
            return;
        };
        self.told = Some(told + INTERVAL);
        let per_second = self.per_second(height);
        let seconds_left = ((target - height) as f64 / per_second.max(1.0)).ceil() as u64;
        tracing::info!(
            height,
            target_height = target,
            blocks_per_second = per_second as u64,
            seconds_left,
            "catching up with the ledger"
        );
    }

    pub(super) fn end(self, follow: &Follow) {
        let (height, target) = (follow.progress().settled, follow.tip());
        metrics::gauge!("ledger_block_height").set(height as f64);
        metrics::gauge!("erawan_ledger_target_height").set(target as f64);
        metrics::gauge!("processing_blocks_total").set(0.0);
        if self.told.is_some() {
            tracing::info!(
                height,
                blocks = height - self.from,
                seconds = self.began.elapsed().as_secs_f64(),
                blocks_per_second = self.per_second(height) as u64,
                "caught up with the ledger"
            );
        }
    }

    fn per_second(&self, height: u64) -> f64 {
        (height - self.from) as f64 / self.began.elapsed().as_secs_f64().max(0.001)
    }
}
