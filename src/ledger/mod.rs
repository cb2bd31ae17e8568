//! The shared ledger as this node sees it (spec/ledger.md).

pub mod block;
mod cache;
mod client;
mod dependence;
pub mod follow;
mod freshness;
mod known;
pub mod query;
pub mod rpc;
mod tolerant;
pub mod transaction;
pub mod types;

pub use cache::CachedLedger;
pub use client::LedgerClient;
pub use tolerant::TolerantLedger;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::Error;
use crate::job::NewJob;
use crate::json;

/// SHA-256 of a transaction's bytes, as lower-case hex (spec/ledger.md 2.5).
pub type TransactionHash = String;

/// Answer to `broadcast_tx_sync`: whether the mempool accepted the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broadcast {
    /// 0, or a code of spec/ledger.md 3.
    pub code: u32,
    /// Text for the code.
    pub log: String,
    /// It was refused by a node that is behind and may not know yet what the
    /// transaction needs.
    pub is_premature: bool,
}

/// The result of a transaction in a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inclusion {
    /// Height of the block.
    pub height: u64,
    /// 0, or a code of spec/ledger.md 3.
    pub code: u32,
    /// `success`, or free text (spec/ledger.md 2.6: success is judged by this text).
    pub log: String,
}

/// Reads from the ledger and writes to it. The RPC client implements it, and so
/// do fakes in tests.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Asks the application. `None`: not found (spec/ledger.md 5.1).
    ///
    /// # Errors
    /// Temporary when the ledger cannot be reached, or when the node of it that
    /// answers is behind what was seen of the ledger; 10003, 10004 for answers
    /// without a usable value.
    async fn query(
        &self,
        method: &str,
        params: Value,
        height: Option<u64>,
    ) -> Result<Option<Arc<Value>>, Error>;

    /// Hands a signed transaction to the mempool.
    /// # Errors
    /// Temporary when it is unknown whether the ledger has it; 10049
    /// (temporary) when the mempool is full.
    async fn broadcast(&self, transaction: &[u8]) -> Result<Broadcast, Error>;

    /// The result of a transaction; `None` while no block has it.
    /// # Errors
    /// Temporary when the ledger cannot be reached, or its node is behind and
    /// does not have it.
    async fn transaction(&self, hash: &TransactionHash) -> Result<Option<Inclusion>, Error>;

    /// How many transactions wait for a block at the connected node.
    /// # Errors
    /// Temporary when the ledger cannot be reached.
    async fn waiting_transactions(&self) -> Result<u64, Error>;

    /// Id of the current chain, part of what a transaction's signature covers.
    ///
    /// # Errors
    /// Temporary (10008) until the ledger has told it.
    fn chain_id(&self) -> Result<String, Error>;

    /// Height of the newest block this node knows of; 0 if none yet.
    fn height(&self) -> u64;

    /// The era of the ledger, which rises whenever the ledger was replaced
    /// ([`follow::Progress::era`]).
    /// # Errors
    /// Temporary until the master has told it for the chain that
    /// [`chain_id`](Self::chain_id) names.
    fn era(&self) -> Result<u64, Error>;
}

/// Distinguishes a block from another of the same height; from its header.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mark {
    /// Upper-case hex; empty where the ledger does not tell it. Not stored with
    /// the rest: see [`known`].
    #[serde(skip)]
    pub hash: String,
    /// Hash of the state after the block before this one, upper-case hex.
    pub app_hash: String,
    /// RFC 3339 with nanoseconds.
    pub time: String,
}

impl Mark {
    /// Whether it contains anything.
    pub fn is_known(&self) -> bool {
        *self != Self::default()
    }

    /// Whether both belong to the same block; the hash covers all of it.
    pub fn is_same(&self, other: &Mark) -> bool {
        match self.hash.is_empty() || other.hash.is_empty() {
            true => (&self.app_hash, &self.time) == (&other.app_hash, &other.time),
            false => self.hash == other.hash,
        }
    }

    /// Whether this block is later than the other; false if unknown.
    pub fn is_later_than(&self, other: &Mark) -> bool {
        let moment = |mark: &Mark| OffsetDateTime::parse(&mark.time, &Rfc3339).ok();
        moment(self)
            .zip(moment(other))
            .is_some_and(|(this, other)| this > other)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct BlockTransaction {
    pub hash: TransactionHash,
    /// Method name.
    pub method: String,
    /// As they are in the block, usually JSON.
    pub params: Bytes,
    /// The signing node.
    pub node_id: String,
    pub inclusion: Inclusion,
    /// Attribute `success` of event `did.result`.
    pub success: bool,
    /// Attribute `reference_group_code`, on identity methods.
    pub reference_group_code: Option<String>,
}

impl BlockTransaction {
    /// One of its parameters; `None` if there is none of that name and type.
    ///
    /// The others are not kept: every node reads the transactions of all nodes,
    /// and their signers decide how large they are.
    pub fn param<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        json::member(&self.params, name)
    }
}

/// A block with its results.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Heights start again after a reset.
    pub chain_id: String,
    /// From 1.
    pub height: u64,
    /// From its header.
    pub mark: Mark,
    /// In order of execution.
    pub transactions: Vec<BlockTransaction>,
    /// Size of its transactions together.
    pub bytes: usize,
}

impl Block {
    /// Transactions that took effect.
    pub fn successful(&self) -> impl Iterator<Item = &BlockTransaction> {
        self.transactions
            .iter()
            .filter(|transaction| transaction.success)
    }
}

/// Makes the jobs of the roles for a block (spec/flows.md 1.7).
#[async_trait]
pub trait BlockJobs: Send + Sync {
    /// The jobs of a block, asked for when the next block has been seen. It is
    /// asked again after a crash, so each job needs a source. It may be left
    /// out for a block without transactions, which leads to nothing.
    /// # Errors
    /// Any error: the block is tried again later.
    async fn jobs(&self, block: &Block) -> Result<Vec<NewJob>, Error>;
}

/// What the master has seen of the ledger. Every process of the node hears it
/// before any job that depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainUpdate {
    /// Id of the current chain.
    pub chain_id: String,
    /// Newest block whose transactions are known.
    pub height: u64,
    /// Whether every new block is being followed: the chain is synchronised and
    /// initialised, and the subscription works. While it is false, nothing may
    /// be answered from a cache.
    pub ready: bool,
    /// Methods of the successful transactions of the blocks since the last update.
    pub methods: Vec<String>,
    /// Blocks may have been missed, or `height` may have fallen: everything
    /// cached must be dropped.
    pub reset: bool,
    /// The ledger's era. Heights of another era mean nothing.
    pub era: u64,
}
