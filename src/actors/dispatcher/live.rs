//! What has ended lately, for dashboards. Nothing is measured while there is none.

use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;

use crate::protocol::message::End;

/// Longer waits count as this long.
const LONGEST: Duration = Duration::from_secs(3600);
const LONGEST_MS: u64 = LONGEST.as_millis() as u64;

/// Collects what ended since the last [`LiveBoard::take`].
#[derive(Debug, Default)]
pub struct LiveBoard(Mutex<LiveFigures>);

/// What ended within a time.
#[derive(Debug, Clone)]
pub struct LiveFigures {
    /// Jobs that ended, whether successful or failed.
    pub ended: u64,
    /// How many of them failed.
    pub failed: u64,
    /// Jobs that are to be tried again later.
    pub delayed: u64,
    pub parked: u64,
    /// Time from the instant at which a job could run to its end, in
    /// milliseconds.
    pub took: Histogram<u32>,
}

impl Default for LiveFigures {
    fn default() -> Self {
        Self {
            ended: 0,
            failed: 0,
            delayed: 0,
            parked: 0,
            // Refuses only a range or a precision that is none.
            took: Histogram::new_with_bounds(1, LONGEST_MS, 2)
                .expect("the bounds are in order, and two digits are few"),
        }
    }
}

impl LiveBoard {
    /// Notes an outcome of a job that could have run since `waited` ago.
    pub(super) fn note(&self, end: &End, waited: Duration) {
        let mut figures = self.0.lock();
        match end {
            End::Committed { failed, .. } => {
                figures.ended += 1;
                figures.failed += u64::from(*failed);
                let took = u64::try_from(waited.as_millis()).unwrap_or(LONGEST_MS);
                // A value within the bounds is always taken.
                figures.took.saturating_record(took.clamp(1, LONGEST_MS));
            }
            End::Rescheduled { .. } => figures.delayed += 1,
            End::Parked => figures.parked += 1,
            End::Fenced | End::HandedBack | End::Abandoned => {}
        }
    }

    /// What ended since the last call.
    pub fn take(&self) -> LiveFigures {
        std::mem::take(&mut *self.0.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_the_time_since_they_were_last_taken() {
        let board = LiveBoard::default();
        let ended = |failed| End::Committed {
            failed,
            jobs: Vec::new(),
            cancelled: Vec::new(),
            callers: Vec::new(),
        };
        board.note(&ended(false), Duration::from_millis(10));
        board.note(&ended(true), Duration::from_millis(200));
        board.note(&End::Parked, Duration::ZERO);
        board.note(&End::Fenced, Duration::ZERO);
        let taken = board.take();
        let counts = (taken.ended, taken.failed, taken.delayed, taken.parked);
        assert_eq!(counts, (2, 1, 0, 1));
        assert_eq!(taken.took.max(), 200);
        assert_eq!(board.take().ended, 0);
    }
}
