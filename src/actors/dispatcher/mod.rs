//! The dispatcher owns the queue of a node. [`crate::dispatch`] decides; this
//! is the actor around it, with its store and its sessions.

mod actor;
mod messages;
mod meter;
mod questions;

pub use actor::Dispatcher;
pub use messages::{
    ChainNews, DrainDispatcher, FromSession, GetSnapshot, JobChanged, JobGone, LaterMaster,
    SessionDown, SessionUp, StopDispatcher, Submit, TellOfLosses,
};
