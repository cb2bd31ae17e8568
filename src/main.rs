//! Command line of erawan. Without a command it is a node, as `MODE` says.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use erawan::bench::{self, Bench};
use erawan::descriptors::Limit;
use erawan::devnet::command::{self, DemoArguments, DevnetArguments};
use erawan::devnet::{ledger, mq_service};
use erawan::{logging, node, operator, output, parent, simulation, tick};

/// Jobs are many small allocations, made in one thread and freed in another.
/// docs/decisions.md compares it with the system's allocator and mimalloc.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// One NDID node: one master and many workers, or one process.
///
/// Without a command it runs as MODE (standalone, master or worker) says,
/// configured by the environment.
#[derive(Debug, Parser)]
#[command(version, about, long_about)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check the environment and whether store, ledger and message queue can be reached.
    Check,
    /// Ask the process that runs here whether it is ready.
    Health(node::HealthArguments),
    Env(node::EnvArguments),
    /// Print completions for a shell: `erawan completions bash > /etc/bash_completion.d/erawan`.
    Completions {
        /// For which shell.
        shell: Shell,
    },
    /// Write the manual pages.
    Man {
        /// Folder to write them to.
        directory: PathBuf,
    },
    /// Start a whole network and drive requests through it.
    Demo(DemoArguments),
    /// Start a whole network and leave it running for developers.
    Devnet(DevnetArguments),
    /// Simulate a cluster under faults, by seed.
    Simulate(simulation::SimulateArguments),
    /// Show the node's jobs, and decide about parked and failed ones.
    Jobs(operator::Jobs),
    /// Make certificates or a token for the processes of a node.
    Certs(operator::certs::Certs),
    /// Measure speed and size.
    #[command(subcommand)]
    Bench(Bench),
    /// Run the ledger of a development network.
    #[command(hide = true)]
    DevnetLedger {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1")]
        bind: IpAddr,
        /// RPC port.
        #[arg(long)]
        port: u16,
        /// Where to keep blocks.
        #[arg(long)]
        directory: Option<PathBuf>,
        /// Chain id of a new chain.
        #[arg(long, default_value = "test-chain-NDID")]
        chain_id: String,
        /// Shortest time between blocks with transactions.
        #[arg(long, default_value_t = 5)]
        block_interval_ms: u64,
        /// Empty blocks to make at the start.
        #[arg(long, default_value_t = 0)]
        empty_blocks: u64,
        /// Make no blocks, but take those of the ledger at this port of the same
        /// address.
        #[arg(long)]
        follow_port: Option<u16>,
        /// With `--follow-port`: stay this many blocks behind.
        #[arg(long, default_value_t = 0)]
        lag: u64,
        /// Make an empty block when none has come for this long.
        #[arg(long)]
        empty_every_ms: Option<u64>,
        /// Identities that the chain has from its beginning.
        #[arg(long, default_value_t = 0)]
        identities: u64,
    },
    /// Run the message queue service of a development network.
    #[command(hide = true)]
    DevnetMq {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1")]
        bind: IpAddr,
        /// Node that the service belongs to.
        #[arg(long)]
        node_id: String,
        /// gRPC port.
        #[arg(long)]
        port: u16,
        /// Port for the other services.
        #[arg(long)]
        mq_port: u16,
        /// How often to transmit a message again that is not acknowledged.
        #[arg(long, default_value_t = 60_000)]
        retransmit_ms: u64,
        /// Where to record messages and their results.
        #[arg(long)]
        record: Option<PathBuf>,
    },
    /// A process of `bench jobs` and `bench recovery`.
    #[command(hide = true)]
    BenchNode(bench::node::NodeArguments),
}

/// Exit code for wrong arguments (`EX_USAGE`), as for a wrong environment.
const WRONG_ARGUMENTS: u8 = 64;

fn main() -> ExitCode {
    let command = match CommandLine::try_parse() {
        Ok(line) => line.command,
        Err(answer) => return tell(&answer),
    };
    if let Err(error) = Limit::raise() {
        logging::last_words(format!(
            "erawan: the limit of open files cannot be raised: {error}"
        ));
    }
    node::kinds::give();
    // One thread: computations have threads of their own, and tasks that mostly
    // wait for sockets cost least where none has to wake another thread.
    let _last_lines = LastLines;
    let outcome = tick::runtime().and_then(|runtime| {
        let system = actix_rt::System::with_tokio_rt(|| runtime);
        system.block_on(run(command))
    });
    outcome.unwrap_or_else(|error| {
        logging::last_words(format!("erawan: {error}"));
        ExitCode::FAILURE
    })
}

/// Writes out the log when this process ends, also after a panic.
struct LastLines;

impl Drop for LastLines {
    fn drop(&mut self) {
        logging::finish();
    }
}

/// Prints help, the version, or what is wrong. clap would exit with 2, which
/// has another meaning for `erawan jobs`.
fn tell(answer: &clap::Error) -> ExitCode {
    // Fails if nobody reads it.
    let _ = answer.print();
    if answer.use_stderr() {
        ExitCode::from(WRONG_ARGUMENTS)
    } else {
        ExitCode::SUCCESS
    }
}

fn completions(shell: Shell) -> io::Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "erawan", &mut text);
    output::say(String::from_utf8_lossy(&text))?;
    Ok(ExitCode::SUCCESS)
}

async fn run(command: Option<Command>) -> io::Result<ExitCode> {
    match command {
        None => node::run().await,
        Some(Command::Check) => node::check().await,
        Some(Command::Health(arguments)) => node::health(arguments).await,
        Some(Command::Env(arguments)) => node::env(&arguments),
        Some(Command::Completions { shell }) => completions(shell),
        Some(Command::Man { directory }) => {
            clap_mangen::generate_to(CommandLine::command(), directory)?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Jobs(jobs)) => operator::run(jobs).await,
        Some(Command::Certs(certs)) => operator::certs::run(certs),
        Some(Command::Demo(arguments)) => command::demo(arguments).await,
        Some(Command::Devnet(arguments)) => command::devnet(arguments).await,
        Some(Command::Simulate(arguments)) => simulation::simulate(&arguments),
        Some(Command::Bench(bench)) => bench::run(bench).await,
        Some(Command::DevnetLedger {
            bind,
            port,
            directory,
            chain_id,
            block_interval_ms,
            empty_blocks,
            follow_port,
            lag,
            empty_every_ms,
            identities,
        }) => {
            let options = ledger::Options {
                listen: SocketAddr::new(bind, port),
                chain_id,
                directory,
                block_interval: Duration::from_millis(block_interval_ms),
                empty_blocks,
                identities,
                follows: follow_port.map(|port| ledger::Leader {
                    host: match bind.is_unspecified() {
                        true => Ipv4Addr::LOCALHOST.to_string(),
                        false => bind.to_string(),
                    },
                    port,
                    lag,
                }),
                empty_every: empty_every_ms.map(Duration::from_millis),
                ..ledger::Options::default()
            };
            ledger::serve(options, stop()).await?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::DevnetMq {
            bind,
            node_id,
            port,
            mq_port,
            retransmit_ms,
            record,
        }) => {
            let listen = SocketAddr::new(bind, port);
            mq_service::serve(
                mq_service::Options {
                    node_id,
                    listen,
                    mq_port,
                    retransmit: Duration::from_millis(retransmit_ms),
                    record,
                },
                stop(),
            )
            .await?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::BenchNode(arguments)) => bench::node::run_node(arguments).await,
    }
}

/// Resolves at a signal, or when the parent of a development process is gone.
async fn stop() {
    tokio::select! {
        _ = command::interrupted() => {}
        () = parent::parent_gone() => {}
    }
}
