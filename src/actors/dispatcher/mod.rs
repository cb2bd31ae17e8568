//! The dispatcher owns the queue of a node. [`crate::dispatch`] decides; this
//! is the actor around it, with its store and its sessions.

mod actor;
mod live;
mod messages;
mod meter;
mod questions;

pub use actor::Dispatcher;
pub use live::{LiveBoard, LiveFigures};
pub use messages::{
    ChainNews, DrainDispatcher, FromSession, GetOverview, GetParked, GetSnapshot, JobChanged,
    JobGone, LaterMaster, PauseReceivers, SessionDown, SessionUp, StopDispatcher, Submit,
    TellOfEnds, TellOfLosses,
};
