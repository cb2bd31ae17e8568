//! The messages that have come and are not known to be stored: bounded, in the
//! order of arrival, each once. Nothing here uses a clock or a store.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::job::Millis;
use crate::proto::wire::MqError;

/// Most messages kept, and their bytes together.
pub(super) const MOST_MESSAGES: usize = 4096;
pub(super) const MOST_BYTES: usize = 32 * 1024 * 1024;

/// Most messages stored in one step, and their bytes together.
pub(super) const BATCH_MESSAGES: usize = 64;
pub(super) const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Most messages in one question to the store.
const ASKED_AT_ONCE: usize = 1024;

/// How long a message is kept. A store remembers sources for 30 minutes and a
/// sender repeats a message for 11. A message stored later than this could be
/// one whose first transmission was stored, ended and forgotten.
pub(super) const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Most kinds of queue errors that wait to be reported.
const ERRORS: usize = 16;

/// Messages remembered after another process stored them.
const PASSED: usize = 4096;

/// A message as it came.
#[derive(Debug, PartialEq)]
pub(super) struct KeptMessage {
    pub sender_id: String,
    pub message_id: String,
    pub bytes: Bytes,
    /// By the wall clock.
    pub received_at: Millis,
    /// By a clock that never jumps.
    pub at: Millis,
    /// The idempotency key of its job.
    pub source: String,
}

#[derive(Debug, Default)]
pub(super) struct KeptMessages {
    messages: BTreeMap<u64, Arc<KeptMessage>>,
    places: HashMap<String, u64>,
    next_place: u64,
    bytes: usize,
    /// Messages that came again before they were settled.
    repeated: HashSet<String>,
    /// Messages that other processes had stored, oldest first.
    passed: VecDeque<String>,
    was_passed: HashSet<String>,
    /// By their codes.
    errors: BTreeMap<i32, MqError>,
}

impl KeptMessages {
    /// Keeps a message, unless it is kept already.
    pub fn add(&mut self, received: KeptMessage) {
        if self.places.contains_key(&received.source) {
            self.repeated.insert(received.source);
            return;
        }
        self.bytes += received.bytes.len();
        self.places.insert(received.source.clone(), self.next_place);
        self.messages.insert(self.next_place, Arc::new(received));
        self.next_place += 1;
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Keeps an error of the queue, one of each code.
    pub fn add_error(&mut self, error: MqError) {
        if self.errors.len() < ERRORS {
            self.errors.insert(error.code, error);
        }
    }

    pub fn take_errors(&mut self) -> Vec<MqError> {
        std::mem::take(&mut self.errors).into_values().collect()
    }

    /// Whether it should accept no more.
    pub fn is_full(&self) -> bool {
        self.messages.len() >= MOST_MESSAGES || self.bytes >= MOST_BYTES
    }

    /// Drops the oldest messages until it is within its bounds. Returns how
    /// many.
    pub fn let_go_beyond(&mut self) -> usize {
        self.let_go_while(|kept, _| kept.messages.len() > MOST_MESSAGES || kept.bytes > MOST_BYTES)
    }

    /// Drops messages that were kept for too long. Returns how many.
    pub fn let_go_older(&mut self, now: Millis) -> usize {
        self.let_go_while(|_, oldest| oldest.at.after(LONGEST) <= now)
    }

    fn let_go_while(&mut self, goes: impl Fn(&Self, &KeptMessage) -> bool) -> usize {
        let mut gone = 0;
        while let Some((_, oldest)) = self.messages.first_key_value()
            && goes(self, oldest)
        {
            let source = oldest.source.clone();
            self.settle(&source);
            gone += 1;
        }
        gone
    }

    /// When the oldest message will have been kept for `delay`; `None`: none is
    /// kept.
    pub fn due_at(&self, delay: Duration) -> Option<Millis> {
        let (_, oldest) = self.messages.first_key_value()?;
        Some(oldest.at.after(delay))
    }

    /// The messages to ask the store about once the oldest has been kept for
    /// `delay`. Includes those that have been kept for half of that, so that
    /// one question covers several.
    pub fn due(&self, now: Millis, delay: Duration) -> Vec<String> {
        if self.due_at(delay).is_none_or(|at| at > now) {
            return Vec::new();
        }
        let old_enough = |received: &&Arc<KeptMessage>| received.at.after(delay / 2) <= now;
        let due = self.messages.values().take_while(old_enough);
        let sources = due.map(|received| received.source.clone());
        sources.take(ASKED_AT_ONCE).collect()
    }

    /// The oldest messages, as many as one step stores.
    pub fn first(&self) -> Vec<Arc<KeptMessage>> {
        batch(self.messages.values().cloned())
    }

    /// The first kept ones of these, as many as one step stores.
    pub fn first_of(&self, sources: &[String]) -> Vec<Arc<KeptMessage>> {
        let places = sources.iter().filter_map(|source| self.places.get(source));
        let found = places.filter_map(|place| self.messages.get(place));
        batch(found.cloned())
    }

    /// Removes a message.
    pub fn settle(&mut self, source: &str) -> Option<Arc<KeptMessage>> {
        let place = self.places.remove(source)?;
        let received = self.messages.remove(&place)?;
        self.bytes -= received.bytes.len();
        self.repeated.remove(source);
        Some(received)
    }

    /// Removes a message that another process has stored. True if it came
    /// again, which means that nobody has acknowledged it.
    pub fn pass(&mut self, source: &str) -> Option<(Arc<KeptMessage>, bool)> {
        let came_while_kept = self.repeated.contains(source);
        let received = self.settle(source)?;
        let came_later = !self.was_passed.insert(source.to_owned());
        if !came_later {
            self.passed.push_back(source.to_owned());
        }
        if self.passed.len() > PASSED
            && let Some(oldest) = self.passed.pop_front()
        {
            self.was_passed.remove(&oldest);
        }
        Some((received, came_while_kept || came_later))
    }
}

fn batch(messages: impl Iterator<Item = Arc<KeptMessage>>) -> Vec<Arc<KeptMessage>> {
    let mut bytes = 0;
    messages
        .take(BATCH_MESSAGES)
        .take_while(|received| {
            let is_first = bytes == 0;
            bytes += received.bytes.len().max(1);
            is_first || bytes <= BATCH_BYTES
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(name: &str, at: u64, bytes: usize) -> KeptMessage {
        KeptMessage {
            sender_id: "rp1".to_owned(),
            message_id: name.to_owned(),
            bytes: vec![0; bytes].into(),
            received_at: Millis(0),
            at: Millis(at),
            source: name.to_owned(),
        }
    }

    fn names(messages: &[Arc<KeptMessage>]) -> Vec<&str> {
        messages
            .iter()
            .map(|received| received.source.as_str())
            .collect()
    }

    const DELAY: Duration = Duration::from_millis(1000);

    #[test]
    fn nothing_is_due_before_the_oldest_has_been_kept_long_enough() {
        let mut kept = KeptMessages::default();
        assert_eq!(kept.due_at(DELAY), None);
        for (name, at) in [("a", 0), ("b", 400), ("c", 600)] {
            kept.add(received(name, at, 1));
        }
        assert_eq!(kept.due_at(DELAY), Some(Millis(1000)));
        assert_eq!(kept.due(Millis(999), DELAY), Vec::<String>::new());
        assert_eq!(kept.due(Millis(1000), DELAY), ["a", "b"]);
        assert_eq!(kept.due(Millis(600), Duration::ZERO), ["a", "b", "c"]);
        kept.settle("a");
        assert_eq!(kept.due_at(DELAY), Some(Millis(1400)));
    }

    #[test]
    fn a_step_takes_so_many_messages_and_bytes_and_at_least_one() {
        let mut kept = KeptMessages::default();
        for number in 0..100 {
            kept.add(received(&number.to_string(), 0, 0));
        }
        assert_eq!(kept.first().len(), BATCH_MESSAGES);
        let mut kept = KeptMessages::default();
        kept.add(received("a", 0, BATCH_BYTES + 1));
        kept.add(received("b", 0, 1));
        assert_eq!(names(&kept.first()), ["a"]);
        kept.settle("a");
        assert_eq!(names(&kept.first()), ["b"]);
        let asked = ["c", "b"].map(str::to_owned);
        assert_eq!(names(&kept.first_of(&asked)), ["b"]);
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_or_they_are_too_old() {
        let mut kept = KeptMessages::default();
        for number in 0..=MOST_MESSAGES {
            kept.add(received(&number.to_string(), number as u64, 1));
        }
        assert!(kept.is_full());
        assert_eq!(kept.let_go_beyond(), 1);
        assert_eq!(names(&kept.first())[0], "1");
        kept.add(received("large", 9999, MOST_BYTES));
        assert_eq!(kept.let_go_beyond(), MOST_MESSAGES);
        assert_eq!(names(&kept.first()), ["large"]);
        assert_eq!(kept.let_go_beyond(), 0);

        assert_eq!(kept.let_go_older(Millis(9999)), 0);
        let too_late = Millis(9999).after(LONGEST);
        assert_eq!(kept.let_go_older(too_late), 1);
        assert_eq!(kept.bytes, 0);
        assert!(!kept.is_full());
    }

    #[test]
    fn a_message_that_comes_again_has_not_been_acknowledged() {
        let mut kept = KeptMessages::default();
        kept.add(received("a", 0, 1));
        assert!(!kept.pass("a").unwrap().1);
        kept.add(received("a", 60_000, 1));
        assert!(kept.pass("a").unwrap().1, "after it was passed");
        kept.add(received("b", 0, 1));
        kept.add(received("b", 60_000, 1));
        assert_eq!(kept.first().len(), 1);
        assert!(kept.pass("b").unwrap().1, "while it was kept");
        assert_eq!(kept.pass("b"), None);
        for number in 0..2 * PASSED {
            let name = number.to_string();
            kept.add(received(&name, 0, 1));
            kept.pass(&name);
        }
        assert_eq!((kept.passed.len(), kept.was_passed.len()), (PASSED, PASSED));
    }
}
