//! Deterministic tests of the pure cores: single cases, ten thousand
//! simulated lives of a whole cluster, and a model checker over the same world.

mod dispatcher;
mod model;
mod simulation;

use std::io::Write;

/// Prints past the capture of test output: figures that CI's log must show.
pub fn figure(text: &str) {
    // Without standard error there is nobody to read it.
    let _ = writeln!(std::io::stderr(), "{text}");
}
