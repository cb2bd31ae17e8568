//! Which job starts when, and where.

use std::time::Duration;

use erawan::dispatch::{Action, Event, SessionId};
use erawan::job::{Job, Kind};
use erawan::protocol::message::{End, INLINE_PAYLOAD};

use super::desk::{Desk, NOW, ONE, TWO, done, job, job_of};

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

#[test]
fn a_failed_transactional_job_blocks_its_key_until_it_is_due() {
    let (first, second) = (job(1, 0, "key"), job(2, 1, "key"));
    let mut desk = Desk::at_work(&[&first, &second]);
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
    let mut desk = Desk::at_work(&[&first, &second]);
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
fn a_failed_callback_keeps_its_place_and_holds_up_its_own_line_only() {
    let of = |seq, prev, key| job_of(Kind::DeliverCallback, seq, prev, key);
    let pending = of(1, 0, "callback:app:80 r1");
    let closed = of(2, 1, "callback:app:80 r1");
    let of_another_request = of(3, 0, "callback:app:80 r2");
    let to_another_receiver = of(4, 0, "callback:app:81 r1");
    let mut desk = Desk::at_work(&[&pending, &closed]);
    let not_before = NOW.after(Duration::from_secs(3));
    let later = End::Rescheduled {
        not_before,
        tries: 1,
        strikes: 0,
    };
    desk.end(ONE, &pending, 1, later);
    assert_eq!(desk.assigned(), []);
    desk.announce(&[&of_another_request, &to_another_receiver]);
    let mut others: Vec<u64> = desk.assigned().into_iter().map(|(_, seq, _)| seq).collect();
    others.sort_unstable();
    assert_eq!(others, [3, 4]);
    desk.end(ONE, &of_another_request, 1, done());
    desk.pass(Duration::from_secs(3));
    assert_eq!(desk.assigned(), [(ONE, 1, 1)]);
    desk.end(ONE, &pending, 1, done());
    assert_eq!(desk.assigned(), [(ONE, 2, 1)]);
}

#[test]
fn a_callback_that_is_given_up_frees_its_line() {
    let key = "callback:app:80 r1";
    let first = job_of(Kind::DeliverCallback, 1, 0, key);
    let second = job_of(Kind::DeliverCallback, 2, 1, key);
    let mut desk = Desk::at_work(&[&first, &second]);
    let given_up = End::Committed {
        failed: true,
        jobs: Vec::new(),
        cancelled: Vec::new(),
        callers: Vec::new(),
    };
    desk.end(ONE, &first, 1, given_up);
    assert_eq!(desk.assigned(), [(ONE, 2, 1)]);
}

#[test]
fn a_commit_makes_follow_ups_known_and_cancels_timers() {
    let (first, follow_up, mut timer) = (job(1, 0, "a"), job(3, 0, "b"), job(2, 0, "a"));
    timer.new.not_before = Some(NOW.after(Duration::from_secs(60)));
    let mut desk = Desk::at_work(&[&first, &timer]);
    let end = End::Committed {
        failed: false,
        jobs: vec![follow_up.clone()],
        cancelled: vec![timer.id()],
        callers: Vec::new(),
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
