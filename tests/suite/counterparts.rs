//! What a recorded value is in the network that runs now. A counterpart is
//! learned once; from then on the recorded value must always be it, and no other
//! recorded value may be.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// A kind of value: values of different kinds never mix.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Ids, salts, hashes, signatures, keys.
    Text,
    /// Ports.
    Port,
    /// Heights of what this names: those of one request, or of one key.
    Height(String),
}

/// Why a value is not the counterpart of a recorded one.
#[derive(Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The recorded value was something else before.
    HadAnother { before: String },
    /// The live value stood for another recorded value before.
    IsAnothers { recorded: String },
    /// Recorded and live heights are not in one order.
    OutOfOrder,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Mismatch::HadAnother { before } => write!(formatter, "was {before} before"),
            Mismatch::IsAnothers { recorded } => {
                write!(formatter, "stood for the recorded {recorded} before")
            }
            Mismatch::OutOfOrder => write!(formatter, "heights in another order"),
        }
    }
}

/// Pairs of recorded and live values.
#[derive(Debug, Default)]
pub struct Counterparts {
    live: HashMap<(Kind, String), String>,
    recorded: HashMap<(Kind, String), String>,
    heights: HashMap<String, BTreeMap<u64, u64>>,
}

/// What a comparison would add to the pairs.
#[derive(Debug, Default)]
pub struct Lesson {
    pairs: Vec<(Kind, String, String)>,
}

impl Counterparts {
    /// The live counterpart of a recorded text.
    pub fn live(&self, recorded: &str) -> Option<&str> {
        let key = (Kind::Text, recorded.to_owned());
        self.live.get(&key).map(String::as_str)
    }

    /// The recorded counterpart of a live text.
    pub fn recorded(&self, live: &str) -> Option<&str> {
        let key = (Kind::Text, live.to_owned());
        self.recorded.get(&key).map(String::as_str)
    }

    /// Whether these may be counterparts; notes what is new in the lesson.
    ///
    /// # Errors
    /// When one of them has another counterpart.
    pub fn meet(
        &self,
        lesson: &mut Lesson,
        kind: Kind,
        recorded: &str,
        live: &str,
    ) -> Result<(), Mismatch> {
        let new = |(of, one, _): &&(Kind, String, String)| *of == kind && one == recorded;
        let taken = |(of, _, other): &&(Kind, String, String)| *of == kind && other == live;
        let before = self.live.get(&(kind.clone(), recorded.to_owned()));
        let before = before.or_else(|| lesson.pairs.iter().find(new).map(|(_, _, live)| live));
        match before {
            Some(before) if before == live => return Ok(()),
            Some(before) => {
                return Err(Mismatch::HadAnother {
                    before: before.clone(),
                });
            }
            None => {}
        }
        let other = self.recorded.get(&(kind.clone(), live.to_owned()));
        let other = other.or_else(|| lesson.pairs.iter().find(taken).map(|(_, other, _)| other));
        if let Some(recorded) = other {
            return Err(Mismatch::IsAnothers {
                recorded: recorded.clone(),
            });
        }
        if let Kind::Height(of) = &kind
            && !self.keeps_order(of, recorded, live)
        {
            return Err(Mismatch::OutOfOrder);
        }
        lesson
            .pairs
            .push((kind, recorded.to_owned(), live.to_owned()));
        Ok(())
    }

    fn keeps_order(&self, of: &str, recorded: &str, live: &str) -> bool {
        let (Ok(recorded), Ok(live)) = (recorded.parse::<u64>(), live.parse::<u64>()) else {
            return false;
        };
        let Some(heights) = self.heights.get(of) else {
            return true;
        };
        let before = heights.range(..recorded).next_back();
        let after = heights.range(recorded..).next();
        before.is_none_or(|(_, before)| *before < live)
            && after.is_none_or(|(_, after)| *after > live)
    }

    /// Keeps what a comparison has found.
    pub fn keep(&mut self, lesson: Lesson) {
        for (kind, recorded, live) in lesson.pairs {
            if let Kind::Height(of) = &kind
                && let (Ok(recorded), Ok(live)) = (recorded.parse(), live.parse())
            {
                let heights = self.heights.entry(of.clone()).or_default();
                heights.insert(recorded, live);
            }
            let key = (kind.clone(), live.clone());
            self.recorded.insert(key, recorded.clone());
            self.live.insert((kind, recorded), live);
        }
    }

    /// A pair that is known beforehand.
    ///
    /// # Errors
    /// When one of them has another counterpart.
    pub fn teach(&mut self, recorded: &str, live: &str) -> Result<(), Mismatch> {
        let mut lesson = Lesson::default();
        self.meet(&mut lesson, Kind::Text, recorded, live)?;
        self.keep(lesson);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meet(pairs: &mut Counterparts, kind: Kind, one: &str, two: &str) -> Result<(), Mismatch> {
        let mut lesson = Lesson::default();
        pairs.meet(&mut lesson, kind, one, two)?;
        pairs.keep(lesson);
        Ok(())
    }

    #[test]
    fn a_recorded_id_has_one_counterpart_for_ever() {
        let mut pairs = Counterparts::default();
        meet(&mut pairs, Kind::Text, "one", "eins").unwrap();
        meet(&mut pairs, Kind::Text, "one", "eins").unwrap();
        let before = "eins".to_owned();
        assert_eq!(
            meet(&mut pairs, Kind::Text, "one", "zwei"),
            Err(Mismatch::HadAnother { before })
        );
        // Another kind of value is another matter.
        meet(&mut pairs, Kind::Port, "one", "zwei").unwrap();
    }

    #[test]
    fn a_live_id_stands_for_one_recorded_id_only() {
        let mut pairs = Counterparts::default();
        meet(&mut pairs, Kind::Text, "one", "eins").unwrap();
        let recorded = "one".to_owned();
        assert_eq!(
            meet(&mut pairs, Kind::Text, "two", "eins"),
            Err(Mismatch::IsAnothers { recorded })
        );
    }

    #[test]
    fn what_one_comparison_finds_is_held_to_within_it() {
        let pairs = Counterparts::default();
        let mut lesson = Lesson::default();
        pairs.meet(&mut lesson, Kind::Text, "one", "eins").unwrap();
        assert!(pairs.meet(&mut lesson, Kind::Text, "one", "zwei").is_err());
        assert!(pairs.meet(&mut lesson, Kind::Text, "two", "eins").is_err());
    }

    #[test]
    fn what_was_not_kept_is_not_known() {
        let pairs = Counterparts::default();
        let mut lesson = Lesson::default();
        pairs.meet(&mut lesson, Kind::Text, "one", "eins").unwrap();
        assert_eq!(pairs.live("one"), None);
    }

    #[test]
    fn heights_of_one_request_keep_their_order() {
        let mut pairs = Counterparts::default();
        let of = |request: &str| Kind::Height(request.to_owned());
        meet(&mut pairs, of("a"), "10", "5").unwrap();
        meet(&mut pairs, of("a"), "14", "9").unwrap();
        assert_eq!(
            meet(&mut pairs, of("a"), "12", "4"),
            Err(Mismatch::OutOfOrder)
        );
        assert_eq!(
            meet(&mut pairs, of("a"), "12", "10"),
            Err(Mismatch::OutOfOrder)
        );
        meet(&mut pairs, of("a"), "12", "7").unwrap();
        // Those of another request are of other blocks.
        meet(&mut pairs, of("b"), "10", "8").unwrap();
    }
}
