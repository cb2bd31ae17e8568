//! The dispatcher owns the queue of a node: it decides which job runs where.

mod actor;
mod amount;
mod core;
mod ended;
mod event;
mod holds;
mod horizon;
mod messages;
mod meter;
mod parked;
mod questions;
mod queue;
mod receivers;
mod scan;
mod sessions;
mod snapshot;
mod tally;

pub use self::core::Core;
pub use actor::Dispatcher;
pub use event::{Action, Event, Options, SessionId};
pub use messages::{
    ChainUpdate, Drain, FromSession, GetSnapshot, JobChanged, JobGone, LaterMaster, SessionDown,
    SessionUp, Stop, Submit, TellOfLosses,
};
pub use sessions::Load;
pub use snapshot::{JobCounts, SessionSnapshot, Snapshot};
