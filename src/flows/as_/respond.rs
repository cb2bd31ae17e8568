//! The client application sends data (spec/flows.md 4.5).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::DataPath;
use super::pending::pending;
use super::response_created::{AnswerSource, AsResponseContent, AsResponseContext, RESULT};
use super::schema;
use crate::api::{self, ApiVersion, Audience, CallOutcome, Endpoint, Texts};
use crate::context::{Context, row, state};
use crate::crypto::{KeyUse, hash};
use crate::delivery::transaction::{Continuation, Transact, refused, transact};
use crate::error::{Error, codes, settled};
use crate::flows::call_mark::CallMark;
use crate::flows::reply::ReplyTo;
use crate::flows::{accept, as_};
use crate::job::{Commit, JobId, NewJob, Row, Table, request_key};
use crate::ledger::query;
use crate::mq::message::PackedData;
use crate::mq::packing;
use crate::store::Accept;

crate::job::stored! {
    "as_unsigned": UnsignedData = 1,
}

const OPERATION: &str = "as_data";

pub fn endpoint() -> Endpoint {
    Endpoint::post("/as/data/:request_id/:service_id", Audience::As)
        .does("Sends the data that a request asks for.")
        .ends()
        .path::<DataPath>()
        .body::<AsDataBody>()
        .run(run)
}

async fn run(call: api::ApiCall<DataPath, Texts, AsDataBody>) -> Result<CallOutcome, Error> {
    let DataPath {
        request_id,
        service_id,
    } = &call.path;
    let (context, node_id) = (&call.context, &call.node_id);
    let result = result_of(call.version);
    let accept = respond(context, node_id, request_id, service_id, &call.body, result).await?;
    Ok(CallOutcome::started(accept))
}

/// `type` of the result callback of an answer, for clients of a version.
pub(super) fn result_of(version: ApiVersion) -> &'static str {
    match version {
        ApiVersion::V4 => "send_data_result",
        ApiVersion::V5 | ApiVersion::V6 => RESULT,
    }
}

/// Body of the call.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct AsDataBody {
    /// `reference_id` and `callback_url`.
    #[serde(flatten)]
    pub reply: ReplyTo,
    /// The data.
    #[schemars(length(min = 1))]
    pub data: String,
}

crate::job::stored_as_json! {
    "row_data_answer": DataAnswer,
}

/// An answer until it is on the ledger (table `DataAnswer`, as JSON). Every answer
/// has a row of its own: a refused answer does not disturb the accepted one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct DataAnswer {
    /// Base64, over data and salt.
    pub signature: String,
    /// Salt of the data.
    pub data_salt: String,
    /// The data.
    pub packed_data: PackedData,
}

/// Checks data and makes the transaction with its signature. `result` is the `type`
/// of the result callback.
///
/// # Errors
/// Those of spec/http-api.md 3.3, in its order; those of ledger, store and signing.
pub async fn respond(
    context: &Context,
    node_id: &str,
    request_id: &str,
    service_id: &str,
    body: &AsDataBody,
    result: &str,
) -> Result<Accept, Error> {
    let content = json!([service_id, body.data]);
    let call = CallMark::new(node_id, request_id, OPERATION, &body.reply, &content);
    let from = AnswerSource::of_call(&body.reply, result, call.clone());
    let commit = answer(context, node_id, request_id, service_id, &body.data, from).await?;
    Ok(call.once(accept(commit)))
}

/// The same for data from an API call and from the answer to a callback. With an
/// external crypto service a job signs: no client waits for it.
///
/// # Errors
/// As [`respond`].
pub(super) async fn answer(
    context: &Context,
    node_id: &str,
    request_id: &str,
    service_id: &str,
    data: &str,
    from: AnswerSource,
) -> Result<Commit, Error> {
    let request = pending(context, node_id, request_id, service_id).await?;
    schema::check(context, service_id, data).await?;
    let packed_data = packing::pack(data, context.config.as_data_compress_from)?;
    let data_salt = hash::data_salt(
        request_id,
        service_id,
        context.node_id(),
        &request.initial_salt,
    );
    let answer_id = format!("{request_id}/{service_id}/{}", JobId::generate());
    let answer_row = row(node_id, &answer_id);
    let answered = AsResponseContext {
        node_id: node_id.to_owned(),
        request_id: request_id.to_owned(),
        service_id: service_id.to_owned(),
        rp_id: request.rp_id,
        content: AsResponseContent::Data {
            answer_row: answer_row.clone(),
        },
        report: from.report,
        call: from.call,
    };
    let unsigned = UnsignedData {
        answered,
        answer_row,
        data: data.to_owned(),
        data_salt,
    };
    if context.crypto.is_local() {
        // Reports a refusal as `as.sign_data` does.
        let create = transaction(&unsigned.answered, &Value::Null);
        let refused = |refusal| refused(&create, &JobId::generate().to_string(), &refusal);
        match settled(unsigned.sign(context).await) {
            Ok(Ok(signature)) => {
                let signed = unsigned.signed(context, signature, packed_data).await;
                return Ok(settled(signed)?.unwrap_or_else(refused));
            }
            Ok(Err(refusal)) => return Ok(refused(refusal)),
            // The key is on its way to this process.
            Err(error) if error.is_of_crypto_service() => {}
            Err(error) => return Err(error),
        }
    }
    let key = format!("sign:{}", JobId::generate());
    let mut commit = Commit::nothing();
    commit.job(NewJob::new(as_::sign_data::KIND, key, &unsigned));
    Ok(commit)
}

/// Checked data without a signature (payload of `as.sign_data`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct UnsignedData {
    pub answered: AsResponseContext,
    answer_row: Row,
    data: String,
    data_salt: String,
}

impl UnsignedData {
    /// Packs and signs the data, and makes the transaction with the signature.
    ///
    /// # Errors
    /// Those of ledger and signing.
    pub async fn pack_and_sign(self, context: &Context) -> Result<Commit, Error> {
        let packed_data = packing::pack(&self.data, context.config.as_data_compress_from)?;
        let signature = self.sign(context).await?;
        self.signed(context, signature, packed_data).await
    }

    async fn sign(&self, context: &Context) -> Result<String, Error> {
        let node_id = &self.answered.node_id;
        sign(context, node_id, &self.data, &self.data_salt).await
    }

    async fn signed(
        self,
        context: &Context,
        signature: String,
        packed_data: PackedData,
    ) -> Result<Commit, Error> {
        let AsResponseContext {
            request_id,
            service_id,
            ..
        } = &self.answered;
        let params = json!({
            "request_id": request_id,
            "signature": signature,
            "service_id": service_id,
        });
        let data_answer = DataAnswer {
            signature,
            data_salt: self.data_salt,
            packed_data,
        };
        let mut commit = transact(context, transaction(&self.answered, &params)).await?;
        commit.write(state::put(Table::DataAnswer, self.answer_row, &data_answer));
        Ok(commit)
    }
}

/// Base64 signature over data and salt (spec/messaging-and-crypto.md 5.6).
async fn sign(
    context: &Context,
    node_id: &str,
    data: &str,
    data_salt: &str,
) -> Result<String, Error> {
    let key = query::signing_key(context.ledger.as_ref(), node_id)
        .await?
        .ok_or(codes::NODE_KEY_NOT_FOUND)?;
    let message = [data.as_bytes(), data_salt.as_bytes()].concat();
    let signature = context
        .crypto
        .sign(node_id, KeyUse::Signing, &key, &message)
        .await?;
    Ok(STANDARD.encode(signature))
}

/// CreateAsResponse, and `as.response_created` once it has settled.
pub(super) fn transaction(answered: &AsResponseContext, params: &Value) -> Transact {
    let then = Continuation::new(
        as_::response_created::KIND,
        request_key(&answered.request_id),
        answered,
    );
    Transact::new(&answered.node_id, "CreateAsResponse", params, Some(then))
}
