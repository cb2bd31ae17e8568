//! Everything that leaves the node: transactions, messages, callbacks. A commit
//! stores each of them. It is repeated under one identity until it is
//! delivered, refused for good, or past its deadline. Such jobs also fetch
//! contracts: whatever waits for a foreign server uses the receiver's share of
//! the credit for deliveries.

pub mod broadcaster;
pub mod broadcasting_store;
pub mod callback;
pub mod contract;
pub mod crypto_service;
pub mod dcontract;
pub mod failing;
pub mod message;
pub mod transaction;

use std::time::Duration;

use rand::Rng;

use crate::job::{Job, Millis};

const FIRST_DELAY: Duration = Duration::from_secs(5);
const LONGEST_DELAY: Duration = Duration::from_secs(180);
/// Failed tries after which the delay no longer grows.
const DOUBLINGS: u32 = 6;

/// Delay before the next try after `tries` failed ones: 5, 10, 20 ... 180 s,
/// each give or take 5 % (spec/messaging-and-crypto.md 1.6).
pub fn backoff(tries: u32) -> Duration {
    nominal_delay(tries)
        .mul_f64(rand::rng().random_range(0.95..=1.05))
        .min(LONGEST_DELAY)
}

/// [`backoff`] without its random part.
pub fn nominal_delay(tries: u32) -> Duration {
    let doubled = FIRST_DELAY.saturating_mul(1 << tries.min(DOUBLINGS));
    doubled.min(LONGEST_DELAY)
}

/// How long `tries` failed ones take by their nominal delays.
pub fn nominal_time(tries: u32) -> Duration {
    let growing: Duration = (0..tries.min(DOUBLINGS)).map(nominal_delay).sum();
    growing + LONGEST_DELAY.saturating_mul(tries.saturating_sub(DOUBLINGS))
}

/// Whether the next try would come after `limit`, both by the delays of the
/// tries so far and by the clock. The clock alone would count time in which
/// this node was down; the tries alone would count those at which nothing was
/// sent.
pub fn is_out_of_time(job: &Job, limit: Duration) -> bool {
    let next = nominal_delay(job.tries);
    let elapsed = job.accepted_at.until(Millis::now());
    nominal_time(job.tries) + next > limit && elapsed + next > limit
}

/// Delay before the next try when one of our own services (ledger, store, MQ
/// service) cannot be reached: 0.2 s doubling to 15 s, so that work continues
/// soon after it is back.
pub fn reconnect_backoff(tries: u32) -> Duration {
    Duration::from_millis(200)
        .saturating_mul(1 << tries.min(7))
        .min(Duration::from_secs(15))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_their_limit() {
        for (tries, seconds) in [
            (0, 5.0),
            (1, 10.0),
            (2, 20.0),
            (3, 40.0),
            (4, 80.0),
            (5, 160.0),
        ] {
            let delay = backoff(tries).as_secs_f64();
            assert!(
                (delay - seconds).abs() <= seconds * 0.0501,
                "{tries}: {delay}"
            );
        }
        let times = [0, 1, 4, 6, 7, 9].map(|tries| nominal_time(tries).as_secs());
        assert_eq!(times, [0, 5, 75, 315, 495, 855]);
        assert!(backoff(60) <= Duration::from_secs(180));
        assert!(backoff(60) >= Duration::from_secs(170));
    }
}
