//! Limits how much work a node accepts (`QUEUE_LIMIT_JOBS`,
//! `QUEUE_LIMIT_BYTES`) and how much of it may wait
//! (`QUEUE_LIMIT_DORMANT_JOBS`, `QUEUE_LIMIT_DORMANT_BYTES`).
//!
//! A job that waits for an instant, a block, an operator or a receiver takes
//! memory and no time, so there may be many more of those than of jobs that
//! run. The store says how much is open, and the dispatcher how much of that
//! waits; everything else counts as running. A process asks the store once a
//! second, ten times a second when the queue is more than half full, and at
//! once when it has used up a quarter of the room it last saw. Between two
//! looks it counts what it has accepted itself and subtracts nothing for jobs
//! that have ended. So it exceeds the limit by one call at most; with several
//! workers, by what the others have accepted since the last look.
//!
//! Follow-up jobs are not limited: they end what has begun. Calls and messages
//! that end something (messages from other nodes, answers to a request, closing
//! one) have a quarter more room than those that begin something. Among waiting
//! jobs they also have room for everything that may run, because all of it may
//! come to wait. So a full node can drain.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::config::QueueLimits;
use crate::job::{Job, NewJob};
use crate::protocol::{BacklogBoard, Dormant};
use crate::store::{Counts, SharedStore};
use crate::tick;

/// Pause between looks at a fuller queue, and the shortest pause at all.
const CLOSE_LOOK: Duration = Duration::from_millis(100);
/// How long a message waits before it asks for room again.
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

    /// Whether `self` has reached this percentage of `limit`.
    fn reaches(self, percent: u64, limit: Amount) -> bool {
        let part = |limit: u64| (u128::from(limit) * u128::from(percent)).div_ceil(100);
        u128::from(self.jobs) >= part(limit.jobs) || u128::from(self.bytes) >= part(limit.bytes)
    }
}

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Begins something.
    Begin,
    /// Ends something that has begun, or brings it nearer to its end.
    End,
}

impl Purpose {
    /// The percentage of the limits at which such calls are refused.
    fn percent(self) -> u64 {
        match self {
            Purpose::Begin => 100,
            Purpose::End => 125,
        }
    }
}

/// The call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// A look at the store that has begun.
#[derive(Debug, Clone, Copy)]
struct Look {
    accepted_before: Amount,
}

#[derive(Debug, Default)]
struct State {
    /// What could run at the last look.
    seen: Amount,
    /// What waited at the last look.
    dormant: Amount,
    /// What the dispatcher last said of waiting jobs.
    told: Dormant,
    /// All that this process has accepted since it started.
    accepted: Amount,
    /// The store may not have counted what was accepted after this.
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

#[derive(Debug)]
pub struct QueueLimit {
    running: Amount,
    dormant: Amount,
    state: Mutex<State>,
    look_now: Notify,
}

impl QueueLimit {
    /// Assumes that nothing is open until [`follow`](Self::follow) finds out.
    /// `running` limits what can run, `dormant` what waits.
    pub fn new(running: QueueLimits, dormant: QueueLimits) -> Self {
        let amount = |limits: QueueLimits| Amount {
            jobs: limits.jobs,
            bytes: limits.bytes,
        };
        Self {
            running: amount(running),
            dormant: amount(dormant),
            state: Mutex::default(),
            look_now: Notify::new(),
        }
    }

    /// Whether calls that begin something are refused now.
    pub fn is_full(&self) -> bool {
        self.is_full_for(Purpose::Begin)
    }

    /// Whether calls for this purpose are refused now.
    pub fn is_full_for(&self, purpose: Purpose) -> bool {
        self.refuses(&self.state.lock(), purpose)
    }

    fn refuses(&self, state: &State, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Begin => state.full,
            // Everything that runs may come to wait, and only calls that end
            // something make room. They have room above both limits.
            Purpose::End => {
                let waits = state.dormant.minus(self.running);
                state.fill().reaches(purpose.percent(), self.running)
                    || waits.reaches(purpose.percent(), self.dormant)
            }
        }
    }

    /// Whether one of the limits is reached to this percentage.
    fn is_reached(&self, state: &State, percent: u64) -> bool {
        state.fill().reaches(percent, self.running) || state.dormant.reaches(percent, self.dormant)
    }

    /// Accepts the jobs of a call, or refuses it.
    ///
    /// # Errors
    /// When the limit was reached before this call. Calls that begin something
    /// are refused until the queue is down to nine tenths.
    pub fn admit(&self, jobs: &[NewJob], purpose: Purpose) -> Result<(), Full> {
        let mut state = self.state.lock();
        if !jobs.is_empty() && self.refuses(&state, purpose) {
            return Err(Full);
        }
        self.count(&mut state, Amount::of(jobs));
        Ok(())
    }

    /// Waits until messages may be accepted, then counts those that are.
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
            tracing::info!("messages are accepted again");
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
        if self.is_reached(state, Purpose::Begin.percent()) {
            self.set_full(state, true);
        }
        let since = state.accepted_since();
        let uses_much = |since: u64, seen: u64, limit: u64| {
            let room = limit.saturating_sub(seen);
            since > 0 && since >= room / 4
        };
        if uses_much(since.jobs, state.seen.jobs, self.running.jobs)
            || uses_much(since.bytes, state.seen.bytes, self.running.bytes)
        {
            self.look_now.notify_one();
        }
    }

    /// Asks the store repeatedly, while anybody holds `limit`. The dispatcher
    /// reports through `board`.
    pub fn follow(limit: &Arc<Self>, store: SharedStore, board: Arc<BacklogBoard>) {
        let limit = Arc::downgrade(limit);
        tokio::spawn(async move {
            while let Some(limit) = limit.upgrade() {
                let look = limit.begin_look();
                if let Ok(counts) = store.counts().await {
                    let told = board.latest().and_then(|backlog| backlog.jobs.dormant);
                    limit.looked(look, &counts, told);
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

    /// `told` is what the dispatcher says; `None` while it does not know, or is
    /// away. Its last word stays valid then, so that waiting jobs do not fill a
    /// node each time its master is away.
    fn looked(&self, look: Look, counts: &Counts, told: Option<Dormant>) {
        let mut state = self.state.lock();
        let open = Amount {
            jobs: counts.open,
            bytes: counts.open_bytes,
        };
        state.told = told.unwrap_or(state.told);
        let dormant = Amount {
            jobs: state.told.jobs.min(open.jobs),
            bytes: state.told.size(open.bytes),
        };
        state.dormant = dormant;
        state.seen = open.minus(dormant);
        state.accepted_before = look.accepted_before;
        let fill = state.fill();
        let full = self.is_reached(&state, if state.full { 90 } else { 100 });
        self.set_full(&mut state, full);
        metrics::gauge!("erawan_queue_dormant_jobs").set(dormant.jobs as f64);
        metrics::gauge!("erawan_queue_dormant_bytes").set(dormant.bytes as f64);
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
        let (jobs, bytes, dormant) = (fill.jobs, fill.bytes, state.dormant.jobs);
        if full {
            tracing::warn!(jobs, bytes, dormant, "the queue is full: calls are refused");
        } else {
            tracing::info!(jobs, bytes, dormant, "the queue has room again");
        }
    }

    fn pause(&self) -> Duration {
        match self.is_reached(&self.state.lock(), 50) {
            true => CLOSE_LOOK,
            false => tick::stretch(tick::SECOND),
        }
    }
}

/// Waits for the next look, or until one is wanted.
async fn drop_after(limit: Arc<QueueLimit>, pause: Duration) {
    let looked = Instant::now();
    if timeout(pause, limit.look_now.notified()).await.is_ok() {
        sleep_until(looked + CLOSE_LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::Purpose::{Begin, End};
    use super::*;
    use crate::job::noop;

    fn jobs(count: usize, bytes: usize) -> Vec<NewJob> {
        let mut job = NewJob::new(noop::NOOP, "", &());
        job.payload = vec![0; bytes];
        vec![job; count]
    }

    fn limit(jobs: u64, bytes: u64) -> QueueLimit {
        let limits = |times: u64| QueueLimits {
            jobs: times * jobs,
            bytes: times * bytes,
        };
        QueueLimit::new(limits(1), limits(4))
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
        limit.looked(limit.begin_look(), &counts(90, 0), None);
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
        limit.looked(limit.begin_look(), &counts(100, 0), None);
        for (open, open_bytes, full) in [(99, 0, true), (90, 0, true), (89, 900, true)] {
            limit.looked(limit.begin_look(), &counts(open, open_bytes), None);
            assert_eq!(limit.is_full(), full, "{open} {open_bytes}");
        }
        limit.looked(limit.begin_look(), &counts(89, 899), None);
        assert!(!limit.is_full());
        limit.looked(limit.begin_look(), &counts(99, 999), None);
        assert!(!limit.is_full());
    }

    #[test]
    fn what_is_accepted_while_a_look_is_under_way_is_not_forgotten() {
        let limit = limit(100, 1_000_000);
        limit.looked(limit.begin_look(), &counts(50, 0), None);
        let look = limit.begin_look();
        limit.admit(&jobs(49, 1), Begin).unwrap();
        limit.looked(look, &counts(50, 0), None);
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
            limit.looked(limit.begin_look(), &counts, None);
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
        limit.looked(limit.begin_look(), &counts(124, 0), None);
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
        limit.looked(limit.begin_look(), &counts(124, 0), None);
        waiting.await.unwrap();
    }

    fn told(jobs: u64) -> Option<Dormant> {
        Some(Dormant {
            jobs,
            bytes: 100 * jobs,
            known_bytes: 100 * jobs,
            ..Dormant::default()
        })
    }

    #[test]
    fn what_waits_is_not_what_runs_and_has_a_limit_of_its_own() {
        let limit = limit(100, 1_000_000);
        limit.looked(limit.begin_look(), &counts(350, 35_000), told(300));
        assert!(!limit.is_full(), "50 can run");
        // The dispatcher is away: its last word stays valid.
        limit.looked(limit.begin_look(), &counts(399, 39_900), None);
        assert!(!limit.is_full());
        limit.looked(limit.begin_look(), &counts(400, 40_000), None);
        assert!(limit.is_full(), "100 can run");
        limit.looked(limit.begin_look(), &counts(400, 40_000), told(350));
        assert!(!limit.is_full());
        limit.looked(limit.begin_look(), &counts(401, 40_100), told(400));
        assert!(limit.is_full(), "400 wait");
        assert!(!limit.is_full_for(End));
        // What could run when 400 waited may have come to wait as well.
        limit.looked(limit.begin_look(), &counts(500, 50_000), told(500));
        assert!(!limit.is_full_for(End));
        limit.looked(limit.begin_look(), &counts(600, 60_000), told(600));
        assert!(limit.is_full_for(End));
    }

    #[test]
    fn payloads_that_the_dispatcher_does_not_have_count_as_equally_large() {
        let told = Dormant {
            jobs: 12,
            bytes: 1200,
            unsized_jobs: 2,
            known_bytes: 2000,
            known_unsized_jobs: 8,
        };
        assert_eq!(told.size(2000), 1200);
        assert_eq!(told.size(10_000), 1200 + 8000 / 4);
        assert_eq!(told.size(500), 500, "no more than there is");
    }
}
