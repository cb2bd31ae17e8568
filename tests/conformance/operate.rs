//! What operators do.

use std::collections::BTreeSet;
use std::time::Duration;

use erawan::job::{Attempt, Commit, Job, JobId, Millis, NewJob, noop};
use erawan::operator::{Desk, Filter, OperatorRequest, OperatorResponse};
use erawan::store::{Audited, Committed, Operated, Operation, OperatorAction, Store, Was};

use crate::harness::*;

fn operation(job: JobId, action: OperatorAction) -> Operation {
    Operation {
        job,
        action,
        who: "somebody@host".to_owned(),
        why: "because".to_owned(),
        at: Millis::now(),
    }
}

async fn operate(store: &dyn Store, job: &Job, action: OperatorAction) -> Operated {
    let operated = store.operate(operation(job.id(), action)).await;
    operated.expect("operate")
}

async fn park(store: &dyn Store, job: &Job) {
    let parked = store.park(attempt(job), "unreadable payload").await;
    assert!(parked.expect("park"));
}

async fn fail(store: &dyn Store, job: &Job) {
    apply(store, attempt(job), Commit::failed("refused")).await;
}

pub async fn a_retried_parked_job_is_open_with_a_higher_attempt<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let run = accept_job(&*store, job("k").not_before(Millis(5))).await;
    assert!(store.claim(attempt(&run)).await.unwrap());
    let struck = store.strike(attempt(&run), Millis(9), "half-way").await;
    assert_eq!(struck.unwrap(), erawan::store::Struck::Parked);
    let Operated::Open(open) = operate(&*store, &run, OperatorAction::Retry).await else {
        panic!("refused");
    };
    assert_eq!((open.attempt, open.strikes, open.parked), (2, 0, false));
    assert_eq!(open.new.not_before, None);
    assert_eq!(stored(&*store, &run).await, open);
    assert_eq!(store.counts().await.unwrap().parked, 0);
    let late = store.commit(attempt(&run), Commit::nothing().into()).await;
    assert_eq!(late.unwrap(), Committed::Fenced);
    assert!(store.claim(attempt(&open)).await.unwrap());
    let reason = last_error(&*store, &open).await.unwrap();
    assert!(reason.contains("half-way"), "kept until it ends: {reason}");
    end(&*store, &open).await;
    assert_eq!(store.last_errors(&[run.id()]).await.unwrap(), [None]);
}

pub async fn a_retried_failed_job_is_accepted_again_behind_its_key<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let start = Millis::now();
    let deadline = start.after(Duration::from_secs(60));
    let new = job("k").source("s").after_height(7).deadline(deadline);
    let run = accept_job(&*store, new).await;
    let before = accept_job(&*store, job("k")).await;
    fail(&*store, &run).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let Operated::Open(open) = operate(&*store, &run, OperatorAction::Retry).await else {
        panic!("refused");
    };
    assert_eq!(stored(&*store, &open).await, open);
    assert_eq!((open.id(), open.attempt, open.tries), (run.id(), 2, 0));
    assert_eq!((open.seq, open.prev), (3, before.seq));
    assert_eq!(open.new.after_height, None);
    assert_eq!(open.new.payload, run.new.payload);
    assert_eq!(open.new.source, run.new.source);
    assert!(open.accepted_at > run.accepted_at);
    let (was, is) = (run.new.deadline.unwrap(), open.new.deadline.unwrap());
    assert_eq!(
        run.accepted_at.until(was),
        open.accepted_at.until(is),
        "it has as much time as it had"
    );
    assert_eq!(failed_jobs(&*store, 9).await, []);
    let late = store.commit(attempt(&run), Commit::nothing().into()).await;
    assert_eq!(late.unwrap(), Committed::Fenced);
    let next = accept_job(&*store, job("k")).await;
    assert_eq!(next.prev, open.seq);
    fail(&*store, &open).await;
    let failed = failed_jobs(&*store, 9).await;
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].job, open);
}

pub async fn a_job_that_waits_to_be_tried_again_is_hurried_by_a_retry<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let later = Millis::now().after(Duration::from_secs(3600));
    let run = accept_job(&*store, job("k")).await;
    let timer = accept_job(&*store, job("k").not_before(later)).await;
    for waits in [false, true] {
        if waits {
            let moved = store.reschedule(attempt(&run), later, "nobody answers");
            assert!(moved.await.unwrap());
        }
        for action in [OperatorAction::Resolve, OperatorAction::Drop] {
            let refused = operate(&*store, &run, action).await;
            assert!(matches!(refused, Operated::Refused(_)), "{refused:?}");
        }
    }
    let Operated::Open(open) = operate(&*store, &run, OperatorAction::Retry).await else {
        panic!("refused");
    };
    let mut expected = run.clone();
    expected.tries = 1;
    assert_eq!(open, expected, "nothing else has changed");
    assert_eq!(stored(&*store, &run).await, open);
    for run in [&run, &timer] {
        let refused = operate(&*store, run, OperatorAction::Retry).await;
        assert!(matches!(refused, Operated::Refused(_)), "{refused:?}");
    }
    let audit = store.audit(9).await.unwrap();
    assert_eq!(audit.len(), 1);
    assert_eq!(
        (audit[0].was, audit[0].reason.as_str()),
        (Was::Waiting, "nobody answers")
    );
    end(&*store, &run).await;
}

pub async fn a_delivery_that_waits_for_its_next_try_can_be_ended<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let later = Millis::now().after(Duration::from_secs(3600));
    for kind in [noop::DELIVERY, noop::ORDERED_DELIVERY] {
        for action in [OperatorAction::Resolve, OperatorAction::Drop] {
            let run = accept_job(&*store, NewJob::new(kind, "receiver k", &())).await;
            let refused = operate(&*store, &run, action).await;
            assert!(matches!(refused, Operated::Refused(_)), "{refused:?}");
            let moved = store.reschedule(attempt(&run), later, "nobody answers");
            assert!(moved.await.unwrap());
            assert_eq!(operate(&*store, &run, action).await, Operated::Ended);
            assert_eq!(operate(&*store, &run, action).await, Operated::NotFound);
            let late = store.commit(attempt(&run), Commit::nothing().into()).await;
            assert_eq!(late.unwrap(), Committed::Fenced);
            let recorded = store.audit(1).await.unwrap();
            assert_eq!(recorded[0].was, Was::Waiting);
            assert_eq!(recorded[0].reason, "nobody answers");
        }
    }
    let counts = store.counts().await.unwrap();
    assert_eq!(counts, erawan::store::Counts::default());
    let next = accept_job(&*store, NewJob::new(noop::DELIVERY, "receiver k", &())).await;
    assert_eq!(next.prev, 0, "its key is free");
    end(&*store, &next).await;
}

pub async fn resolve_and_drop_end_parked_and_failed_jobs_and_free_their_key<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    for action in [OperatorAction::Resolve, OperatorAction::Drop] {
        let parked = accept_job(&*store, job("k")).await;
        let failed = accept_job(&*store, job("k")).await;
        park(&*store, &parked).await;
        fail(&*store, &failed).await;
        for run in [&parked, &failed] {
            assert_eq!(operate(&*store, run, action).await, Operated::Ended);
            assert_eq!(operate(&*store, run, action).await, Operated::NotFound);
            let higher = Attempt {
                number: 9,
                ..attempt(run)
            };
            let late = store.commit(higher, Commit::nothing().into()).await;
            assert_eq!(late.unwrap(), Committed::Fenced);
        }
        let counts = store.counts().await.unwrap();
        assert_eq!(counts, erawan::store::Counts::default());
        let next = accept_job(&*store, job("k")).await;
        assert_eq!(next.prev, 0);
        end(&*store, &next).await;
    }
}

pub async fn a_job_in_another_state_is_refused_and_an_unknown_one_not_found<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let open = accept_job(&*store, job("k")).await;
    let ended = accept_job(&*store, job("k")).await;
    end(&*store, &ended).await;
    for action in [
        OperatorAction::Retry,
        OperatorAction::Resolve,
        OperatorAction::Drop,
    ] {
        let refused = operate(&*store, &open, action).await;
        assert!(matches!(refused, Operated::Refused(_)), "{refused:?}");
        assert_eq!(operate(&*store, &ended, action).await, Operated::NotFound);
    }
    assert_eq!(stored(&*store, &open).await, open);
    assert_eq!(store.audit(9).await.unwrap(), [], "nothing was done");
}

pub async fn what_operators_did_is_recorded_in_order<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let parked = accept_job(&*store, job("a")).await;
    let failed = accept_job(&*store, job("b")).await;
    park(&*store, &parked).await;
    fail(&*store, &failed).await;
    let mut expected = Vec::new();
    for (run, action, was, reason) in [
        (
            &parked,
            OperatorAction::Drop,
            Was::Parked,
            "unreadable payload",
        ),
        (&failed, OperatorAction::Retry, Was::Failed, "refused"),
    ] {
        let operation = operation(run.id(), action);
        store.operate(operation.clone()).await.unwrap();
        expected.push(Audited {
            operation,
            kind: run.kind(),
            key: run.key().to_owned(),
            attempt: run.attempt,
            was,
            reason: reason.to_owned(),
        });
    }
    drop(store);
    let harness = harness.restart().await;
    let store = harness.store();
    assert_eq!(store.audit(9).await.unwrap(), expected);
    assert_eq!(store.audit(1).await.unwrap(), expected[1..]);
    assert_eq!(store.audit(0).await.unwrap(), []);
}

pub async fn of_a_hundred_operators_one_has_its_way<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    for is_parked in [true, false] {
        let run = accept_job(&*store, job("k")).await;
        match is_parked {
            true => park(&*store, &run).await,
            false => fail(&*store, &run).await,
        }
        let mut operators = tokio::task::JoinSet::new();
        for number in 0..100 {
            let (store, id) = (harness.store(), run.id());
            operators.spawn(async move {
                let action = [OperatorAction::Retry, OperatorAction::Drop][number % 2];
                let operated = store.operate(operation(id, action)).await.unwrap();
                matches!(operated, Operated::Open(_) | Operated::Ended)
            });
        }
        let had_their_way: Vec<bool> = operators.join_all().await;
        assert_eq!(had_their_way.iter().filter(|way| **way).count(), 1);
        let recorded = store.audit(100).await.unwrap();
        let jobs: BTreeSet<_> = recorded.iter().map(|done| done.operation.job).collect();
        assert_eq!(jobs.len(), recorded.len());
        for open in store.open_jobs(0, 9).await.unwrap() {
            end(&*store, &open).await;
        }
    }
}

pub async fn the_place_of_a_failed_job_that_is_gone_stays_empty<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let mut seen = 0;
    for _ in 0..3 {
        let run = accept_job(&*store, job("k")).await;
        fail(&*store, &run).await;
        let page = store.failed_jobs(seen, 9).await.unwrap();
        assert_eq!(page.len(), 1, "the next page misses none");
        assert_eq!(page[0].1.job, run);
        seen = page[0].0;
        assert_eq!(
            operate(&*store, &run, OperatorAction::Drop).await,
            Operated::Ended
        );
    }
}

pub async fn failed_jobs_behind_large_ones_are_listed<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let mut large = job("large");
    large.payload = vec![7; 9 * 1024 * 1024];
    let small = NewJob::new(noop::CHAIN, "small", &0u64);
    let small_id = small.id;
    for new in [another(&large), another(&large), another(&large), small] {
        let run = accept_job(&*store, new).await;
        fail(&*store, &run).await;
    }
    let desk = Desk::alone(harness.store());
    let listed = async |kind, limit| {
        let filter = Filter {
            kind,
            limit,
            ..Filter::default()
        };
        match desk.answer(OperatorRequest::List(filter)).await {
            OperatorResponse::List(shown) => shown,
            other => panic!("{other:?}"),
        }
    };
    let of_kind = listed(Some(noop::CHAIN), 100).await;
    let ids: Vec<_> = of_kind.iter().map(|shown| shown.id.clone()).collect();
    assert_eq!(ids, [small_id.to_string()]);
    assert_eq!(listed(None, 100).await.len(), 4);
    assert_eq!(listed(None, 3).await.len(), 3);
}
