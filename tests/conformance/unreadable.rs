//! Records of jobs that are lost, damaged, or of another release: such a job is
//! parked at its place, blocks its own key, and an operator can see and drop it;
//! everything else goes on.

use std::pin::pin;
use std::sync::mpsc;

use erawan::job::{Commit, Epoch, JobId, Kind, Millis};
use erawan::operator::{Desk, Filter, JobState, OperatorRequest, OperatorResponse, Shown};
use erawan::store::{Counts, Operated, Operation, OperatorAction, Released, StoreError};
use futures_util::poll;

use crate::harness::*;

macro_rules! on_engines_with_records {
    ($($engine:ident: $harness:ty;)+) => {
        $(mod $engine {
            on_engines_with_records!(@cases $harness;
                an_open_job_that_cannot_be_read_is_parked_at_its_place,
                it_can_be_seen_and_dropped_and_frees_its_key,
                a_worker_that_has_it_cannot_end_it,
                when_nothing_is_open_any_more_no_bytes_are_counted,
                a_failed_job_that_cannot_be_read_can_be_seen_and_dropped
            );
        })+
    };
    (@cases $harness:ty; $($case:ident),+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case::<$harness>().await;
            }
        )+
    };
}

on_engines_with_records! {
    redis: crate::harness::Redis;
    embedded: crate::harness::Embedded;
    remote: crate::harness::Remote;
}

fn operation(job: JobId, action: OperatorAction) -> Operation {
    Operation {
        job,
        action,
        who: "somebody@host".to_owned(),
        why: "because".to_owned(),
        at: Millis::now(),
    }
}

async fn listed(desk: &Desk, state: Option<JobState>) -> Vec<Shown> {
    let filter = Filter {
        state,
        limit: 100,
        ..Filter::default()
    };
    match desk.answer(OperatorRequest::List(filter)).await {
        OperatorResponse::List(shown) => shown,
        other => panic!("{other:?}"),
    }
}

async fn an_open_job_that_cannot_be_read_is_parked_at_its_place<H: Spoils>() {
    for how in H::WAYS.iter().copied() {
        let harness = H::start().await;
        let store = harness.store();
        let before = accept_job(&*store, job("a")).await;
        let spoilt = accept_job(&*store, job("k")).await;
        let next = accept_job(&*store, job("k")).await;
        drop(store);
        let harness = harness.spoil(spoilt.id(), how).await;
        let store = harness.store();

        // In pages of one, as in one page.
        let mut open = Vec::new();
        while let Some(job) = {
            let after = open.last().map_or(0, |job: &erawan::job::Job| job.seq);
            store.open_jobs(after, 1).await.unwrap().pop()
        } {
            open.push(job);
        }
        assert_eq!(store.open_jobs(0, 9).await.unwrap(), open, "{how:?}");
        let parked = open[1].clone();
        assert_eq!(open, [before.clone(), parked.clone(), next.clone()]);
        assert_eq!((parked.id(), parked.seq), (spoilt.id(), spoilt.seq));
        assert_eq!((parked.kind(), parked.parked), (Kind::UNREADABLE, true));
        let key = match how {
            Spoil::OtherLayout => "k".to_owned(),
            _ => format!("unreadable:{}", spoilt.id()),
        };
        assert_eq!(parked.key(), key);
        let ids = [next.id(), spoilt.id(), JobId::generate(), before.id()];
        let found = store.jobs(&ids).await.unwrap();
        let expected = [Some(next), Some(parked), None, Some(before.clone())];
        assert_eq!(found, expected, "{how:?}");
        end(&*store, &before).await;
        assert_eq!(store.jobs(&[before.id()]).await.unwrap(), [None]);
    }
}

async fn it_can_be_seen_and_dropped_and_frees_its_key<H: Spoils>() {
    for how in H::WAYS.iter().copied() {
        let harness = H::start().await;
        let store = harness.store();
        let spoilt = accept_job(&*store, job("k")).await;
        let other = accept_job(&*store, job("other")).await;
        drop(store);
        let harness = harness.spoil(spoilt.id(), how).await;
        let store = harness.store();
        let desk = Desk::alone(store.clone());
        let id = spoilt.id();
        for state in [None, Some(JobState::Open), Some(JobState::Parked)] {
            let listed = listed(&desk, state).await;
            let shown = listed.iter().find(|shown| shown.id == id.to_string());
            let shown = shown.expect("it is listed");
            assert_eq!(shown.state, JobState::Parked);
            assert!(shown.last_error.is_some(), "it says why");
        }
        let shown = desk.answer(OperatorRequest::Show(id)).await;
        assert!(
            matches!(shown, OperatorResponse::Show(Some(_))),
            "{shown:?}"
        );

        let refused = store
            .operate(operation(id, OperatorAction::Retry))
            .await
            .unwrap();
        assert!(matches!(refused, Operated::Refused(_)), "{refused:?}");
        let dropped = store
            .operate(operation(id, OperatorAction::Drop))
            .await
            .unwrap();
        assert_eq!(dropped, Operated::Ended, "{how:?}");
        let again = store
            .operate(operation(id, OperatorAction::Drop))
            .await
            .unwrap();
        assert_eq!(again, Operated::NotFound);
        let audited = store.audit(9).await.unwrap();
        let recorded: Vec<_> = audited.iter().map(|done| done.kind).collect();
        assert_eq!(recorded, [Kind::UNREADABLE]);
        assert_eq!(store.open_jobs(0, 9).await.unwrap(), [other]);
        assert_eq!(store.jobs(&[id]).await.unwrap(), [None]);
        assert_eq!(store.counts().await.unwrap().open, 1);
        let next = accept_job(&*store, job("k")).await;
        let is_known = matches!(how, Spoil::OtherLayout);
        if is_known {
            assert_eq!(next.prev, 0, "its place in its key's order is free");
        }
        end(&*store, &next).await;
    }
}

async fn a_worker_that_has_it_cannot_end_it<H: Spoils>() {
    let is_there = |how: &Spoil| !matches!(how, Spoil::Lost);
    for how in H::WAYS.iter().copied().filter(is_there) {
        let harness = H::start().await;
        let store = harness.store();
        let spoilt = accept_job(&*store, job("k")).await;
        let other = accept_job(&*store, job("k")).await;
        drop(store);
        let harness = harness.spoil(spoilt.id(), how).await;
        let (store, master) = (harness.store(), harness.master());
        let committed = store
            .commit(attempt(&spoilt), Commit::nothing().into())
            .await;
        assert!(
            matches!(committed, Err(StoreError::Corrupt(_))),
            "{committed:?}"
        );
        let released = master.release(Epoch(0), &releases(&[spoilt.id()])).await;
        assert!(
            matches!(released, Err(StoreError::Corrupt(_))),
            "{released:?}"
        );
        let released = master.release(Epoch(0), &releases(&[other.id()])).await;
        assert_eq!(released.unwrap(), [Released::Open { attempt: 2 }]);
        let ids = open_ids(&*store).await;
        assert_eq!(ids, [spoilt.id(), other.id()], "{how:?}");
    }
}

async fn when_nothing_is_open_any_more_no_bytes_are_counted<H: Spoils>() {
    for (how, is_dropped_last) in H::WAYS.iter().flat_map(|how| [(*how, false), (*how, true)]) {
        let harness = H::start().await;
        let store = harness.store();
        let spoilt = accept_job(&*store, job("k")).await;
        let other = accept_job(&*store, job("other")).await;
        drop(store);
        let harness = harness.spoil(spoilt.id(), how).await;
        let store = harness.store();
        if is_dropped_last {
            end(&*store, &other).await;
        }
        let dropped = store
            .operate(operation(spoilt.id(), OperatorAction::Drop))
            .await;
        assert_eq!(dropped.unwrap(), Operated::Ended);
        if !is_dropped_last {
            end(&*store, &other).await;
        }
        let counts = store.counts().await.unwrap();
        assert_eq!(counts, Counts::default(), "{how:?}, {is_dropped_last}");
        let next = accept_job(&*store, job("k")).await;
        assert!(store.counts().await.unwrap().open_bytes > 0);
        end(&*store, &next).await;
    }
}

async fn a_failed_job_that_cannot_be_read_can_be_seen_and_dropped<H: Spoils>() {
    let harness = H::start().await;
    let store = harness.store();
    let spoilt = accept_job(&*store, job("k")).await;
    let other = accept_job(&*store, job("k")).await;
    for run in [&spoilt, &other] {
        apply(&*store, attempt(run), Commit::failed("no luck")).await;
    }
    drop(store);
    let harness = harness.spoil_failed(spoilt.id()).await;
    let store = harness.store();
    let failed = listed(&Desk::alone(store.clone()), Some(JobState::Failed)).await;
    let ids: Vec<_> = failed.iter().map(|shown| shown.id.clone()).collect();
    assert_eq!(ids, [spoilt.id().to_string(), other.id().to_string()]);
    let id = spoilt.id();
    let refused = store
        .operate(operation(id, OperatorAction::Retry))
        .await
        .unwrap();
    assert!(matches!(refused, Operated::Refused(_)), "{refused:?}");
    let dropped = store
        .operate(operation(id, OperatorAction::Drop))
        .await
        .unwrap();
    assert_eq!(dropped, Operated::Ended);
    assert_eq!(store.failed_job(id).await.unwrap(), None);
    assert_eq!(store.failed_jobs(0, 9).await.unwrap().len(), 1);
}

/// Who asks for a lost job makes the store walk through all that are open, which
/// no thread of the runtime may do.
#[test]
fn a_lost_job_is_looked_for_on_a_thread_that_may_block() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let harness = Embedded::start().await;
        let store = harness.store();
        let lost = accept_job(&*store, job("k")).await.id();
        let other = accept_job(&*store, job("other")).await;
        drop(store);
        let store = harness.spoil(lost, Spoil::Lost).await.store();

        // The only such thread is taken.
        let (give_back, taken) = mpsc::channel::<()>();
        let taking = tokio::task::spawn_blocking(move || taken.recv());
        let readable = store.jobs(&[other.id()]).await.unwrap();
        assert_eq!(readable, [Some(other.clone())]);
        let ids = [lost, other.id()];
        let mut asked = pin!(store.jobs(&ids));
        assert!(poll!(&mut asked).is_pending());
        drop(give_back);
        assert!(taking.await.unwrap().is_err(), "nothing was sent");
        let found = asked.await.unwrap();
        let kinds: Vec<_> = found.iter().flatten().map(|job| job.kind()).collect();
        assert_eq!(kinds, [Kind::UNREADABLE, other.kind()]);
    });
}

/// What one job of an accept meets must cost the others nothing: a source that
/// were remembered without its job would make a duplicate of it ever after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accept_that_meets_an_unreadable_line_leaves_nothing_in_redis() {
    let harness = crate::harness::Redis::start().await;
    let store = harness.store();
    harness.set_raw("line:k", RUBBISH).await;
    let good = || job("a").source("mq:a");
    let bad = || job("k").source("mq:k");
    let refused = store.accept(accept_of(vec![good(), bad()])).await;
    assert!(
        matches!(refused, Err(StoreError::Corrupt(_))),
        "{refused:?}"
    );
    let sources = ["mq:a", "mq:k"].map(str::to_owned);
    assert_eq!(store.known_sources(&sources).await.unwrap(), [false; 2]);
    assert_eq!(store.counts().await.unwrap(), Counts::default());
    let (jobs, _) = accept_all(&*store, accept_of(vec![good()])).await;
    assert_eq!(jobs.len(), 1);
    harness.delete_raw("line:k").await;
    let (jobs, _) = accept_all(&*store, accept_of(vec![bad()])).await;
    assert_eq!(jobs.len(), 1);
}
