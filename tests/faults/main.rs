//! One test for each fault of spec/process-model-and-config.md 7.1, its number
//! in its name, with real processes and a network that can be broken. Which
//! test tries which fault, and which faults do not apply, is in README.md.

mod application;
mod behind;
mod callbacks;
mod calls;
mod ledger;
mod links;
mod look;
// Shared with tests/cluster, which uses all of it.
#[allow(dead_code)]
#[path = "../cluster/network.rs"]
mod network;
mod nobody;
mod proxy;
mod queue;
mod redis;
mod restored;
mod slow_redis;
mod workers;
