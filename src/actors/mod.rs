//! The actors of a node: the dispatcher and its worker sessions on the master;
//! the master link and its request handlers on a worker; mastership, which
//! decides who is the master.

pub mod dispatcher;
pub mod master_link;
pub mod mastership;
pub mod request_handler;
pub mod worker_session;
