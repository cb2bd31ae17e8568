//! Mastership.

use std::time::Duration;

use erawan::job::Epoch;
use erawan::store::Lease;

use crate::harness::*;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);

fn held(epoch: u64) -> Lease {
    Lease::Held {
        epoch: Epoch(epoch),
    }
}

pub async fn mastership_is_one_holders_at_a_time<H: Harness>() {
    let harness = H::start().await;
    let master = harness.master();
    let acquire = |holder: &'static str| master.acquire_lease(holder, LONG, ANY);
    assert_eq!(acquire("a").await.unwrap(), held(1));
    assert_eq!(acquire("a").await.unwrap(), held(1), "renewed");
    match acquire("b").await.unwrap() {
        Lease::HeldBy { holder, remaining } => {
            assert_eq!(holder, "a");
            assert!(remaining <= LONG && remaining > LONG / 2);
        }
        lease => panic!("{lease:?}"),
    }
    master.release_lease("b").await.unwrap();
    assert!(matches!(acquire("b").await, Ok(Lease::HeldBy { .. })));
}

pub async fn an_expired_lease_is_taken_over_with_a_higher_epoch<H: Harness>() {
    let harness = H::start().await;
    let master = harness.master();
    assert_eq!(
        master.acquire_lease("a", SHORT, ANY).await.unwrap(),
        held(1)
    );
    eventually(|| async { master.acquire_lease("b", SHORT, ANY).await.unwrap() == held(2) }).await;
    tokio::time::sleep(2 * SHORT).await;
    let again = master.acquire_lease("b", LONG, ANY).await.unwrap();
    assert_eq!(again, held(2), "nobody else was master in between");
}

pub async fn a_lease_given_up_is_free_at_once<H: Harness>() {
    let harness = H::start().await;
    let master = harness.master();
    master.release_lease("nobody").await.unwrap();
    assert_eq!(master.acquire_lease("a", LONG, ANY).await.unwrap(), held(1));
    master.release_lease("a").await.unwrap();
    assert_eq!(master.acquire_lease("b", LONG, ANY).await.unwrap(), held(2));
}

pub async fn a_lease_made_long_by_a_clock_that_was_set_back_has_run_out<H: Harness>() {
    let harness = H::start().await;
    let master = harness.master();
    // As it looks to a clock that has lost seven hours since.
    let hours = Duration::from_secs(7 * 3600);
    assert_eq!(
        master.acquire_lease("a", hours, ANY).await.unwrap(),
        held(1)
    );
    assert_eq!(master.acquire_lease("b", LONG, ANY).await.unwrap(), held(2));
    let former = master.acquire_lease("a", LONG, ANY).await;
    assert!(matches!(former, Ok(Lease::HeldBy { .. })), "{former:?}");
}

pub async fn a_term_begins_above_the_epoch_its_holder_was_refused_with<H: Harness>() {
    let harness = H::start().await;
    let master = harness.master();
    let clock = 1_700_000_000_000;
    let acquire = |holder: &'static str, above| master.acquire_lease(holder, LONG, Epoch(above));
    assert_eq!(acquire("a", clock).await.unwrap(), held(clock + 1));
    assert_eq!(acquire("a", clock).await.unwrap(), held(clock + 1), "kept");
    master.release_lease("a").await.unwrap();
    assert_eq!(acquire("b", 7).await.unwrap(), held(clock + 2));
}
