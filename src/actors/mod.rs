//! The actors of a node: the dispatcher and its worker sessions, the ledger
//! watcher on the master; the master link and its request handlers on a worker;
//! the message queue inbox on both; mastership, which decides who is the master.

pub mod dispatcher;
pub mod ledger_watcher;
pub mod master_link;
pub mod mastership;
pub mod mq_inbox;
pub mod request_handler;
pub mod runner;
pub mod worker_session;

pub use runner::{Run, Runner};
