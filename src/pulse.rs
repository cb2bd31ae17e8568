//! The pulse: the thread of lease, heartbeats and link. Other threads do
//! whatever strangers can make large or slow (decrypting, inflating, parsing or
//! verifying their bytes), so that nobody outside can silence a process. Such
//! work calls [`keep_off`], which catches it on the pulse.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

thread_local! {
    static IS_PULSE: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as a pulse: it keeps a lease, heartbeats or a link.
pub fn begin() {
    IS_PULSE.set(true);
}

pub fn is_here() -> bool {
    IS_PULSE.get()
}

/// Must be called by all work on foreign or large bytes. `what` must not be
/// done on the pulse. If it is, tests fail; in production the defect is
/// reported and the work continues.
pub fn keep_off(what: &'static str) {
    if is_here() {
        caught(what);
    }
}

#[cold]
fn caught(what: &'static str) {
    static IS_TOLD: AtomicBool = AtomicBool::new(false);
    debug_assert!(false, "{what} on the pulse");
    metrics::counter!("erawan_invariant_violations_total", "invariant" => "pulse").increment(1);
    if !IS_TOLD.swap(true, Ordering::Relaxed) {
        tracing::error!(what, "foreign work on the pulse: please report this");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_caught_on_the_pulse_and_nowhere_else() {
        keep_off("work");
        let on_pulse = std::thread::spawn(|| {
            begin();
            keep_off("work");
        });
        assert!(on_pulse.join().is_err());
        keep_off("work");
    }
}
