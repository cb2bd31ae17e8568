//! One term of mastership: its epoch, and whether it still runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::job::{Epoch, Millis};

/// Checked before every assignment and shared by everything that acts as the
/// master. It ends by the clock, so a process that was suspended finds it ended
/// when it resumes.
#[derive(Debug, Clone)]
pub struct Term {
    epoch: Epoch,
    /// Milliseconds of [`monotonic_now`].
    until: Arc<AtomicU64>,
}

impl Term {
    /// A term without a lease: it lasts until it is ended.
    pub fn without_end(epoch: Epoch) -> Self {
        Self::until(epoch, Millis(u64::MAX))
    }

    pub(super) fn until(epoch: Epoch, until: Millis) -> Self {
        Self {
            epoch,
            until: Arc::new(AtomicU64::new(until.0)),
        }
    }

    /// Goes with every write of this master.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether this process is the master now.
    pub fn holds(&self) -> bool {
        monotonic_now().0 < self.until.load(Ordering::Acquire)
    }

    pub(super) fn extend(&self, until: Millis) {
        self.until.store(until.0, Ordering::Release);
    }

    /// Ends the term: nothing may be done as this master afterwards.
    pub fn end(&self) {
        self.until.store(0, Ordering::Release);
    }
}

/// A clock that never jumps and runs on while the process or the machine is
/// suspended.
#[cfg(target_os = "linux")]
pub fn monotonic_now() -> Millis {
    use nix::time::{ClockId, clock_gettime};
    // It cannot fail: every Linux since 2.6.39 has this clock.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Millis(u64::MAX), |time| {
        Millis(time.tv_sec() as u64 * 1000 + time.tv_nsec() as u64 / 1_000_000)
    })
}

/// A clock that never jumps and runs on while the process is suspended.
#[cfg(not(target_os = "linux"))]
pub fn monotonic_now() -> Millis {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    Millis(START.get_or_init(Instant::now).elapsed().as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Longer than this test may take.
    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_term_ends_by_the_clock_and_by_word() {
        assert!(Term::until(Epoch(1), monotonic_now().after(LONG)).holds());
        let end = monotonic_now().after(Duration::from_millis(40));
        let term = Term::until(Epoch(1), end);
        while term.holds() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(monotonic_now() >= end, "it ended early");
        let term = Term::without_end(Epoch(1));
        assert!(term.holds());
        term.clone().end();
        assert!(!term.holds());
    }
}
