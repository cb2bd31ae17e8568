//! erawan: one NDID node as one master and many workers, or as one process.
//! Start reading at `docs/architecture.md`.

// They panic when nobody reads any more; use `output` instead.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod access;
pub mod actors;
pub mod admission;
pub mod api;
pub mod bench;
pub mod cluster;
pub mod config;
pub mod context;
#[cfg(test)]
mod core_words_tests;
pub mod crypto;
pub mod dashboard;
pub mod delivery;
pub mod descriptors;
pub mod devnet;
pub mod dispatch;
pub mod error;
pub mod flows;
pub mod heavy;
pub mod http;
mod http_client;
pub mod ingest;
pub mod invariants;
pub mod job;
pub mod json;
mod labelled;
pub mod ledger;
pub mod listener;
pub mod logging;
pub mod messaging;
mod mistake;
pub mod mq;
pub mod node;
pub mod operator;
pub mod output;
pub mod parent;
pub mod proto;
pub mod protocol;
pub mod pulse;
pub mod reread;
pub mod simulation;
pub mod store;
pub mod tables;
pub mod tick;
pub mod tls;

#[cfg(test)]
mod dependencies_tests;
#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod names_tests;
#[cfg(test)]
mod rooms_tests;
#[cfg(test)]
mod words_tests;
