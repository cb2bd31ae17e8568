//! What happened, line by line, for people who look into one seed.

use std::fmt::{Debug, Display, Write};
use std::hash::{Hash, Hasher};

use crate::job::Millis;

/// The trace, if one is kept; not part of the world's state.
#[derive(Debug, Clone, Default)]
pub(super) struct Trace(Option<String>);

impl Trace {
    pub(super) fn begin(&mut self) {
        self.0 = Some(String::new());
    }

    pub(super) fn text(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    pub(super) fn line(&mut self, now: Millis, what: &impl Debug) {
        if let Some(text) = &mut self.0 {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{:>9} {what:?}", now.0 - 1_000_000);
        }
    }

    /// A consequence of the previous line.
    pub(super) fn effect(&mut self, what: &impl Debug) {
        if let Some(text) = &mut self.0 {
            let _ = writeln!(text, "            -> {what:?}");
        }
    }

    pub(super) fn note(&mut self, what: &impl Display) {
        if let Some(text) = &mut self.0 {
            let _ = writeln!(text, "            !! {what}");
        }
    }
}

impl PartialEq for Trace {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Trace {}

impl Hash for Trace {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
