//! How much a node takes on (`QUEUE_LIMIT_JOBS`, `QUEUE_LIMIT_BYTES`).
//!
//! The store says how much is open; it is asked once a second, ten times a
//! second when the queue is more than half full, and at once when this process
//! has used up a quarter of the room it last saw. In between a process counts
//! what it has accepted itself, and takes nothing off for what has ended. So it
//! exceeds the limit by one call at most; with several workers, by what the
//! others have accepted since the last look.
//!
//! Follow-up jobs are not limited: they end what has begun. What comes from
//! outside and ends it (messages from other nodes, answers to a request, closing
//! one) has a quarter more room than what begins something new, so that a full
//! node can get empty again.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::config::QueueLimits;
use crate::job::{Job, NewJob};
use crate::store::{Counts, SharedStore};

/// Between looks at a queue that is at most half full.
const LOOK: Duration = Duration::from_secs(1);
/// Between looks at a queue that is fuller, and the shortest time between two.
const CLOSE_LOOK: Duration = Duration::from_millis(100);
/// How long a message waits before it is asked again whether there is room.
const HELD_BACK: Duration = Duration::from_millis(50);

/// A number of jobs and their size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Amount {
    jobs: u64,
    bytes: u64,
}

impl Amount {
    fn of<'a>(jobs: impl IntoIterator<Item = &'a NewJob>) -> Self {
        jobs.into_iter().fold(Self::default(), |all, job| {
            let source = job.source.as_ref().map_or(0, String::len);
            all.plus(Self {
                jobs: 1,
                bytes: (job.payload.len() + job.key.len() + source) as u64,
            })
        })
    }

    fn plus(self, other: Self) -> Self {
        Self {
            jobs: self.jobs.saturating_add(other.jobs),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            jobs: self.jobs.saturating_sub(other.jobs),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }

    /// Whether `self` reaches this part of `limits`, in percent.
    fn reaches(self, percent: u64, limits: QueueLimits) -> bool {
        let part = |limit: u64| (u128::from(limit) * u128::from(percent)).div_ceil(100);
        u128::from(self.jobs) >= part(limits.jobs) || u128::from(self.bytes) >= part(limits.bytes)
    }
}

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Something new.
    Begin,
    /// To end, or bring nearer to its end, what has begun.
    End,
}

impl Purpose {
    /// Part of the limits at which it is refused, in percent.
    fn percent(self) -> u64 {
        match self {
            Purpose::Begin => 100,
            Purpose::End => 125,
        }
    }
}

/// A call was not taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// A look at the store that has begun.
#[derive(Debug, Clone, Copy)]
struct Look {
    accepted_before: Amount,
}

#[derive(Debug, Default)]
struct State {
    /// What the store said last.
    seen: Amount,
    /// All that this process has accepted since it started.
    accepted: Amount,
    /// Of which the store may not have counted what came after this.
    accepted_before: Amount,
    full: bool,
}

impl State {
    fn fill(&self) -> Amount {
        self.seen.plus(self.accepted_since())
    }

    fn accepted_since(&self) -> Amount {
        self.accepted.minus(self.accepted_before)
    }
}

/// What all parts of a process judge by.
#[derive(Debug)]
pub struct QueueLimit {
    limits: QueueLimits,
    state: Mutex<State>,
    look_now: Notify,
}

impl QueueLimit {
    /// Nothing is open as far as is known; [`follow`](Self::follow) finds out.
    pub fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
            look_now: Notify::new(),
        }
    }

    /// Whether nothing new is begun now.
    pub fn is_full(&self) -> bool {
        self.is_full_for(Purpose::Begin)
    }

    /// Whether calls that would make jobs for this purpose are refused now.
    pub fn is_full_for(&self, purpose: Purpose) -> bool {
        self.refuses(&self.state.lock(), purpose)
    }

    fn refuses(&self, state: &State, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Begin => state.full,
            Purpose::End => state.fill().reaches(purpose.percent(), self.limits),
        }
    }

    /// Takes on the jobs of a call, or refuses it.
    ///
    /// # Errors
    /// When the limit was reached before this call. What begins something is
    /// refused until the queue is down to nine tenths.
    pub fn admit(&self, jobs: &[NewJob], purpose: Purpose) -> Result<(), Full> {
        let mut state = self.state.lock();
        if !jobs.is_empty() && self.refuses(&state, purpose) {
            return Err(Full);
        }
        self.count(&mut state, Amount::of(jobs));
        Ok(())
    }

    /// Waits until messages may be taken, then counts those that are.
    pub async fn room_for_messages(&self) {
        let mut waits = false;
        while self.is_full_for(Purpose::End) {
            if !std::mem::replace(&mut waits, true) {
                tracing::warn!("the queue is full: messages wait with their senders");
                metrics::gauge!("erawan_messages_held_back").set(1.0);
            }
            sleep(HELD_BACK).await;
        }
        if waits {
            tracing::info!("messages are taken again");
            metrics::gauge!("erawan_messages_held_back").set(0.0);
        }
    }

    #[cfg(test)]
    pub(crate) fn note(&self, jobs: &[NewJob]) {
        self.count(&mut self.state.lock(), Amount::of(jobs));
    }

    /// Counts jobs that were accepted whether the queue was full or not.
    pub fn note_accepted(&self, jobs: &[Job]) {
        let amount = Amount::of(jobs.iter().map(|job| &job.new));
        self.count(&mut self.state.lock(), amount);
    }

    fn count(&self, state: &mut State, amount: Amount) {
        state.accepted = state.accepted.plus(amount);
        if state.fill().reaches(Purpose::Begin.percent(), self.limits) {
            self.set_full(state, true);
        }
        let since = state.accepted_since();
        let uses_much = |since: u64, seen: u64, limit: u64| {
            let room = limit.saturating_sub(seen);
            since > 0 && since >= room / 4
        };
        if uses_much(since.jobs, state.seen.jobs, self.limits.jobs)
            || uses_much(since.bytes, state.seen.bytes, self.limits.bytes)
        {
            self.look_now.notify_one();
        }
    }

    /// Asks the store again and again, for as long as somebody holds `limit`.
    pub fn follow(limit: &Arc<Self>, store: SharedStore) {
        let limit = Arc::downgrade(limit);
        tokio::spawn(async move {
            while let Some(limit) = limit.upgrade() {
                let look = limit.begin_look();
                if let Ok(counts) = store.counts().await {
                    limit.looked(look, &counts);
                }
                let pause = limit.pause();
                drop_after(limit, pause).await;
            }
        });
    }

    fn begin_look(&self) -> Look {
        Look {
            accepted_before: self.state.lock().accepted,
        }
    }

    fn looked(&self, look: Look, counts: &Counts) {
        let mut state = self.state.lock();
        state.seen = Amount {
            jobs: counts.open,
            bytes: counts.open_bytes,
        };
        state.accepted_before = look.accepted_before;
        let fill = state.fill();
        let full = fill.reaches(if state.full { 90 } else { 100 }, self.limits);
        self.set_full(&mut state, full);
        metrics::gauge!("erawan_queue_jobs").set(fill.jobs as f64);
        metrics::gauge!("erawan_queue_bytes").set(fill.bytes as f64);
        metrics::gauge!("erawan_queue_full").set(f64::from(u8::from(full)));
        metrics::gauge!("erawan_jobs_parked").set(counts.parked as f64);
        metrics::gauge!("erawan_jobs_failed").set(counts.failed as f64);
    }

    fn set_full(&self, state: &mut State, full: bool) {
        if state.full == full {
            return;
        }
        state.full = full;
        metrics::gauge!("erawan_queue_full").set(f64::from(u8::from(full)));
        let fill = state.fill();
        let (jobs, bytes) = (fill.jobs, fill.bytes);
        if full {
            tracing::warn!(jobs, bytes, "the queue is full: calls are refused");
        } else {
            tracing::info!(jobs, bytes, "the queue has room again");
        }
    }

    fn pause(&self) -> Duration {
        let fill = self.state.lock().fill();
        if fill.reaches(50, self.limits) {
            CLOSE_LOOK
        } else {
            LOOK
        }
    }
}

/// Waits for the time of the next look.
async fn drop_after(limit: Arc<QueueLimit>, pause: Duration) {
    sleep(CLOSE_LOOK).await;
    let rest = pause.saturating_sub(CLOSE_LOOK);
    // Whichever comes first.
    let _ = timeout(rest, limit.look_now.notified()).await;
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::Purpose::{Begin, End};
    use super::*;
    use crate::job::Kind;

    fn jobs(count: usize, bytes: usize) -> Vec<NewJob> {
        let mut job = NewJob::new(Kind::Noop, "", &());
        job.payload = vec![0; bytes];
        vec![job; count]
    }

    fn limit(jobs: u64, bytes: u64) -> QueueLimit {
        QueueLimit::new(QueueLimits { jobs, bytes })
    }

    fn counts(open: u64, open_bytes: u64) -> Counts {
        Counts {
            open,
            open_bytes,
            ..Counts::default()
        }
    }

    #[test]
    fn what_was_accepted_since_the_last_look_counts() {
        let limit = limit(100, 1_000_000);
        limit.looked(limit.begin_look(), &counts(90, 0));
        for _ in 0..10 {
            assert_eq!(limit.admit(&jobs(1, 1), Begin), Ok(()));
        }
        assert!(limit.is_full());
        assert_eq!(limit.admit(&jobs(1, 1), Begin), Err(Full));
        assert_eq!(limit.admit(&[], Begin), Ok(()), "a call that makes no jobs");
    }

    #[test]
    fn bytes_are_limited_too_and_one_large_call_is_taken_by_an_empty_queue() {
        let limit = limit(100, 1000);
        assert_eq!(limit.admit(&jobs(1, 5000), Begin), Ok(()));
        assert_eq!(limit.admit(&jobs(1, 1), Begin), Err(Full));
    }

    #[test]
    fn a_full_queue_has_room_again_only_well_below_its_limit() {
        let limit = limit(100, 1000);
        limit.looked(limit.begin_look(), &counts(100, 0));
        for (open, open_bytes, full) in [(99, 0, true), (90, 0, true), (89, 900, true)] {
            limit.looked(limit.begin_look(), &counts(open, open_bytes));
            assert_eq!(limit.is_full(), full, "{open} {open_bytes}");
        }
        limit.looked(limit.begin_look(), &counts(89, 899));
        assert!(!limit.is_full());
        limit.looked(limit.begin_look(), &counts(99, 999));
        assert!(!limit.is_full());
    }

    #[test]
    fn what_is_accepted_while_a_look_is_under_way_is_not_forgotten() {
        let limit = limit(100, 1_000_000);
        limit.looked(limit.begin_look(), &counts(50, 0));
        let look = limit.begin_look();
        limit.admit(&jobs(49, 1), Begin).unwrap();
        limit.looked(look, &counts(50, 0));
        assert_eq!(limit.admit(&jobs(1, 1), Begin), Ok(()));
        assert_eq!(limit.admit(&jobs(1, 1), Begin), Err(Full));
    }

    #[test]
    fn a_look_shows_what_is_open_parked_and_failed() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let page = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            let limit = limit(100, 1_000_000);
            let counts = Counts {
                open: 9,
                open_bytes: 900,
                parked: 3,
                failed: 5,
            };
            limit.looked(limit.begin_look(), &counts);
        });
        let page = page.render();
        for line in [
            "erawan_queue_jobs 9",
            "erawan_queue_bytes 900",
            "erawan_queue_full 0",
            "erawan_jobs_parked 3",
            "erawan_jobs_failed 5",
        ] {
            assert!(page.lines().any(|shown| shown == line), "{line}: {page}");
        }
    }

    #[tokio::test]
    async fn what_ends_something_has_a_quarter_more_room_than_what_begins_it() {
        let limit = Arc::new(limit(100, 1_000_000));
        limit.looked(limit.begin_look(), &counts(124, 0));
        assert!(limit.is_full());
        assert!(!limit.is_full_for(End));
        limit.room_for_messages().await;
        limit.note(&jobs(1, 1));
        let waiting = tokio::spawn({
            let limit = limit.clone();
            async move { limit.room_for_messages().await }
        });
        sleep(4 * HELD_BACK).await;
        assert!(!waiting.is_finished());
        assert_eq!(limit.admit(&jobs(1, 1), End), Err(Full));
        limit.looked(limit.begin_look(), &counts(124, 0));
        waiting.await.unwrap();
    }
}
