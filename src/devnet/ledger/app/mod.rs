//! The application: what the NDID ABCI application v9 does, without a chain
//! around it (spec/ledger.md 2.8, 4, 5). It is a pure function of the blocks:
//! no clock, no network, no disk.

pub mod given;
mod key_lookup;
mod keys;
mod method;
mod methods;
mod node;
mod nonces;
mod params;
mod queries;
mod refusal;
mod request;
mod rules;
mod state;

use std::collections::HashMap;

use openssl::sha::{Sha256, sha256};
use prost::Message;
use prost::bytes::Bytes;

use key_lookup::{Signer, signed_with};
use keys::SignatureVerifier;
use method::{Entry, MethodCall, MethodResult};
use nonces::SeenNonces;
use refusal::{self as refused, TxRefusal};
use state::State;

use crate::proto::wire::{Query, Tx};

pub use queries::QueryResponse;

/// A SHA-256 hash.
pub type Sha256Digest = [u8; 32];

/// The result of a transaction, as CometBFT's `ExecTxResult`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxResult {
    /// 0, or a code of spec/ledger.md 3.
    pub code: u32,
    /// `success`, or why not; empty from CheckTx.
    pub log: String,
    /// Id of what was written, if the method has one.
    pub data: Option<Vec<u8>>,
    /// Attributes of the event `did.result`; none from CheckTx.
    pub attributes: Vec<(&'static str, String)>,
}

impl TxResult {
    fn accepted() -> Self {
        Self {
            code: 0,
            log: String::new(),
            data: None,
            attributes: Vec::new(),
        }
    }

    fn rejected(refusal: TxRefusal) -> Self {
        Self {
            code: refusal.code,
            log: refusal.log.into_owned(),
            data: None,
            attributes: Vec::new(),
        }
    }

    fn executed(outcome: Result<MethodResult, TxRefusal>) -> Self {
        let success = ("success", outcome.is_ok().to_string());
        match outcome {
            Ok(done) => {
                let group = done.group_code.map(|code| ("reference_group_code", code));
                Self {
                    code: 0,
                    log: "success".to_owned(),
                    data: done.data,
                    attributes: std::iter::once(success).chain(group).collect(),
                }
            }
            Err(refusal) => Self {
                attributes: vec![success],
                ..Self::rejected(refusal)
            },
        }
    }
}

/// What a block did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockResult {
    /// One for each transaction, in order.
    pub transactions: Vec<TxResult>,
    /// Validators whose power changed: base64 of the key, and the new power.
    pub validators: Vec<(String, i64)>,
}

/// The application.
pub struct App {
    state: State,
    app_hash: Sha256Digest,
    seen: SeenNonces,
    verifier: SignatureVerifier,
    /// The key by which CheckTx found each waiting transaction well signed.
    checked: HashMap<Sha256Digest, Signer>,
}

impl App {
    /// The application before the first block. `validators` are the genesis
    /// validators: base64 of the key, and power.
    pub fn new(chain_id: &str, validators: impl IntoIterator<Item = (String, i64)>) -> Self {
        let mut state = State::new(chain_id);
        state.validators.extend(validators);
        Self {
            state,
            app_hash: sha256(b""),
            seen: SeenNonces::default(),
            verifier: SignatureVerifier::default(),
            checked: HashMap::new(),
        }
    }

    /// Gives it identities of these identifiers, before the first block.
    pub fn give_identities(&mut self, identifiers: impl Iterator<Item = String>) {
        given::identities(&mut self.state, identifiers);
    }

    /// Hash of the state after the last block; unchanged by a block that wrote
    /// nothing (spec/ledger.md 12.5).
    pub fn app_hash(&self) -> Sha256Digest {
        self.app_hash
    }

    /// Height of the last block, 0 before the first.
    pub fn height(&self) -> i64 {
        self.state.height
    }

    /// Whether a transaction may wait for a block, judged by the last
    /// committed state (spec/ledger.md 2.8).
    pub fn check_tx(&mut self, bytes: &[u8]) -> TxResult {
        match self.check(bytes) {
            Ok(()) => TxResult::accepted(),
            Err(refusal) => TxResult::rejected(refusal),
        }
    }

    fn check(&mut self, bytes: &[u8]) -> Result<(), TxRefusal> {
        let tx = Tx::decode(bytes).map_err(|_| refused::INCOMPLETE)?;
        let signed = is_signed(&tx.method);
        if signed && !tx.nonce.is_empty() {
            let nonce = sha256(&tx.nonce);
            if self.state.nonces.contains(&nonce) || !self.seen.insert(nonce) {
                return Err(refused::NONCE_USED);
            }
        }
        let incomplete = tx.method.is_empty() || tx.params.is_empty() || tx.node_id.is_empty();
        if incomplete || (signed && (tx.nonce.is_empty() || tx.signature.is_empty())) {
            return Err(refused::INCOMPLETE);
        }
        let entry = methods::find(&tx.method).ok_or(refused::METHOD_UNKNOWN)?;
        let signer = if signed {
            let signer = signed_with(&self.state, &tx)?;
            self.verify(&tx, &signer)?;
            Some(signer)
        } else {
            None
        };
        rules::check(&self.state, &tx.method, &tx.node_id)?;
        (entry.check)(&self.state, &call(&tx))?;
        if let Some(signer) = signer {
            self.checked.insert(sha256(bytes), signer);
        }
        Ok(())
    }

    fn verify(&mut self, tx: &Tx, signer: &Signer) -> Result<(), TxRefusal> {
        let chain_id = self.state.chain_id.as_bytes();
        let message = [tx.method.as_bytes(), &tx.params, chain_id, &tx.nonce].concat();
        self.verifier.verify(
            &signer.public_key,
            &signer.algorithm,
            &message,
            &tx.signature,
        )
    }

    /// Executes and commits the block of this height.
    pub fn finalize_block(&mut self, height: i64, transactions: &[Bytes]) -> BlockResult {
        self.state.height = height;
        let validators_before = self.state.validators.clone();
        let mut written = Vec::new();
        let mut results = Vec::with_capacity(transactions.len());
        for bytes in transactions {
            let hash = sha256(bytes);
            let execution = self.execute(bytes, hash);
            if execution.wrote {
                written.push(hash);
            }
            results.push(TxResult::executed(execution.outcome));
        }
        self.advance_app_hash(&written);
        BlockResult {
            transactions: results,
            validators: validator_changes(&validators_before, &self.state.validators),
        }
    }

    /// The state follows from the transactions that wrote, in their order, so
    /// their hashes are a hash of the state.
    fn advance_app_hash(&mut self, written: &[Sha256Digest]) {
        if written.is_empty() {
            return;
        }
        let mut hash = Sha256::new();
        hash.update(&self.app_hash);
        for transaction in written {
            hash.update(transaction);
        }
        self.app_hash = hash.finish();
    }

    fn execute(&mut self, bytes: &[u8], hash: Sha256Digest) -> Execution {
        let checked = self.checked.remove(&hash);
        let Ok(tx) = Tx::decode(bytes) else {
            return Execution::refused(refused::METHOD_EMPTY);
        };
        let nonce = is_signed(&tx.method).then(|| sha256(&tx.nonce));
        if let Some(nonce) = &nonce {
            self.seen.remove(nonce);
        }
        let entry = match self.admit(&tx, nonce.as_ref(), checked.as_ref()) {
            Ok(entry) => entry,
            Err(refusal) => return Execution::refused(refusal),
        };
        let outcome = (entry.run)(&mut self.state, &call(&tx));
        let paid = rules::pay(&mut self.state, entry, &tx.node_id);
        if let Some(nonce) = nonce {
            self.state.nonces.insert(nonce);
        }
        Execution {
            // A signed transaction has stored its nonce at least.
            wrote: nonce.is_some() || outcome.is_ok(),
            outcome: paid.and(outcome),
        }
    }

    /// Everything that comes before the method itself.
    fn admit(
        &mut self,
        tx: &Tx,
        nonce: Option<&Sha256Digest>,
        checked: Option<&Signer>,
    ) -> Result<Entry, TxRefusal> {
        if nonce.is_some_and(|nonce| self.state.nonces.contains(nonce)) {
            return Err(refused::NONCE_USED);
        }
        if tx.method.is_empty() {
            return Err(refused::METHOD_EMPTY);
        }
        if nonce.is_some() {
            let signer = signed_with(&self.state, tx)?;
            if checked != Some(&signer) {
                // A transaction gets here only past CheckTx, so a signature
                // that is wrong now was right by an older key
                // (spec/ledger.md 2.8).
                self.verify(tx, &signer).map_err(|_| refused::KEY_CHANGED)?;
            }
        }
        rules::check(&self.state, &tx.method, &tx.node_id)?;
        methods::find(&tx.method).ok_or(refused::METHOD_UNKNOWN)
    }

    /// Answers a query from the last committed state; a height of 0 means the
    /// latest (spec/ledger.md 5.1).
    pub fn query(&self, method: &str, params: &[u8], height: i64) -> QueryResponse {
        queries::answer(&self.state, method, params, height)
    }

    /// Answers an encoded query. Bytes that are not a query name no method.
    pub fn query_bytes(&self, bytes: &[u8], height: i64) -> QueryResponse {
        let query = Query::decode(bytes).unwrap_or_default();
        self.query(&query.method, &query.params, height)
    }
}

/// A transaction executed.
struct Execution {
    outcome: Result<MethodResult, TxRefusal>,
    /// Whether the state changed.
    wrote: bool,
}

impl Execution {
    fn refused(refusal: TxRefusal) -> Self {
        Self {
            outcome: Err(refusal),
            wrote: false,
        }
    }
}

fn is_signed(method: &str) -> bool {
    method != methods::SET_INIT_DATA_PB
}

fn call(tx: &Tx) -> MethodCall<'_> {
    MethodCall {
        node_id: &tx.node_id,
        params: &tx.params,
    }
}

type Validators = std::collections::BTreeMap<String, i64>;

fn validator_changes(before: &Validators, after: &Validators) -> Vec<(String, i64)> {
    let changed = after
        .iter()
        .filter(|(key, power)| before.get(*key) != Some(power));
    let changed = changed.map(|(key, power)| (key.clone(), *power));
    let removed = before.keys().filter(|key| !after.contains_key(*key));
    changed.chain(removed.map(|key| (key.clone(), 0))).collect()
}
