//! Jobs that wait for an instant or for a block.

use std::process::Command;
use std::time::Duration;

use erawan::dispatch::{Core, Event, Options};
use erawan::job::Kind;

use super::desk::{Desk, NOW, ONE, TWO, done, job, job_of};
use crate::figure;

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

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages = statm.split(' ').nth(1).unwrap();
    pages.parse::<u64>().unwrap() * 4096
}

/// In a process of its own: other tests take memory beside it.
#[test]
fn a_time_out_that_waits_takes_little_memory() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "dispatcher::holds::memory_of_time_outs_that_wait",
        ])
        .args(["--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    let told = said.find("a time-out that waits: ").map(|at| &said[at..]);
    figure(
        told.and_then(|told| told.lines().next())
            .unwrap_or_default(),
    );
}

#[test]
#[ignore = "run by a_time_out_that_waits_takes_little_memory"]
fn memory_of_time_outs_that_wait() {
    const JOBS: u64 = 100_000;
    let mut desk = Desk::loaded(Vec::new());
    let later = NOW.after(Duration::from_secs(86_400));
    let before = resident();
    for seq in 1..=JOBS {
        let key = format!("request:{seq:064x}");
        let mut timer = job_of(Kind::RpTimeOut, seq, 0, &key);
        // Node, request and what else there is to be known of it.
        timer.new.payload = vec![1; 120];
        timer.new.not_before = Some(later);
        let announced = Event::Announced(vec![timer]);
        desk.core.handle(desk.now, announced);
    }
    let each = resident().saturating_sub(before) / JOBS;
    println!("a time-out that waits: {each} bytes of the dispatcher");
    assert!(each < 1500, "{each} bytes");
    let jobs = desk.core.snapshot(desk.now).jobs;
    assert_eq!((jobs.dormant as u64, jobs.runnable()), (JOBS, 0));
}
