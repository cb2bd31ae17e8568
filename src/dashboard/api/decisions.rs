//! Decisions, whether a script or a page asks for them.

use actix_web::http::StatusCode;

use super::Problem;
use crate::dashboard::door::Visitor;
use crate::job::{JobId, Millis};
use crate::operator::{DecisionRecord, Desk, OperationResult, ReceiverDecision};
use crate::store::{Operation, OperatorAction};

/// Longest reason that is kept.
const LONGEST_REASON: usize = 1000;

/// Decides about a job under the name that was proved.
pub(in crate::dashboard) async fn decide(
    desk: &Desk,
    job: JobId,
    action: OperatorAction,
    why: &str,
    visitor: &Visitor,
) -> Result<OperationResult, Problem> {
    let operation = Operation {
        job,
        action,
        who: visitor.identity.name.clone(),
        why: given(why)?,
        at: Millis::now(),
    };
    let results = desk.operate(vec![operation]).await;
    let result = results.into_iter().next();
    result.ok_or_else(|| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "there is no result"))
}

/// Pauses or resumes a receiver under the name that was proved.
pub(in crate::dashboard) async fn decide_about_receiver(
    desk: &Desk,
    receiver: &str,
    is_pause: bool,
    why: &str,
    visitor: &Visitor,
) -> Result<DecisionRecord, Problem> {
    if receiver.trim().is_empty() {
        return Err(Problem::wrong("receiver: must not be empty"));
    }
    let decision = ReceiverDecision {
        receiver: receiver.trim().to_owned(),
        is_pause,
        who: visitor.identity.name.clone(),
        why: given(why)?,
        at: Millis::now(),
    };
    let record = DecisionRecord::from(&decision);
    desk.decide_about_receiver(decision).await?;
    Ok(record)
}

/// A reason that says something.
fn given(why: &str) -> Result<String, Problem> {
    match why.trim() {
        "" => Err(Problem::wrong("why: give a reason, for the record")),
        why => Ok(why.chars().take(LONGEST_REASON).collect()),
    }
}
