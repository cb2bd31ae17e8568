//! The client application cannot give the data (spec/flows.md 4.6).

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::ROLE;
use super::Wanted;
use super::pending::pending;
use super::respond::transaction;
use super::response_created::{Answered, Content, RESULT, Source};
use crate::api::{self, ApiVersion, Audience, Endpoint, Outcome, Texts};
use crate::context::Context;
use crate::delivery::transaction::transact_for_call;
use crate::error::Error;
use crate::flows::call::Call;
use crate::flows::reply::Reply;
use crate::flows::{accept, error_code};
use crate::job::Commit;
use crate::store::Accept;

const OPERATION: &str = "as_error";

/// The table entry.
pub fn endpoint() -> Endpoint {
    Endpoint::post("/as/error/:request_id/:service_id", Audience::As)
        .does("Answers a request for data with an error.")
        .ends()
        .path::<Wanted>()
        .body::<ErrorAnswer>()
        .run(run)
        .since(ApiVersion::V5)
}

async fn run(call: api::Call<Wanted, Texts, ErrorAnswer>) -> Result<Outcome, Error> {
    let Wanted {
        request_id,
        service_id,
    } = &call.path;
    let (context, node_id) = (&call.context, &call.node_id);
    let accept = respond_with_error(context, node_id, request_id, service_id, &call.body).await?;
    Ok(Outcome::started(accept))
}

/// Body of the call.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct ErrorAnswer {
    /// `reference_id` and `callback_url`.
    #[serde(flatten)]
    pub reply: Reply,
    /// One of those NDID registered for ASes.
    #[serde(deserialize_with = "error_code::deserialize")]
    #[schemars(range(min = 1))]
    pub error_code: i64,
}

/// Checks an error answer and puts it on its way to the ledger.
///
/// # Errors
/// 20012, 20025, 20026, 20039, 20037, 20082, 20078, in this order; those of
/// ledger, store and signing.
pub async fn respond_with_error(
    context: &Context,
    node_id: &str,
    request_id: &str,
    service_id: &str,
    body: &ErrorAnswer,
) -> Result<Accept, Error> {
    let error_code = body.error_code;
    let content = json!([service_id, error_code]);
    let call = Call::new(node_id, request_id, OPERATION, &body.reply, &content);
    let from = Source::of_call(&body.reply, RESULT, call.clone());
    let commit = answer(context, node_id, request_id, service_id, error_code, from).await?;
    Ok(call.once(accept(commit)))
}

/// The same for an error code from an API call and from a callback's answer.
///
/// # Errors
/// As [`respond_with_error`].
pub(super) async fn answer(
    context: &Context,
    node_id: &str,
    request_id: &str,
    service_id: &str,
    error_code: i64,
    from: Source,
) -> Result<Commit, Error> {
    let request = pending(context, node_id, request_id, service_id).await?;
    error_code::check_registered(context.ledger.as_ref(), ROLE, error_code).await?;
    let answered = Answered {
        node_id: node_id.to_owned(),
        request_id: request_id.to_owned(),
        service_id: service_id.to_owned(),
        rp_id: request.rp_id,
        content: Content::Error(error_code),
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
