//! The client application hands data over (spec/flows.md 4.5).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Wanted;
use super::pending::pending;
use super::response_created::{Answered, Content, RESULT, Source};
use super::schema;
use crate::api::{self, ApiVersion, Audience, Endpoint, Outcome, Texts};
use crate::context::{Context, row, state};
use crate::crypto::{KeyUse, hash};
use crate::delivery::transaction::{Continuation, Transact, refused, transact};
use crate::error::{Error, codes, settled};
use crate::flows::call::Call;
use crate::flows::reply::Reply;
use crate::flows::{accept, as_};
use crate::job::{Commit, JobId, NewJob, Row, Table, request_key};
use crate::ledger::query;
use crate::mq::message::PackedData;
use crate::mq::packing;
use crate::store::Accept;

crate::job::stored! {
    "as_unsigned": Unsigned = 1,
}

const OPERATION: &str = "as_data";

/// The table entry.
pub fn endpoint() -> Endpoint {
    Endpoint::post("/as/data/:request_id/:service_id", Audience::As)
        .does("Sends the data that a request asks for.")
        .ends()
        .path::<Wanted>()
        .body::<Data>()
        .run(run)
}

async fn run(call: api::Call<Wanted, Texts, Data>) -> Result<Outcome, Error> {
    let Wanted {
        request_id,
        service_id,
    } = &call.path;
    let (context, node_id) = (&call.context, &call.node_id);
    let result = result_of(call.version);
    let accept = respond(context, node_id, request_id, service_id, &call.body, result).await?;
    Ok(Outcome::started(accept))
}

/// `type` of the callback that tells what became of an answer, for clients of a
/// version.
pub(super) fn result_of(version: ApiVersion) -> &'static str {
    match version {
        ApiVersion::V4 => "send_data_result",
        ApiVersion::V5 | ApiVersion::V6 => RESULT,
    }
}

/// Body of the call.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct Data {
    /// `reference_id` and `callback_url`.
    #[serde(flatten)]
    pub reply: Reply,
    /// The data.
    #[schemars(length(min = 1))]
    pub data: String,
}

crate::job::stored_as_json! {
    "row_data_answer": DataAnswer,
}

/// An answer until it is on the ledger (table `DataAnswer`, as JSON). Every
/// answer has a row of its own: one that the ledger refuses does not disturb
/// the one that it took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct DataAnswer {
    /// Base64, over data and salt.
    pub signature: String,
    /// Salt of the data.
    pub data_salt: String,
    /// The data.
    pub packed_data: PackedData,
}

/// Checks data and puts its signature on its way to the ledger; `result` is the
/// `type` of the callback about it.
///
/// # Errors
/// Those of spec/http-api.md 3.3, in its order; those of ledger, store and signing.
pub async fn respond(
    context: &Context,
    node_id: &str,
    request_id: &str,
    service_id: &str,
    body: &Data,
    result: &str,
) -> Result<Accept, Error> {
    let content = json!([service_id, body.data]);
    let call = Call::new(node_id, request_id, OPERATION, &body.reply, &content);
    let from = Source::of_call(&body.reply, result, call.clone());
    let commit = answer(context, node_id, request_id, service_id, &body.data, from).await?;
    Ok(call.once(accept(commit)))
}

/// The same for data from an API call and from a callback's answer. An external
/// crypto service signs in a job: nobody waits for it.
///
/// # Errors
/// As [`respond`].
pub(super) async fn answer(
    context: &Context,
    node_id: &str,
    request_id: &str,
    service_id: &str,
    data: &str,
    from: Source,
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
    let answered = Answered {
        node_id: node_id.to_owned(),
        request_id: request_id.to_owned(),
        service_id: service_id.to_owned(),
        rp_id: request.rp_id,
        content: Content::Data {
            answer_row: answer_row.clone(),
        },
        report: from.report,
        call: from.call,
    };
    let unsigned = Unsigned {
        answered,
        answer_row,
        data: data.to_owned(),
        data_salt,
    };
    if context.crypto.is_local() {
        // As `as.sign_data` tells it: the call is answered before it is signed.
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

/// Checked data that nobody has signed yet (payload of `as.sign_data`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Unsigned {
    pub answered: Answered,
    answer_row: Row,
    data: String,
    data_salt: String,
}

impl Unsigned {
    /// Packs and signs it, and puts the signature on its way to the ledger.
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
        let Answered {
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
pub(super) fn transaction(answered: &Answered, params: &Value) -> Transact {
    let then = Continuation::new(
        as_::response_created::KIND,
        request_key(&answered.request_id),
        answered,
    );
    Transact::new(&answered.node_id, "CreateAsResponse", params, Some(then))
}
