//! The client application answers with an error code (spec/flows.md 3.4).

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::ROLE;
use super::respond::{answerable, error_params, transaction};
use super::response_created::{IdpResponseContent, IdpResponseContext};
use crate::api::{self, ApiVersion, Audience, CallOutcome, Endpoint, NoPath, Texts};
use crate::context::Context;
use crate::error::Error;
use crate::flows::call_mark::CallMark;
use crate::flows::error_code;
use crate::flows::ledger_call::accept_transaction;
use crate::flows::reply::ReplyTo;
use crate::store::Accept;

const OPERATION: &str = "idp_error_response";

pub fn endpoint() -> Endpoint {
    Endpoint::post("/idp/error_response", Audience::Idp)
        .does("Answers a request with an error instead of the user's decision.")
        .ends()
        .body::<IdpErrorBody>()
        .run(run)
        .since(ApiVersion::V5)
}

async fn run(call: api::ApiCall<NoPath, Texts, IdpErrorBody>) -> Result<CallOutcome, Error> {
    let accept = respond_with_error(&call.context, &call.node_id, &call.body).await?;
    Ok(CallOutcome::started(accept))
}

/// Body of the call.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct IdpErrorBody {
    /// `reference_id` and `callback_url`.
    #[serde(flatten)]
    pub reply: ReplyTo,
    /// Which request.
    #[schemars(length(min = 1))]
    pub request_id: String,
    /// One of those NDID registered for IdPs.
    #[serde(deserialize_with = "error_code::deserialize")]
    #[schemars(range(min = 1))]
    pub error_code: i64,
}

/// Checks an error answer and makes its transaction.
///
/// # Errors
/// 20012, 20025, 20026, 20081, 20038, 20078, in this order; those of ledger,
/// store and signing.
pub async fn respond_with_error(
    context: &Context,
    node_id: &str,
    answer: &IdpErrorBody,
) -> Result<Accept, Error> {
    let (_, request) = answerable(context, node_id, &answer.request_id).await?;
    error_code::check_registered(context.ledger.as_ref(), ROLE, answer.error_code).await?;
    let content = json!(answer.error_code);
    let call = CallMark::new(
        node_id,
        &answer.request_id,
        OPERATION,
        &answer.reply,
        &content,
    );
    let answered = IdpResponseContext {
        node_id: node_id.to_owned(),
        request_id: answer.request_id.clone(),
        rp_id: request.rp_id,
        content: IdpResponseContent::Error(answer.error_code),
        reply: Some(answer.reply.clone()),
        call: Some(call.clone()),
    };
    let create = transaction(&answered, &error_params(&answered));
    Ok(call.once(accept_transaction(context, create).await?))
}
