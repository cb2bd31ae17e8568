//! Decides which job runs where and when: the pure state machine of the
//! dispatcher. [`crate::actors::dispatcher`] is the actor around it.

pub(crate) mod amount;
mod core;
mod ended;
mod event;
mod holds;
mod horizon;
mod kinds;
mod parked;
mod queue;
mod receivers;
mod scan;
mod sessions;
mod snapshot;
pub(crate) mod tally;

pub use self::core::Core;
pub use event::{Action, Event, Options, SessionId};
pub use sessions::Load;
pub use snapshot::{
    JobCounts, KindSnapshot, Overview, PhaseCounts, ReceiverSnapshot, SessionSnapshot, Snapshot,
};
