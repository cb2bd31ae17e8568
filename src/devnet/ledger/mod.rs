//! The development ledger.

pub mod app;
