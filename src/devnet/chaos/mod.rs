//! `erawan demo --chaos`: requests run while the processes of the network are
//! killed, stopped, terminated and restarted; then the results are judged from
//! outside.
//!
//! - [`schedule`]: what is hit, how and when; a pure function of the seed.
//! - `victims`: the processes that can be hit.
//! - `hits`: carries out a schedule, and measures each recovery.
//! - [`watch`]: counters and memory of the processes while they live.
//! - `run`: all of it together, and the evidence for the
//!   [`verdict`](super::verdict).

mod hits;
mod report;
mod run;
pub mod schedule;
mod victims;
pub mod watch;

pub use hits::Event;
pub use report::ChaosReport;
pub use run::{Options, prepare, run};
