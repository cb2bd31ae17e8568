//! How long a stop takes.

use std::time::Duration;

use super::check::{Checker, variable};
use super::variables::Process;

/// The times of an orderly stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopTimes {
    /// `SHUTDOWN_GRACE_MS`: how long all of it may take.
    pub grace: Duration,
    /// `SHUTDOWN_DRAIN_MS`: how long the process still serves calls after it
    /// has said that it is not ready.
    pub drain: Duration,
}

impl StopTimes {
    /// Part of the stop that is reserved for the steps after the last job.
    const LAST_STEPS: Duration = Duration::from_secs(6);

    /// How long jobs may take after the drain.
    pub fn of_jobs(&self) -> Duration {
        self.grace.saturating_sub(self.drain + Self::LAST_STEPS)
    }
}

pub(super) fn stop(process: &Process, checker: &mut Checker) -> StopTimes {
    let grace = checker.milliseconds(
        variable!("SHUTDOWN_GRACE_MS", process.shutdown_grace_ms),
        25_000,
    );
    let (name, value) = variable!("SHUTDOWN_DRAIN_MS", process.shutdown_drain_ms);
    let drain = Duration::from_millis(checker.number((name, value.clone()), 0, 0..=3_600_000));
    if !drain.is_zero() && drain + StopTimes::LAST_STEPS > grace {
        let most = grace.saturating_sub(StopTimes::LAST_STEPS).as_millis();
        let fix = format!("at most {most}, which is SHUTDOWN_GRACE_MS less 6000");
        checker.mistake(name, value, fix);
    }
    StopTimes { grace, drain }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(grace: Option<&str>, drain: &str) -> (StopTimes, Vec<String>) {
        let mut checker = Checker::default();
        let process = Process {
            shutdown_grace_ms: grace.map(str::to_owned),
            shutdown_drain_ms: Some(drain.to_owned()),
            ..Process::default()
        };
        let times = stop(&process, &mut checker);
        let mistakes = checker.mistakes.iter().map(ToString::to_string).collect();
        (times, mistakes)
    }

    #[test]
    fn a_drain_is_taken_from_the_time_of_the_jobs() {
        let (times, mistakes) = read(None, "5000");
        assert_eq!(mistakes, Vec::<String>::new());
        assert_eq!(times.drain, Duration::from_secs(5));
        assert_eq!(times.of_jobs(), Duration::from_secs(14));
    }

    #[test]
    fn a_drain_that_leaves_no_time_for_the_stop_is_a_mistake() {
        let (_, mistakes) = read(Some("10000"), "4001");
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(mistakes[0].contains("at most 4000"), "{mistakes:?}");
        assert_eq!(read(Some("10000"), "4000").1.len(), 0);
        // Without one a stop may be as short as one likes.
        assert_eq!(read(Some("1"), "0").1.len(), 0);
    }
}
