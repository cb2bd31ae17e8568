//! What becomes of the jobs of workers that are lost, come back, or stop.

use std::time::Duration;

use erawan::dispatch::{Action, Event, Options};
use erawan::job::{Attempt, Job};
use erawan::protocol::message::{End, RunningAttempt};
use erawan::store::Released;

use super::desk::{Desk, ONE, TWO, done, job};

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
fn jobs_of_a_lost_worker_run_elsewhere_once_their_attempts_are_raised() {
    let (first, second) = (job(1, 0, "key"), job(2, 1, "key"));
    let mut desk = Desk::at_work(&[&first, &second]);
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
    let mut desk = Desk::at_work(&[&kept, &lost]);
    desk.happen(Event::SessionUp {
        session: TWO,
        worker: "worker1".to_owned(),
        run_capacity: 5,
        delivery_capacity: 5,
        running: vec![RunningAttempt {
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

#[test]
fn a_fenced_outcome_asks_the_store_what_became_of_the_job() {
    let (first, second) = (job(1, 0, "key"), job(2, 1, "key"));
    let mut desk = Desk::at_work(&[&first, &second]);
    desk.end(ONE, &first, 1, End::Fenced);
    assert_eq!(desk.released(), [first.id()]);
    assert_eq!(desk.assigned(), []);
    desk.happen(Event::Released(vec![(first.id(), Released::Ended)]));
    assert_eq!(desk.assigned(), [(ONE, 2, 1)]);
}

#[test]
fn a_job_handed_back_by_a_draining_worker_runs_elsewhere_first_in_its_key() {
    let (first, second) = (job(1, 0, "key"), job(2, 1, "key"));
    let mut desk = Desk::at_work(&[&first, &second]);
    desk.happen(Event::SessionDraining(ONE));
    desk.end(ONE, &first, 1, End::HandedBack);
    assert_eq!(desk.assigned(), []);
    desk.connect(TWO, 5, &[]);
    assert_eq!(desk.assigned(), [(TWO, 1, 1)]);
}

#[test]
fn a_job_that_was_stopped_half_way_runs_elsewhere_under_a_higher_attempt_without_a_strike() {
    let first = job(1, 0, "key");
    let mut desk = Desk::at_work(&[&first]);
    desk.happen(Event::SessionDraining(ONE));
    desk.end(ONE, &first, 1, End::Abandoned);
    assert_eq!(desk.struck(), [(first.id(), false)]);
    desk.raised(&first, 2);
    desk.connect(TWO, 5, &[]);
    assert_eq!(desk.assigned(), [(TWO, 1, 2)]);
}
