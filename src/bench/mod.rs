//! `erawan bench`: speed and size, several set-ups side by side in one run.

mod cluster;
mod cpu;
pub mod exam;
pub mod flow;
pub mod identity;
pub mod idle;
pub mod jobs;
pub mod look_ups;
pub mod node;
pub mod recovery;
pub mod routes;
pub mod soak;

use std::io;
use std::process::ExitCode;

use clap::Subcommand;

use crate::devnet::command::StoreArgument;
use crate::devnet::network::StoreOption;
use crate::output;

/// What to measure.
#[derive(Debug, Clone, Subcommand)]
pub enum Bench {
    /// Full requests with data through three nodes.
    Flow(flow::FlowArguments),
    /// Identity operations, direct and with consent.
    Identity(identity::IdentityArguments),
    /// CPU of idle nodes.
    Idle(idle::IdleArguments),
    /// No-op jobs accepted, dispatched, run and committed through one master and its workers.
    Jobs(jobs::JobsArguments),
    /// Look-ups and start of a node with many identities and open operations,
    /// beside one with few.
    LookUps(look_ups::LookUpsArguments),
    /// What finding the endpoint of a call costs.
    Routes(routes::RoutesArguments),
    /// Twice the load that the nodes carry: memory must be flat, and accepted
    /// requests complete.
    Soak(soak::SoakArguments),
    /// Time to recover from a death, and the cost of durability.
    Recovery(recovery::RecoveryArguments),
    /// What strangers and a stuck handler can do to a node.
    Exam(exam::ExamArguments),
}

/// Runs a benchmark.
///
/// # Errors
/// When a set-up cannot be started.
pub async fn run(bench: Bench) -> io::Result<ExitCode> {
    match bench {
        Bench::Flow(arguments) => flow::run(arguments).await,
        Bench::Identity(arguments) => identity::run(arguments).await,
        Bench::Idle(arguments) => idle::run(arguments).await,
        Bench::Jobs(arguments) => jobs::run(arguments).await,
        Bench::LookUps(arguments) => look_ups::run(arguments).await,
        Bench::Routes(arguments) => routes::run(arguments).await,
        Bench::Soak(arguments) => soak::run(arguments).await,
        Bench::Recovery(arguments) => recovery::run(arguments).await,
        Bench::Exam(arguments) => exam::run(arguments).await,
    }
}

/// Stores to measure: the one asked for, or both, one after the other.
fn stores(store: Option<StoreArgument>) -> Vec<StoreOption> {
    match store {
        Some(StoreArgument::Embedded) => vec![StoreOption::Embedded],
        Some(StoreArgument::Redis) => vec![StoreOption::Redis],
        None => vec![StoreOption::Embedded, StoreOption::Redis],
    }
}

/// Worker counts to measure: the requested one, or standalone beside two
/// workers.
fn set_ups(workers: Option<usize>) -> Vec<usize> {
    workers.map_or_else(|| vec![0, 2], |workers| vec![workers])
}

/// Prints a result: one JSON object per line, or a line for people.
fn print<R: serde::Serialize>(
    json: bool,
    result: &R,
    line: impl FnOnce() -> String,
) -> io::Result<()> {
    match json {
        // Results are plain data, so writing them as JSON cannot fail.
        true => output::say(serde_json::to_string(result).unwrap_or_default()),
        false => output::say(line()),
    }
}
