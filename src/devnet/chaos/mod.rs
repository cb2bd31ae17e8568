//! `erawan demo --chaos`: requests run while the processes of the network are
//! killed, stopped, terminated and restarted; then it is looked from outside
//! at what came of it.
//!
//! - [`schedule`]: what is hit, how and when; a pure function of the seed;
//! - `victims`: the processes as something that can be hit;
//! - `hits`: carries a schedule out, and measures each recovery;
//! - [`watch`]: counters and memory of the processes while they live;
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
