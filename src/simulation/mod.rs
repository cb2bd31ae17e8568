//! Simulates a whole cluster at random: the real cores of dispatcher,
//! mastership and link, and the contract of the store, with a simulated
//! network, clock, processes and handlers. One seed is one run, with the same
//! trace every time. `erawan simulate` runs seeds; `tests/model` runs ten
//! thousand of them, and lets a model checker choose instead of chance.

mod calls;
mod calm;
mod chance;
mod choice;
mod command;
mod fault;
mod master;
#[cfg(test)]
mod mistake_tests;
mod network;
mod possible;
mod run;
mod setting;
mod trace;
mod worker;
mod world;

pub(crate) use chance::Chance;
pub use choice::{CallNo, Choice, Hold, JobPlan, LinkNo, RunPlan, Side, SimulatedProcess};
pub use command::{SimulateArguments, Summary, simulate, sweep};
pub use fault::{Fault, Figures};
pub use run::{SimulationRun, calm_down, run};
pub use setting::Setting;
pub use world::World;
