//! `Store::accept`.

use erawan::job::{Commit, Epoch, Guard, Table, Write};
use erawan::store::{Accept, Accepted, Lease, StoreError};
use std::time::Duration;

use crate::harness::*;

const TABLE: Table = Table::RequestData;

pub async fn a_source_is_accepted_once<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let first = accept_job(&*store, job("k").source("mq:1")).await;
    let again = job("k").source("mq:1");
    let (jobs, duplicates) = accept_all(&*store, accept_of(vec![again.clone()])).await;
    assert_eq!((jobs, duplicates), (vec![], vec![again.id]));
    assert_eq!(open_ids(&*store).await, [first.id()]);

    end(&*store, &first).await;
    let (jobs, _) = accept_all(&*store, accept_of(vec![job("k").source("mq:1")])).await;
    assert_eq!(jobs, [], "a source outlives its job");
    assert_eq!(store.counts().await.unwrap().open, 0);
}

pub async fn a_source_is_known_within_one_accept_and_to_commits<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let (one, two) = (job("k").source("s"), job("k").source("s"));
    let (jobs, duplicates) = accept_all(&*store, accept_of(vec![one, two.clone()])).await;
    assert_eq!((jobs.len(), duplicates), (1, vec![two.id]));

    let mut commit = Commit::nothing();
    commit.job(job("k").source("t"));
    apply(&*store, attempt(&jobs[0]), commit).await;
    let (_, duplicates) = accept_all(&*store, accept_of(vec![job("k").source("t")])).await;
    assert_eq!(duplicates.len(), 1);
}

pub async fn sources_are_known_from_their_accept_on<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    assert!(store.known_sources(&[]).await.unwrap().is_empty());
    let asked = ["b", "a", "", "a"].map(str::to_owned);
    let known = store.known_sources(&asked).await.unwrap();
    assert_eq!(known, [false; 4]);
    let first = accept_job(&*store, job("k").source("a")).await;
    let known = store.known_sources(&asked).await.unwrap();
    assert_eq!(known, [false, true, false, true]);
    end(&*store, &first).await;
    let known = store.known_sources(&asked).await.unwrap();
    assert_eq!(
        known,
        [false, true, false, true],
        "a source outlives its job"
    );
}

pub async fn a_job_that_is_open_is_not_accepted_again<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let new = job("k");
    let first = accept_job(&*store, new.clone()).await;
    let (jobs, duplicates) = accept_all(&*store, accept_of(vec![new.clone()])).await;
    assert_eq!((jobs, duplicates), (vec![], vec![new.id]));
    assert_eq!(store.jobs(&[new.id]).await.unwrap(), [Some(first)]);
    assert_eq!(store.counts().await.unwrap().open, 1);
}

pub async fn an_accept_without_a_source_is_never_a_duplicate<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let (jobs, duplicates) = accept_all(&*store, accept_of(vec![job("k"), job("k")])).await;
    assert_eq!((jobs.len(), duplicates.len()), (2, 0));
}

pub async fn a_guard_that_does_not_hold_leaves_nothing<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let accept = |value: &str| Accept {
        guards: vec![Guard::Absent {
            table: TABLE,
            row: "r".to_owned(),
        }],
        jobs: vec![job("k").source(format!("source of {value}"))],
        writes: vec![put("r", value), put("other", value)],
        epoch: None,
    };
    accept_all(&*store, accept("one")).await;
    let refused = store.accept(accept("two")).await.unwrap();
    assert_eq!(refused, Accepted::Refused { guard: 0 });
    assert_eq!(value(&*store, "r").await.as_deref(), Some("one"));
    assert_eq!(value(&*store, "other").await.as_deref(), Some("one"));
    assert_eq!(store.counts().await.unwrap().open, 1);

    // Not even the source is remembered.
    accept_job(&*store, job("k").source("source of two")).await;
}

pub async fn the_first_guard_that_does_not_hold_is_named<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let absent = |row: &str| Guard::Absent {
        table: TABLE,
        row: row.to_owned(),
    };
    let mut accept = Accept {
        writes: vec![Write::put_column(TABLE, "r", "column", vec![1])],
        ..Accept::default()
    };
    accept_all(&*store, accept.clone()).await;
    accept.guards = vec![absent("a"), absent("b"), absent("r"), absent("r")];
    let refused = store.accept(accept).await.unwrap();
    assert_eq!(refused, Accepted::Refused { guard: 2 });
}

pub async fn equals_compares_the_only_value<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let set = |expected: Option<&str>, value: &str| Accept {
        guards: vec![Guard::Equals {
            table: TABLE,
            row: "r".to_owned(),
            value: expected.map(|text| text.into()),
        }],
        writes: vec![put("r", value)],
        ..Accept::default()
    };
    let refused = Accepted::Refused { guard: 0 };
    assert_eq!(store.accept(set(Some(""), "x")).await.unwrap(), refused);
    accept_all(&*store, set(None, "1")).await;
    assert_eq!(store.accept(set(None, "x")).await.unwrap(), refused);
    assert_eq!(store.accept(set(Some("0"), "x")).await.unwrap(), refused);
    accept_all(&*store, set(Some("1"), "2")).await;
    assert_eq!(value(&*store, "r").await.as_deref(), Some("2"));

    let another_column = Accept {
        writes: vec![Write::put_column(TABLE, "r", "more", vec![])],
        ..Accept::default()
    };
    accept_all(&*store, another_column).await;
    assert_eq!(store.accept(set(Some("2"), "x")).await.unwrap(), refused);
}

pub async fn a_former_master_accepts_nothing<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let accept = |epoch| Accept {
        jobs: vec![job("k").source("s")],
        writes: vec![put("r", "v")],
        epoch: Some(Epoch(epoch)),
        ..Accept::default()
    };
    let ttl = Duration::from_secs(60);
    for name in ["a", "b"] {
        let lease = harness
            .master()
            .acquire_lease(name, ttl, ANY)
            .await
            .unwrap();
        assert!(matches!(lease, Lease::Held { .. }));
        harness.master().release_lease(name).await.unwrap();
    }
    let current = Epoch(2);
    let refused = store.accept(accept(1)).await;
    assert_eq!(refused, Err(StoreError::Deposed { current }));
    assert_eq!(value(&*store, "r").await, None);
    assert_eq!(store.counts().await.unwrap().open, 0);
    let (jobs, _) = accept_all(&*store, accept(2)).await;
    assert_eq!(jobs.len(), 1);
}

pub async fn of_a_hundred_accepts_with_one_guard_one_is_stored<H: Harness>() {
    let harness = H::start().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..100 {
        let store = harness.store();
        tasks.spawn(async move {
            let accept = Accept {
                guards: vec![Guard::Absent {
                    table: TABLE,
                    row: "r".to_owned(),
                }],
                jobs: vec![job("k")],
                writes: vec![put("r", &number.to_string())],
                epoch: None,
            };
            store.accept(accept).await.unwrap()
        });
    }
    let outcomes = tasks.join_all().await;
    let stored = |outcome: &&Accepted| matches!(outcome, Accepted::Stored { .. });
    assert_eq!(outcomes.iter().filter(stored).count(), 1);
    assert_eq!(harness.store().counts().await.unwrap().open, 1);
}
