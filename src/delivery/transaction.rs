//! Transactions on their way to the ledger.
//!
//! A transaction is signed once and stored with its continuation
//! ([`Expected`]). The same bytes are broadcast until a block has them or the
//! ledger refuses them. The record is the intent: the process that stored it
//! broadcasts it ([`broadcaster`](super::broadcaster)); if that process is
//! gone, the master looks the transaction up (`ledger.confirm`). The block, the
//! broadcast and the look-up may all learn its fate. The first of them settles
//! it: one atomic step deletes the record and accepts the continuation.

use std::sync::LazyLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::backoff;
use super::crypto_service::{CRYPTO, given_up_in_time};
use crate::context::Context;
use crate::crypto;
use crate::error::{Error, Refusal, codes, settled};
use crate::job::{
    Commit, Job, JobId, Kind, Millis, NewJob, Run, Spec, Stored, Table, TraceContext, Write, codec,
    trace,
};
use crate::labelled::Labelled;
use crate::ledger::transaction::Signed;
use crate::ledger::{Inclusion, TransactionHash};

crate::job::stored! {
    "settled": Settled = 1,
    "transact": Transact = 1,
    "expected": Expected = 2,
}

/// Signs a transaction (again) and hands it to [`DELIVER`].
pub const TRANSACT: Kind =
    Kind::new(&Spec::transactional(18, "ledger.transact").counts_retries_in(CRYPTO));

/// Finds the result of a transaction that no block has shown yet.
pub const CONFIRM: Kind = Kind::new(&Spec::transactional(19, "ledger.confirm"));

/// Broadcasts a signed transaction.
pub const DELIVER: Kind = Kind::new(&Spec::delivery(22, "deliver.transaction"));

mod broadcast;
#[cfg(test)]
mod repeat_tests;

pub(super) use broadcast::{first_try, try_again};
pub use broadcast::{run_confirm, run_deliver};

const ABCI_NOT_ENOUGH_TOKEN: u32 = 13;
/// The signature does not fit the key; the key has changed since the transaction
/// was checked, when the ledger knows no better code (spec/ledger.md 3).
const SIGNATURE_REFUSED: [u32; 2] = [59, 999];
const ABCI_CHAIN_DISABLED: u32 = 82;
const ABCI_DUPLICATE_NONCE: u32 = 84;

/// A process hears of a new key with its block.
const NEW_KEY_PAUSE: Duration = Duration::from_secs(1);

/// How old a transaction must be before its fate is looked up by hash.
pub const CONFIRM_AFTER: Duration = Duration::from_secs(30);

/// How long a transaction that the ledger has met may stay out of every block
/// before it counts as dropped.
pub const DROPPED_AFTER: Duration = Duration::from_secs(5 * 60);

/// The job that follows when a transaction has settled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Continuation {
    /// A kind whose payload is [`Settled`].
    pub kind: Kind,
    pub key: String,
    /// Passed on, in the form that the kind expects.
    #[serde(with = "codec::bytes")]
    pub context: Vec<u8>,
    pub when: When,
}

impl Continuation {
    /// A job that follows whatever became of the transaction.
    pub fn new<C: Stored>(kind: Kind, key: impl Into<String>, context: &C) -> Self {
        Self {
            kind,
            key: key.into(),
            context: codec::encode(context),
            when: When::Settled,
        }
    }

    /// Runs only after a refusal.
    pub fn if_refused(mut self) -> Self {
        self.when = When::Refused;
        self
    }
}

/// After which fates the job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// Any fate.
    Settled,
    /// A refusal. The block itself tells of a success.
    Refused,
}

/// The result of a transaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Fate {
    /// In effect since this block.
    Committed { height: u64 },
    /// By the mempool or in a block.
    Refused {
        /// API error code, mapped from the ledger's.
        code: u32,
        /// For the client.
        message: String,
    },
}

/// Payload of every continuation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    pub hash: TransactionHash,
    pub fate: Fate,
    /// From [`Continuation::context`].
    #[serde(with = "codec::bytes")]
    pub context: Vec<u8>,
}

/// A transaction to make (payload of `ledger.transact`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transact {
    /// The signing node.
    pub node_id: String,
    pub method: String,
    /// Parameters as JSON text.
    pub params: String,
    /// The job that follows; `None`: none.
    pub then: Option<Continuation>,
    /// Sign and send it again once the chain is enabled (spec/ledger.md 2.7).
    pub resend_when_disabled: bool,
    /// Sign and send it again when tokens or mempool space ran short.
    pub retry_on_shortage: bool,
    /// How often it was signed again after a shortage, or because its signature
    /// was refused.
    pub shortages: u32,
}

impl Transact {
    /// A transaction without resending.
    pub fn new(node_id: &str, method: &str, params: &Value, then: Option<Continuation>) -> Self {
        Self {
            node_id: node_id.to_owned(),
            method: method.to_owned(),
            params: params.to_string(),
            then,
            resend_when_disabled: false,
            retry_on_shortage: false,
            shortages: 0,
        }
    }

    pub fn resend_when_disabled(mut self) -> Self {
        self.resend_when_disabled = true;
        self
    }

    pub fn retry_on_shortage(mut self) -> Self {
        self.retry_on_shortage = true;
        self
    }
}

/// A transaction whose fate is not known yet (table `ExpectedTransaction`, row = hash).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    pub transact: Transact,
    /// The signed bytes.
    #[serde(with = "codec::bytes")]
    pub bytes: Vec<u8>,
    pub signed_at: Millis,
    /// The trace that it and its continuation belong to.
    pub trace: Option<TraceContext>,
}

/// Makes a transaction as part of a commit or an accept, which broadcasts it
/// once it is stored. It is signed at once if this process has the keys,
/// otherwise by a job of its own.
///
/// # Errors
/// Those of [`crypto::transaction::sign`].
pub async fn transact(context: &Context, transact: Transact) -> Result<Commit, Error> {
    if context.crypto.is_local() {
        match sign(context, &transact).await {
            Ok(signed) => return Ok(expect(transact, signed)),
            // The key is on its way to this process.
            Err(error) if error.is_of_crypto_service() => {}
            Err(error) => return Err(error),
        }
    }
    let mut commit = Commit::nothing();
    let key = format!("sign:{}", JobId::generate());
    commit.job(NewJob::new(TRANSACT, key, &transact));
    Ok(commit)
}

/// The same for a call that is answered before anything is signed. If the
/// transaction can never be signed, the client hears of it as of a refusal by
/// the ledger, in the result of its call.
/// # Errors
/// Those that are not final.
pub async fn transact_for_call(context: &Context, request: Transact) -> Result<Commit, Error> {
    let made = settled(transact(context, request.clone()).await)?;
    Ok(made.unwrap_or_else(|refusal| refused(&request, &JobId::generate().to_string(), &refusal)))
}

/// The consequences of a transaction that cannot be made. `name` replaces the
/// hash that it does not have.
pub fn refused(request: &Transact, name: &str, refusal: &Refusal) -> Commit {
    let fate = Fate::Refused {
        code: refusal.code().number,
        message: refusal.message().to_owned(),
    };
    let next = continue_with(request, name, fate);
    let mut commit = match next {
        Some(_) => Commit::nothing(),
        // Only operators hear of it.
        None => Commit::failed(format!("{} cannot be signed: {refusal}", request.method)),
    };
    commit.jobs.extend(next);
    commit
}

async fn sign(context: &Context, transact: &Transact) -> Result<Signed, Error> {
    let params: Value = serde_json::from_str(&transact.params).map_err(|error| {
        Error::with_message(
            codes::UNKNOWN_ERROR,
            format!("transaction parameters: {error}"),
        )
        .unreadable()
    })?;
    crypto::transaction::sign(
        context.ledger.as_ref(),
        context.crypto.as_ref(),
        &transact.node_id,
        &transact.method,
        &params,
    )
    .await
}

/// The record of a signed transaction.
fn expect(transact: Transact, signed: Signed) -> Commit {
    let expected = Expected {
        transact,
        bytes: signed.bytes,
        signed_at: Millis::now(),
        trace: trace::current(),
    };
    let mut commit = Commit::nothing();
    commit.write(Write::put(
        Table::ExpectedTransaction,
        &signed.hash,
        codec::encode(&expected),
    ));
    commit
}

/// Handler of `ledger.transact`. A transaction that can never be signed is
/// refused.
pub async fn run_transact(context: &Context, job: &Job) -> Result<Run, Error> {
    let request: Transact = job.payload()?;
    let signed = sign(context, &request).await;
    let signed = signed.map_err(|error| given_up_in_time(context, job, error));
    Ok(Run::Commit(match settled(signed)? {
        Ok(signed) => expect(request, signed),
        Err(refusal) => refused(&request, &job.id().to_string(), &refusal),
    }))
}

/// Times from the signing of a transaction to its block, by method.
static COMMIT_DURATIONS: LazyLock<Labelled<String>> = LazyLock::new(|| {
    Labelled::new(
        |method| metrics::histogram!("tx_commit_duration_ms", "function_name" => method.clone()),
    )
});

/// Notes how long a transaction of this method took to get into a block.
pub fn note_commit(method: &str, signed_at: Millis) {
    let duration = signed_at.until(Millis::now());
    COMMIT_DURATIONS.record(method, duration.as_millis() as f64);
}

/// Settles a transaction that is in a block.
pub fn settle_included(expected: &Expected, hash: &str, inclusion: &Inclusion) -> Commit {
    if inclusion.log == "success" {
        let fate = Fate::Committed {
            height: inclusion.height,
        };
        let next = continue_with(&expected.transact, hash, fate);
        return traced(settle(hash, next), expected);
    }
    settle_code(expected, hash, inclusion.code)
}

/// What follows a transaction belongs to its trace, whichever process learns of its fate.
fn traced(mut commit: Commit, expected: &Expected) -> Commit {
    for job in &mut commit.jobs {
        job.trace = expected.trace;
    }
    commit
}

fn settle_code(expected: &Expected, hash: &str, abci_code: u32) -> Commit {
    traced(by_code(&expected.transact, hash, abci_code), expected)
}

fn by_code(transact: &Transact, hash: &str, abci_code: u32) -> Commit {
    if abci_code == ABCI_CHAIN_DISABLED && transact.resend_when_disabled {
        let mut commit = settle(hash, None);
        let record = codec::encode(transact);
        commit.write(Write::put(Table::DisabledTransaction, hash, record));
        return commit;
    }
    if abci_code == ABCI_NOT_ENOUGH_TOKEN && transact.retry_on_shortage {
        return settle(hash, Some(again(transact, hash)));
    }
    // The key has changed since, perhaps: it is signed once more, with the key
    // that the ledger has then.
    if SIGNATURE_REFUSED.contains(&abci_code) && transact.shortages == 0 {
        let mut once = transact.clone();
        once.shortages = 1;
        let start = Millis::now().after(NEW_KEY_PAUSE);
        return settle(hash, Some(anew(&once, hash).not_before(start)));
    }
    let code = codes::from_abci(abci_code);
    let fate = Fate::Refused {
        code: code.number,
        message: code.message.to_owned(),
    };
    settle(hash, continue_with(transact, hash, fate))
}

fn settle_refused(expected: &Expected, hash: &str, error: &Error) -> Commit {
    let transact = &expected.transact;
    if error.code() == codes::TENDERMINT_MEMPOOL_FULL && transact.retry_on_shortage {
        return traced(settle(hash, Some(again(transact, hash))), expected);
    }
    let fate = Fate::Refused {
        code: error.code().number,
        message: error.message().to_owned(),
    };
    traced(settle(hash, continue_with(transact, hash, fate)), expected)
}

fn settle(hash: &str, next: Option<NewJob>) -> Commit {
    let mut commit = Commit::nothing();
    commit.write(Write::delete(Table::ExpectedTransaction, hash));
    commit.jobs.extend(next);
    commit
}

/// Signs and sends a transaction again after a while: once, however often its
/// fate is settled.
fn again(transact: &Transact, hash: &str) -> NewJob {
    let mut transact = transact.clone();
    let start = Millis::now().after(backoff(transact.shortages));
    transact.shortages += 1;
    let key = format!("sign:{}", JobId::generate());
    NewJob::new(TRANSACT, key, &transact)
        .not_before(start)
        .source(format!("again:{hash}"))
}

/// Signs and sends a dropped transaction again, once.
fn anew(transact: &Transact, hash: &str) -> NewJob {
    let key = format!("sign:{}", JobId::generate());
    NewJob::new(TRANSACT, key, transact).source(format!("again:{hash}"))
}

fn continue_with(transact: &Transact, hash: &str, fate: Fate) -> Option<NewJob> {
    let then = transact.then.as_ref()?;
    if then.when == When::Refused && matches!(fate, Fate::Committed { .. }) {
        return None;
    }
    let settled = Settled {
        hash: hash.to_owned(),
        fate,
        context: then.context.clone(),
    };
    let job = NewJob::new(then.kind, then.key.as_str(), &settled);
    Some(job.source(format!("transaction:{hash}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn expected() -> Expected {
        let transact = Transact::new("rp1", "CreateRequest", &json!({}), None);
        Expected {
            transact: transact.retry_on_shortage(),
            bytes: b"signed".to_vec(),
            signed_at: Millis(1),
            trace: None,
        }
    }

    #[test]
    fn what_a_new_key_made_wrong_is_signed_once_more() {
        for code in SIGNATURE_REFUSED {
            let settled = |shortages| {
                let mut expected = expected();
                let then = Continuation::new(TRANSACT, "key", &expected.transact);
                expected.transact.then = Some(then);
                expected.transact.shortages = shortages;
                let commit = settle_code(&expected, "aa", code);
                commit.jobs[0].source.clone().unwrap()
            };
            assert_eq!(settled(0), "again:aa");
            assert_eq!(settled(1), "transaction:aa", "it is told");
        }
    }

    #[test]
    fn a_shortage_learned_of_twice_signs_again_once() {
        let from_broadcast = settle_code(&expected(), "aa", ABCI_NOT_ENOUGH_TOKEN);
        let in_block = Inclusion {
            height: 5,
            code: ABCI_NOT_ENOUGH_TOKEN,
            log: "not enough token".to_owned(),
        };
        let full = Error::from(codes::TENDERMINT_MEMPOOL_FULL);
        for commit in [
            from_broadcast,
            settle_included(&expected(), "aa", &in_block),
            settle_refused(&expected(), "aa", &full),
        ] {
            assert_eq!(commit.jobs.len(), 1);
            assert_eq!(commit.jobs[0].kind, TRANSACT);
            assert_eq!(commit.jobs[0].source.as_deref(), Some("again:aa"));
        }
    }
}
