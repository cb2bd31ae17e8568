//! The beat of a process: repeated work is done together. To wake a thread
//! costs more than most of what it does then, so pauses end at common instants
//! where the exact moment does not matter.
//!
//! Tokio keeps timers that are not due soon in slots of 64 ms, counted from the
//! creation of the runtime, and wakes its thread at the beginning of a slot to
//! see which of them is due when. A timer that is due at the beginning of a
//! slot needs one wake instead of two or three. So beats are beginnings of
//! slots, and the runtimes of [`runtime`] have theirs at about the same
//! instants.

use std::cell::Cell;
use std::io;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use actix::Arbiter;
use tokio::runtime::{Builder, Runtime};

const SLOT: Duration = Duration::from_millis(64);
/// Distance between every second beat. The beat in between is at [`BETWEEN`].
const BAR: Duration = Duration::from_millis(15 * 64);
const BETWEEN: Duration = Duration::from_millis(7 * 64);
/// How much longer than asked for a pause may be.
pub const SLACK: Duration = Duration::from_millis(100);
/// Pause between repetitions within a second: 960 ms with the beat.
pub const SECOND: Duration = Duration::from_millis(900);
/// Shorter pauses are exact.
const SHORT: Duration = Duration::from_millis(350);
/// Tokio rounds up to milliseconds, so a timer is set a little early to be due
/// at the beginning of its slot.
const EARLY: Duration = Duration::from_micros(400);

/// Tries to create a runtime that starts at the right instant.
const TRIES: usize = 5;

static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);

thread_local! {
    /// How much later the slots of this thread begin than those of the first
    /// runtime.
    static LATE: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// This pause, or up to [`SLACK`] more if it then ends with a beat.
pub fn stretch(pause: Duration) -> Duration {
    stretch_since(now(), pause)
}

/// Time to the next beat, half a second at most.
pub fn next() -> Duration {
    until_next(now())
}

/// Now, by the slots of this thread.
fn now() -> Duration {
    FIRST.elapsed().saturating_sub(LATE.get())
}

/// A runtime of one thread whose timers keep the beat.
/// # Errors
/// When the system does not create one.
pub fn runtime() -> io::Result<Runtime> {
    let late = remainder(FIRST.elapsed(), SLOT);
    if late > EARLY {
        std::thread::sleep(SLOT - late);
    }
    let mut tries = 1;
    loop {
        let began = FIRST.elapsed();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        // The thread was interrupted meanwhile. If the start is never known
        // well enough, timers need more wakes but work as well.
        if FIRST.elapsed() - began < EARLY || tries == TRIES {
            LATE.set(remainder(began, SLOT));
            return Ok(runtime);
        }
        tries += 1;
    }
}

/// A thread with such a runtime. Must be called inside an actix system.
/// # Panics
/// As [`Arbiter::new`], when the system creates none.
pub fn arbiter() -> Arbiter {
    let made = Arbiter::try_with_tokio_rt(runtime);
    made.expect("without threads nothing can run")
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
