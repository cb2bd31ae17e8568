//! How the ledger is followed: which blocks to fetch next, and what a ledger
//! that is not the one of yesterday means. Pure: no clock, no network.
//!
//! Block N is *settled* (own transactions found in it go on) when it is seen,
//! and *acted on* (the roles' jobs) when block N+1 is seen, because the roles
//! verify against the state after N (spec/ledger.md 1.6, spec/flows.md 1.5).

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Mark;
use super::rpc::answers::Status;

/// How far the ledger has been followed (table `Progress`, row
/// [`Progress::ROW`]); stored in one step with the jobs of the blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Which chain.
    pub chain_id: String,
    /// Every block up to here is settled.
    pub settled: u64,
    /// Every block up to here is acted on; never above `settled`.
    pub processed: u64,
    /// Of block `settled`, to recognise a ledger that was replaced under the
    /// same chain id; its default if unknown.
    pub mark: Mark,
    /// How often the ledger has been replaced, as far as this node has seen.
    /// Heights are compared within one era only.
    pub era: u64,
}

impl Progress {
    /// The row it is stored in.
    pub const ROW: &'static str = "ledger";

    /// Starts at the ledger's newest block: it is acted on when the next is seen.
    fn from_now(status: &Status, era: u64) -> Self {
        Self {
            chain_id: status.chain_id.clone(),
            settled: status.height,
            processed: status.height.saturating_sub(1),
            mark: status.mark.clone(),
            era,
        }
    }

    /// Starts before block 1.
    fn from_genesis(status: &Status, era: u64) -> Self {
        Self {
            chain_id: status.chain_id.clone(),
            settled: 0,
            processed: 0,
            mark: Mark::default(),
            era,
        }
    }

    /// Whether the ledger is lower than what was settled, under the same id: it
    /// may be a ledger node that is still behind, or another history.
    pub fn is_above(&self, status: &Status) -> bool {
        self.chain_id == status.chain_id && status.height < self.settled
    }

    /// Whether a lower ledger is certainly another history: its newest block is
    /// younger than one that was higher.
    pub fn is_contradicted_by(&self, status: &Status) -> bool {
        self.is_above(status) && status.mark.is_later_than(&self.mark)
    }
}

/// What the ledger is, compared with what was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Nothing was saved: starts at the current height.
    First,
    /// The same chain.
    Resumed,
    /// Another chain id: starts at height 1 of it (spec/ledger.md 1.7).
    NewChain {
        /// The id saved.
        old: String,
    },
    /// Fewer blocks, or other blocks, under the same chain id: starts at the
    /// current height.
    LedgerReset {
        /// The height saved.
        saved: u64,
    },
}

impl Start {
    /// Whether the ledger is another one than before.
    pub fn is_replaced(&self) -> bool {
        matches!(self, Start::NewChain { .. } | Start::LedgerReset { .. })
    }
}

/// Compares the ledger with saved progress. `there`: the ledger's block of
/// height `saved.settled`, if it can tell.
pub fn start(saved: Option<Progress>, status: &Status, there: Option<&Mark>) -> (Start, Progress) {
    let Some(saved) = saved else {
        return (Start::First, Progress::from_now(status, 0));
    };
    let next_era = saved.era + 1;
    if saved.chain_id != status.chain_id {
        let old = saved.chain_id;
        let progress = Progress::from_genesis(status, next_era);
        return (Start::NewChain { old }, progress);
    }
    let other_block = there.is_some_and(|there| saved.mark.is_known() && *there != saved.mark);
    if saved.is_above(status) || other_block {
        let saved = saved.settled;
        let progress = Progress::from_now(status, next_era);
        return (Start::LedgerReset { saved }, progress);
    }
    (Start::Resumed, saved)
}

/// Blocks to fetch, in order. Those in `settle` are settled; all but the last
/// are acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// To be fetched.
    pub fetch: RangeInclusive<u64>,
    /// First block to settle; those before it are settled already.
    pub settle_from: u64,
}

/// Keeps track of what has been seen and what has been done.
#[derive(Debug, Clone)]
pub struct Follow {
    progress: Progress,
    tip: u64,
}

impl Follow {
    /// Goes on from `progress`.
    pub fn new(progress: Progress) -> Self {
        let tip = progress.settled;
        Self { progress, tip }
    }

    /// What is stored.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The highest block known to exist.
    pub fn tip(&self) -> u64 {
        self.tip
    }

    /// The ledger has shown a block (events) or told its height (`status`).
    pub fn saw(&mut self, height: u64) {
        self.tip = self.tip.max(height);
    }

    /// What to do next: at most `limit` blocks to settle. `None`: nothing.
    pub fn next(&self, limit: u64) -> Option<Plan> {
        let Progress {
            settled, processed, ..
        } = self.progress;
        if self.tip <= settled {
            return None;
        }
        let last = self.tip.min(settled.saturating_add(limit.max(1)));
        Some(Plan {
            fetch: processed + 1..=last,
            settle_from: settled + 1,
        })
    }

    /// The progress to store when the blocks up to `height`, which has this
    /// mark, are settled and those before it acted on.
    pub fn after(&self, height: u64, mark: &Mark) -> Progress {
        Progress {
            chain_id: self.progress.chain_id.clone(),
            settled: height,
            processed: height.saturating_sub(1).max(self.progress.processed),
            mark: mark.clone(),
            era: self.progress.era,
        }
    }

    /// `progress` has been stored.
    pub fn stored(&mut self, progress: Progress) {
        self.tip = self.tip.max(progress.settled);
        self.progress = progress;
    }

    /// The ledger keeps no block below `earliest`: goes on from there. The
    /// blocks that can never be had, if any.
    pub fn skip_pruned(&mut self, earliest: u64) -> Option<RangeInclusive<u64>> {
        let first_wanted = self.progress.processed + 1;
        if earliest <= first_wanted {
            return None;
        }
        self.progress.processed = earliest - 1;
        self.progress.settled = self.progress.settled.max(earliest - 1);
        self.tip = self.tip.max(self.progress.settled);
        Some(first_wanted..=earliest - 1)
    }
}

/// What a call of `status` says about the subscription and the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All is well, or it is too early to tell.
    Fine,
    /// The subscription has shown no block for a while although there are some.
    Silent,
    /// The ledger is lower than what has been settled: it may have been reset.
    Lower,
}

/// Judges the subscription and the ledger by repeated calls of `status`.
#[derive(Debug)]
pub struct Watchdog {
    patience: Duration,
    announced: u64,
    behind_since: Option<Instant>,
    /// What was settled when a lower height was told, if the last one was.
    lower_than: Option<u64>,
}

impl Watchdog {
    /// For a new subscription; blocks up to `height` need not be announced by it.
    pub fn new(height: u64, patience: Duration) -> Self {
        Self {
            patience,
            announced: height,
            behind_since: None,
            lower_than: None,
        }
    }

    /// The subscription has announced a block.
    pub fn announced(&mut self, height: u64) {
        self.announced = self.announced.max(height);
        self.behind_since = None;
    }

    /// `status` has told `height` while every block up to `settled` was settled.
    pub fn polled(&mut self, height: u64, settled: u64, now: Instant) -> Verdict {
        // A low height may have been told before the newest blocks were settled;
        // the next one is asked for after that.
        let lower_than = (height < settled).then_some(settled);
        let before = std::mem::replace(&mut self.lower_than, lower_than);
        if before.is_some_and(|settled_before| height < settled_before) {
            return Verdict::Lower;
        }
        if height <= self.announced {
            self.behind_since = None;
            return Verdict::Fine;
        }
        let since = *self.behind_since.get_or_insert(now);
        if now.duration_since(since) >= self.patience {
            return Verdict::Silent;
        }
        Verdict::Fine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn status(chain_id: &str, height: u64) -> Status {
        Status {
            chain_id: chain_id.to_owned(),
            version: "0.38.6".to_owned(),
            catching_up: false,
            height,
            mark: mark(height),
            earliest_height: 1,
        }
    }

    fn saved(settled: u64) -> Progress {
        Progress {
            chain_id: "a".to_owned(),
            settled,
            processed: settled - 1,
            mark: mark(settled),
            era: 4,
        }
    }

    /// Of a block that was made `height` seconds after midnight.
    fn mark(height: u64) -> Mark {
        let (minutes, seconds) = (height / 60, height % 60);
        Mark {
            app_hash: format!("H{height}"),
            time: format!("2026-01-01T00:{minutes:02}:{seconds:02}.5Z"),
        }
    }

    #[test]
    fn the_first_start_begins_at_the_current_height() {
        let (start, progress) = start(None, &status("a", 10), None);
        assert_eq!(start, Start::First);
        assert_eq!((progress.settled, progress.processed), (10, 9));
        let mut follow = Follow::new(progress);
        assert_eq!(follow.next(50), None);
        follow.saw(11);
        let plan = follow.next(50).unwrap();
        assert_eq!((plan.fetch, plan.settle_from), (10..=11, 11));
    }

    #[test]
    fn a_new_chain_begins_at_its_first_block() {
        let (start, progress) = start(Some(saved(100)), &status("b", 7), None);
        assert_eq!(start, Start::NewChain { old: "a".into() });
        let mut follow = Follow::new(progress);
        follow.saw(7);
        let plan = follow.next(50).unwrap();
        assert_eq!((plan.fetch, plan.settle_from), (1..=7, 1));
    }

    #[test]
    fn a_reset_ledger_is_noticed_by_height_and_by_content() {
        let (lower, progress) = start(Some(saved(100)), &status("a", 7), None);
        assert_eq!(lower, Start::LedgerReset { saved: 100 });
        assert_eq!((progress.settled, progress.processed), (7, 6));
        assert_eq!(progress.era, saved(100).era + 1);
        let mut another = mark(100);
        another.time.push('x');
        let (other, progress) = start(Some(saved(100)), &status("a", 120), Some(&another));
        assert_eq!(other, Start::LedgerReset { saved: 100 });
        assert_eq!(progress.era, saved(100).era + 1);
        let (same, progress) = start(Some(saved(100)), &status("a", 120), Some(&mark(100)));
        assert_eq!((same, progress), (Start::Resumed, saved(100)));
        let (unknown, _) = start(Some(saved(100)), &status("a", 120), None);
        assert_eq!(unknown, Start::Resumed);
    }

    #[test]
    fn missed_blocks_are_all_planned_once_in_order_and_in_portions() {
        let mut follow = Follow::new(saved(10));
        follow.saw(137);
        let (mut settled, mut acted) = (Vec::new(), Vec::new());
        while let Some(plan) = follow.next(50) {
            let last = *plan.fetch.end();
            for height in plan.fetch {
                settled.extend((height >= plan.settle_from).then_some(height));
                acted.extend((height < last).then_some(height));
            }
            let progress = follow.after(last, &Mark::default());
            follow.stored(progress);
        }
        assert_eq!(settled, (11..=137).collect::<Vec<_>>());
        assert_eq!(acted, (10..=136).collect::<Vec<_>>());
    }

    #[test]
    fn a_height_told_late_is_no_step_back() {
        let mut follow = Follow::new(saved(10));
        follow.saw(12);
        follow.saw(11);
        assert_eq!(follow.tip(), 12);
    }

    #[test]
    fn pruned_blocks_are_left_out_and_reported() {
        let mut follow = Follow::new(saved(10));
        follow.saw(100);
        assert_eq!(follow.skip_pruned(10), None);
        assert_eq!(follow.skip_pruned(60), Some(10..=59));
        let plan = follow.next(1000).unwrap();
        assert_eq!((plan.fetch, plan.settle_from), (60..=100, 60));
    }

    #[test]
    fn a_lower_ledger_with_younger_blocks_is_certainly_another_one() {
        let behind = status("a", 90);
        assert!(saved(100).is_above(&behind) && !saved(100).is_contradicted_by(&behind));
        let mut reset = status("a", 7);
        reset.mark = mark(200);
        assert!(saved(100).is_contradicted_by(&reset));
        reset.mark.time = "rubbish".to_owned();
        assert!(!saved(100).is_contradicted_by(&reset), "it cannot be told");
        assert!(!saved(100).is_above(&status("b", 7)));
    }

    #[test]
    fn a_subscription_that_falls_silent_is_given_up_after_its_patience() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut watchdog = Watchdog::new(10, Duration::from_secs(2));
        assert_eq!(watchdog.polled(10, 10, after(0)), Verdict::Fine);
        assert_eq!(watchdog.polled(11, 10, after(1)), Verdict::Fine);
        watchdog.announced(11);
        assert_eq!(watchdog.polled(12, 11, after(5)), Verdict::Fine);
        assert_eq!(watchdog.polled(12, 12, after(6)), Verdict::Fine);
        assert_eq!(watchdog.polled(12, 12, after(7)), Verdict::Silent);
    }

    #[test]
    fn a_ledger_that_is_lower_twice_may_have_been_reset() {
        let now = Instant::now();
        let mut watchdog = Watchdog::new(10, Duration::from_secs(2));
        assert_eq!(watchdog.polled(9, 10, now), Verdict::Fine);
        assert_eq!(watchdog.polled(10, 10, now), Verdict::Fine);
        assert_eq!(watchdog.polled(3, 10, now), Verdict::Fine);
        assert_eq!(watchdog.polled(4, 10, now), Verdict::Lower);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Sees(u64),
        Works(u64),
        Crashes,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0u64..40).prop_map(Step::Sees),
            (1u64..8).prop_map(Step::Works),
            Just(Step::Crashes),
        ];
        prop::collection::vec(step, 0..80)
    }

    proptest! {
        /// Whatever is seen and whenever the process dies, each block is
        /// settled once and acted on once, in order, and never acted on before
        /// the next one was seen.
        #[test]
        fn every_block_is_settled_and_acted_on_once_in_order(steps in steps()) {
            let mut follow = Follow::new(saved(10));
            let (mut settled, mut acted, mut seen) = (10, 9, 10);
            for step in steps {
                match step {
                    Step::Sees(height) => {
                        follow.saw(height);
                        seen = seen.max(height);
                    }
                    Step::Crashes => follow = Follow::new(follow.progress().clone()),
                    Step::Works(limit) => {
                        let Some(plan) = follow.next(limit) else {
                            prop_assert_eq!(follow.tip(), settled);
                            continue;
                        };
                        let last = *plan.fetch.end();
                        prop_assert!(last <= seen);
                        for height in plan.fetch {
                            if height >= plan.settle_from {
                                prop_assert_eq!(height, settled + 1);
                                settled = height;
                            }
                            if height < last {
                                prop_assert_eq!(height, acted + 1);
                                acted = height;
                            }
                        }
                        let progress = follow.after(last, &Mark::default());
                        prop_assert_eq!((progress.settled, progress.processed), (settled, acted));
                        follow.stored(progress);
                    }
                }
            }
        }
    }
}
