//! Deliveries share the credit fairly between their receivers.

use std::time::Duration;

use erawan::dispatch::Event;
use erawan::job::{Job, Kind, delivery_key, message_key};
use erawan::protocol::message::End;

use super::desk::{Desk, NOW, ONE, TWO, done, job_of, raised_to};

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

/// A job whose record was damaged while its node ran, as it is read then.
#[test]
fn a_known_job_that_cannot_be_read_any_more_counts_for_its_receiver_until_it_ends() {
    for kind in [Kind::Noop, Kind::DeliverCallback] {
        let whole = job_of(kind, 1, 0, "callback:a 1");
        let mut damaged = job_of(Kind::Unreadable, 1, 0, "unreadable:1");
        damaged.new.id = whole.id();
        damaged.parked = true;
        let mut desk = Desk::loaded(Vec::new());
        desk.announce(&[&whole]);
        desk.happen(Event::Changed(raised_to(&damaged, 2)));
        assert_eq!(desk.core.snapshot(desk.now).parked, [whole.id()]);
        desk.happen(Event::Gone(whole.id()));
        assert_eq!(desk.core.snapshot(desk.now).jobs.total(), 0);

        // The other way round: mended by hand, and retried then.
        let mut desk = Desk::loaded(vec![damaged]);
        desk.happen(Event::Changed(raised_to(&whole, 2)));
        desk.connect(ONE, 5, &[]);
        assert_eq!(desk.assigned(), [(ONE, 1, 2)]);
        desk.end(ONE, &whole, 2, done());
        assert_eq!(desk.core.snapshot(desk.now).jobs.total(), 0);
    }
}

/// `count` messages that are said to be of a node.
fn messages(first: u64, count: u64, sender: &str) -> Vec<Job> {
    (first..first + count)
        .map(|seq| {
            let key = message_key(sender, &seq.to_string());
            job_of(Kind::MqReceive, seq, 0, &key)
        })
        .collect()
}

#[test]
fn one_sender_keeps_neither_others_nor_the_nodes_own_work_waiting() {
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 64, &[]);
    let flood = messages(1, 100, "stranger");
    desk.announce(&flood.iter().collect::<Vec<_>>());
    assert_eq!(desk.assigned().len(), 8, "an eighth of the credit");
    for seq in 101..120 {
        let [other] = &messages(seq, 1, "other")[..] else {
            unreachable!();
        };
        desk.announce(&[other]);
        assert_eq!(desk.assigned(), [(ONE, seq, 1)], "at once");
        desk.end(ONE, other, 1, done());
    }
    let failed = End::Committed {
        failed: true,
        jobs: Vec::new(),
        cancelled: Vec::new(),
        callers: Vec::new(),
    };
    for message in &flood[..8] {
        desk.end(ONE, message, 1, failed.clone());
    }
    assert_eq!(
        desk.assigned().len(),
        1,
        "one at a time, as its last was bad"
    );
}

#[test]
fn messages_of_however_many_senders_leave_half_of_the_credit_to_the_nodes_own_work() {
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 64, &[]);
    let flood: Vec<Job> = (1..=200)
        .flat_map(|seq| messages(seq, 1, &format!("sender{seq}")))
        .collect();
    desk.announce(&flood.iter().collect::<Vec<_>>());
    assert_eq!(desk.assigned().len(), 32);
    let own: Vec<Job> = (201..=240)
        .map(|seq| job_of(Kind::Noop, seq, 0, &format!("request:{seq}")))
        .collect();
    desk.announce(&own.iter().collect::<Vec<_>>());
    let assigned = desk.assigned();
    assert_eq!(assigned.len(), 32);
    assert!(assigned.iter().all(|(_, seq, _)| *seq > 200));
    // What ends makes room for the next of its sort.
    desk.end(ONE, &flood[0], 1, done());
    assert_eq!(desk.assigned().len(), 1);
}

fn dormant(desk: &Desk) -> usize {
    desk.core.snapshot(desk.now).jobs.dormant
}

#[test]
fn deliveries_beyond_what_their_receiver_takes_are_dormant() {
    let jobs = deliveries(1, 100, "slow:80");
    let mut desk = Desk::loaded(Vec::new());
    desk.announce(&jobs.iter().collect::<Vec<_>>());
    assert_eq!(dormant(&desk), 0, "no worker is there");
    desk.connect(ONE, 64, &[]);
    assert_eq!(desk.assigned().len(), 8);
    assert_eq!(dormant(&desk), 92);
    let later = NOW.after(Duration::from_secs(60));
    let failed = End::Rescheduled {
        not_before: later,
        tries: 1,
        strikes: 0,
    };
    for job in &jobs[..8] {
        desk.end(ONE, job, 1, failed.clone());
    }
    assert_eq!(desk.assigned().len(), 1, "one in doubt");
    assert_eq!(dormant(&desk), 99);
    desk.end(ONE, &jobs[8], 1, done());
    assert_eq!(desk.assigned().len(), 8);
    assert_eq!(dormant(&desk), 91);
    for job in &jobs[9..] {
        desk.end(ONE, job, 1, done());
    }
    assert_eq!(dormant(&desk), 8, "those that failed first");
    assert_eq!(desk.core.snapshot(desk.now).jobs.total(), 8);
}

#[test]
fn what_stands_behind_one_that_waits_is_dormant_with_it() {
    let key = "callback:app:80 r1";
    let jobs: Vec<Job> = (1..=5)
        .map(|seq| job_of(Kind::DeliverCallback, seq, seq - 1, key))
        .collect();
    let mut desk = Desk::loaded(Vec::new());
    desk.connect(ONE, 64, &[]);
    desk.announce(&jobs.iter().collect::<Vec<_>>());
    assert_eq!(desk.assigned().len(), 1);
    let before = dormant(&desk);
    let failed = End::Rescheduled {
        not_before: NOW.after(Duration::from_secs(3)),
        tries: 1,
        strikes: 0,
    };
    desk.end(ONE, &jobs[0], 1, failed);
    assert_eq!((before, dormant(&desk)), (0, 5));
    desk.pass(Duration::from_secs(3));
    assert_eq!(desk.assigned().len(), 1);
    desk.end(ONE, &jobs[0], 1, done());
    for job in &jobs[1..] {
        desk.end(ONE, job, 1, done());
    }
    assert_eq!(dormant(&desk), 0);
}

#[test]
fn timers_and_jobs_that_wait_for_a_block_are_dormant_until_they_come_due() {
    let mut timer = job_of(Kind::Noop, 1, 0, "a");
    timer.new.not_before = Some(NOW.after(Duration::from_secs(5)));
    let mut above = job_of(Kind::Noop, 2, 0, "b");
    above.new.after_height = Some(7);
    let mut desk = Desk::loaded(Vec::new());
    desk.announce(&[&timer, &above]);
    let runnable = |desk: &Desk| desk.core.snapshot(desk.now).jobs.runnable();
    assert_eq!((dormant(&desk), runnable(&desk)), (2, 0));
    desk.happen(Event::Height(8));
    desk.pass(Duration::from_secs(5));
    assert_eq!((dormant(&desk), runnable(&desk)), (0, 2));
}
