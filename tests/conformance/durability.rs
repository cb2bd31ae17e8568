//! What survives a restart in good order.

use std::time::Duration;

use erawan::job::{Commit, Epoch, Millis};
use erawan::store::{Accept, Committed, Lease};

use crate::harness::*;

pub async fn everything_is_there_after_a_restart<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let lease = harness
        .master()
        .acquire_lease("a", Duration::from_millis(1), ANY)
        .await;
    assert_eq!(lease.unwrap(), Lease::Held { epoch: Epoch(1) });
    let ended = accept_job(&*store, job("k").source("s1")).await;
    let mut failure = Commit::failed("why");
    failure.write(put("r", "v"));
    apply(&*store, attempt(&ended), failure).await;
    let later = accept_job(&*store, job("k").source("s2")).await;
    let moved = store.reschedule(attempt(&later), Millis(5), "later");
    assert!(moved.await.unwrap());
    let claimed = accept_job(&*store, job("k")).await;
    assert!(store.claim(attempt(&claimed)).await.unwrap());
    harness
        .master()
        .release(Epoch(1), &releases(&[claimed.id()]))
        .await
        .unwrap();
    let open = store.open_jobs(0, 9).await.unwrap();
    let failed = store.failed_jobs(0, 9).await.unwrap();
    drop(store);

    let harness = harness.restart().await;
    let store = harness.store();
    assert_eq!(open.len(), 2);
    assert_eq!(store.open_jobs(0, 9).await.unwrap(), open);
    assert_eq!(failed.len(), 1);
    assert_eq!(store.failed_jobs(0, 9).await.unwrap(), failed);
    assert_eq!(value(&*store, "r").await.as_deref(), Some("v"));
    let (jobs, _) = accept_all(&*store, accept_of(vec![job("k").source("s1")])).await;
    assert_eq!(jobs, [], "the source is still known");
    let late = store
        .commit(attempt(&claimed), Commit::nothing().into())
        .await;
    assert_eq!(late.unwrap(), Committed::Fenced);
    assert!(!store.claim(attempt(&open[1])).await.unwrap());
    let next = accept_job(&*store, job("k")).await;
    assert_eq!((next.seq, next.prev), (4, claimed.seq));

    // The lease of 1 ms runs out.
    let master = harness.master();
    let ask = || master.acquire_lease("b", Duration::from_secs(9), ANY);
    eventually(|| async { ask().await.unwrap() == Lease::Held { epoch: Epoch(2) } }).await;
    let former = Accept {
        epoch: Some(Epoch(1)),
        ..Accept::default()
    };
    assert!(store.accept(former).await.is_err());
}
