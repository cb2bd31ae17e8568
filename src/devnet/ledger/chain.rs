//! Blocks around the application: mempool, blocks and their results, as
//! CometBFT 0.38 keeps them, for one validator (spec/ledger.md 12). No I/O.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openssl::error::ErrorStack;
use openssl::pkey::{Id, PKey};
use openssl::sha::{Sha256, sha256};
use prost::bytes::Bytes;
use time::{Duration, OffsetDateTime};

use super::app::{App, BlockResult, QueryResponse, Sha256Digest, TxResult};
use crate::devnet::apps::citizen_id;

/// Most transactions that wait, CometBFT's default.
pub const MEMPOOL_TRANSACTIONS: usize = 50_000;
/// Most bytes that wait.
pub const MEMPOOL_BYTES: usize = 256 * 1024 * 1024;
/// Most bytes of transactions in one block; a larger transaction is alone.
const BLOCK_BYTES: usize = 21 * 1024 * 1024;
/// Voting power of the only validator.
pub const VOTING_POWER: i64 = 10;

/// A block, with what it did.
#[derive(Debug)]
pub struct Block {
    /// From 1.
    pub height: i64,
    /// Later than the block before.
    pub time: OffsetDateTime,
    /// Hash of the state before this block.
    pub app_hash: Sha256Digest,
    /// Hash of this block.
    pub hash: Sha256Digest,
    /// Hash of the block before; `None` for the first.
    pub last_hash: Option<Sha256Digest>,
    /// Transactions as broadcast.
    pub transactions: Vec<Bytes>,
    /// What they did.
    pub result: BlockResult,
    /// Hash of the state after this block.
    pub app_hash_after: Sha256Digest,
}

/// The one validator, made from the chain id.
#[derive(Debug)]
pub struct Validator {
    /// Ed25519 public key in base64.
    pub public_key: String,
    /// First 20 bytes of the hash of the key.
    pub address: [u8; 20],
}

impl Validator {
    fn of_chain(chain_id: &str) -> Result<Self, ErrorStack> {
        let seed = sha256(format!("validator of {chain_id}").as_bytes());
        let key = PKey::private_key_from_raw_bytes(&seed, Id::ED25519)?;
        let public_key = key.raw_public_key()?;
        let mut address = [0; 20];
        address.copy_from_slice(&sha256(&public_key)[..20]);
        Ok(Self {
            public_key: STANDARD.encode(public_key),
            address,
        })
    }
}

/// Where a transaction is.
#[derive(Debug, Clone)]
pub struct Included {
    pub block: Arc<Block>,
    /// Place in the block, from 0.
    pub index: usize,
}

pub struct Chain {
    chain_id: String,
    validator: Validator,
    app: App,
    blocks: Vec<Arc<Block>>,
    /// The next one, until it is executed.
    stored: Option<Block>,
    /// Block and place of each transaction by its hash.
    places: HashMap<Sha256Digest, (i64, usize)>,
    mempool: VecDeque<Bytes>,
    mempool_bytes: usize,
}

impl Chain {
    /// A chain before its first block.
    ///
    /// # Errors
    /// If OpenSSL cannot make an Ed25519 key.
    pub fn new(chain_id: &str) -> Result<Self, ErrorStack> {
        let validator = Validator::of_chain(chain_id)?;
        let genesis = (validator.public_key.clone(), VOTING_POWER);
        Ok(Self {
            chain_id: chain_id.to_owned(),
            app: App::new(chain_id, [genesis]),
            validator,
            blocks: Vec::new(),
            stored: None,
            places: HashMap::new(),
            mempool: VecDeque::new(),
            mempool_bytes: 0,
        })
    }

    /// Gives it so many identities from its beginning (`given`).
    pub fn give_identities(&mut self, identities: u64) {
        self.app.give_identities((0..identities).map(citizen_id));
    }

    /// Name of the chain.
    pub fn chain_id(&self) -> &str {
        &self.chain_id
    }

    pub fn validator(&self) -> &Validator {
        &self.validator
    }

    /// Height of the last executed block, 0 before the first.
    pub fn height(&self) -> i64 {
        self.app.height()
    }

    /// Hash of the state after the last block.
    pub fn app_hash(&self) -> Sha256Digest {
        self.app.app_hash()
    }

    /// The block that is stored and not executed yet.
    pub fn stored(&self) -> Option<&Block> {
        self.stored.as_ref()
    }

    /// The executed block of this height.
    pub fn block(&self, height: i64) -> Option<&Arc<Block>> {
        let index = usize::try_from(height.checked_sub(1)?).ok()?;
        self.blocks.get(index)
    }

    /// The last executed block.
    pub fn last_block(&self) -> Option<&Arc<Block>> {
        self.blocks.last()
    }

    pub fn transaction(&self, hash: &Sha256Digest) -> Option<Included> {
        let (height, index) = *self.places.get(hash)?;
        let block = Arc::clone(self.block(height)?);
        Some(Included { block, index })
    }

    /// Answers an encoded query.
    pub fn query(&self, bytes: &[u8], height: i64) -> QueryResponse {
        self.app.query_bytes(bytes, height)
    }

    /// Transactions that wait, and their bytes.
    pub fn waiting(&self) -> (usize, usize) {
        (self.mempool.len(), self.mempool_bytes)
    }

    /// Checks a transaction and, if it is good, puts it last in the mempool.
    ///
    /// # Errors
    /// The text of CometBFT if the mempool is full.
    pub fn broadcast(&mut self, transaction: Bytes) -> Result<TxResult, String> {
        let (count, bytes) = self.waiting();
        if count >= MEMPOOL_TRANSACTIONS || bytes + transaction.len() > MEMPOOL_BYTES {
            return Err(format!(
                "mempool is full: number of txs {count} (max: {MEMPOOL_TRANSACTIONS}), \
                 total txs bytes {bytes} (max: {MEMPOOL_BYTES})"
            ));
        }
        let result = self.check(&transaction);
        if result.code == 0 {
            self.mempool_bytes += transaction.len();
            self.mempool.push_back(transaction);
        }
        Ok(result)
    }

    /// Checks a transaction that goes to the mempool of another node.
    pub fn check(&mut self, transaction: &Bytes) -> TxResult {
        self.app.check_tx(transaction)
    }

    /// Whether a block is to be made: the first one, one for the transactions
    /// that wait, or the empty one that proves a new app hash
    /// (spec/ledger.md 12.5).
    pub fn is_block_due(&self) -> bool {
        let Some(last) = self.blocks.last() else {
            return true;
        };
        !self.mempool.is_empty() || last.app_hash != self.app.app_hash()
    }

    /// Whether the next block would be an empty one.
    pub fn is_only_proof_due(&self) -> bool {
        self.mempool.is_empty() && self.is_block_due()
    }

    /// The transactions of the next block, in order of arrival.
    pub fn proposal(&self) -> Vec<Bytes> {
        let mut size = 0;
        let waiting = self.mempool.iter().enumerate();
        let fitting = waiting.take_while(|(index, transaction)| {
            size += transaction.len();
            *index == 0 || size <= BLOCK_BYTES
        });
        fitting
            .map(|(_, transaction)| transaction.clone())
            .collect()
    }

    /// The time of a block made now: later than the last one's.
    pub fn next_time(&self, now: OffsetDateTime) -> OffsetDateTime {
        let earliest = self
            .blocks
            .last()
            .map(|last| last.time + Duration::MILLISECOND);
        earliest.map_or(now, |earliest| earliest.max(now))
    }

    /// Stores and executes the next block. Its transactions are the first of
    /// the mempool, or come from elsewhere while the mempool is empty.
    pub fn commit(&mut self, time: OffsetDateTime, transactions: Vec<Bytes>) -> Arc<Block> {
        let block = self.next_block(time, transactions);
        self.finish(block)
    }

    /// Stores the next block, as [`Self::commit`] does: it exists from now on,
    /// and nobody knows what it did, as between a block's place in CometBFT's
    /// store and its execution.
    pub fn store(&mut self, time: OffsetDateTime, transactions: Vec<Bytes>) {
        self.stored = Some(self.next_block(time, transactions));
    }

    /// Executes the block that was stored, if there is one.
    pub fn execute(&mut self) -> Option<Arc<Block>> {
        let block = self.stored.take()?;
        Some(self.finish(block))
    }

    fn next_block(&mut self, time: OffsetDateTime, transactions: Vec<Bytes>) -> Block {
        for _ in 0..transactions.len().min(self.mempool.len()) {
            if let Some(included) = self.mempool.pop_front() {
                self.mempool_bytes -= included.len();
            }
        }
        let height = self.height() + 1;
        let app_hash = self.app.app_hash();
        let last_hash = self.blocks.last().map(|last| last.hash);
        let hash = block_hash(
            &self.chain_id,
            height,
            time,
            &app_hash,
            last_hash,
            &transactions,
        );
        Block {
            height,
            time,
            app_hash,
            hash,
            last_hash,
            transactions,
            result: BlockResult::default(),
            app_hash_after: app_hash,
        }
    }

    fn finish(&mut self, mut block: Block) -> Arc<Block> {
        block.result = self.app.finalize_block(block.height, &block.transactions);
        block.app_hash_after = self.app.app_hash();
        for (index, transaction) in block.transactions.iter().enumerate() {
            let place = (block.height, index);
            self.places.insert(sha256(transaction), place);
        }
        let block = Arc::new(block);
        self.blocks.push(Arc::clone(&block));
        block
    }
}

fn block_hash(
    chain_id: &str,
    height: i64,
    time: OffsetDateTime,
    app_hash: &Sha256Digest,
    last_hash: Option<Sha256Digest>,
    transactions: &[Bytes],
) -> Sha256Digest {
    let mut hash = Sha256::new();
    hash.update(chain_id.as_bytes());
    hash.update(&height.to_be_bytes());
    hash.update(&time.unix_timestamp_nanos().to_be_bytes());
    hash.update(app_hash);
    hash.update(&last_hash.unwrap_or_default());
    hash.update(&data_hash(transactions));
    hash.finish()
}

/// Hash over the hashes of the transactions.
pub fn data_hash(transactions: &[Bytes]) -> Sha256Digest {
    let mut hash = Sha256::new();
    for transaction in transactions {
        hash.update(&sha256(transaction));
    }
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH
    }

    #[test]
    fn the_first_block_is_made_at_once_and_no_second_without_reason() {
        let mut chain = Chain::new("test").unwrap();
        assert!(chain.is_block_due());
        let block = chain.commit(chain.next_time(now()), chain.proposal());
        assert_eq!((block.height, block.transactions.len()), (1, 0));
        assert!(!chain.is_block_due());
        assert!(chain.next_time(now()) > block.time);
    }

    #[test]
    fn a_refused_transaction_does_not_wait() {
        let mut chain = Chain::new("test").unwrap();
        let result = chain.broadcast(Bytes::from_static(b"rubbish")).unwrap();
        assert_eq!(result.code, 14);
        assert_eq!(chain.waiting(), (0, 0));
    }

    #[test]
    fn a_block_that_is_stored_has_done_nothing_yet() {
        let mut chain = Chain::new("test").unwrap();
        let rubbish = Bytes::from_static(b"rubbish");
        chain.store(now(), vec![rubbish.clone()]);
        let hash = chain.stored().unwrap().hash;
        assert_eq!((chain.height(), chain.block(1).is_some()), (0, false));
        assert!(chain.transaction(&sha256(&rubbish)).is_none());
        let block = chain.execute().unwrap();
        assert_eq!((block.hash, block.result.transactions.len()), (hash, 1));
        assert!(chain.stored().is_none() && chain.height() == 1);
        assert!(chain.execute().is_none());
        assert!(chain.transaction(&sha256(&rubbish)).is_some());
    }

    #[test]
    fn there_is_no_block_outside_the_chain() {
        let mut chain = Chain::new("test").unwrap();
        chain.commit(now(), Vec::new());
        let found: Vec<bool> = [i64::MIN, -1, 0, 1, 2, i64::MAX]
            .map(|height| chain.block(height).is_some())
            .to_vec();
        assert_eq!(found, [false, false, false, true, false, false]);
    }
}
