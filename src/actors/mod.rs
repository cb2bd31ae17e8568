//! The actors of a node: the dispatcher and its worker sessions on the master,
//! the master link and its request handlers on a worker.

pub mod dispatcher;
pub mod master_link;
pub mod request_handler;
pub mod runner;
pub mod worker_session;
