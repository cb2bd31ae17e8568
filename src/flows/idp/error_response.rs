//! The client application cannot answer a request (spec/flows.md 3.4).

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::ROLE;
use super::respond::{answerable, error_params, transaction};
use super::response_created::{Answered, Content};
use crate::api::{self, ApiVersion, Audience, Endpoint, NoPath, Outcome, Texts};
use crate::context::Context;
use crate::delivery::transaction::transact_for_call;
use crate::error::Error;
use crate::flows::call::Call;
use crate::flows::reply::Reply;
use crate::flows::{accept, error_code};
use crate::store::Accept;

const OPERATION: &str = "idp_error_response";

/// The table entry.
pub fn endpoint() -> Endpoint {
    Endpoint::post("/idp/error_response", Audience::Idp)
        .does("Answers a request with an error in place of the user's decision.")
        .ends()
        .body::<ErrorAnswer>()
        .run(run)
        .since(ApiVersion::V5)
}

async fn run(call: api::Call<NoPath, Texts, ErrorAnswer>) -> Result<Outcome, Error> {
    let accept = respond_with_error(&call.context, &call.node_id, &call.body).await?;
    Ok(Outcome::started(accept))
}

/// Body of the call.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct ErrorAnswer {
    /// `reference_id` and `callback_url`.
    #[serde(flatten)]
    pub reply: Reply,
    /// Which request.
    #[schemars(length(min = 1))]
    pub request_id: String,
    /// One of those NDID registered for IdPs.
    #[serde(deserialize_with = "error_code::deserialize")]
    #[schemars(range(min = 1))]
    pub error_code: i64,
}

/// Checks an error answer and puts it on its way to the ledger.
///
/// # Errors
/// 20012, 20025, 20026, 20081, 20038, 20078, in this order; those of ledger,
/// store and signing.
pub async fn respond_with_error(
    context: &Context,
    node_id: &str,
    answer: &ErrorAnswer,
) -> Result<Accept, Error> {
    let (_, request) = answerable(context, node_id, &answer.request_id).await?;
    error_code::check_registered(context.ledger.as_ref(), ROLE, answer.error_code).await?;
    let content = json!(answer.error_code);
    let call = Call::new(
        node_id,
        &answer.request_id,
        OPERATION,
        &answer.reply,
        &content,
    );
    let answered = Answered {
        node_id: node_id.to_owned(),
        request_id: answer.request_id.clone(),
        rp_id: request.rp_id,
        content: Content::Error(answer.error_code),
        reply: Some(answer.reply.clone()),
        call: Some(call.clone()),
    };
    let create = transaction(&answered, &error_params(&answered));
    let commit = transact_for_call(context, create).await?;
    Ok(call.once(accept(commit)))
}
