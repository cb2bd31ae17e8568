//! Strikes, claims and parked jobs.

use erawan::job::{Attempt, Commit, Epoch, Job, Millis};
use erawan::store::{Committed, MAX_STRIKES, Store, StoreError, Struck};
use std::time::Duration;

use crate::harness::*;

const LATER: Millis = Millis(77);

/// The handler panicked.
async fn panic(store: &dyn Store, job: &Job, why: &str) -> Struck {
    let struck = store.strike(attempt(job), LATER, why).await;
    struck.expect("strike")
}

pub async fn five_strikes_in_a_row_park_a_job<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let run = accept_job(&*store, job("k")).await;
    for tries in 1..MAX_STRIKES {
        let struck = panic(&*store, &run, &format!("panic {tries}")).await;
        let strikes = tries;
        assert_eq!(struck, Struck::Rescheduled { tries, strikes });
        let stored = stored(&*store, &run).await;
        assert_eq!((stored.tries, stored.strikes), (tries, tries));
        assert_eq!(stored.new.not_before, Some(LATER));
        assert!(!stored.parked);
    }
    assert_eq!(panic(&*store, &run, "the last").await, Struck::Parked);
    let parked = stored(&*store, &run).await;
    assert!(parked.parked);
    assert_eq!((parked.tries, parked.strikes), (4, MAX_STRIKES));
    assert_eq!(parked.attempt, 1);
    let reason = last_error(&*store, &run).await;
    assert_eq!(reason.as_deref(), Some("the last"));
    assert_eq!(panic(&*store, &run, "again").await, Struck::Fenced);
    assert_eq!(store.parked_ids(9).await.unwrap(), [run.id()]);
}

pub async fn a_reschedule_sets_the_strikes_back_and_a_release_alone_adds_none<H: Harness>() {
    let harness = H::start().await;
    let (store, master) = (harness.store(), harness.master());
    let mut run = accept_job(&*store, job("k")).await;
    for _ in 0..3 {
        panic(&*store, &run, "panic").await;
        panic(&*store, &run, "panic").await;
        run = lose_worker(&*master, &run, "lost").await;
        panic(&*store, &run, "panic").await;
        let kept = store.reschedule(attempt(&run), LATER, "later").await;
        assert!(kept.unwrap());
        run = stored(&*store, &run).await;
        assert_eq!(run.strikes, 0);
    }
    let reason = last_error(&*store, &run).await;
    assert_eq!(reason.as_deref(), Some("later"));
    for _ in 0..2 * MAX_STRIKES {
        let release = releases(&[run.id()]);
        master.release(Epoch(u64::MAX), &release).await.unwrap();
    }
    let stored = stored(&*store, &run).await;
    assert_eq!((stored.strikes, stored.parked), (0, false));
    assert_eq!(stored.attempt, run.attempt + 2 * MAX_STRIKES);
}

pub async fn lost_workers_strike_and_park_with_the_reason<H: Harness>() {
    let harness = H::start().await;
    let (store, master) = (harness.store(), harness.master());
    let mut run = accept_job(&*store, job("k")).await;
    for strikes in 1..=MAX_STRIKES {
        let why = format!("worker {strikes} was lost");
        run = lose_worker(&*master, &run, &why).await;
        assert_eq!(run.strikes, strikes);
        assert_eq!(run.parked, strikes == MAX_STRIKES);
        assert_eq!(last_error(&*store, &run).await, Some(why));
    }
    let again = lose_worker(&*master, &run, "no more strikes").await;
    assert_eq!((again.strikes, again.parked), (MAX_STRIKES, true));
    let reason = last_error(&*store, &run).await;
    assert_eq!(reason.as_deref(), Some("worker 5 was lost"));
}

pub async fn a_claimed_job_whose_worker_is_lost_is_parked_as_outcome_unknown<H: Harness>() {
    let harness = H::start().await;
    let (store, master) = (harness.store(), harness.master());
    let lost = accept_job(&*store, job("a")).await;
    let forgotten = accept_job(&*store, job("b")).await;
    for run in [&lost, &forgotten] {
        assert!(store.claim(attempt(run)).await.unwrap());
    }
    lose_worker(&*master, &lost, "its worker was lost").await;
    let release = releases(&[forgotten.id()]);
    master.release(Epoch(u64::MAX), &release).await.unwrap();
    for (run, why) in [
        (&lost, "its worker was lost"),
        (&forgotten, "did not come back"),
    ] {
        let parked = stored(&*store, run).await;
        assert!(parked.parked);
        assert_eq!(parked.attempt, 2);
        let reason = last_error(&*store, run).await.unwrap();
        assert!(reason.starts_with("outcome unknown: "), "{reason}");
        assert!(reason.contains(why), "{reason}");
        assert!(!store.claim(attempt(&parked)).await.unwrap());
    }
}

pub async fn a_panic_after_a_claim_parks_at_once<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let run = accept_job(&*store, job("k")).await;
    assert!(store.claim(attempt(&run)).await.unwrap());
    assert_eq!(panic(&*store, &run, "half-way").await, Struck::Parked);
    let reason = last_error(&*store, &run).await.unwrap();
    assert!(reason.starts_with("outcome unknown: "), "{reason}");
    assert!(reason.contains("half-way"), "{reason}");
}

pub async fn a_reschedule_gives_a_claim_up<H: Harness>() {
    let harness = H::start().await;
    let (store, master) = (harness.store(), harness.master());
    let run = accept_job(&*store, job("k")).await;
    assert!(store.claim(attempt(&run)).await.unwrap());
    let kept = store
        .reschedule(attempt(&run), LATER, "not yet begun")
        .await;
    assert!(kept.unwrap());
    let released = lose_worker(&*master, &run, "lost").await;
    assert!(!released.parked);
    assert!(!store.claim(attempt(&run)).await.unwrap(), "fenced");
    assert!(store.claim(attempt(&released)).await.unwrap());
}

pub async fn a_parked_job_is_owned_by_nobody_and_keeps_its_place<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let run = accept_job(&*store, job("k")).await;
    let why = "its payload cannot be read";
    assert!(store.park(attempt(&run), why).await.unwrap());
    assert_eq!(last_error(&*store, &run).await.as_deref(), Some(why));
    for number in [1, 2, 9] {
        let any = Attempt {
            number,
            ..attempt(&run)
        };
        let committed = store.commit(any, Commit::failed("?").into()).await.unwrap();
        assert_eq!(committed, Committed::Fenced);
        assert!(!store.reschedule(any, LATER, "?").await.unwrap());
        assert!(!store.claim(any).await.unwrap());
        assert!(!store.park(any, "?").await.unwrap());
        let struck = store.strike(any, LATER, "?").await.unwrap();
        assert_eq!(struck, Struck::Fenced);
    }
    let parked = stored(&*store, &run).await;
    let expected = Job {
        parked: true,
        ..run.clone()
    };
    assert_eq!(parked, expected);
    let next = accept_job(&*store, job("k")).await;
    assert_eq!(next.prev, run.seq, "it is still before others of its key");
    assert_eq!(store.open_jobs(0, 9).await.unwrap(), [parked, next]);
}

pub async fn a_former_master_strikes_nothing<H: Harness>() {
    let harness = H::start().await;
    let (store, master) = (harness.store(), harness.master());
    let run = accept_job(&*store, job("k")).await;
    let lease = master
        .acquire_lease("later", Duration::from_secs(9), ANY)
        .await;
    lease.unwrap();
    let release = erawan::store::Release {
        job: run.id(),
        strike: Some("lost".to_owned()),
    };
    let refused = master.release(Epoch(0), &[release]).await;
    let current = Epoch(1);
    assert_eq!(refused, Err(StoreError::Deposed { current }));
    assert_eq!(stored(&*store, &run).await, run);
    assert_eq!(last_error(&*store, &run).await, None);
}

pub async fn counts_follow_what_is_open_and_parked<H: Harness>() {
    let harness = H::start().await;
    let (store, master) = (harness.store(), harness.master());
    let empty = store.counts().await.unwrap();
    assert_eq!((empty.open, empty.open_bytes, empty.parked), (0, 0, 0));
    let mut sizes = Vec::new();
    let mut runs = Vec::new();
    for bytes in [10, 1000] {
        let mut new = job("k");
        new.payload = vec![7; bytes];
        runs.push(accept_job(&*store, new).await);
        sizes.push(store.counts().await.unwrap().open_bytes);
    }
    assert_eq!(sizes[1] - sizes[0], sizes[0] + 990);
    assert!(store.park(attempt(&runs[0]), "?").await.unwrap());
    lose_worker(&*master, &runs[1], "lost").await;
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.open, counts.parked), (2, 1));
    assert_eq!(counts.open_bytes, sizes[1]);
    let second = stored(&*store, &runs[1]).await;
    apply(&*store, attempt(&second), Commit::failed("?")).await;
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.open, counts.parked, counts.failed), (1, 1, 1));
    assert_eq!(counts.open_bytes, sizes[0]);
    let other = accept_job(&*store, job("other")).await;
    let mut commit = Commit::nothing();
    commit.cancel(runs[0].id());
    apply(&*store, attempt(&other), commit).await;
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.open, counts.open_bytes, counts.parked), (0, 0, 0));
    assert_eq!(store.parked_ids(9).await.unwrap(), []);
}

pub async fn the_last_error_goes_with_its_job<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let (one, two) = (
        accept_job(&*store, job("a")).await,
        accept_job(&*store, job("b")).await,
    );
    assert_eq!(last_error(&*store, &one).await, None);
    for run in [&one, &two] {
        panic(&*store, run, run.key()).await;
    }
    end(&*store, &one).await;
    let errors = store.last_errors(&[two.id(), one.id()]).await.unwrap();
    let reasons: Vec<_> = errors
        .into_iter()
        .map(|error| error.map(|error| error.reason))
        .collect();
    assert_eq!(reasons, [Some("b".to_owned()), None]);
    assert_eq!(store.last_errors(&[]).await.unwrap(), []);
}
