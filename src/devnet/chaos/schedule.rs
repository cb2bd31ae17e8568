//! What is hit, how and when: a pure function of the seed and of the targets'
//! names. Nothing here uses a clock or a process.

use std::time::Duration;

use serde::Serialize;

/// The kind of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// Runs jobs and serves the API.
    Worker,
    /// Owns the queue of its node, or stands by to do so.
    Master,
    /// Master and worker in one.
    Standalone,
    /// A node's message queue service.
    MessageQueue,
    /// The development ledger.
    Ledger,
    /// The server with all stores.
    Redis,
    /// The address by which a node finds the ledger.
    LedgerAddress,
    /// The ledger's answers about the blocks it has made.
    LedgerResults,
}

/// Something that can be hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChaosTarget {
    /// Its name in logs and tables.
    pub name: String,
    pub kind: TargetKind,
}

/// What is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChaosAction {
    /// SIGKILL; restarted after a while.
    Kill,
    /// SIGSTOP for longer than the process is trusted, then SIGCONT.
    Stop,
    /// SIGTERM; restarted a while after it has ended.
    Terminate,
    /// SIGTERM; restarted the moment it has ended.
    Restart,
    /// Leads to another server for a while, a ledger node that is behind.
    /// Connections are cut in the middle of calls, both times.
    Divert,
    /// Answers late for a while.
    Delay,
}

impl ChaosAction {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            ChaosAction::Kill => "kill",
            ChaosAction::Stop => "stop",
            ChaosAction::Terminate => "terminate",
            ChaosAction::Restart => "restart",
            ChaosAction::Divert => "divert",
            ChaosAction::Delay => "delay",
        }
    }
}

/// One line of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledFault {
    /// Since the previous fault (or the beginning).
    pub pause: Duration,
    pub target: String,
    pub action: ChaosAction,
    /// How long it is kept away.
    pub away: Duration,
}

/// How often each kind is chosen, relative to the others. Masters and workers
/// are what this program is; it must withstand faults of the rest.
fn weight(kind: TargetKind) -> u64 {
    match kind {
        TargetKind::Master | TargetKind::Standalone => 4,
        TargetKind::Worker => 3,
        TargetKind::MessageQueue | TargetKind::LedgerAddress | TargetKind::LedgerResults => 2,
        TargetKind::Ledger | TargetKind::Redis => 5,
    }
}

/// Killing is the hardest test, so it is the most frequent.
const ACTIONS: [(ChaosAction, u64); 4] = [
    (ChaosAction::Kill, 4),
    (ChaosAction::Stop, 3),
    (ChaosAction::Terminate, 2),
    (ChaosAction::Restart, 1),
];

/// What can be done to each kind, and how often.
fn actions(kind: TargetKind) -> &'static [(ChaosAction, u64)] {
    match kind {
        TargetKind::LedgerAddress => &[(ChaosAction::Divert, 1)],
        TargetKind::LedgerResults => &[(ChaosAction::Delay, 1)],
        _ => &ACTIONS,
    }
}

/// Milliseconds, least and most.
type Span = (u64, u64);

const PAUSE: Span = (1_500, 6_500);
/// One of this many faults follows the previous one almost at once, so that two
/// processes are away together.
const TOGETHER: u64 = 4;
const PAUSE_TOGETHER: Span = (0, 300);
const AWAY: Span = (100, 3_000);
/// Longer than a silent worker is trusted, and than a lease lasts (2.5 s and 2
/// s).
const STOPPED: Span = (4_000, 9_000);

/// The faults of a seed. The same seed, number and targets give the same list.
pub fn schedule(seed: u64, faults: usize, targets: &[ChaosTarget]) -> Vec<ScheduledFault> {
    let mut dice = Dice(seed);
    let mut plan = Vec::with_capacity(faults);
    while plan.len() < faults {
        let Some(target) = dice.weighted(targets, |target| weight(target.kind)) else {
            break;
        };
        let Some((action, _)) = dice.weighted(actions(target.kind), |(_, weight)| *weight) else {
            break;
        };
        let pause = match dice.below(TOGETHER) {
            0 => PAUSE_TOGETHER,
            _ => PAUSE,
        };
        let away = match action {
            ChaosAction::Kill | ChaosAction::Terminate => AWAY,
            ChaosAction::Stop | ChaosAction::Divert | ChaosAction::Delay => STOPPED,
            ChaosAction::Restart => (0, 0),
        };
        plan.push(ScheduledFault {
            pause: dice.within(pause),
            target: target.name.clone(),
            action: *action,
            away: dice.within(away),
        });
    }
    plan
}

/// SplitMix64: a few lines that give the same numbers for a seed in every later
/// release, which no library promises.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0, less than `bound` (0 if that is 0). The bias is far below
    /// anything that matters here.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn within(&mut self, (least, most): Span) -> Duration {
        Duration::from_millis(least + self.below(most - least + 1))
    }

    /// One of them, as often as its weight says; `None` if there is none.
    fn weighted<'a, T>(&mut self, all: &'a [T], weight: impl Fn(&T) -> u64) -> Option<&'a T> {
        let mut left = self.below(all.iter().map(&weight).sum());
        all.iter().find(|one| {
            let weight = weight(one);
            let is_it = left < weight;
            left = left.saturating_sub(weight);
            is_it
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn targets() -> Vec<ChaosTarget> {
        [
            ("ledger", TargetKind::Ledger),
            ("redis", TargetKind::Redis),
            ("rp1-mq", TargetKind::MessageQueue),
            ("rp1-master", TargetKind::Master),
            ("rp1-master2", TargetKind::Master),
            ("rp1-worker1", TargetKind::Worker),
            ("rp1-worker2", TargetKind::Worker),
        ]
        .map(|(name, kind)| ChaosTarget {
            name: name.to_owned(),
            kind,
        })
        .to_vec()
    }

    #[test]
    fn a_seed_always_gives_the_same_faults() {
        let plan = schedule(7, 12, &targets());
        assert_eq!(plan.len(), 12);
        assert_eq!(plan, schedule(7, 12, &targets()));
        assert_ne!(plan, schedule(8, 12, &targets()));
    }

    /// Other faults for a seed would make the seeds worthless that found bugs
    /// (tests/cluster/chaos.rs).
    #[test]
    fn the_faults_of_a_seed_never_change() {
        let plan = schedule(1, 3, &targets());
        let told: Vec<_> = plan
            .iter()
            .map(|fault| (fault.target.as_str(), fault.action, fault.pause.as_millis()))
            .collect();
        assert_eq!(
            told,
            [
                ("rp1-master2", ChaosAction::Restart, 4799),
                ("ledger", ChaosAction::Stop, 4605),
                ("redis", ChaosAction::Kill, 202)
            ]
        );
    }

    #[test]
    fn more_faults_of_a_seed_begin_with_the_fewer() {
        let more = schedule(7, 20, &targets());
        assert_eq!(more[..12], schedule(7, 12, &targets()));
    }

    #[test]
    fn every_target_and_every_action_comes_up() {
        let plan = schedule(3, 400, &targets());
        let hit: BTreeSet<&str> = plan.iter().map(|fault| fault.target.as_str()).collect();
        assert_eq!(hit.len(), targets().len());
        let actions: BTreeSet<ChaosAction> = plan.iter().map(|fault| fault.action).collect();
        assert_eq!(actions.len(), ACTIONS.len());
    }

    #[test]
    fn what_is_stopped_stays_so_until_it_is_given_up_and_a_restart_waits_for_nothing() {
        for fault in schedule(5, 400, &targets()) {
            match fault.action {
                ChaosAction::Stop | ChaosAction::Divert | ChaosAction::Delay => {
                    assert!(fault.away >= Duration::from_secs(4));
                }
                ChaosAction::Restart => assert_eq!(fault.away, Duration::ZERO),
                ChaosAction::Kill | ChaosAction::Terminate => {
                    assert!(fault.away >= Duration::from_millis(100));
                }
            }
        }
    }

    #[test]
    fn an_address_is_only_diverted_and_results_are_only_late() {
        let mut targets = targets();
        for (name, kind) in [
            ("rp1-ledger", TargetKind::LedgerAddress),
            ("ledger-results", TargetKind::LedgerResults),
        ] {
            let name = name.to_owned();
            targets.push(ChaosTarget { name, kind });
        }
        let plan = schedule(3, 400, &targets);
        for (name, action) in [
            ("rp1-ledger", ChaosAction::Divert),
            ("ledger-results", ChaosAction::Delay),
        ] {
            let hits = plan.iter().filter(|fault| fault.target == name);
            let actions: BTreeSet<ChaosAction> = hits.map(|fault| fault.action).collect();
            assert_eq!(actions, BTreeSet::from([action]), "{name}");
        }
    }

    #[test]
    fn without_targets_there_are_no_faults() {
        assert_eq!(schedule(1, 5, &[]), []);
    }
}
