//! When to say again that something is still wrong: at once, then with growing
//! pauses, so that a trouble of a night leaves a page and not a full disk.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);

/// For one trouble, from its beginning to its end.
#[derive(Debug, Default)]
pub struct Reminder {
    next: Option<(Instant, Duration)>,
}

impl Reminder {
    /// Whether to say it now.
    pub fn is_due(&mut self) -> bool {
        self.is_due_at(Instant::now())
    }

    fn is_due_at(&mut self, now: Instant) -> bool {
        let pause = match self.next {
            None => FIRST,
            Some((at, _)) if now < at => return false,
            Some((_, pause)) => (pause * 2).min(LONGEST),
        };
        self.next = Some((now + pause, pause));
        true
    }

    /// The trouble is over: it is said at once when it comes back.
    pub fn over(&mut self) {
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_told_at_once_and_then_ever_more_seldom() {
        let mut reminder = Reminder::default();
        let began = Instant::now();
        let told = (0..300).filter(|second| {
            let second = Duration::from_secs(*second);
            reminder.is_due_at(began + second)
        });
        assert_eq!(told.collect::<Vec<_>>(), [0, 5, 15, 35, 75, 135, 195, 255]);
        reminder.over();
        assert!(reminder.is_due_at(began));
    }
}
