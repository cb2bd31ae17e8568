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

/// Seeds that showed a bug once, and what that was.
const SEEDS_THAT_FOUND_BUGS: [(u64, &str); 5] = [
    (
        404,
        "a job whose end was reported to a master that had never heard of it ran once more when \
         its announcement, or a page read before its end, came afterwards",
    ),
    (
        1046,
        "a failed job that an operator ran again was forgotten, and passed by its successors, \
         when the answer to an earlier question about it came later",
    ),
    (3651, "as 1046"),
    (
        3656,
        "a job that its worker had parked was given out again: an older answer of the store was \
         believed",
    ),
    (
        4047,
        "a new master gave out a job that waits for a time or a block under the attempt that its \
         predecessor had given out",
    ),
];

#[test]
fn seeds_that_found_bugs_pass_now() {
    for (seed, bug) in SEEDS_THAT_FOUND_BUGS {
        let run = run(seed, 500, false);
        assert_eq!(run.violation, None, "seed {seed}: {bug}");
    }
}
