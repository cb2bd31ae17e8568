use std::sync::Arc;

use super::core::{Action, Core, Event, WorkerIdentity};
use crate::job::{Attempt, Epoch, Job, Millis, NewJob, noop};
use crate::protocol::message::{AttemptOutcome, End, FromMaster, FromWorker, MESSAGE_JOBS};

fn worker() -> Core {
    Core::new(WorkerIdentity {
        node_id: "node1".to_owned(),
        worker_id: "worker".to_owned(),
        version: "test".to_owned(),
        run_capacity: 4,
        delivery_capacity: 4,
    })
}

fn job(attempt: u32) -> Arc<Job> {
    Arc::new(Job {
        new: NewJob::new(noop::NOOP, "key", &()),
        seq: 1,
        prev: 0,
        attempt,
        tries: 0,
        strikes: 0,
        parked: false,
        accepted_at: Millis(0),
    })
}

fn attempt_of(job: &Job) -> Attempt {
    Attempt {
        job: job.id(),
        number: job.attempt,
    }
}

fn assign(job: &Arc<Job>) -> Event {
    Event::Received(FromMaster::Assign(vec![job.clone()]))
}

fn finished(job: &Job) -> Event {
    Event::Finished(AttemptOutcome {
        attempt: attempt_of(job),
        end: End::Rescheduled {
            not_before: Millis(1),
            tries: 1,
            strikes: 0,
        },
    })
}

fn outcomes(core: &mut Core) -> Vec<AttemptOutcome> {
    match core.next_message() {
        Some(FromWorker::Outcomes(outcomes)) => outcomes,
        other => panic!("no outcomes: {other:?}"),
    }
}

#[test]
fn an_attempt_that_is_assigned_twice_runs_once() {
    let mut core = worker();
    core.handle(Event::Connected { epoch: Epoch(1) });
    let job = job(1);
    assert_eq!(core.handle(assign(&job)), [Action::Run(job.clone())]);
    assert_eq!(core.handle(assign(&job)), []);
    core.handle(Event::Disconnected);
    core.handle(finished(&job));
    assert_eq!(core.handle(assign(&job)), [], "its outcome is not told yet");
    core.handle(Event::Connected { epoch: Epoch(2) });
    assert_eq!(outcomes(&mut core)[0].attempt, attempt_of(&job));
    assert_eq!(core.next_message(), None);
    core.handle(finished(&job));
    assert_eq!(core.next_message(), None, "an outcome is told once");
}

#[test]
fn what_runs_and_what_is_not_told_is_named_to_the_next_master() {
    let mut core = worker();
    core.handle(Event::Connected { epoch: Epoch(1) });
    let (running, ended) = (job(1), job(3));
    core.handle(assign(&running));
    core.handle(assign(&ended));
    core.handle(Event::Disconnected);
    core.handle(finished(&ended));
    let named: Vec<Attempt> = core.greet().running.iter().map(|run| run.attempt).collect();
    assert_eq!(named, [attempt_of(&running), attempt_of(&ended)]);
}

#[test]
fn a_master_that_was_deposed_is_refused_and_told_of_the_later_epoch() {
    let mut core = worker();
    assert_eq!(core.greet().seen, Epoch(0));
    assert_eq!(core.handle(Event::Connected { epoch: Epoch(5) }), []);
    core.handle(Event::Disconnected);
    assert_eq!(core.greet().seen, Epoch(5));
    let refusal = Action::Refuse { seen: Epoch(5) };
    assert_eq!(core.handle(Event::Connected { epoch: Epoch(4) }), [refusal]);
    assert!(!core.is_connected());
    assert_eq!(core.handle(Event::Connected { epoch: Epoch(5) }), []);
}

#[test]
fn a_draining_worker_says_so_to_every_master_and_hands_back_what_comes() {
    let mut core = worker();
    core.handle(Event::Connected { epoch: Epoch(1) });
    core.handle(Event::Drain);
    assert_eq!(core.next_message(), Some(FromWorker::Draining));
    let job = job(1);
    assert_eq!(core.handle(assign(&job)), []);
    assert_eq!(outcomes(&mut core)[0].end, End::HandedBack);
    core.handle(Event::Disconnected);
    core.handle(Event::Connected { epoch: Epoch(2) });
    assert_eq!(core.next_message(), Some(FromWorker::Draining));
    assert_eq!(core.next_message(), None);
}

#[test]
fn a_job_that_has_not_begun_is_handed_back_and_one_stopped_half_way_given_up_once() {
    let mut core = worker();
    core.handle(Event::Connected { epoch: Epoch(1) });
    let (unbegun, begun) = (job(1), job(1));
    core.handle(assign(&unbegun));
    core.handle(assign(&begun));
    core.handle(Event::NotBegun(attempt_of(&unbegun)));
    assert_eq!(core.running(), 1);
    core.handle(Event::Abandoned);
    assert_eq!(core.running(), 0);
    core.handle(finished(&begun));
    let told = outcomes(&mut core);
    let ends: Vec<&End> = told.iter().map(|outcome| &outcome.end).collect();
    assert_eq!(ends, [&End::HandedBack, &End::Abandoned]);
    assert!(!core.has_message());
}

#[test]
fn outcomes_with_many_follow_up_jobs_go_in_several_messages() {
    let mut core = worker();
    core.handle(Event::Connected { epoch: Epoch(1) });
    let mut ended = Vec::new();
    for _ in 0..20 {
        let job = job(1);
        core.handle(assign(&job));
        let payload = vec![7u8; 30_000];
        let follow_up = |seq| Job {
            new: NewJob::new(noop::NOOP, "key", &payload),
            seq,
            ..(*job).clone()
        };
        let end = End::Committed {
            failed: false,
            // 1.5 MB, and 6 MB from one of them.
            jobs: (0..if ended.len() == 9 { 200 } else { 50 })
                .map(follow_up)
                .collect(),
            cancelled: Vec::new(),
            callers: Vec::new(),
        };
        let attempt = attempt_of(&job);
        core.handle(Event::Finished(AttemptOutcome { attempt, end }));
        ended.push(attempt);
    }
    let mut told = Vec::new();
    let mut messages = 0;
    while let Some(message) = core.next_message() {
        let FromWorker::Outcomes(outcomes) = message.clone() else {
            panic!("no outcomes: {message:?}");
        };
        let encoded = crate::proto::cluster::FromWorker::from(message);
        let length = prost::Message::encoded_len(&encoded);
        assert!(length <= MESSAGE_JOBS, "{length}");
        told.extend(outcomes.into_iter().map(|outcome| outcome.attempt));
        messages += 1;
    }
    assert_eq!(told, ended);
    assert!((8..20).contains(&messages), "{messages}");
}
