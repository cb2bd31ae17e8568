//! erawan: one NDID node as one master and many workers, or as one process.
//! Start reading at `docs/architecture.md`.

pub mod actors;
pub mod bench;
pub mod cluster;
pub mod config;
pub mod crypto;
pub mod delivery;
pub mod descriptors;
pub mod devnet;
pub mod error;
pub mod flows;
pub mod http;
pub mod invariants;
pub mod job;
pub mod json;
mod labelled;
pub mod ledger;
pub mod listener;
pub mod logging;
mod mistake;
pub mod mq;
pub mod node;
pub mod operator;
pub mod proto;
pub mod simulation;
pub mod store;
