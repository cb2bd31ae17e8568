//! Parked and waiting jobs, and what operators decide about them.

use std::time::Duration;

use erawan::dispatch::{Action, Core, Event, Options};
use erawan::job::{Job, Kind, Millis};
use erawan::protocol::message::End;
use erawan::store::Released;

use super::desk::{Desk, NOW, ONE, TWO, done, job, job_of, parked, raised_to};

/// How long until parked jobs are looked at in the store again.
const LOOK: Duration = Duration::from_secs(10);

/// Somebody sets the master's clock right.
const SET_BACK: u64 = 7 * 3600 * 1000;

/// What an operator makes of it.
fn retried(job: &Job) -> Job {
    Job {
        attempt: job.attempt + 1,
        strikes: 0,
        parked: false,
        ..job.clone()
    }
}

/// As its worker parks it: under the attempt that ran.
fn struck_out(job: &Job) -> Job {
    Job {
        parked: true,
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
fn a_job_that_its_worker_parked_rests_and_is_looked_at_so_that_no_decision_is_missed() {
    let (first, second) = (job(1, 0, "key"), job(2, 1, "key"));
    let mut desk = Desk::at_work(&[&first, &second]);
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
        let mut desk = Desk::at_work(&[&first]);
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
        let mut desk = Desk::at_work(&[&first]);
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
        let mut desk = Desk::at_work(&[&first]);
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
    let mut desk = Desk::at_work(&[&first]);
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
