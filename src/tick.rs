//! The beat of a process: what is done again and again is done together. To wake
//! a thread costs more than most of what it does then, so pauses end at the same
//! instants where it does not matter to a moment.
//!
//! Tokio keeps timers that are not due soon in slots of 64 ms, counted from when
//! the runtime was made, and wakes its thread at the beginning of a slot to look
//! which of them is due when. A timer that is due at the beginning of a slot
//! needs one wake in place of two or three. So beats are beginnings of slots, and
//! the runtimes of [`runtime`] have theirs at the same instants.

use std::io;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use actix::Arbiter;
use tokio::runtime::{Builder, Runtime};

const SLOT: Duration = Duration::from_millis(64);
/// Every second beat is so much after the last but one, and the one in between
/// at [`BETWEEN`].
const BAR: Duration = Duration::from_millis(15 * 64);
const BETWEEN: Duration = Duration::from_millis(7 * 64);
/// How much longer than asked for a pause may be.
pub const SLACK: Duration = Duration::from_millis(100);
/// Between looks that follow each other within a second: 960 ms with the beat.
pub const SECOND: Duration = Duration::from_millis(900);
/// Shorter pauses are as long as asked for.
const SHORT: Duration = Duration::from_millis(350);
/// Tokio rounds up to milliseconds: a timer is due at the beginning of the slot
/// if it is set to a little less.
const EARLY: Duration = Duration::from_micros(400);

static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);

/// This pause, or up to [`SLACK`] more if it ends with a beat then.
pub fn stretch(pause: Duration) -> Duration {
    stretch_since(FIRST.elapsed(), pause)
}

/// Until the next beat, half a second at most.
pub fn next() -> Duration {
    until_next(FIRST.elapsed())
}

/// A runtime of one thread whose timers keep the beat.
///
/// # Errors
/// When the system does not make one.
pub fn runtime() -> io::Result<Runtime> {
    // Woken too late again and again on a machine that is very busy: its timers
    // need more wakes then, and are as good.
    for _ in 0..5 {
        let late = remainder(FIRST.elapsed(), SLOT);
        if late < EARLY / 2 {
            break;
        }
        std::thread::sleep(SLOT - late);
    }
    Builder::new_current_thread().enable_all().build()
}

/// A thread with such a runtime. To be called inside an actix system.
///
/// # Panics
/// As [`Arbiter::new`]: when the system makes none.
pub fn arbiter() -> Arbiter {
    let made = Arbiter::try_with_tokio_rt(runtime);
    made.expect("threads can be made, or nothing can go on")
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
    let since = remainder(now.saturating_add(EARLY), BAR);
    let next = if since < BETWEEN { BETWEEN } else { BAR };
    next - since
}

fn remainder(of: Duration, by: Duration) -> Duration {
    let nanos = of.as_nanos() % by.as_nanos();
    // Less than `by`, which is short.
    Duration::from_nanos(u64::try_from(nanos).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_pause_ends_with_the_beat_that_follows_it_soon() {
        assert_eq!(stretch_since(ms(3), SECOND), ms(957) - EARLY);
        assert_eq!(stretch_since(ms(59), SECOND), ms(901) - EARLY);
        assert_eq!(stretch_since(ms(61), SECOND), SECOND, "the beat was before");
        assert_eq!(stretch_since(ms(3), ms(600)), ms(600), "none is near");
    }

    #[test]
    fn a_short_pause_and_one_that_never_ends_stay_as_they_are() {
        assert_eq!(stretch_since(ms(380), ms(50)), ms(50));
        assert_eq!(stretch_since(ms(380), Duration::MAX), Duration::MAX);
    }

    #[test]
    fn what_repeats_out_of_step_is_in_step_soon() {
        let mut now = ms(123);
        for _ in 0..10 {
            now += stretch_since(now, SECOND);
        }
        assert_eq!(until_next(now - ms(1)), ms(1));
        assert_eq!(stretch_since(now, SECOND), BAR);
    }

    #[test]
    fn beats_are_beginnings_of_slots_and_never_far_apart() {
        let mut now = ms(0);
        for _ in 0..10 {
            let pause = until_next(now);
            assert!(pause <= ms(512), "{pause:?}");
            now += pause;
            assert_eq!(remainder(now + EARLY, SLOT), Duration::ZERO);
        }
    }
}
