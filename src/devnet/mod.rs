//! The development network: stand-ins for what a node talks to.

pub mod ledger;
