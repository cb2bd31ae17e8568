//! Receivers that have failed for a while. Deliveries to one of them wait for
//! its small share of the credit, so that their time may run out long before
//! their turn. They are then given up without a try. Otherwise a receiver that
//! accepts calls and never answers would get a try of a minute for each, and
//! its backlog would grow for ever.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Most remembered receivers. Beyond that, those are forgotten that have failed
/// for the shortest time.
const MANY: usize = 1024;

/// Since when each receiver has failed, as far as this process knows.
#[derive(Debug, Default)]
pub struct Failing(Mutex<HashMap<String, Instant>>);

impl Failing {
    /// Notes a failed try.
    pub fn failed(&self, receiver: &str) {
        let mut since = self.0.lock();
        if since.contains_key(receiver) {
            return;
        }
        if since.len() >= MANY {
            let youngest = since.iter().max_by_key(|(_, since)| **since);
            let youngest = youngest.map(|(receiver, _)| receiver.clone());
            if let Some(youngest) = youngest {
                since.remove(&youngest);
            }
        }
        since.insert(receiver.to_owned(), Instant::now());
    }

    /// Notes a successful try.
    pub fn succeeded(&self, receiver: &str) {
        self.0.lock().remove(receiver);
    }

    /// Whether a try failed at least `time` ago and none has succeeded since.
    pub fn has_failed_for(&self, receiver: &str, time: Duration) -> bool {
        let since = self.0.lock().get(receiver).copied();
        since.is_some_and(|since| since.elapsed() >= time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_fails_from_its_first_failure_until_it_succeeds() {
        let failing = Failing::default();
        assert!(!failing.has_failed_for("a", Duration::ZERO));
        failing.failed("a");
        assert!(failing.has_failed_for("a", Duration::ZERO));
        assert!(!failing.has_failed_for("a", Duration::from_secs(600)));
        assert!(!failing.has_failed_for("b", Duration::ZERO));
        failing.succeeded("a");
        assert!(!failing.has_failed_for("a", Duration::ZERO));
    }

    #[test]
    fn of_many_receivers_those_that_failed_longest_are_remembered() {
        let failing = Failing::default();
        for number in 0..2 * MANY {
            failing.failed(&number.to_string());
        }
        assert_eq!(failing.0.lock().len(), MANY);
        assert!(failing.has_failed_for("0", Duration::ZERO));
    }
}
