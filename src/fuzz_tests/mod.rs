//! Foreign and stored bytes, spoilt at random: whatever reads them answers with
//! a value or an error. Starts from what was recorded and from the golden bytes
//! of everything that is stored or sent, so that it gets past the first check.
//!
//! Each target has two seconds, or `FUZZ_SECONDS`; `FUZZ_SEED` repeats a run:
//! `FUZZ_SECONDS=600 cargo test --lib fuzz_tests`.

mod mutate;
mod seeds;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use mutate::Mutator;

const USUAL_SECONDS: f64 = 2.0;
/// A target that needs longer for one input could be held up by it.
const SLOW: Duration = Duration::from_secs(2);
/// Inputs that cost nothing must not be all that was tried.
const FEWEST: u64 = 50;

/// Feeds a target until the time is over, and says with which bytes it failed.
fn fuzz(name: &str, seeds: Vec<Vec<u8>>, target: impl Fn(&[u8])) {
    assert!(!seeds.is_empty(), "{name}: nothing to begin with");
    let seed = number("FUZZ_SEED").map_or_else(rand::random, |seed| seed as u64);
    let time = Duration::from_secs_f64(number("FUZZ_SECONDS").unwrap_or(USUAL_SECONDS));
    let mut mutator = Mutator::new(seed, seeds);
    let begun = Instant::now();
    let mut inputs = 0_u64;
    while begun.elapsed() < time || inputs < FEWEST {
        let input = mutator.input();
        let started = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| target(&input)));
        let took = started.elapsed();
        if outcome.is_err() || took > SLOW {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            std::io::Write::write_all(&mut file, &input).unwrap();
            let (_, path) = file.keep().unwrap();
            panic!(
                "{name}: {} of {} bytes (FUZZ_SEED={seed}, input {inputs}), kept in {}: {}",
                if outcome.is_err() { "panic" } else { "slow" },
                input.len(),
                path.display(),
                hex::encode(&input[..input.len().min(400)]),
            );
        }
        inputs += 1;
    }
    println!("{name}: {inputs} inputs, FUZZ_SEED={seed}");
}

fn number(variable: &str) -> Option<f64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

#[test]
fn what_is_spoilt_is_found() {
    let found = catch_unwind(|| {
        fuzz("brittle", vec![b"0123456789".to_vec()], |input| {
            assert!(input.len() < 8 || input.contains(&b'5'), "brittle");
        });
    });
    let text = found.unwrap_err().downcast::<String>().unwrap();
    assert!(text.contains("brittle: panic"), "{text}");
}
