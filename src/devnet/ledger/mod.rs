//! The development ledger: CometBFT 0.38 with the NDID ABCI application v9, as
//! far as a node can see it, in one process with one validator
//! (spec/ledger.md 1 and 12).
//!
//! - [`app`]: what transactions and queries do, a pure function of the blocks;
//! - `chain`: mempool, blocks, results;
//! - `block_log`: the blocks on disk, replayed at start;
//! - `follower`: a second full node of the same chain, that may lag;
//! - `rpc`: WebSocket and HTTP.
//!
//! This file joins them: it makes a block whenever one is due.

pub mod app;
mod block_log;
mod chain;
mod follower;
mod rpc;

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use prost::bytes::Bytes;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use block_log::{BlockLog, Record};
use chain::Chain;
pub use follower::Leader;

/// Pause between a block and the empty one that proves it.
const PROOF_PAUSE: Duration = Duration::from_micros(500);

/// How long after a block its results come, by default.
pub const RESULTS_DELAY: Duration = Duration::from_millis(1);

/// Longest pause after a block, in intervals, however many transactions it has.
const BUSY_INTERVALS: u32 = 4;

/// How a ledger is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Name of the chain, part of every signature.
    pub chain_id: String,
    /// Where blocks are kept; `None`: in memory only.
    pub directory: Option<PathBuf>,
    /// Least time between two blocks, so that transactions of the same moment
    /// share one.
    pub block_interval: Duration,
    /// Whether each block is forced to the disk before it counts.
    pub fsync: bool,
    /// Empty blocks made at once at the start, for tests of catching up.
    pub empty_blocks: u64,
    /// Identities that the chain has from its beginning, for measurements. They
    /// are not kept with the blocks: each start is to have as many.
    pub identities: u64,
    /// Between the place of a block in the store, where everybody sees it, and
    /// its execution.
    pub results_delay: Duration,
    /// Makes no blocks but takes those of another ledger, in memory.
    pub follows: Option<Leader>,
    /// Makes an empty block when none has come for this long; `None`: only
    /// transactions make blocks.
    pub empty_every: Option<Duration>,
}

impl Default for Options {
    /// The development chain on a free port of the loopback, in memory.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            chain_id: "test-chain-NDID".to_owned(),
            directory: None,
            block_interval: Duration::from_millis(5),
            fsync: false,
            empty_blocks: 0,
            identities: 0,
            results_delay: RESULTS_DELAY,
            follows: None,
            empty_every: None,
        }
    }
}

/// What the block maker and the RPC server share.
struct Shared {
    chain: RwLock<Chain>,
    /// Height of the last block that is stored and answered for.
    height: watch::Sender<i64>,
    transaction_waits: Notify,
    /// Height of a new block and what its event says.
    newest_event: Mutex<Option<(i64, Arc<str>)>>,
    results_delay: watch::Sender<Duration>,
    /// Takes the transactions of a ledger that makes no blocks.
    relay: Option<mpsc::Sender<Bytes>>,
}

/// A development ledger.
pub struct DevLedger;

/// A ledger that runs in this process. Dropping it stops it at once.
pub struct RunningLedger {
    /// Where it listens.
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<io::Result<()>>,
}

impl DevLedger {
    /// Starts a ledger: replays its blocks, listens, makes blocks.
    ///
    /// # Errors
    /// If the address is taken or the blocks on disk cannot be used.
    pub async fn start(options: Options) -> io::Result<RunningLedger> {
        let mut chain = Chain::new(&options.chain_id)?;
        chain.give_identities(options.identities);
        let mut log = match &options.directory {
            None => None,
            Some(directory) => Some(BlockLog::open(
                directory,
                &options.chain_id,
                options.fsync,
                |record| {
                    chain.commit(record.time, record.transactions);
                },
            )?),
        };
        for _ in 0..options.empty_blocks {
            add_empty_block(&mut chain, log.as_mut())?;
        }
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let (height, _) = watch::channel(chain.height());
        let (results_delay, _) = watch::channel(options.results_delay);
        let (relay, relayed) = mpsc::channel(follower::RELAYED);
        let shared = Arc::new(Shared {
            chain: RwLock::new(chain),
            height,
            transaction_waits: Notify::new(),
            newest_event: Mutex::new(None),
            results_delay,
            relay: options.follows.is_some().then_some(relay),
        });
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let blocks = async {
                match options.follows {
                    Some(leader) => follower::follow(&shared, &leader, relayed).await,
                    None => {
                        let (interval, empty) = (options.block_interval, options.empty_every);
                        make_blocks(&shared, log, interval, empty).await
                    }
                }
            };
            tokio::select! {
                result = blocks => result,
                result = rpc::serve(listener, Arc::clone(&shared)) => result,
                // An error means that `RunningLedger` is gone, which stops us too.
                _ = stopped.wait_for(|stop| *stop) => Ok(()),
            }
        });
        Ok(RunningLedger {
            address,
            stop,
            task,
        })
    }
}

impl RunningLedger {
    /// Stops the ledger and waits until it has stopped.
    ///
    /// # Errors
    /// If the ledger had failed before, for example because the disk is full.
    pub async fn stop(self) -> io::Result<()> {
        self.stop.send_replace(true);
        self.task.await?
    }

    async fn failed(&mut self) -> io::Result<()> {
        (&mut self.task).await?
    }
}

/// Runs a ledger until `stop` ends.
///
/// # Errors
/// If it cannot start, or fails while it runs.
pub async fn serve(options: Options, stop: impl Future<Output = ()>) -> io::Result<()> {
    let mut running = DevLedger::start(options).await?;
    tokio::select! {
        result = running.failed() => return result,
        () = stop => {}
    }
    running.stop().await
}

/// Makes a block whenever one is due: at most one with transactions per
/// interval. The empty block that proves it follows sooner if nothing waits to
/// share it, because nodes act on a block when they see the next one. A busy
/// ledger makes fewer, larger blocks.
async fn make_blocks(
    shared: &Shared,
    mut log: Option<BlockLog>,
    interval: Duration,
    empty_every: Option<Duration>,
) -> io::Result<()> {
    loop {
        let empty = async {
            match empty_every {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = empty => {}
            () = block_due(shared) => {}
        }
        let transactions = make_block(shared, log.as_mut()).await?;
        let busy = u32::try_from(transactions).unwrap_or(u32::MAX);
        let next_transactions = Instant::now() + interval * busy.clamp(1, BUSY_INTERVALS);
        tokio::time::sleep(interval.min(PROOF_PAUSE)).await;
        if shared.chain.read().is_only_proof_due() {
            make_block(shared, log.as_mut()).await?;
        }
        tokio::time::sleep_until(next_transactions).await;
    }
}

async fn block_due(shared: &Shared) {
    while !shared.chain.read().is_block_due() {
        shared.transaction_waits.notified().await;
    }
}

fn add_empty_block(chain: &mut Chain, log: Option<&mut BlockLog>) -> io::Result<()> {
    let record = Record {
        height: chain.height() + 1,
        time: chain.next_time(OffsetDateTime::now_utc()),
        transactions: Vec::new(),
    };
    if let Some(log) = log {
        log.append(&record)?;
    }
    chain.commit(record.time, record.transactions);
    Ok(())
}

/// Writes the block, shows it, executes it, then announces it (spec/ledger.md
/// 12.6). Returns how many transactions it has.
async fn make_block(shared: &Shared, log: Option<&mut BlockLog>) -> io::Result<usize> {
    let record = {
        let chain = shared.chain.read();
        Record {
            height: chain.height() + 1,
            time: chain.next_time(OffsetDateTime::now_utc()),
            transactions: chain.proposal(),
        }
    };
    if let Some(log) = log {
        log.append(&record)?;
    }
    let transactions = record.transactions.len();
    add_block(shared, record.time, record.transactions).await;
    Ok(transactions)
}

/// Shows the next block, executes it, tells of it.
async fn add_block(shared: &Shared, time: OffsetDateTime, transactions: Vec<Bytes>) {
    shared.chain.write().store(time, transactions);
    let delay = *shared.results_delay.borrow();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let executed = shared.chain.write().execute();
    if let Some(block) = executed {
        shared.height.send_replace(block.height);
    }
}
