//! Broadcasts a transaction and judges its fate by the ledger's answer.

use std::time::Duration;

use super::{
    ABCI_DUPLICATE_NONCE, DELIVER, DROPPED_AFTER, Expected, again, anew, settle, settle_code,
    settle_included, settle_refused,
};
use crate::context::{Context, state};
use crate::delivery::{backoff, reconnect_backoff};
use crate::error::{Error, codes};
use crate::job::{Commit, Job, Millis, NewJob, Run, Table, delivery_key};
use crate::ledger::TransactionHash;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Try {
    /// The first try: no earlier one can have succeeded.
    First,
    /// A later try, after so many by its job.
    Again(u32),
    /// No block has shown the transaction for a while. More tries follow.
    Confirmation,
}

/// The first try of a transaction that was just stored
/// ([`broadcaster`](crate::delivery::broadcaster)).
/// # Errors
/// Temporary ones of ledger and store.
pub(in crate::delivery) async fn first_try(
    context: &Context,
    hash: &TransactionHash,
    expected: &Expected,
) -> Result<Run, Error> {
    broadcast(context, Try::First, hash, expected).await
}

/// The job that broadcasts a transaction after an inconclusive first try.
pub(in crate::delivery) fn try_again(hash: &str, after: Duration) -> NewJob {
    let key = delivery_key("transaction", "ledger", hash);
    NewJob::new(DELIVER, key, &hash.to_owned())
        .not_before(Millis::now().after(after))
        .source(format!("broadcast:{hash}"))
}

/// Handler of `deliver.transaction`.
pub async fn run_deliver(context: &Context, job: &Job) -> Result<Run, Error> {
    let hash: TransactionHash = job.payload()?;
    let Some(expected) = load(context, &hash).await? else {
        return Ok(Run::Commit(Commit::nothing()));
    };
    broadcast(context, Try::Again(job.tries), &hash, &expected).await
}

/// Handler of `ledger.confirm`: no block has shown the transaction for a while,
/// or the process that was to broadcast it is gone.
pub async fn run_confirm(context: &Context, job: &Job) -> Result<Run, Error> {
    let hash: TransactionHash = job.payload()?;
    let Some(expected) = load(context, &hash).await? else {
        return Ok(Run::Commit(Commit::nothing()));
    };
    match context.ledger.transaction(&hash).await? {
        Some(inclusion) => Ok(Run::Commit(settle_included(&expected, &hash, &inclusion))),
        None => broadcast(context, Try::Confirmation, &hash, &expected).await,
    }
}

async fn load(context: &Context, hash: &str) -> Result<Option<Expected>, Error> {
    let record = context
        .state
        .get(Table::ExpectedTransaction, hash, "")
        .await?;
    record
        .map(|bytes| state::decode(Table::ExpectedTransaction, hash, &bytes))
        .transpose()
}

async fn broadcast(
    context: &Context,
    attempt: Try,
    hash: &TransactionHash,
    expected: &Expected,
) -> Result<Run, Error> {
    let answer = context.ledger.broadcast(&expected.bytes).await;
    let is_taken = matches!(&answer, Ok(answer) if matches!(answer.code, 0 | ABCI_DUPLICATE_NONCE));
    if !is_taken {
        metrics::counter!("tx_transact_fails_total").increment(1);
    }
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if error.code() == codes::TENDERMINT_MEMPOOL_FULL => {
            return no_room(context, attempt, hash, expected, &error).await;
        }
        Err(error) if error.is_temporary() => {
            let tries = match attempt {
                Try::Again(tries) => tries,
                Try::First | Try::Confirmation => 0,
            };
            return Ok(Run::Retry {
                after: reconnect_backoff(tries),
                reason: error.to_string(),
            });
        }
        Err(error) => {
            let refusal = error.settle()?;
            return Ok(Run::Commit(settle_refused(expected, hash, &refusal)));
        }
    };
    match answer.code {
        0 => Ok(Run::Commit(Commit::nothing())),
        ABCI_DUPLICATE_NONCE => met_before(context, attempt, hash, expected).await,
        code if answer.is_premature => Ok(premature(attempt, hash, expected, code)),
        code => Ok(Run::Commit(settle_code(expected, hash, code))),
    }
}

/// A ledger node that is behind has refused what others may accept, so the
/// refusal is no verdict. It will not take these bytes again (spec/ledger.md
/// 2.8), so the transaction is signed anew, unless an earlier try can have
/// succeeded.
fn premature(attempt: Try, hash: &TransactionHash, expected: &Expected, code: u32) -> Run {
    match attempt {
        Try::Confirmation => Run::Commit(Commit::nothing()),
        Try::First => Run::Commit(settle(hash, Some(again(&expected.transact, hash)))),
        Try::Again(tries) => Run::Retry {
            after: backoff(tries),
            reason: format!("refused ({code}) by a node of the ledger that is behind"),
        },
    }
}

/// The mempool is full. That is a verdict only if no earlier try can have
/// succeeded: this transaction may be among those in the mempool.
async fn no_room(
    context: &Context,
    attempt: Try,
    hash: &TransactionHash,
    expected: &Expected,
    error: &Error,
) -> Result<Run, Error> {
    if attempt == Try::First {
        return Ok(Run::Commit(settle_refused(expected, hash, error)));
    }
    if let Some(inclusion) = context.ledger.transaction(hash).await? {
        return Ok(Run::Commit(settle_included(expected, hash, &inclusion)));
    }
    Ok(match attempt {
        Try::Again(tries) => Run::Retry {
            after: backoff(tries),
            reason: error.to_string(),
        },
        Try::First | Try::Confirmation => Run::Commit(Commit::nothing()),
    })
}

/// The ledger has met these bytes: an earlier try got through. A block will
/// show them, or `ledger.confirm` will find out. If no block does and they wait
/// nowhere, they were dropped after the nonce was noted (the mempool was full
/// by then, or the check failed and its answer was lost). No repeat can succeed
/// then (spec/ledger.md 2.8), so the transaction is signed anew.
async fn met_before(
    context: &Context,
    attempt: Try,
    hash: &TransactionHash,
    expected: &Expected,
) -> Result<Run, Error> {
    let is_old = expected.signed_at.after(DROPPED_AFTER) <= Millis::now();
    // Asked before the look-up, which finds what has left the mempool since. A
    // chain that makes no blocks keeps its mempool, so the transaction waits.
    let is_dropped =
        attempt == Try::Confirmation && is_old && context.ledger.waiting_transactions().await? == 0;
    match context.ledger.transaction(hash).await? {
        Some(inclusion) => Ok(Run::Commit(settle_included(expected, hash, &inclusion))),
        None if is_dropped => {
            let method = &expected.transact.method;
            tracing::warn!(
                hash,
                method,
                "the ledger dropped a transaction: signing it anew"
            );
            let next = anew(&expected.transact, hash);
            Ok(Run::Commit(settle(hash, Some(next))))
        }
        None => Ok(Run::Commit(Commit::nothing())),
    }
}
