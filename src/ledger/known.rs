//! Remembers blocks, to judge a ledger that is lower now.
//!
//! A replaced ledger sooner or later shows another block at a remembered
//! height, or a block that is younger than a remembered one at its height or
//! above. A node that is only behind never does, however long it stays behind.
//! Pure.

use serde::{Deserialize, Serialize};

use super::Mark;

/// A block that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Landmark {
    height: u64,
    /// Empty if it was not told.
    hash: String,
    /// Empty where the hash of the block says more.
    app_hash: String,
    time: String,
}

impl Landmark {
    fn new(height: u64, mark: &Mark) -> Self {
        let app_hash = match mark.hash.is_empty() {
            true => mark.app_hash.clone(),
            false => String::new(),
        };
        Self {
            height,
            hash: mark.hash.clone(),
            app_hash,
            time: mark.time.clone(),
        }
    }

    fn mark(&self) -> Mark {
        Mark {
            hash: self.hash.clone(),
            app_hash: self.app_hash.clone(),
            time: self.time.clone(),
        }
    }

    /// Whether one history cannot contain both blocks.
    fn contradicts(&self, height: u64, mark: &Mark) -> bool {
        let own = self.mark();
        match self.height.cmp(&height) {
            std::cmp::Ordering::Equal => mark.is_known() && !own.is_same(mark),
            std::cmp::Ordering::Greater => mark.is_later_than(&own),
            std::cmp::Ordering::Less => own.is_later_than(mark),
        }
    }
}

/// Remembered blocks, lowest first: the newest, and before it one for each
/// doubling of the distance, so that a history that branched off anywhere soon
/// reaches a remembered height.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KnownBlocks(Vec<Landmark>);

impl KnownBlocks {
    /// Remembers only this block.
    pub fn only(height: u64, mark: &Mark) -> Self {
        let mut known = Self::default();
        known.add(height, mark);
        known
    }

    /// Adds a block above all others.
    pub fn add(&mut self, height: u64, mark: &Mark) {
        if !mark.is_known() {
            return;
        }
        self.0.retain(|known| known.height < height);
        let mut last_doubling = None;
        self.0.retain(|known| {
            let doubling = Some((height - known.height).ilog2());
            std::mem::replace(&mut last_doubling, doubling) != doubling
        });
        self.0.push(Landmark::new(height, mark));
    }

    /// The highest remembered block that is neither above `height` nor below
    /// `earliest`: where to check that the ledger still has the same blocks.
    pub fn highest(&self, earliest: u64, height: u64) -> Option<u64> {
        let mut heights = self.0.iter().map(|known| known.height);
        heights.rfind(|known| (earliest..=height).contains(known))
    }

    /// Whether a ledger with this block has another history than the remembered
    /// one.
    pub fn contradicts(&self, height: u64, mark: &Mark) -> bool {
        self.0.iter().any(|known| known.contradicts(height, mark))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    /// A block of a history, made at this second.
    fn mark(history: &str, height: u64, second: u64) -> Mark {
        let time = OffsetDateTime::from_unix_timestamp(second as i64).unwrap();
        Mark {
            hash: format!("{history}-{height}"),
            app_hash: format!("A{history}-{height}"),
            time: time.format(&Rfc3339).unwrap(),
        }
    }

    fn seen(height: u64) -> KnownBlocks {
        let mut known = KnownBlocks::default();
        for height in 1..=height {
            known.add(height, &mark("old", height, height));
        }
        known
    }

    #[test]
    fn few_blocks_are_kept_and_the_newest_is_one_of_them() {
        let known = seen(100_000);
        assert!(known.0.len() <= 18, "{}", known.0.len());
        assert_eq!(known.highest(1, u64::MAX), Some(100_000));
        for distance in [1, 10, 100, 1_000, 10_000, 60_000] {
            let found = known.highest(1, 100_000 - distance);
            let found = found.unwrap_or_else(|| panic!("none {distance} blocks ago"));
            let below = 100_000 - distance - found;
            assert!(below <= 4 * distance, "{found} for {distance}");
        }
    }

    #[test]
    fn blocks_that_are_not_kept_by_the_ledger_are_not_looked_at() {
        let mut known = KnownBlocks::only(10, &mark("old", 10, 10));
        known.add(20, &mark("old", 20, 20));
        assert_eq!(known.highest(1, 19), Some(10));
        assert_eq!(known.highest(11, 19), None);
        assert_eq!(known.highest(11, 20), Some(20));
        assert_eq!(known.highest(1, 9), None);
    }

    #[test]
    fn an_unknown_block_says_nothing() {
        let mut known = seen(10);
        known.add(11, &Mark::default());
        assert_eq!(known.highest(1, 100), Some(10));
        assert!(!known.contradicts(10, &Mark::default()));
    }

    #[test]
    fn the_hash_decides_where_it_is_told_and_the_rest_where_it_is_not() {
        let known = seen(10);
        let mut other = mark("old", 10, 10);
        other.app_hash = "other".to_owned();
        assert!(!known.contradicts(10, &other), "the hash covers it");
        other.hash = "other".to_owned();
        assert!(known.contradicts(10, &other));
        let without_hash = |app_hash: &str| Mark {
            hash: String::new(),
            app_hash: app_hash.to_owned(),
            time: "2026-01-01T00:00:00Z".to_owned(),
        };
        let known = KnownBlocks::only(10, &without_hash("A"));
        assert!(!known.contradicts(10, &without_hash("A")));
        assert!(known.contradicts(10, &without_hash("B")));
    }

    proptest! {
        /// Whatever part of the same history a ledger shows, in whatever order:
        /// it is only behind.
        #[test]
        fn a_ledger_that_is_behind_never_contradicts(top in 1u64..400, shown in 1u64..500) {
            let known = seen(top);
            prop_assert!(!known.contradicts(shown, &mark("old", shown, shown)));
        }

        /// A history that branched off below a remembered block contradicts it
        /// once it has grown as high; if its clock runs on, with its first
        /// block.
        #[test]
        fn another_history_contradicts_sooner_or_later(
            top in 2u64..400, branch in 1u64..400, clock in 0u64..3,
        ) {
            let branch = branch.min(top - 1);
            let known = seen(top);
            // Its clock was set back, stands still, or runs on.
            let second = |height: u64| match clock {
                0 => height - branch,
                1 => height,
                _ => top + height,
            };
            let shows = |height| known.contradicts(height, &mark("new", height, second(height)));
            prop_assert!((branch + 1..=top).any(shows));
            if clock == 2 {
                prop_assert!(shows(branch + 1));
            }
        }
    }
}
