//! Single cases, one rule each.

use std::time::Duration;

use erawan::actors::dispatcher::{Action, Core, Event, Options, SessionId};
use erawan::cluster::message::{End, INLINE_PAYLOAD, Outcome, Running};
use erawan::job::{Job, JobId, Kind, Millis, NewJob, delivery_key};
use erawan::store::{Attempt, Released};

const NOW: Millis = Millis(1_000_000);
const ONE: SessionId = SessionId(1);
const TWO: SessionId = SessionId(2);

/// A core, and what it wants done.
struct Desk {
    core: Core,
    now: Millis,
    actions: Vec<Action>,
}

impl Desk {
    /// A dispatcher that found these jobs at its start.
    fn loaded(jobs: Vec<Job>) -> Self {
        let mut desk = Self {
            core: Core::new(Options::default()),
            now: NOW,
            actions: Vec::new(),
        };
        desk.happen(Event::Start);
        desk.happen(Event::Loaded { jobs, full: false });
        desk
    }

    fn happen(&mut self, event: Event) {
        self.actions.extend(self.core.handle(self.now, event));
    }

    fn announce(&mut self, jobs: &[&Job]) {
        let jobs = jobs.iter().map(|job| (*job).clone()).collect();
        self.happen(Event::Announced(jobs));
    }

    fn pass(&mut self, duration: Duration) {
        self.now = self.now.after(duration);
        self.happen(Event::Wake);
    }

    fn connect(&mut self, session: SessionId, capacity: u32, running: &[(&Job, u32)]) {
        let running = running.iter().map(|(job, number)| Running {
            attempt: Attempt {
                job: job.id(),
                number: *number,
            },
            pool: job.kind().pool(),
        });
        self.happen(Event::SessionUp {
            session,
            worker: format!("worker{}", session.0),
            run_capacity: capacity,
            delivery_capacity: capacity,
            running: running.collect(),
        });
    }

    fn end(&mut self, session: SessionId, job: &Job, attempt: u32, end: End) {
        let attempt = Attempt {
            job: job.id(),
            number: attempt,
        };
        self.happen(Event::Outcomes {
            session,
            outcomes: vec![Outcome { attempt, end }],
        });
    }

    /// Assignments since the last look: session, `seq`, attempt.
    fn assigned(&mut self) -> Vec<(SessionId, u64, u32)> {
        let mut assigned = Vec::new();
        self.actions.retain(|action| match action {
            Action::Assign { session, jobs } => {
                assigned.extend(jobs.iter().map(|job| (*session, job.seq, job.attempt)));
                false
            }
            _ => true,
        });
        assigned
    }

    /// Ids whose attempts were to be raised since the last look.
    fn released(&mut self) -> Vec<JobId> {
        let mut released = Vec::new();
        self.actions.retain(|action| match action {
            Action::Release(jobs) => {
                released.extend(jobs.iter().map(|release| release.job));
                false
            }
            _ => true,
        });
        released
    }

    /// The same, with whether it counts against the job.
    fn struck(&mut self) -> Vec<(JobId, bool)> {
        let mut released = Vec::new();
        self.actions.retain(|action| match action {
            Action::Release(jobs) => {
                released.extend(jobs.iter().map(|r| (r.job, r.strike.is_some())));
                false
            }
            _ => true,
        });
        released
    }

    /// Ids that were to be read since the last look.
    fn fetched(&mut self) -> Vec<JobId> {
        let mut fetched = Vec::new();
        self.actions.retain(|action| match action {
            Action::Fetch(ids) => {
                fetched.extend(ids.iter().copied());
                false
            }
            _ => true,
        });
        fetched
    }

    /// The store says this of a job that is being read.
    fn found(&mut self, job: &Job) {
        self.happen(Event::Fetched(vec![(job.id(), Some(job.clone()))]));
    }

    /// Raises the attempt of a job if that was asked for.
    fn raised_if_asked(&mut self, job: &Job) {
        if self.released().contains(&job.id()) {
            self.raised(job, job.attempt + 1);
        }
    }

    fn scans(&mut self) -> usize {
        let before = self.actions.len();
        self.actions
            .retain(|action| !matches!(action, Action::Scan { .. }));
        before - self.actions.len()
    }

    /// The store raised the attempt, and this is the job now.
    fn raised(&mut self, job: &Job, attempt: u32) {
        let job = Job {
            attempt,
            ..job.clone()
        };
        self.happen(Event::Released(vec![(
            job.id(),
            Released::Open { attempt },
        )]));
        self.happen(Event::Fetched(vec![(job.id(), Some(job))]));
    }
}

fn job(seq: u64, prev: u64, key: &str) -> Job {
    job_of(Kind::Noop, seq, prev, key)
}

fn job_of(kind: Kind, seq: u64, prev: u64, key: &str) -> Job {
    Job {
        new: NewJob::new(kind, key, &()),
        seq,
        prev,
        attempt: 1,
        tries: 0,
        strikes: 0,
        parked: false,
        accepted_at: NOW,
    }
}

fn done() -> End {
    End::Committed {
        failed: false,
        jobs: Vec::new(),
        cancelled: Vec::new(),
    }
}

#[test]
fn a_job_starts_only_when_its_predecessor_has_ended() {
    let (first, second) = (job(1, 0, "key"), job(2, 1, "key"));
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 5, &[]);
    desk.announce(&[&second]);
    assert_eq!(desk.assigned(), [], "its predecessor may be open");
    desk.announce(&[&first]);
    assert_eq!(desk.assigned(), [(ONE, 1, 1)]);
    desk.end(ONE, &first, 1, done());
    assert_eq!(desk.assigned(), [(ONE, 2, 1)]);
}

#[test]
fn a_scan_shows_that_an_unknown_predecessor_has_ended() {
    let second = job(2, 1, "key");
    let mut desk = Desk::loaded(Vec::new());
    desk.happen(Event::Scanned {
        ids: Vec::new(),
        full: false,
    });
    desk.connect(ONE, 5, &[]);
    desk.scans();
    desk.announce(&[&second]);
    assert_eq!(desk.assigned(), []);
    desk.pass(Duration::from_millis(150));
    assert_eq!(desk.scans(), 1, "it does not wait for the periodic scan");
    desk.happen(Event::Scanned {
        ids: vec![(2, second.id())],
        full: false,
    });
    assert_eq!(desk.assigned(), [(ONE, 2, 1)]);
}

#[test]
fn a_scan_goes_on_when_what_it_found_was_parked_before_it_was_read() {
    let first = job(1, 0, "key");
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 5, &[]);
    assert_eq!(desk.scans(), 1);
    desk.happen(Event::Scanned {
        ids: vec![(1, first.id())],
        full: false,
    });
    assert_eq!(desk.fetched(), [first.id()]);
    desk.announce(&[&first]);
    desk.end(ONE, &first, 1, End::Parked);
    desk.found(&first);
    assert_eq!(desk.core.snapshot(desk.now).parked, [first.id()]);
    desk.pass(Duration::from_secs(1));
    assert_eq!(desk.scans(), 1, "the next one");
}

#[test]
fn announcing_a_job_twice_or_after_its_end_changes_nothing() {
    let first = job(1, 0, "key");
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 5, &[]);
    desk.announce(&[&first, &first]);
    desk.announce(&[&first]);
    assert_eq!(desk.assigned(), [(ONE, 1, 1)]);
    desk.end(ONE, &first, 1, done());
    desk.announce(&[&first]);
    assert_eq!(desk.assigned(), []);
    assert_eq!(desk.core.snapshot(desk.now).jobs.total(), 0);
}

#[test]
fn the_least_loaded_worker_gets_the_next_job_and_the_earliest_of_equals() {
    let jobs: Vec<Job> = (1..=4)
        .map(|seq| job(seq, 0, &format!("key{seq}")))
        .collect();
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(TWO, 2, &[]);
    desk.connect(ONE, 5, &[]);
    for job in &jobs {
        desk.announce(&[job]);
    }
    let to: Vec<SessionId> = desk
        .assigned()
        .into_iter()
        .map(|(session, ..)| session)
        .collect();
    assert_eq!(to, [ONE, TWO, ONE, TWO]);
}

#[test]
fn keys_take_turns() {
    let mut desk = Desk::loaded(Vec::new());
    let busy = [job(1, 0, "busy"), job(2, 1, "busy"), job(3, 2, "busy")];
    let other = job(4, 0, "other");
    desk.announce(&[&busy[0], &busy[1], &busy[2], &other]);
    desk.connect(ONE, 1, &[]);
    desk.end(ONE, &busy[0], 1, done());
    desk.end(ONE, &other, 1, done());
    let order: Vec<u64> = desk.assigned().into_iter().map(|(_, seq, _)| seq).collect();
    assert_eq!(order, [1, 4, 2]);
}

#[test]
fn the_pools_have_separate_credit() {
    let mut desk = Desk::loaded(Vec::new());
    let jobs = [
        job_of(Kind::DeliverMessage, 1, 0, "a"),
        job_of(Kind::DeliverMessage, 2, 0, "b"),
        job(3, 0, "c"),
    ];
    desk.connect(ONE, 1, &[]);
    desk.announce(&[&jobs[0], &jobs[1], &jobs[2]]);
    let mut seqs: Vec<u64> = desk.assigned().into_iter().map(|(_, seq, _)| seq).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, [1, 3]);
}

/// `count` deliveries to a receiver, each with a key of its own.
fn deliveries(first: u64, count: u64, receiver: &str) -> Vec<Job> {
    (first..first + count)
        .map(|seq| {
            let key = delivery_key("callback", receiver, &seq.to_string());
            job_of(Kind::DeliverCallback, seq, 0, &key)
        })
        .collect()
}

#[test]
fn a_receiver_that_hangs_uses_its_share_and_those_to_others_go_on() {
    let silent = deliveries(1, 100, "silent:80");
    let others = deliveries(101, 50, "other:80");
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 64, &[]);
    desk.announce(&silent.iter().collect::<Vec<_>>());
    assert_eq!(desk.assigned().len(), 8, "an eighth of the credit");
    for job in &others {
        desk.announce(&[job]);
        assert_eq!(desk.assigned(), [(ONE, job.seq, 1)], "at once");
        desk.end(ONE, job, 1, done());
        assert_eq!(desk.assigned(), []);
    }
}

#[test]
fn a_receiver_whose_last_delivery_failed_gets_one_try_at_a_time_until_one_succeeds() {
    let jobs = deliveries(1, 100, "dead:80");
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 64, &[]);
    desk.announce(&jobs.iter().collect::<Vec<_>>());
    let mut running = desk.assigned().len() as u64;
    assert_eq!(running, 8);
    for job in &jobs[..8] {
        let later = NOW.after(Duration::from_secs(60));
        let end = End::Rescheduled {
            not_before: later,
            tries: 1,
            strikes: 0,
        };
        desk.end(ONE, job, 1, end);
        running = running - 1 + desk.assigned().len() as u64;
    }
    assert_eq!(running, 1);
    desk.end(ONE, &jobs[8], 1, done());
    assert_eq!(desk.assigned().len(), 8, "its whole share again");
}

#[test]
fn of_many_receivers_each_gets_as_much_as_the_others() {
    let mut desk = Desk::loaded(Vec::new());
    let receivers: Vec<Vec<Job>> = (0..32)
        .map(|n| deliveries(1 + n * 10, 10, &format!("receiver{n}:80")))
        .collect();
    for jobs in &receivers {
        desk.announce(&jobs.iter().collect::<Vec<_>>());
    }
    desk.connect(ONE, 64, &[]);
    let mut counts = [0; 32];
    for (_, seq, _) in desk.assigned() {
        counts[(seq as usize - 1) / 10] += 1;
    }
    assert_eq!(counts, [2; 32]);
}

#[test]
fn a_timer_takes_its_place_when_it_comes_due() {
    let (mut timer, first, second) = (job(1, 0, "key"), job(2, 0, "key"), job(3, 2, "key"));
    timer.new.not_before = Some(NOW.after(Duration::from_secs(5)));
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 1, &[]);
    desk.announce(&[&timer, &first, &second]);
    assert_eq!(desk.assigned(), [(ONE, 2, 1)]);
    desk.pass(Duration::from_secs(5));
    desk.end(ONE, &first, 1, done());
    assert_eq!(desk.assigned(), [(ONE, 3, 1)], "it was in line before");
    desk.end(ONE, &second, 1, done());
    assert_eq!(desk.assigned(), [(ONE, 1, 1)]);
}

#[test]
fn a_job_waits_for_a_block_above_its_height() {
    let mut held = job(1, 0, "key");
    held.new.after_height = Some(7);
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 1, &[]);
    desk.announce(&[&held]);
    desk.happen(Event::Height(7));
    assert_eq!(desk.assigned(), []);
    desk.happen(Event::Height(8));
    assert_eq!(desk.assigned(), [(ONE, 1, 1)]);
}

#[test]
fn jobs_loaded_after_the_chain_was_replaced_do_not_wait_for_its_heights() {
    let mut held = job(1, 0, "key");
    held.new.after_height = Some(1_000);
    let mut desk = Desk::loaded(Vec::new());
    desk.core = Core::new(Options::default());
    desk.happen(Event::Start);
    desk.happen(Event::Era(1));
    desk.happen(Event::Height(3));
    let jobs = vec![held.clone()];
    desk.happen(Event::Loaded { jobs, full: false });
    desk.connect(ONE, 1, &[]);
    desk.pass(Duration::from_secs(5));
    // The master before may have assigned it for the same reason.
    assert_eq!(desk.released(), [held.id()]);
    desk.raised(&held, 2);
    assert_eq!(desk.assigned(), [(ONE, 1, 2)]);
}

#[test]
fn after_a_takeover_only_jobs_that_may_be_running_wait_for_the_other_workers() {
    let (suspect, behind, new) = (job(1, 0, "old"), job(2, 1, "old"), job(3, 0, "new"));
    let mut desk = Desk::loaded(vec![suspect.clone(), behind]);
    desk.pass(Duration::from_secs(60));
    desk.connect(ONE, 4, &[]);
    desk.announce(&[&new]);
    assert_eq!(desk.assigned(), [(ONE, 3, 1)], "nobody can be running it");
    desk.pass(Options::default().adoption_window - Duration::from_millis(1));
    assert_eq!((desk.assigned(), desk.released()), (vec![], vec![]));
    desk.pass(Duration::from_millis(1));
    assert_eq!(desk.released(), [suspect.id()]);
}

#[test]
fn a_job_that_waits_for_a_block_is_not_run_twice_after_a_takeover() {
    let mut held = job(1, 0, "key");
    held.new.after_height = Some(7);
    let mut desk = Desk::loaded(vec![held.clone()]);
    desk.connect(ONE, 1, &[]);
    desk.happen(Event::Height(8));
    assert_eq!(desk.assigned(), [], "another worker may be running it");
    desk.connect(TWO, 1, &[(&held, 1)]);
    desk.pass(Duration::from_secs(5));
    assert_eq!((desk.assigned(), desk.released()), (vec![], vec![]));
}

#[test]
fn a_second_restart_after_the_ledger_was_replaced_forgets_nothing() {
    let (mut before, mut after) = (job(1, 0, "key"), job(2, 0, "other"));
    (before.new.after_height, before.new.era) = (Some(1_000), 1);
    (after.new.after_height, after.new.era) = (Some(3), 2);
    let mut desk = Desk::loaded(vec![before.clone(), after.clone()]);
    desk.connect(ONE, 2, &[]);
    desk.pass(Duration::from_secs(5));
    assert_eq!(desk.assigned(), [], "it has not been told of the ledger");
    desk.happen(Event::Era(2));
    desk.happen(Event::Height(3));
    // Both may have been assigned by the master before.
    assert_eq!(desk.released(), [before.id()], "its ledger is gone");
    desk.raised(&before, 2);
    assert_eq!(desk.assigned(), [(ONE, 1, 2)]);
    desk.happen(Event::Height(4));
    assert_eq!(desk.released(), [after.id()]);
    desk.raised(&after, 2);
    assert_eq!(desk.assigned(), [(ONE, 2, 2)]);
}

#[test]
fn jobs_that_wait_for_a_block_come_due_when_the_chain_is_replaced() {
    let mut held = job(1, 0, "key");
    held.new.after_height = Some(1_000);
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 1, &[]);
    desk.happen(Event::Height(1_000));
    desk.announce(&[&held]);
    assert_eq!(desk.assigned(), []);
    desk.happen(Event::Era(1));
    desk.happen(Event::Height(3));
    assert_eq!(desk.assigned(), [(ONE, 1, 1)]);
}

#[test]
fn a_failed_transactional_job_blocks_its_key_until_it_is_due() {
    let (first, second) = (job(1, 0, "key"), job(2, 1, "key"));
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 5, &[]);
    desk.announce(&[&first, &second]);
    desk.assigned();
    let not_before = NOW.after(Duration::from_secs(3));
    desk.end(
        ONE,
        &first,
        1,
        End::Rescheduled {
            not_before,
            tries: 1,
            strikes: 0,
        },
    );
    assert_eq!(desk.assigned(), []);
    assert_eq!(desk.core.snapshot(desk.now).jobs.blocked, 1);
    desk.pass(Duration::from_secs(3));
    assert_eq!(desk.assigned(), [(ONE, 1, 1)]);
}

#[test]
fn a_failed_delivery_leaves_the_line() {
    let first = job_of(Kind::DeliverMessage, 1, 0, "key");
    let second = job_of(Kind::DeliverMessage, 2, 1, "key");
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 5, &[]);
    desk.announce(&[&first, &second]);
    desk.assigned();
    let not_before = NOW.after(Duration::from_secs(3));
    desk.end(
        ONE,
        &first,
        1,
        End::Rescheduled {
            not_before,
            tries: 1,
            strikes: 0,
        },
    );
    assert_eq!(desk.assigned(), [(ONE, 2, 1)]);
    desk.end(ONE, &second, 1, done());
    desk.pass(Duration::from_secs(3));
    assert_eq!(desk.assigned(), [(ONE, 1, 1)]);
}

#[test]
fn jobs_of_a_lost_worker_run_elsewhere_once_their_attempts_are_raised() {
    let (first, second) = (job(1, 0, "key"), job(2, 1, "key"));
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 5, &[]);
    desk.announce(&[&first, &second]);
    desk.assigned();
    desk.connect(TWO, 5, &[]);
    desk.happen(Event::SessionDown(ONE));
    assert_eq!(desk.released(), [first.id()]);
    assert_eq!(desk.assigned(), [], "not before the store has answered");
    desk.raised(&first, 2);
    assert_eq!(desk.assigned(), [(TWO, 1, 2)]);
    desk.end(TWO, &first, 1, done());
    assert_eq!(desk.core.snapshot(desk.now).stale_outcomes, 1);
    desk.end(TWO, &first, 2, done());
    assert_eq!(desk.assigned(), [(TWO, 2, 1)]);
}

#[test]
fn a_lost_workers_job_that_had_ended_leads_to_a_scan_for_its_follow_ups() {
    let (first, second) = (job(1, 0, "key"), job(2, 1, "key"));
    let mut desk = Desk::loaded(Vec::new());
    desk.happen(Event::Scanned {
        ids: Vec::new(),
        full: false,
    });
    desk.connect(ONE, 5, &[]);
    desk.connect(TWO, 5, &[]);
    desk.announce(&[&first, &second]);
    desk.happen(Event::SessionDown(ONE));
    desk.happen(Event::ScanFailed);
    desk.assigned();
    desk.scans();
    desk.happen(Event::Released(vec![(first.id(), Released::Ended)]));
    assert_eq!(desk.assigned(), [(TWO, 2, 1)]);
    assert_eq!(desk.scans(), 1);
}

#[test]
fn a_worker_that_reconnects_keeps_what_it_runs_and_loses_what_never_reached_it() {
    let (kept, lost) = (job(1, 0, "a"), job(2, 0, "b"));
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 5, &[]);
    desk.announce(&[&kept, &lost]);
    desk.assigned();
    desk.happen(Event::SessionUp {
        session: TWO,
        worker: "worker1".to_owned(),
        run_capacity: 5,
        delivery_capacity: 5,
        running: vec![Running {
            attempt: Attempt {
                job: kept.id(),
                number: 1,
            },
            pool: kept.kind().pool(),
        }],
    });
    assert!(desk.actions.contains(&Action::Close(ONE)));
    assert_eq!(desk.released(), [lost.id()]);
    desk.raised(&lost, 2);
    assert_eq!(desk.assigned(), [(TWO, 2, 2)]);
    desk.end(TWO, &kept, 1, done());
    desk.end(TWO, &lost, 2, done());
    let sessions = desk.core.snapshot(desk.now).sessions;
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].run.in_use, 0);
}

#[test]
fn after_a_start_claimed_jobs_are_adopted_and_others_raised_before_they_run() {
    let (running, waiting, behind) = (job(1, 0, "a"), job(2, 0, "b"), job(3, 2, "b"));
    let mut desk = Desk::loaded(vec![running.clone(), waiting.clone(), behind.clone()]);
    desk.connect(ONE, 5, &[(&running, 1)]);
    assert_eq!((desk.assigned().len(), desk.released().len()), (0, 0));
    desk.pass(Duration::from_secs(2));
    assert_eq!(
        desk.released(),
        [waiting.id()],
        "only what may have been assigned"
    );
    assert_eq!(desk.assigned(), []);
    desk.raised(&waiting, 2);
    assert_eq!(desk.assigned(), [(ONE, 2, 2)]);
    desk.end(ONE, &running, 1, done());
    desk.end(ONE, &waiting, 2, done());
    assert_eq!(desk.assigned(), [(ONE, 3, 1)]);
}

#[test]
fn a_claimed_job_that_is_not_known_yet_is_adopted_when_it_is_found() {
    let first = job(1, 0, "key");
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 5, &[(&first, 3)]);
    let found = Job {
        attempt: 3,
        ..first.clone()
    };
    desk.announce(&[&found]);
    assert_eq!(desk.assigned(), []);
    assert_eq!(desk.core.snapshot(desk.now).jobs.assigned, 1);
    desk.end(ONE, &first, 3, done());
    assert_eq!(desk.core.snapshot(desk.now).jobs.total(), 0);
}

#[test]
fn a_claimed_job_that_is_not_known_is_raised_when_its_worker_is_lost() {
    let first = job(1, 0, "key");
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 5, &[(&first, 1)]);
    desk.connect(TWO, 5, &[]);
    desk.happen(Event::SessionDown(ONE));
    assert_eq!(desk.released(), [first.id()]);
    desk.announce(&[&first]);
    assert_eq!(desk.assigned(), [], "the lost worker may still run it");
    desk.raised(&first, 2);
    assert_eq!(desk.assigned(), [(TWO, 1, 2)]);
}

/// A job that its fifth lost worker got parked.
fn parked(job: &Job) -> Job {
    Job {
        attempt: job.attempt + 1,
        strikes: 5,
        parked: true,
        ..job.clone()
    }
}

/// What an operator makes of it.
fn retried(job: &Job) -> Job {
    Job {
        attempt: job.attempt + 1,
        strikes: 0,
        parked: false,
        ..job.clone()
    }
}

#[test]
fn a_parked_job_keeps_its_place_and_blocks_its_own_key_only() {
    let (first, second, other) = (job(1, 0, "key"), job(2, 1, "key"), job(3, 0, "other"));
    let mut desk = Desk::loaded(Vec::new());
    desk.announce(&[&first, &second, &other]);
    desk.connect(ONE, 5, &[]);
    assert_eq!(desk.assigned(), [(ONE, 1, 1), (ONE, 3, 1)]);
    desk.happen(Event::SessionDown(ONE));
    let (lost, other_now) = (parked(&first), raised_to(&other, 2));
    for now in [&lost, &other_now] {
        let attempt = now.attempt;
        let released = Released::Open { attempt };
        desk.happen(Event::Released(vec![(now.id(), released)]));
        desk.found(now);
    }
    let snapshot = desk.core.snapshot(desk.now);
    assert_eq!(snapshot.parked, [first.id()]);
    assert_eq!((snapshot.jobs.parked, snapshot.jobs.waiting), (1, 1));
    desk.connect(TWO, 5, &[]);
    assert_eq!(desk.assigned(), [(TWO, 3, 2)], "the second waits behind it");

    desk.happen(Event::Changed(retried(&lost)));
    assert_eq!(desk.assigned(), [(TWO, 1, 3)], "at once, at its old place");
    desk.end(TWO, &first, 3, done());
    assert_eq!(desk.assigned(), [(TWO, 2, 1)]);
}

fn raised_to(job: &Job, attempt: u32) -> Job {
    Job {
        attempt,
        ..job.clone()
    }
}

#[test]
fn a_parked_job_that_an_operator_ends_gives_its_key_back() {
    let (first, second) = (parked(&job(1, 0, "key")), job(2, 1, "key"));
    let mut desk = Desk::loaded(vec![first.clone(), second.clone()]);
    desk.connect(ONE, 5, &[]);
    desk.pass(Duration::from_secs(3));
    assert_eq!(desk.assigned(), []);
    desk.happen(Event::Gone(first.id()));
    desk.raised_if_asked(&second);
    assert_eq!(desk.assigned().len(), 1);
}

#[test]
fn a_lost_worker_counts_against_its_jobs_and_a_lost_master_does_not() {
    let (first, second) = (job(1, 0, "a"), job(2, 0, "b"));
    let mut desk = Desk::loaded(vec![first.clone(), second.clone()]);
    desk.connect(ONE, 5, &[(&first, 1)]);
    desk.pass(Duration::from_secs(3));
    assert_eq!(desk.struck(), [(second.id(), false)], "a master was lost");
    desk.raised(&second, 2);
    assert_eq!(desk.assigned(), [(ONE, 2, 2)]);
    desk.happen(Event::SessionDown(ONE));
    let struck = [(first.id(), true), (second.id(), true)];
    assert_eq!(desk.struck(), struck, "a worker was lost");
}

#[test]
fn a_worker_that_reconnects_does_not_count_against_jobs_it_never_got() {
    let first = job(1, 0, "key");
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 5, &[]);
    desk.announce(&[&first]);
    desk.assigned();
    desk.happen(Event::SessionUp {
        session: TWO,
        worker: "worker1".to_owned(),
        run_capacity: 5,
        delivery_capacity: 5,
        running: Vec::new(),
    });
    assert_eq!(desk.struck(), [(first.id(), false)]);
}

/// How long until parked jobs are looked at in the store again.
const LOOK: Duration = Duration::from_secs(10);

/// As its worker parks it: under the attempt that ran.
fn struck_out(job: &Job) -> Job {
    Job {
        parked: true,
        ..job.clone()
    }
}

#[test]
fn a_job_that_its_worker_parked_rests_and_is_looked_at_so_that_no_decision_is_missed() {
    let (first, second) = (job(1, 0, "key"), job(2, 1, "key"));
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 5, &[]);
    desk.announce(&[&first, &second]);
    desk.assigned();
    desk.end(ONE, &first, 1, End::Parked);
    assert_eq!(desk.core.snapshot(desk.now).parked, [first.id()]);
    // Read before it was parked, and on its way since.
    desk.found(&first);
    assert_eq!(desk.core.snapshot(desk.now).parked, [first.id()]);
    desk.pass(LOOK);
    assert_eq!(desk.fetched(), [first.id()]);
    desk.found(&struck_out(&first));
    assert_eq!(desk.core.snapshot(desk.now).parked, [first.id()]);
    assert_eq!(desk.assigned(), []);
}

#[test]
fn an_operator_can_hurry_a_job_that_waits_to_be_tried_again() {
    for kind in [Kind::Noop, Kind::DeliverMessage] {
        let first = job_of(kind, 1, 0, "key");
        let mut desk = Desk::loaded(Vec::new());
        desk.connect(ONE, 5, &[]);
        desk.announce(&[&first]);
        desk.assigned();
        let mut hurried = first.clone();
        hurried.tries = 1;
        // A decision that is older than what is known changes nothing.
        desk.happen(Event::Changed(hurried.clone()));
        let end = End::Rescheduled {
            not_before: NOW.after(Duration::from_secs(600)),
            tries: 1,
            strikes: 0,
        };
        desk.end(ONE, &first, 1, end);
        assert_eq!(desk.assigned(), []);
        desk.announce(&[&hurried]);
        assert_eq!(desk.assigned(), [], "only what an operator did counts");
        desk.happen(Event::Changed(hurried));
        assert_eq!(desk.assigned(), [(ONE, 1, 1)]);
        desk.end(ONE, &first, 1, done());
        assert_eq!(desk.core.snapshot(desk.now).jobs.total(), 0);
    }
}

#[test]
fn an_operator_who_is_faster_than_the_workers_outcome_is_not_missed() {
    let first = job(1, 0, "key");
    for ends in [false, true] {
        let mut desk = Desk::loaded(Vec::new());
        desk.connect(ONE, 5, &[]);
        desk.announce(&[&first]);
        desk.assigned();
        if ends {
            desk.happen(Event::Gone(first.id()));
            desk.end(ONE, &first, 1, End::Parked);
            desk.pass(LOOK);
            assert_eq!(desk.fetched(), [first.id()]);
            desk.happen(Event::Fetched(vec![(first.id(), None)]));
            assert_eq!(desk.core.snapshot(desk.now).jobs.total(), 0);
        } else {
            desk.happen(Event::Changed(retried(&struck_out(&first))));
            assert_eq!(desk.assigned(), [(ONE, 1, 2)]);
            desk.end(ONE, &first, 1, End::Parked);
            assert_eq!(desk.core.snapshot(desk.now).jobs.assigned, 1);
        }
    }
}

#[test]
fn an_operator_who_is_faster_than_the_stores_answer_is_not_missed() {
    let first = job(1, 0, "key");
    for ends in [false, true] {
        let mut desk = Desk::loaded(Vec::new());
        desk.connect(ONE, 5, &[]);
        desk.announce(&[&first]);
        desk.assigned();
        desk.end(ONE, &first, 1, End::Parked);
        desk.pass(LOOK);
        assert_eq!(desk.fetched(), [first.id()]);
        let news = match ends {
            true => Event::Gone(first.id()),
            false => Event::Changed(retried(&struck_out(&first))),
        };
        desk.happen(news);
        // Read before the operator decided.
        desk.found(&struck_out(&first));
        let expected = match ends {
            true => vec![],
            false => vec![(ONE, 1, 2)],
        };
        assert_eq!(desk.assigned(), expected);
        assert_eq!(desk.core.snapshot(desk.now).parked, []);
    }
}

#[test]
fn a_failed_job_that_is_retried_before_its_end_is_known_runs_again() {
    let first = job(1, 0, "key");
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 5, &[]);
    desk.announce(&[&first]);
    desk.assigned();
    let again = Job {
        seq: 2,
        attempt: 2,
        ..first.clone()
    };
    desk.happen(Event::Changed(again.clone()));
    assert_eq!(desk.assigned(), [(ONE, 2, 2)]);
    desk.end(ONE, &first, 1, done());
    assert_eq!(desk.core.snapshot(desk.now).jobs.assigned, 1);
    desk.end(ONE, &again, 2, done());
    assert_eq!(desk.core.snapshot(desk.now).jobs.total(), 0);
}

#[test]
fn decisions_made_behind_the_masters_back_are_found() {
    let (dropped, again) = (parked(&job(1, 0, "a")), parked(&job(2, 0, "b")));
    let still = parked(&job(3, 0, "c"));
    let mut desk = Desk::loaded(vec![dropped.clone(), again.clone(), still.clone()]);
    desk.connect(ONE, 5, &[]);
    desk.pass(Duration::from_secs(3));
    let ids = [dropped.id(), again.id(), still.id()];
    assert_eq!(desk.fetched(), ids);
    desk.happen(Event::Fetched(vec![
        (dropped.id(), None),
        (again.id(), Some(retried(&again))),
        (still.id(), Some(still.clone())),
    ]));
    assert_eq!(desk.assigned(), [(ONE, 2, 3)]);
    assert_eq!(desk.core.snapshot(desk.now).parked, [still.id()]);
    for _ in 0..2 {
        desk.pass(Duration::from_secs(10));
    }
    assert_eq!(desk.fetched(), [still.id()], "again, page after page");
}

/// Somebody sets the master's clock right.
const SET_BACK: u64 = 7 * 3600 * 1000;

#[test]
fn a_clock_that_is_set_back_while_the_store_is_away_puts_the_start_off_by_a_moment() {
    let mut desk = Desk::loaded(Vec::new());
    desk.core = Core::new(Options::default());
    desk.now = Millis(NOW.0 + SET_BACK);
    desk.happen(Event::Start);
    desk.happen(Event::LoadFailed);
    desk.actions.clear();
    desk.now = NOW;
    desk.happen(Event::Wake);
    let loads = |action: &Action| matches!(action, Action::Load { .. });
    assert!(desk.actions.iter().any(loads), "{:?}", desk.actions);
}

#[test]
fn a_clock_that_is_set_back_does_not_hide_what_operators_decided() {
    let first = parked(&job(1, 0, "key"));
    let mut desk = Desk::loaded(Vec::new());
    desk.now = Millis(NOW.0 + SET_BACK);
    desk.announce(&[&first]);
    desk.pass(LOOK);
    desk.fetched();
    desk.now = NOW;
    desk.happen(Event::Wake);
    assert_eq!(desk.fetched(), [first.id()]);
}

#[test]
fn jobs_that_were_struck_twice_run_on_different_workers() {
    let struck = |seq: u64, key: &str| Job {
        strikes: 2,
        ..job(seq, 0, key)
    };
    let (first, second, innocent) = (struck(1, "a"), struck(2, "b"), job(3, 0, "c"));
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 5, &[]);
    desk.announce(&[&first, &second, &innocent]);
    assert_eq!(desk.assigned(), [(ONE, 1, 1), (ONE, 3, 1)]);
    desk.connect(TWO, 5, &[]);
    assert_eq!(desk.assigned(), [(TWO, 2, 1)]);
    let third = struck(4, "d");
    desk.announce(&[&third]);
    assert_eq!(desk.assigned(), []);
    desk.end(ONE, &first, 1, done());
    assert_eq!(desk.assigned(), [(ONE, 4, 1)]);
}

#[test]
fn strikes_that_a_worker_reports_decide_whether_a_job_runs_apart() {
    let (first, second) = (job(1, 0, "a"), job(2, 0, "b"));
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 5, &[]);
    desk.announce(&[&first, &second]);
    desk.assigned();
    let ends = |strikes| End::Rescheduled {
        not_before: NOW,
        tries: 2,
        strikes,
    };
    desk.end(ONE, &first, 1, ends(2));
    desk.end(ONE, &second, 1, ends(2));
    let apart = [(ONE, 1, 1)];
    assert_eq!(desk.assigned(), apart, "the second waits for a worker");
    desk.end(ONE, &first, 1, ends(0));
    let beside = [(ONE, 2, 1), (ONE, 1, 1)];
    assert_eq!(desk.assigned(), beside, "the first is innocent again");
}

#[test]
fn struck_deliveries_to_one_receiver_leave_workers_for_others() {
    let struck = |jobs: Vec<Job>| -> Vec<Job> {
        let jobs = jobs.into_iter();
        jobs.map(|job| Job { strikes: 2, ..job }).collect()
    };
    let hanging = struck(deliveries(1, 4, "silent:80"));
    let other = struck(deliveries(5, 1, "other:80"));
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 64, &[]);
    desk.connect(TWO, 64, &[]);
    desk.announce(&hanging.iter().collect::<Vec<_>>());
    assert_eq!(desk.assigned(), [(ONE, 1, 1)]);
    desk.announce(&[&other[0]]);
    assert_eq!(desk.assigned(), [(TWO, 5, 1)]);
    desk.end(ONE, &hanging[0], 1, done());
    assert_eq!(desk.assigned(), [(ONE, 2, 1)]);
}

#[test]
fn a_fenced_outcome_asks_the_store_what_became_of_the_job() {
    let (first, second) = (job(1, 0, "key"), job(2, 1, "key"));
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 5, &[]);
    desk.announce(&[&first, &second]);
    desk.assigned();
    desk.end(ONE, &first, 1, End::Fenced);
    assert_eq!(desk.released(), [first.id()]);
    assert_eq!(desk.assigned(), []);
    desk.happen(Event::Released(vec![(first.id(), Released::Ended)]));
    assert_eq!(desk.assigned(), [(ONE, 2, 1)]);
}

#[test]
fn a_job_handed_back_by_a_draining_worker_runs_elsewhere_first_in_its_key() {
    let (first, second) = (job(1, 0, "key"), job(2, 1, "key"));
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 5, &[]);
    desk.announce(&[&first, &second]);
    desk.assigned();
    desk.happen(Event::SessionDraining(ONE));
    desk.end(ONE, &first, 1, End::HandedBack);
    assert_eq!(desk.assigned(), []);
    desk.connect(TWO, 5, &[]);
    assert_eq!(desk.assigned(), [(TWO, 1, 1)]);
}

#[test]
fn a_commit_makes_follow_ups_known_and_cancels_timers() {
    let (first, follow_up, mut timer) = (job(1, 0, "a"), job(3, 0, "b"), job(2, 0, "a"));
    timer.new.not_before = Some(NOW.after(Duration::from_secs(60)));
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 5, &[]);
    desk.announce(&[&first, &timer]);
    desk.assigned();
    let end = End::Committed {
        failed: false,
        jobs: vec![follow_up.clone()],
        cancelled: vec![timer.id()],
    };
    desk.end(ONE, &first, 1, end);
    assert_eq!(desk.assigned(), [(ONE, 3, 1)]);
    desk.end(ONE, &follow_up, 1, done());
    assert_eq!(desk.core.snapshot(desk.now).jobs.total(), 0);
}

#[test]
fn large_payloads_do_not_stay_in_memory() {
    let mut large = job(1, 0, "key");
    large.new.payload = vec![1; INLINE_PAYLOAD + 1];
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 5, &[]);
    desk.announce(&[&large]);
    let payload = desk.actions.iter().find_map(|action| match action {
        Action::Assign { jobs, .. } => Some(jobs[0].new.payload.len()),
        _ => None,
    });
    assert_eq!(payload, Some(0));
}

#[test]
fn a_drained_dispatcher_assigns_nothing_and_still_listens() {
    let (first, second) = (job(1, 0, "a"), job(2, 0, "b"));
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 1, &[]);
    desk.announce(&[&first, &second]);
    desk.assigned();
    desk.happen(Event::Drain);
    desk.end(ONE, &first, 1, done());
    assert_eq!(desk.assigned(), []);
    assert_eq!(desk.core.snapshot(desk.now).jobs.total(), 1);
}
