//! The beat of a process: what is done again and again is done together. To wake
//! a thread costs more than most of what it does then, so pauses end at the same
//! instants where it does not matter to a moment.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Between two beats.
pub const BEAT: Duration = Duration::from_millis(500);
/// How much longer than asked for a pause may be.
pub const SLACK: Duration = Duration::from_millis(50);
/// What is looked at once a second: a second after the last look at most.
pub const SECOND: Duration = Duration::from_millis(950);
/// Shorter pauses are as long as asked for.
const SHORT: Duration = Duration::from_millis(200);

static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);

/// This pause, or up to [`SLACK`] more if it ends with a beat then.
pub fn stretch(pause: Duration) -> Duration {
    stretch_since(FIRST.elapsed(), pause)
}

/// Until the next beat.
pub fn next() -> Duration {
    until_next(FIRST.elapsed())
}

fn stretch_since(now: Duration, pause: Duration) -> Duration {
    if pause < SHORT {
        return pause;
    }
    let more = until_next(now.saturating_add(pause));
    match more <= SLACK {
        true => pause.saturating_add(more),
        false => pause,
    }
}

fn until_next(now: Duration) -> Duration {
    let since = now.as_nanos() % BEAT.as_nanos();
    // Less than a beat.
    BEAT - Duration::from_nanos(u64::try_from(since).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_pause_ends_with_the_beat_that_follows_it_soon() {
        assert_eq!(stretch_since(ms(3), SECOND), ms(997));
        assert_eq!(stretch_since(ms(49), SECOND), ms(951));
        assert_eq!(stretch_since(ms(51), SECOND), SECOND, "the beat was before");
        assert_eq!(stretch_since(ms(3), ms(300)), ms(300), "none is near");
    }

    #[test]
    fn a_short_pause_and_one_that_never_ends_stay_as_they_are() {
        assert_eq!(stretch_since(ms(390), ms(100)), ms(100));
        assert_eq!(stretch_since(ms(390), Duration::MAX), Duration::MAX);
    }

    #[test]
    fn what_repeats_out_of_step_is_in_step_soon() {
        let mut now = ms(123);
        for _ in 0..10 {
            now += stretch_since(now, SECOND);
        }
        assert_eq!(now.as_millis() % BEAT.as_millis(), 0);
        assert_eq!(stretch_since(now, SECOND), ms(1000));
    }

    #[test]
    fn there_is_always_a_next_beat() {
        assert_eq!(until_next(ms(0)), BEAT);
        assert_eq!(until_next(ms(499)), ms(1));
    }
}
