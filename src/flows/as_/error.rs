//! The client application answers with an error code (spec/flows.md 4.6).

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::DataPath;
use super::ROLE;
use super::pending::pending;
use super::respond::transaction;
use super::response_created::{AnswerSource, AsResponseContent, AsResponseContext, RESULT};
use crate::api::{self, ApiVersion, Audience, CallOutcome, Endpoint, Texts};
use crate::context::Context;
use crate::delivery::transaction::transact_for_call;
use crate::error::Error;
use crate::flows::call_mark::CallMark;
use crate::flows::reply::ReplyTo;
use crate::flows::{accept, error_code};
use crate::job::Commit;
use crate::store::Accept;

const OPERATION: &str = "as_error";

pub fn endpoint() -> Endpoint {
    Endpoint::post("/as/error/:request_id/:service_id", Audience::As)
        .does("Answers a request for data with an error.")
        .ends()
        .path::<DataPath>()
        .body::<AsErrorBody>()
        .run(run)
        .since(ApiVersion::V5)
}

async fn run(call: api::ApiCall<DataPath, Texts, AsErrorBody>) -> Result<CallOutcome, Error> {
    let DataPath {
        request_id,
        service_id,
    } = &call.path;
    let (context, node_id) = (&call.context, &call.node_id);
    let accept = respond_with_error(context, node_id, request_id, service_id, &call.body).await?;
    Ok(CallOutcome::started(accept))
}

/// Body of the call.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct AsErrorBody {
    /// `reference_id` and `callback_url`.
    #[serde(flatten)]
    pub reply: ReplyTo,
    /// One of those NDID registered for ASes.
    #[serde(deserialize_with = "error_code::deserialize")]
    #[schemars(range(min = 1))]
    pub error_code: i64,
}

/// Checks an error answer and makes its transaction.
///
/// # Errors
/// 20012, 20025, 20026, 20039, 20037, 20082, 20078, in this order; those of
/// ledger, store and signing.
pub async fn respond_with_error(
    context: &Context,
    node_id: &str,
    request_id: &str,
    service_id: &str,
    body: &AsErrorBody,
) -> Result<Accept, Error> {
    let error_code = body.error_code;
    let content = json!([service_id, error_code]);
    let call = CallMark::new(node_id, request_id, OPERATION, &body.reply, &content);
    let from = AnswerSource::of_call(&body.reply, RESULT, call.clone());
    let commit = answer(context, node_id, request_id, service_id, error_code, from).await?;
    Ok(call.once(accept(commit)))
}

/// The same for an error code from an API call and from the answer to a callback.
///
/// # Errors
/// As [`respond_with_error`].
pub(super) async fn answer(
    context: &Context,
    node_id: &str,
    request_id: &str,
    service_id: &str,
    error_code: i64,
    from: AnswerSource,
) -> Result<Commit, Error> {
    let request = pending(context, node_id, request_id, service_id).await?;
    error_code::check_registered(context.ledger.as_ref(), ROLE, error_code).await?;
    let answered = AsResponseContext {
        node_id: node_id.to_owned(),
        request_id: request_id.to_owned(),
        service_id: service_id.to_owned(),
        rp_id: request.rp_id,
        content: AsResponseContent::Error(error_code),
        report: from.report,
        call: from.call,
    };
    let params = json!({
        "request_id": request_id,
        "service_id": service_id,
        "error_code": error_code,
    });
    transact_for_call(context, transaction(&answered, &params)).await
}
