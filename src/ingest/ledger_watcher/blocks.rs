//! Fetches blocks and turns them into jobs.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use tokio::time::timeout;

use super::Trouble;
use super::catch_up::CatchUp;
use super::session::{Watcher, progress_guard};
use super::transactions;
use crate::delivery::transaction::{Expected, note_commit, settle_included};
use crate::job::{Commit, Guard, Millis, NewJob, Table, Write, codec};
use crate::ledger::follow::{FetchPlan, Follow, Progress};
use crate::ledger::rpc::Sighting;
use crate::ledger::{Block, TransactionHash};
use crate::store::{Accept, Accepted};

/// Most blocks settled in one step of catching up.
const PORTION_BLOCKS: u64 = 50;
/// A portion ends early when it has this many transactions.
const PORTION_TRANSACTIONS: usize = 5000;
/// ... or this many bytes of transactions. A single block may have more.
const PORTION_BYTES: usize = 32 * 1024 * 1024;
/// Blocks fetched at the same time.
const FETCHES: usize = 8;
/// How long blocks may wait for room before answers from the cache are stopped.
const NO_ROOM: Duration = Duration::from_millis(100);
/// A block's own transactions: their methods, and when they were signed.
type Own = Vec<(String, Millis)>;

/// How often a portion is rebuilt because one of its transactions was settled
/// elsewhere meanwhile.
const RACES: usize = 10;

impl Watcher {
    /// Settles and acts on everything that has been seen.
    pub async fn advance(
        &mut self,
        follow: &mut Follow,
        sighting: &Sighting,
    ) -> Result<(), Trouble> {
        let mut catch_up = CatchUp::begin(follow);
        while let Some(plan) = follow.next(PORTION_BLOCKS) {
            let started = Instant::now();
            catch_up.show(follow);
            self.publish_blocks(follow);
            let blocks = self.fetch(&plan, sighting).await?;
            if blocks.iter().any(|block| !block.transactions.is_empty()) {
                self.wait_for_room().await;
            }
            self.take(follow, plan.settle_from, blocks).await?;
            metrics::histogram!("block_process_duration_ms")
                .record(started.elapsed().as_secs_f64() * 1000.0);
        }
        catch_up.end(follow);
        self.publish_blocks(follow);
        Ok(())
    }

    /// Takes over blocks no faster than their jobs end. While blocks wait, what
    /// they may have changed must not be answered from the cache.
    async fn wait_for_room(&mut self) {
        let room = (self.options.room)();
        tokio::pin!(room);
        if timeout(NO_ROOM, &mut room).await.is_ok() {
            return;
        }
        tracing::warn!("too many jobs wait: blocks wait too");
        self.go_dark().await;
        room.await;
    }

    /// The blocks of a plan in order. Returns fewer if they are large.
    async fn fetch(
        &mut self,
        plan: &FetchPlan,
        sighting: &Sighting,
    ) -> Result<Vec<Block>, Trouble> {
        let first = *plan.fetch.start();
        let held = self.held.take().filter(|block| block.height == first);
        let rest = first + u64::from(held.is_some())..=*plan.fetch.end();
        let mut blocks: Vec<Block> = held.into_iter().collect();
        let (mut transactions, mut bytes) = (0, 0);
        let client = &self.options.client;
        let mut fetching = stream::iter(rest)
            .map(|height| client.block(height, sighting.block(height)))
            .buffered(FETCHES);
        while let Some(block) = fetching.next().await {
            let block = block?;
            transactions += block.transactions.len();
            bytes += block.bytes;
            let settled = block.height >= plan.settle_from;
            blocks.push(block);
            if settled && (transactions >= PORTION_TRANSACTIONS || bytes >= PORTION_BYTES) {
                break;
            }
        }
        Ok(blocks)
    }

    /// Takes blocks over: tells their changes, stores their jobs together with
    /// the progress, then hands the jobs over.
    async fn take(
        &mut self,
        follow: &mut Follow,
        settle_from: u64,
        mut blocks: Vec<Block>,
    ) -> Result<(), Trouble> {
        let Some(last) = blocks.last() else {
            return Ok(());
        };
        let progress = follow.after(last.height, &last.mark);
        let new_blocks = || blocks.iter().filter(|block| block.height >= settle_from);
        let methods = new_blocks()
            .flat_map(Block::successful)
            .map(|transaction| transaction.method.clone())
            .collect();
        let enables_chain = new_blocks().any(|block| enables_chain(block, progress.settled));
        self.tell_block(&progress, methods).await;
        if self.may_wait(&blocks) {
            self.unstored = Some(progress.clone());
        } else {
            self.store_jobs(&blocks, settle_from, &progress).await?;
        }
        self.owes_resend |= enables_chain;
        self.held = blocks.pop();
        follow.stored(progress);
        Ok(())
    }

    /// Whether only the progress would be stored, and was stored a moment ago.
    /// Blocks without transactions lead to nothing however often they are read,
    /// and so does a block before them that was acted on already.
    fn may_wait(&self, blocks: &[Block]) -> bool {
        let is_empty = |block: &Block| block.transactions.is_empty();
        let is_young = |at: Instant| at.elapsed() < self.options.timing.empty;
        self.stored_at.is_some_and(is_young) && blocks.iter().all(is_empty)
    }

    async fn store_jobs(
        &mut self,
        blocks: &[Block],
        settle_from: u64,
        progress: &Progress,
    ) -> Result<(), Trouble> {
        for _ in 0..RACES {
            let (accept, own) = self.accept_of(blocks, settle_from, progress).await?;
            match self.options.store.accept(accept).await? {
                Accepted::Stored { jobs, .. } => {
                    self.stored = Some(progress.encode());
                    self.stored_at = Some(Instant::now());
                    self.unstored = None;
                    for (method, signed_at) in own {
                        note_commit(&method, signed_at);
                    }
                    if !jobs.is_empty() {
                        (self.options.hand_over)(jobs).await;
                    }
                    return Ok(());
                }
                Accepted::Refused { guard: 0 } => {
                    return Err(Trouble::Restart("progress has changed".to_owned()));
                }
                Accepted::Refused { .. } => {}
            }
        }
        let reason = "its transactions are being settled elsewhere".to_owned();
        Err(Trouble::Later(reason))
    }

    /// The jobs of each block N in order: first the consequences of our own
    /// transactions in N, then what the roles make of block N-1.
    async fn accept_of(
        &self,
        blocks: &[Block],
        settle_from: u64,
        progress: &Progress,
    ) -> Result<(Accept, Own), Trouble> {
        let mut own = Own::new();
        let mut accept = Accept {
            guards: vec![progress_guard(self.stored.clone())],
            epoch: Some(self.options.epoch),
            ..Accept::default()
        };
        let mut before: Option<&Block> = None;
        for block in blocks {
            if block.height >= settle_from {
                own.extend(self.settle(block, &mut accept).await?);
            }
            if let Some(before) = before {
                let jobs: Vec<NewJob> = self.options.block_jobs.jobs(before).await?;
                accept.jobs.extend(jobs);
            }
            before = Some(block);
        }
        let bytes = progress.encode();
        let write = Write::put(Table::Progress, Progress::ROW, bytes);
        accept.writes.push(write);
        Ok((accept, own))
    }

    /// Settles our own transactions in a block. Any transaction may be ours: a
    /// node behind this proxy, or a node updated on its behalf, may have signed
    /// it.
    async fn settle(&self, block: &Block, accept: &mut Accept) -> Result<Own, Trouble> {
        let mut own = Own::new();
        let hashes: Vec<TransactionHash> = block
            .transactions
            .iter()
            .map(|transaction| transaction.hash.clone())
            .collect();
        if hashes.is_empty() {
            return Ok(own);
        }
        let store = &self.options.store;
        let records = store.get_many(Table::ExpectedTransaction, &hashes).await?;
        for (transaction, record) in block.transactions.iter().zip(records) {
            let Some(record) = record else { continue };
            let expected: Expected = match codec::decode(&record) {
                Ok(expected) => expected,
                // One such record must not stop all later blocks. It stays for
                // a release that can read it, and parks the job that would
                // settle it.
                Err(error) => {
                    let hash = &transaction.hash;
                    tracing::error!(hash, %error, "expected transaction cannot be read");
                    accept.jobs.push(transactions::look_up(hash, "unreadable"));
                    continue;
                }
            };
            let Commit { writes, jobs, .. } =
                settle_included(&expected, &transaction.hash, &transaction.inclusion);
            accept.guards.push(Guard::Equals {
                table: Table::ExpectedTransaction,
                row: transaction.hash.clone(),
                value: Some(record),
            });
            accept.writes.extend(writes);
            accept.jobs.extend(jobs);
            own.push((expected.transact.method, expected.signed_at));
        }
        Ok(own)
    }
}

/// Whether this block enables a disabled chain (spec/ledger.md 1.6).
fn enables_chain(block: &Block, height: u64) -> bool {
    let mut settings = block
        .successful()
        .filter(|transaction| transaction.method == "SetLastBlock");
    settings.any(|transaction| {
        let last_block = transaction.param::<i64>("block_height");
        last_block.is_some_and(|last| last == -1 || last > height as i64)
    })
}
