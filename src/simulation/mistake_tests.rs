//! Every deliberate mistake is found, and without it the same seeds pass.

use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::run::run;
use crate::mistake::{self, Mistake};

/// Steps with faults in each run.
const STEPS: u64 = 500;

/// A mistake that is not found in this many seeds is not found.
const SEEDS: u64 = 3000;

/// The first seed that shows the mistake, after how many steps, and how.
fn find(mistake: Mistake) -> Option<(u64, u64, String)> {
    (1..=SEEDS).find_map(|seed| {
        // A core that panics has shown it too.
        let simulated = AssertUnwindSafe(|| mistake::with(mistake, || run(seed, STEPS, false)));
        match catch_unwind(simulated) {
            Ok(run) => {
                let violation = run.violation?;
                Some((seed, run.figures.steps, violation.to_string()))
            }
            Err(_) => Some((seed, 0, "panic".to_owned())),
        }
    })
}

#[test]
fn every_deliberate_mistake_is_found_and_the_same_seeds_pass_without_it() {
    let (mut report, mut missed) = (String::new(), Vec::new());
    for mistake in mistake::ALL {
        let Some((seed, steps, how)) = find(*mistake) else {
            missed.push(*mistake);
            continue;
        };
        let _ = writeln!(report, "{mistake:?}: seed {seed}, step {steps}, {how}");
        let without = run(seed, STEPS, false);
        assert_eq!(without.violation, None, "seed {seed} without a mistake");
    }
    // Bypasses the capture of test output, because this figure should be seen.
    let _ = writeln!(
        std::io::stderr(),
        "deliberate mistakes found: {} of {}\n{report}",
        mistake::ALL.len() - missed.len(),
        mistake::ALL.len()
    );
    assert!(missed.is_empty(), "not found in {SEEDS} seeds: {missed:?}");
}
