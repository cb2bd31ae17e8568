//! Masters and workers joined by real gRPC on loopback, and by channels.

mod cluster;
mod faults;
mod handlers;
#[path = "../support/memory_store.rs"]
mod memory_store;
mod operators;
mod support;
mod tls;
