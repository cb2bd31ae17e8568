//! Mastership.

use std::time::Duration;

use erawan::store::{Epoch, Lease};

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
    let acquire = |holder: &'static str| master.acquire_lease(holder, LONG);
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
    assert_eq!(master.acquire_lease("a", SHORT).await.unwrap(), held(1));
    eventually(|| async { master.acquire_lease("b", SHORT).await.unwrap() == held(2) }).await;
    tokio::time::sleep(2 * SHORT).await;
    let again = master.acquire_lease("b", LONG).await.unwrap();
    assert_eq!(again, held(2), "nobody else was master in between");
}

pub async fn a_lease_given_up_is_free_at_once<H: Harness>() {
    let harness = H::start().await;
    let master = harness.master();
    master.release_lease("nobody").await.unwrap();
    assert_eq!(master.acquire_lease("a", LONG).await.unwrap(), held(1));
    master.release_lease("a").await.unwrap();
    assert_eq!(master.acquire_lease("b", LONG).await.unwrap(), held(2));
}
