//! The dispatcher owns the queue of a node: it decides which job runs where.

mod core;
mod event;
mod holds;
mod horizon;
mod queue;
mod scan;
mod sessions;
mod snapshot;

pub use self::core::Core;
pub use event::{Action, Event, INLINE_PAYLOAD, Options, SessionId};
pub use sessions::Load;
pub use snapshot::{JobCounts, SessionSnapshot, Snapshot};
