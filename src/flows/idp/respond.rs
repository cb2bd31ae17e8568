//! The client application answers a request (spec/flows.md 3.3).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value, json};

use super::received_request;
use super::response_created::{IdpResponseContent, IdpResponseContext};
use crate::api::{self, Audience, CallOutcome, Endpoint, NoPath, Texts};
use crate::context::Context;
use crate::crypto::{accessor, hash};
use crate::delivery::transaction::{Continuation, Transact};
use crate::error::{Error, codes};
use crate::flows::call_mark::CallMark;
use crate::flows::ledger_call::accept_transaction;
use crate::flows::open_request::open_request;
use crate::flows::reply::ReplyTo;
use crate::flows::{idp, levels};
use crate::job::request_key;
use crate::ledger::query;
use crate::ledger::types::RequestDetail;
use crate::mq::message::ConsentRequest;
use crate::store::Accept;

const OPERATION: &str = "idp_response";

pub fn endpoint() -> Endpoint {
    Endpoint::post("/idp/response", Audience::Idp)
        .does("Answers a request with the user's consent or refusal.")
        .ends()
        .body::<IdpResponseBody>()
        .run(run)
}

async fn run(call: api::ApiCall<NoPath, Texts, IdpResponseBody>) -> Result<CallOutcome, Error> {
    let accept = respond(&call.context, &call.node_id, &call.body).await?;
    Ok(CallOutcome::started(accept))
}

/// What the user decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserDecision {
    /// Consent.
    Accept,
    /// No consent.
    Reject,
}

/// Body of `POST /idp/response`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct IdpResponseBody {
    /// `reference_id` and `callback_url`.
    #[serde(flatten)]
    pub reply: ReplyTo,
    /// Which request.
    #[schemars(length(min = 1))]
    pub request_id: String,
    /// Of the identity.
    pub ial: Number,
    /// Of the authentication.
    pub aal: Number,
    /// What the user decided.
    pub status: UserDecision,
    /// Needed in modes 2 and 3.
    #[serde(default)]
    pub accessor_id: Option<String>,
    /// Made with the accessor's key; any text in mode 1.
    #[schemars(length(min = 1))]
    pub signature: String,
}

/// Checks an answer and makes its transaction. `node_id`: this node, or the one
/// behind it.
///
/// # Errors
/// Those of the table in spec/flows.md 3.3, in its order; those of ledger,
/// store and signing.
pub async fn respond(
    context: &Context,
    node_id: &str,
    answer: &IdpResponseBody,
) -> Result<Accept, Error> {
    let (detail, request) = answerable(context, node_id, &answer.request_id).await?;
    check_levels(context, &detail, answer).await?;
    if detail.mode != 1 {
        check_identity(context, node_id, &detail, &request, answer).await?;
    }
    let params = json!({
        "request_id": answer.request_id,
        "aal": answer.aal,
        "ial": answer.ial,
        "status": answer.status,
        "signature": answer.signature,
    });
    let content = json!([params, answer.accessor_id]);
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
        content: IdpResponseContent::Answer {
            mode: detail.mode,
            accessor_id: answer.accessor_id.clone(),
        },
        reply: Some(answer.reply.clone()),
        call: Some(call.clone()),
    };
    let create = transaction(&answered, &params);
    Ok(call.once(accept_transaction(context, create).await?))
}

/// The request, if this node may still answer it.
///
/// # Errors
/// 20012, 20025, 20026, 20081, 20038, in this order.
pub(super) async fn answerable(
    context: &Context,
    node_id: &str,
    request_id: &str,
) -> Result<(RequestDetail, ConsentRequest), Error> {
    let detail = open_request(context.ledger.as_ref(), request_id).await?;
    let answers = detail.answers().count() as u64;
    let asked = detail.idp_id_list.len() as u64;
    let outstanding = asked.saturating_sub(detail.response_list.len() as u64);
    if answers >= detail.min_idp || answers + outstanding < detail.min_idp {
        return Err(codes::ENOUGH_IDP_RESPONSE.into());
    }
    let request = received_request(context, node_id, &detail).await?;
    Ok((detail, request))
}

async fn check_levels(
    context: &Context,
    detail: &RequestDetail,
    answer: &IdpResponseBody,
) -> Result<(), Error> {
    let ledger = context.ledger.as_ref();
    levels::check_supported(ledger, Some(&answer.ial), Some(&answer.aal)).await?;
    if levels::is_below(&answer.ial, &detail.min_ial) {
        return Err(codes::IAL_IS_LESS_THAN_REQUEST_MIN_IAL.into());
    }
    if levels::is_below(&answer.aal, &detail.min_aal) {
        return Err(codes::AAL_IS_LESS_THAN_REQUEST_MIN_AAL.into());
    }
    Ok(())
}

/// Rows 5 to 9 of the table: modes 2 and 3.
async fn check_identity(
    context: &Context,
    node_id: &str,
    detail: &RequestDetail,
    request: &ConsentRequest,
    answer: &IdpResponseBody,
) -> Result<(), Error> {
    let ledger = context.ledger.as_ref();
    let group = reference_group(context, request).await?;
    let identity = query::identity_info(ledger, json!({"reference_group_code": group}), node_id)
        .await?
        .ok_or(codes::IDENTITY_NOT_FOUND_ON_IDP)?;
    if !identity.mode_list.contains(&detail.mode) {
        return Err(codes::IDENTITY_MODE_MISMATCH.into());
    }
    let accessor_id = answer.accessor_id.as_deref().unwrap_or_default();
    if accessor_id.is_empty() {
        return Err(codes::ACCESSOR_ID_NEEDED.into());
    }
    if query::reference_group_code_of_accessor(ledger, accessor_id).await? != Some(group) {
        return Err(codes::ACCESSOR_IS_NOT_IN_REQUEST_REFERENCE_GROUP.into());
    }
    let key = active_accessor_key(context, accessor_id).await?;
    if !levels::equal(&answer.ial, &identity.ial) {
        return Err(codes::WRONG_IAL.into());
    }
    let signed = accessor::verify(
        &request.request_message,
        &request.initial_salt,
        &request.request_id,
        &key,
        &answer.signature,
    );
    if !signed {
        return Err(codes::INVALID_ACCESSOR_SIGNATURE.into());
    }
    Ok(())
}

/// Group of a request's identity. Looked up if the IdP did not know the identity
/// when the request came (on-the-fly onboarding).
async fn reference_group(context: &Context, request: &ConsentRequest) -> Result<String, Error> {
    if let Some(code) = &request.reference_group_code {
        return Ok(code.clone());
    }
    let identity = request
        .namespace
        .as_deref()
        .zip(request.identifier.as_deref());
    let (namespace, identifier) = identity.ok_or(codes::IDENTITY_NOT_FOUND)?;
    let identifier_hash = hash::identifier_hash(identifier);
    query::reference_group_code(context.ledger.as_ref(), namespace, &identifier_hash)
        .await?
        .ok_or_else(|| codes::IDENTITY_NOT_FOUND.into())
}

/// PEM key of an accessor.
///
/// # Errors
/// 20011 when it is unknown or revoked.
pub(super) async fn active_accessor_key(
    context: &Context,
    accessor_id: &str,
) -> Result<String, Error> {
    let key = query::accessor_key(context.ledger.as_ref(), accessor_id).await?;
    key.filter(|key| key.active)
        .map(|key| key.accessor_public_key)
        .ok_or_else(|| codes::ACCESSOR_PUBLIC_KEY_NOT_FOUND_OR_NOT_ACTIVE.into())
}

/// Parameters of CreateIdpResponse for an error answer.
pub(super) fn error_params(answered: &IdpResponseContext) -> Value {
    let mut params = json!({"request_id": answered.request_id});
    if let IdpResponseContent::Error(error_code) = answered.content {
        params["error_code"] = error_code.into();
    }
    params
}

/// CreateIdpResponse, and `idp.response_created` once it has settled.
pub(super) fn transaction(answered: &IdpResponseContext, params: &Value) -> Transact {
    let then = Continuation::new(
        idp::response_created::KIND,
        request_key(&answered.request_id),
        answered,
    );
    Transact::new(&answered.node_id, "CreateIdpResponse", params, Some(then)).resend_when_disabled()
}
