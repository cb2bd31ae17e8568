//! Ten thousand simulated lives of a cluster, each decided by its seed.

use std::time::Instant;

use erawan::simulation::{run, sweep};

use crate::figure;

/// Steps with faults in each life.
const STEPS: u64 = 500;

#[test]
fn ten_thousand_seeds_keep_every_invariant_and_end_every_job() {
    let started = Instant::now();
    let summary = sweep(1, 10_000, STEPS, 2);
    figure(&format!("simulation: {summary}\n  {:?}", started.elapsed()));
    assert_eq!(summary.complaints(), Vec::<String>::new());
}

#[test]
fn one_seed_is_one_run_to_the_last_byte_of_its_trace() {
    for seed in [1, 42, 4711] {
        let (first, second) = (run(seed, STEPS, true), run(seed, STEPS, true));
        assert!(first.trace.len() > 10_000, "{}", first.trace);
        assert!(
            first.trace == second.trace,
            "seed {seed} differs from itself"
        );
    }
    assert_ne!(run(1, STEPS, true).trace, run(2, STEPS, true).trace);
}

/// Seeds that showed a bug once; see docs/bugs-found.md.
#[test]
fn seeds_that_found_bugs_pass_now() {
    for (seed, steps) in [
        (404, 500),
        (1046, 500),
        (3651, 500),
        (3656, 500),
        (4047, 500),
    ] {
        let run = run(seed, steps, false);
        assert_eq!(run.violation, None, "seed {seed}, {steps} steps");
    }
}
