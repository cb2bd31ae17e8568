//! How the ledger is followed: which blocks to fetch next, and what a changed
//! ledger means. Pure: no clock, no network.
//!
//! Block N is *settled* (our own transactions in it are) when it is seen. It is
//! *acted on* (the roles' jobs are made) when block N+1 is seen, because the
//! roles verify against the state after N (spec/ledger.md 1.6, spec/flows.md
//! 1.5).

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Mark;
use super::known::KnownBlocks;
use super::rpc::answers::LedgerStatus;
use crate::job::codec::{self, DecodeError};

crate::job::stored! {
    "progress": Progress = 1,
    "progress_before_marks": Earlier = 1,
}

/// How far the ledger has been followed (table `Progress`, row
/// [`Progress::ROW`]). Stored in one step with the jobs of the blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub chain_id: String,
    /// Every block up to here is settled.
    pub settled: u64,
    /// Every block up to here is acted on; never above `settled`.
    pub processed: u64,
    /// Of block `settled`; the default if unknown.
    pub mark: Mark,
    /// How often this node has seen the ledger replaced. Heights are comparable
    /// within one era only.
    pub era: u64,
    /// Recognises a ledger that was replaced under the same chain id.
    known: KnownBlocks,
}

/// [`Progress`] in the form of earlier releases.
#[derive(Serialize, Deserialize)]
struct Earlier {
    chain_id: String,
    settled: u64,
    processed: u64,
    mark: Mark,
    era: u64,
}

impl Progress {
    pub const ROW: &'static str = "ledger";

    fn new(chain_id: &str, settled: u64, processed: u64, mark: &Mark, era: u64) -> Self {
        Self {
            chain_id: chain_id.to_owned(),
            settled,
            processed,
            mark: mark.clone(),
            era,
            known: KnownBlocks::only(settled, mark),
        }
    }

    /// Starts at the ledger's newest block, which is acted on when the next is
    /// seen.
    fn from_now(status: &LedgerStatus, era: u64) -> Self {
        let height = status.height;
        let processed = height.saturating_sub(1);
        Self::new(&status.chain_id, height, processed, &status.mark, era)
    }

    /// Starts before block 1.
    fn from_genesis(status: &LedgerStatus, era: u64) -> Self {
        Self::new(&status.chain_id, 0, 0, &Mark::default(), era)
    }

    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads what this or an earlier release has stored.
    /// # Errors
    /// When it is neither.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let problem = match codec::decode(bytes) {
            Ok(progress) => return Ok(progress),
            Err(problem) => problem,
        };
        let earlier: Earlier = codec::decode(bytes).map_err(|_| problem)?;
        let Earlier {
            chain_id,
            settled,
            processed,
            mark,
            era,
        } = earlier;
        Ok(Self::new(&chain_id, settled, processed, &mark, era))
    }

    /// Whether the ledger is lower than what was settled, under the same id:
    /// its node is behind, or the ledger was replaced.
    pub fn is_above(&self, status: &LedgerStatus) -> bool {
        self.chain_id == status.chain_id && status.height < self.settled
    }

    /// Whether the ledger's newest block proves that the ledger was replaced.
    pub fn is_contradicted_by(&self, status: &LedgerStatus) -> bool {
        self.chain_id == status.chain_id && self.known.contradicts(status.height, &status.mark)
    }

    /// The height whose block best shows whether the ledger was replaced;
    /// `None` if it has no block that was seen.
    pub fn landmark(&self, status: &LedgerStatus) -> Option<u64> {
        let is_same_chain = self.chain_id == status.chain_id;
        let landmark = || self.known.highest(status.earliest_height, status.height);
        is_same_chain.then(landmark).flatten()
    }
}

/// The ledger, compared with the saved progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainStart {
    /// Nothing was saved: start at the current height.
    First,
    /// The same chain.
    Resumed,
    /// Another chain id: start at its height 1 (spec/ledger.md 1.7).
    NewChain {
        /// The saved id.
        old: String,
    },
    /// Replaced under the same chain id: start at the current height.
    LedgerReset {
        /// The saved height.
        saved: u64,
    },
}

impl ChainStart {
    /// Whether the ledger was replaced.
    pub fn is_replaced(&self) -> bool {
        matches!(
            self,
            ChainStart::NewChain { .. } | ChainStart::LedgerReset { .. }
        )
    }
}

/// Compares the ledger with saved progress. `there`: the ledger's block at
/// [`Progress::landmark`], if it can tell. `None`: the ledger is lower than
/// what was seen and nothing proves that it was replaced, so its node may be
/// behind. The consequences of a replaced ledger cannot be undone, so the
/// caller waits, however long that takes.
pub fn start(
    saved: Option<&Progress>,
    status: &LedgerStatus,
    there: Option<(u64, &Mark)>,
) -> Option<(ChainStart, Progress)> {
    let Some(saved) = saved else {
        return Some((ChainStart::First, Progress::from_now(status, 0)));
    };
    let next_era = saved.era + 1;
    if saved.chain_id != status.chain_id {
        let old = saved.chain_id.clone();
        let progress = Progress::from_genesis(status, next_era);
        return Some((ChainStart::NewChain { old }, progress));
    }
    let is_other = |(height, mark): (u64, &Mark)| saved.known.contradicts(height, mark);
    if saved.is_contradicted_by(status) || there.is_some_and(is_other) {
        let saved = saved.settled;
        let progress = Progress::from_now(status, next_era);
        return Some((ChainStart::LedgerReset { saved }, progress));
    }
    (!saved.is_above(status)).then(|| (ChainStart::Resumed, saved.clone()))
}

/// Blocks to fetch, in order. Those from `settle_from` are settled; all but the
/// last are acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchPlan {
    pub fetch: RangeInclusive<u64>,
    /// Blocks before it are settled already.
    pub settle_from: u64,
}

/// Tracks what has been seen and what has been done.
#[derive(Debug, Clone)]
pub struct Follow {
    progress: Progress,
    tip: u64,
}

impl Follow {
    /// Continues from `progress`.
    pub fn new(progress: Progress) -> Self {
        let tip = progress.settled;
        Self { progress, tip }
    }

    /// The stored progress.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The highest known block.
    pub fn tip(&self) -> u64 {
        self.tip
    }

    /// Notes a block that the ledger has shown (events), or its height
    /// (`status`).
    pub fn saw(&mut self, height: u64) {
        self.tip = self.tip.max(height);
    }

    /// The next step: at most `limit` blocks to settle; `None`: nothing to do.
    pub fn next(&self, limit: u64) -> Option<FetchPlan> {
        let Progress {
            settled, processed, ..
        } = self.progress;
        if self.tip <= settled {
            return None;
        }
        let last = self.tip.min(settled.saturating_add(limit.max(1)));
        Some(FetchPlan {
            fetch: processed + 1..=last,
            settle_from: settled + 1,
        })
    }

    /// The progress to store when the blocks up to `height`, which has this
    /// mark, are settled and those before it acted on.
    pub fn after(&self, height: u64, mark: &Mark) -> Progress {
        let mut next = self.progress.clone();
        next.settled = height;
        next.processed = next.processed.max(height.saturating_sub(1));
        next.mark = mark.clone();
        next.known.add(height, mark);
        next
    }

    /// Notes that `progress` has been stored.
    pub fn stored(&mut self, progress: Progress) {
        self.tip = self.tip.max(progress.settled);
        self.progress = progress;
    }

    /// Continues from `earliest`, the lowest block that the ledger keeps.
    /// Returns the blocks that can never be fetched, if any.
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

/// The watchdog's judgement after a call of `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchdogVerdict {
    /// Nothing is wrong, or it is too early to tell.
    Fine,
    /// The subscription has shown no block for a while although there are some.
    Silent,
    /// The ledger is lower than what was settled: its node is behind, or it was
    /// replaced.
    Lower,
}

/// Judges the subscription and the ledger by repeated calls of `status`.
#[derive(Debug)]
pub struct Watchdog {
    patience: Duration,
    announced: u64,
    behind_since: Option<Instant>,
    /// If the last height was too low: what was settled at that time.
    lower_than: Option<u64>,
}

impl Watchdog {
    /// For a new subscription, which need not announce blocks up to `height`.
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
    pub fn polled(&mut self, height: u64, settled: u64, now: Instant) -> WatchdogVerdict {
        // A low height may have been told before the newest blocks were
        // settled; the next one is asked for after that.
        let lower_than = (height < settled).then_some(settled);
        let before = std::mem::replace(&mut self.lower_than, lower_than);
        if before.is_some_and(|settled_before| height < settled_before) {
            return WatchdogVerdict::Lower;
        }
        if height <= self.announced {
            self.behind_since = None;
            return WatchdogVerdict::Fine;
        }
        let since = *self.behind_since.get_or_insert(now);
        if now.duration_since(since) >= self.patience {
            return WatchdogVerdict::Silent;
        }
        WatchdogVerdict::Fine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn status(chain_id: &str, height: u64) -> LedgerStatus {
        LedgerStatus {
            chain_id: chain_id.to_owned(),
            version: "0.38.6".to_owned(),
            catching_up: false,
            height,
            mark: mark(height),
            earliest_height: 1,
        }
    }

    fn saved(settled: u64) -> Progress {
        Progress::new("a", settled, settled - 1, &mark(settled), 4)
    }

    fn started(
        saved: Option<&Progress>,
        status: &LedgerStatus,
        there: Option<(u64, &Mark)>,
    ) -> (ChainStart, Progress) {
        start(saved, status, there).expect("decided")
    }

    /// Of a block that was made `height` seconds after midnight.
    fn mark(height: u64) -> Mark {
        let (minutes, seconds) = (height / 60, height % 60);
        Mark {
            hash: String::new(),
            app_hash: format!("H{height}"),
            time: format!("2026-01-01T00:{minutes:02}:{seconds:02}.5Z"),
        }
    }

    #[test]
    fn the_first_start_begins_at_the_current_height() {
        let (start, progress) = started(None, &status("a", 10), None);
        assert_eq!(start, ChainStart::First);
        assert_eq!((progress.settled, progress.processed), (10, 9));
        let mut follow = Follow::new(progress);
        assert_eq!(follow.next(50), None);
        follow.saw(11);
        let plan = follow.next(50).unwrap();
        assert_eq!((plan.fetch, plan.settle_from), (10..=11, 11));
    }

    #[test]
    fn a_new_chain_begins_at_its_first_block() {
        let (start, progress) = started(Some(&saved(100)), &status("b", 7), None);
        assert_eq!(start, ChainStart::NewChain { old: "a".into() });
        let mut follow = Follow::new(progress);
        follow.saw(7);
        let plan = follow.next(50).unwrap();
        assert_eq!((plan.fetch, plan.settle_from), (1..=7, 1));
    }

    #[test]
    fn a_replaced_ledger_is_noticed_by_the_block_that_is_there_now() {
        let saved = saved(100);
        let mut another = mark(100);
        another.time.push('x');
        let higher = status("a", 120);
        assert_eq!(saved.landmark(&higher), Some(100));
        let (other, progress) = started(Some(&saved), &higher, Some((100, &another)));
        assert_eq!(other, ChainStart::LedgerReset { saved: 100 });
        assert_eq!((progress.settled, progress.processed), (120, 119));
        assert_eq!(progress.era, saved.era + 1);
        let (same, progress) = started(Some(&saved), &higher, Some((100, &mark(100))));
        assert_eq!((same, &progress), (ChainStart::Resumed, &saved));
        let (unknown, _) = started(Some(&saved), &higher, None);
        assert_eq!(unknown, ChainStart::Resumed, "the block is no longer kept");
    }

    #[test]
    fn a_lower_ledger_is_another_one_only_if_a_block_of_it_says_so() {
        let mut follow = Follow::new(saved(90));
        follow.saw(100);
        let saved = follow.after(100, &mark(100));
        let behind = status("a", 95);
        assert_eq!(saved.landmark(&behind), Some(90));
        assert_eq!(start(Some(&saved), &behind, Some((90, &mark(90)))), None);
        let mut another = mark(90);
        another.time.push('x');
        let (reset, progress) = started(Some(&saved), &behind, Some((90, &another)));
        assert_eq!(reset, ChainStart::LedgerReset { saved: 100 });
        assert_eq!((progress.settled, progress.processed), (95, 94));
        let mut younger = status("a", 7);
        assert_eq!(start(Some(&saved), &younger, None), None);
        younger.mark = mark(101);
        let (reset, _) = started(Some(&saved), &younger, None);
        assert_eq!(reset, ChainStart::LedgerReset { saved: 100 });
        younger.mark.time = "rubbish".to_owned();
        assert_eq!(start(Some(&saved), &younger, None), None, "nobody can tell");
    }

    #[test]
    fn what_an_earlier_release_stored_is_read() {
        #[derive(Serialize, Deserialize)]
        struct Before(String, u64, u64, (String, String), u64);
        impl crate::job::Stored for Before {}
        let Mark { app_hash, time, .. } = mark(100);
        let before = Before("a".to_owned(), 100, 99, (app_hash, time), 4);
        let read = Progress::decode(&codec::encode(&before)).unwrap();
        assert_eq!(read, saved(100));
        assert_eq!(Progress::decode(&read.encode()).unwrap(), read);
        assert!(Progress::decode(&[1, 2]).is_err());
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
    fn a_subscription_that_falls_silent_is_given_up_after_its_patience() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut watchdog = Watchdog::new(10, Duration::from_secs(2));
        assert_eq!(watchdog.polled(10, 10, after(0)), WatchdogVerdict::Fine);
        assert_eq!(watchdog.polled(11, 10, after(1)), WatchdogVerdict::Fine);
        watchdog.announced(11);
        assert_eq!(watchdog.polled(12, 11, after(5)), WatchdogVerdict::Fine);
        assert_eq!(watchdog.polled(12, 12, after(6)), WatchdogVerdict::Fine);
        assert_eq!(watchdog.polled(12, 12, after(7)), WatchdogVerdict::Silent);
    }

    #[test]
    fn a_ledger_that_makes_no_blocks_is_rightly_silent() {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(10, Duration::from_secs(2));
        for second in 0..3600 {
            let now = start + Duration::from_secs(second);
            assert_eq!(watchdog.polled(10, 10, now), WatchdogVerdict::Fine);
        }
    }

    #[test]
    fn a_ledger_that_is_lower_twice_is_to_be_looked_at() {
        let now = Instant::now();
        let mut watchdog = Watchdog::new(10, Duration::from_secs(2));
        assert_eq!(watchdog.polled(9, 10, now), WatchdogVerdict::Fine);
        assert_eq!(watchdog.polled(10, 10, now), WatchdogVerdict::Fine);
        assert_eq!(watchdog.polled(3, 10, now), WatchdogVerdict::Fine);
        assert_eq!(watchdog.polled(4, 10, now), WatchdogVerdict::Lower);
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
