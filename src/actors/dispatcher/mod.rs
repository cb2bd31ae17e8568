//! The dispatcher owns the queue of a node. What it decides is
//! [`crate::dispatch`]; here is the actor, with its store and its sessions.

mod actor;
mod messages;
mod meter;
mod questions;

pub use actor::Dispatcher;
pub use messages::{
    ChainNews, DrainDispatcher, FromSession, GetSnapshot, JobChanged, JobGone, LaterMaster,
    SessionDown, SessionUp, StopDispatcher, Submit, TellOfLosses,
};
