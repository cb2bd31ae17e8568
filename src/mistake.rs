//! Deliberate mistakes, one for each rule that nothing else enforces. A unit
//! test switches one on and shows that the simulation finds it; so the
//! simulation also finds a rule that is broken by accident
//! (`simulation::mistake_tests`).
//!
//! The switch exists in unit tests of this crate only. Everywhere else [`made`]
//! is a constant, and the compiler removes it.

/// A deliberate mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// The store lets an attempt commit that was given up.
    FenceIgnored,
    /// The store takes writes of a deposed master.
    EpochIgnored,
    /// The store accepts a source every time it comes.
    SourceIgnored,
    /// Giving an attempt up does not raise it.
    AttemptNotRaised,
    /// A job of class `Once` is begun however often it was claimed.
    ClaimIgnored,
    /// A worker reports a commit before the store has it.
    ToldBeforeWritten,
    /// A worker does not report how a run ended.
    OutcomeForgotten,
    /// Jobs of a lost worker are not given to another.
    LostSessionForgotten,
    /// A key is free as soon as its job is on a worker.
    KeyReleasedEarly,
    /// A job starts though its predecessor is not known to have ended.
    PredecessorIgnored,
    /// A new master assigns what an earlier one may have assigned.
    SuspectsTrusted,
    /// A worker gets more than it granted credit for.
    CreditIgnored,
    /// Jobs that nobody announced are not looked for.
    ScanForgotten,
    /// A parked job lets others of its key pass.
    ParkedFreesKey,
    /// A job that waits to be tried again lets others of its key pass.
    RetryFreesKey,
    /// A job that has ended is taken for a new one when it is announced again.
    EndForgotten,
    /// A master trusts its lease after its end.
    LeaseTrustedForEver,
}

#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn made(_: Mistake) -> bool {
    false
}

#[cfg(test)]
pub(crate) use switch::{ALL, made, with};

#[cfg(test)]
mod switch {
    use std::cell::Cell;

    use super::Mistake;

    pub(crate) const ALL: &[Mistake] = &[
        Mistake::FenceIgnored,
        Mistake::EpochIgnored,
        Mistake::SourceIgnored,
        Mistake::AttemptNotRaised,
        Mistake::ClaimIgnored,
        Mistake::ToldBeforeWritten,
        Mistake::OutcomeForgotten,
        Mistake::LostSessionForgotten,
        Mistake::KeyReleasedEarly,
        Mistake::PredecessorIgnored,
        Mistake::SuspectsTrusted,
        Mistake::CreditIgnored,
        Mistake::ScanForgotten,
        Mistake::ParkedFreesKey,
        Mistake::RetryFreesKey,
        Mistake::EndForgotten,
        Mistake::LeaseTrustedForEver,
    ];

    thread_local! {
        static MADE: Cell<Option<Mistake>> = const { Cell::new(None) };
    }

    pub(crate) fn made(mistake: Mistake) -> bool {
        MADE.get() == Some(mistake)
    }

    /// Runs something on this thread with this mistake in the code.
    pub(crate) fn with<T>(mistake: Mistake, something: impl FnOnce() -> T) -> T {
        MADE.set(Some(mistake));
        let result = something();
        MADE.set(None);
        result
    }
}
