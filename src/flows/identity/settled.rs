//! The transaction of an operation, and its result.

use serde::{Deserialize, Serialize};

use super::operation::IdentityOperation;
use super::planned::PlannedOperation;
use super::reference;
use crate::delivery::transaction::{Continuation, Transact};
use crate::error::Error;
use crate::flows::dispatch::Flow;
use crate::flows::idp;
use crate::flows::ledger_call::settlement;
use crate::flows::reply::ReplyTo;
use crate::job::{Commit, Job, Kind, Spec, request_key};

crate::job::stored! {
    "identity_applied": OperationContext = 1,
}

/// The transaction of an identity operation has settled.
pub const KIND: Kind = Kind::new(&Spec::transactional(40, "identity.settled"));

pub(in crate::flows) const FLOW: Flow =
    Flow::new(KIND, |_, job| Box::pin(async move { handle(job) }))
        .told(idp::ROLE, "afterIdentityOperationSuccess");

/// Context of the continuation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct OperationContext {
    node_id: String,
    reply: ReplyTo,
    /// The request that brought the consent.
    request_id: Option<String>,
    operation: IdentityOperation,
}

/// The transaction of an operation; `request_id`: of the consent.
pub(super) fn transaction(
    node_id: &str,
    reply: &ReplyTo,
    request_id: Option<&str>,
    planned: &PlannedOperation,
) -> Transact {
    let applied = OperationContext {
        node_id: node_id.to_owned(),
        reply: reply.clone(),
        request_id: request_id.map(str::to_owned),
        operation: planned.operation.clone(),
    };
    let key = match request_id {
        Some(request_id) => request_key(request_id),
        None => format!("identity:{node_id}/{}", reply.reference_id),
    };
    let then = Continuation::new(KIND, key, &applied);
    let method = planned.operation.change.method();
    let params = planned.with_consent(request_id);
    Transact::new(node_id, method, &params, Some(then)).resend_when_disabled()
}

/// Handler of `identity.settled`: tells the client application and frees its
/// reference id.
///
/// # Errors
/// Those of the payload.
pub fn handle(job: &Job) -> Result<Commit, Error> {
    let (applied, result) = settlement::<OperationContext>(job)?;
    let OperationContext {
        node_id,
        reply,
        request_id,
        operation,
    } = applied;
    let request_id = request_id.as_deref();
    let mut commit = Commit::nothing();
    commit.job(match result {
        Ok(_) => operation.done(&node_id, &reply, request_id),
        Err(refusal) => operation.refused(&node_id, &reply, request_id, &refusal),
    });
    commit.write(reference::free(&node_id, &reply));
    Ok(commit)
}
