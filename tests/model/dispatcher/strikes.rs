//! What counts against a job, and how struck ones run.

use std::time::Duration;

use erawan::dispatch::Event;
use erawan::job::Job;
use erawan::protocol::message::End;

use super::desk::{Desk, NOW, ONE, TWO, done, job};

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
    let mut desk = Desk::at_work(&[&first]);
    desk.happen(Event::SessionUp {
        session: TWO,
        worker: "worker1".to_owned(),
        run_capacity: 5,
        delivery_capacity: 5,
        running: Vec::new(),
    });
    assert_eq!(desk.struck(), [(first.id(), false)]);
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
    let mut desk = Desk::at_work(&[&first, &second]);
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
