//! Reports a violation in a running node and changes nothing else. Stopping
//! would turn a wrong assignment, which the store's fence makes harmless, into
//! an outage.

use super::Violation;

/// Counts a violation in `erawan_invariant_violations_total{invariant}` and
/// logs it.
pub fn report(violation: &Violation) {
    let invariant = violation.invariant.name();
    metrics::counter!("erawan_invariant_violations_total", "invariant" => invariant).increment(1);
    tracing::error!(
        invariant,
        detail = violation.detail,
        "an invariant does not hold: please report this"
    );
}
