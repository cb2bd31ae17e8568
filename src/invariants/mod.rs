//! Everything that must always hold, defined once. The model checker and the
//! simulator feed these checks with everything that happens; a running node
//! feeds them with what its dispatcher, its mastership and its links see. The
//! checks are plain values without clock or I/O, and their memory is bounded.
//!
//! - [`Assignments`]: what a dispatcher sees of its workers.
//! - [`Epochs`]: what anybody sees of masters.
//! - [`History`]: what only an observer of the store and all workers sees, so
//!   for model and simulator only.

mod assignments;
mod epochs;
mod history;
mod report;

pub use assignments::Assignments;
pub use epochs::Epochs;
pub use history::{History, RunId};
pub use report::report;

use std::fmt;

macro_rules! invariants {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// Something that must always hold.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Invariant { $($(#[$doc])* $variant,)* }

        impl Invariant {
            /// Every invariant.
            pub const ALL: &'static [Invariant] = &[$(Invariant::$variant),*];

            /// The name in logs and metrics, and for operators.
            pub fn name(self) -> &'static str {
                match self { $(Invariant::$variant => $name),* }
            }
        }
    };
}

invariants! {
    /// One job of all with the same source is accepted.
    AcceptedOnce = "accepted_once";
    /// An attempt on a worker is assigned to no other worker. Before a job
    /// whose worker was lost runs again, its attempt is raised.
    AssignedOnce = "assigned_once";
    /// Two attempts of one job that the store would both let commit never run
    /// at the same time.
    NeverTwoAtOnce = "never_two_at_once";
    /// Jobs of one key never run at the same time.
    KeyAlone = "key_alone";
    /// Jobs of one key start in the order they were accepted.
    KeyInOrder = "key_in_order";
    /// A job takes effect at most once, by the attempt that owns it.
    CommittedOnce = "committed_once";
    /// An effect is in the store before anybody hears of it.
    WrittenBeforeTold = "written_before_told";
    /// An accepted job is open or has ended; it is never both, nor neither.
    NothingLost = "nothing_lost";
    /// A write of a master that a later one has deposed changes nothing.
    DeposedWritesNothing = "deposed_writes_nothing";
    /// A master assigns nothing once a later one exists.
    OneMaster = "one_master";
    /// Every master has an epoch of its own, higher than all earlier ones.
    EpochRises = "epoch_rises";
    /// A worker gets no more jobs than it granted credit for, and none before
    /// it is connected or after it is lost.
    CreditKept = "credit_kept";
    /// A parked job runs nowhere.
    ParkedRests = "parked_rests";
    /// A job of class `Once` starts at most once, unless an operator says so.
    OnceStartsOnce = "once_starts_once";
    /// When faults stop, every job ends, unless it is parked or behind a parked
    /// job of its key.
    EveryJobEnds = "every_job_ends";
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An invariant that does not hold: a defect.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Violation {
    pub invariant: Invariant,
    /// With ids.
    pub detail: String,
}

impl Violation {
    pub fn new(invariant: Invariant, detail: impl Into<String>) -> Self {
        Self {
            invariant,
            detail: detail.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.detail)
    }
}
