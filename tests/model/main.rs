//! Deterministic tests of the pure cores: tables of single cases, and a
//! simulation of a whole cluster under random faults.

#[path = "../support/memory_store.rs"]
mod memory_store;
mod simulation;
mod tables;
