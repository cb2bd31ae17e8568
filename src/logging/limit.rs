//! Keeps a storm from filling a disk: of lines that say the same, the first are
//! written, and the next one that is written says how many were left out.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Most sorts that are remembered.
const MANY: usize = 1024;

/// Lets a few lines of each sort pass in a while.
pub struct LineLimit<K> {
    most: u32,
    per: Duration,
    sorts: Mutex<HashMap<K, Window>>,
}

struct Window {
    since: Instant,
    written: u32,
    left_out: u64,
}

impl<K: Eq + Hash> LineLimit<K> {
    /// `most` lines of a sort `per` this time.
    pub fn new(most: u32, per: Duration) -> Self {
        Self {
            most,
            per,
            sorts: Mutex::default(),
        }
    }

    /// Whether a line of this sort may be written, and how many were left out
    /// since the last one.
    pub fn admit(&self, sort: K) -> Option<u64> {
        self.admit_at(sort, Instant::now())
    }

    fn admit_at(&self, sort: K, now: Instant) -> Option<u64> {
        let mut sorts = self.sorts.lock();
        if sorts.len() >= MANY && !sorts.contains_key(&sort) {
            sorts.retain(|_, window| now.duration_since(window.since) < self.per);
            if sorts.len() >= MANY {
                // So many sorts at once are a storm too.
                left_out();
                return None;
            }
        }
        let window = sorts.entry(sort).or_insert(Window {
            since: now,
            written: 0,
            left_out: 0,
        });
        if now.duration_since(window.since) >= self.per {
            window.since = now;
            window.written = 0;
        }
        if window.written >= self.most {
            window.left_out += 1;
            left_out();
            return None;
        }
        window.written += 1;
        Some(std::mem::take(&mut window.left_out))
    }
}

fn left_out() {
    metrics::counter!("erawan_log_lines_left_out_total").increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PER: Duration = Duration::from_secs(10);

    #[test]
    fn the_first_lines_of_a_sort_are_written_and_the_others_counted() {
        let limit = LineLimit::new(2, PER);
        let now = Instant::now();
        let admitted = (0..5).map(|_| limit.admit_at("a", now));
        let admitted: Vec<_> = admitted.collect();
        assert_eq!(admitted, [Some(0), Some(0), None, None, None]);
        assert_eq!(limit.admit_at("b", now), Some(0), "another sort");
        assert_eq!(limit.admit_at("a", now + PER), Some(3));
        assert_eq!(limit.admit_at("a", now + PER), Some(0));
    }

    #[test]
    fn the_memory_for_sorts_is_bounded() {
        let limit = LineLimit::new(1, PER);
        let now = Instant::now();
        let admitted = (0..3 * MANY).filter(|sort| limit.admit_at(*sort, now).is_some());
        assert_eq!(admitted.count(), MANY);
        assert!(limit.admit_at(7, now + PER).is_some());
        assert!(limit.admit_at(5 * MANY, now + PER).is_some());
        assert!(limit.sorts.lock().len() < 3);
    }
}
