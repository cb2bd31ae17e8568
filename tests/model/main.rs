//! Deterministic tests of the pure cores: tables of single cases, and a
//! simulation of a whole cluster under random faults.

mod simulation;
mod tables;
