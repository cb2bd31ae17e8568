//! The actors of a node. On the master: the dispatcher and its worker sessions.
//! On a worker: the master link and its request handlers. Mastership decides
//! who is the master.

pub mod dispatcher;
pub mod master_link;
pub mod mastership;
pub mod request_handler;
pub mod worker_session;
