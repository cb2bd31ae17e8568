//! Everything that comes in: blocks of the ledger on the master, messages of
//! other nodes on every process.

pub mod ledger_watcher;
pub mod mq_inbox;
