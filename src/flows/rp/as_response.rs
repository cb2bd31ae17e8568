//! The message of an AS: its answer is on the ledger (spec/flows.md 2.5).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ROLE;
use super::stored::{RequestRef, StoredRequest};
use crate::context::{Context, state};
use crate::crypto::signature;
use crate::delivery::transaction::{Continuation, Transact, transact};
use crate::error::{Error, codes};
use crate::flows::dispatch::{Flow, node_of_message};
use crate::flows::rp;
use crate::job::{Commit, Job, Table, request_key};
use crate::ledger::query;
use crate::ledger::types::NodeKey;
use crate::messaging::{Received, to_role};
use crate::mq::message::{AsResponse, Message};
use crate::mq::packing;

crate::job::stored! {
    "rp_data_ref": DataRef = 1,
}

pub(in crate::flows) const FLOW: Flow = Flow::new(to_role::AS_RESPONSE, |context, job| {
    Box::pin(handle(context, job))
})
.told(ROLE, "processAsResponse")
.for_node(node_of_message);

crate::job::stored_as_json! {
    "row_as_data": AsData,
}

/// Data of an AS as the client gets it (spec/http-api.md 3.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AsData {
    /// Who answered.
    pub source_node_id: String,
    /// For which service.
    pub service_id: String,
    /// Base64.
    pub source_signature: String,
    /// How it was signed.
    pub signature_signing_algorithm: String,
    /// With which version of the AS's key.
    pub signature_signing_key_version: u64,
    /// Salt of the signature.
    pub data_salt: String,
    /// The data, unpacked.
    pub data: String,
}

/// Context of the continuation of SetDataReceived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct DataRef {
    /// Which request.
    pub of: RequestRef,
    /// Column in `PendingAsData` and `AsData`.
    pub column: String,
}

/// Handler of `rp.as_response`: verifies data, keeps it, and acknowledges it on the
/// ledger. The block tells of an error answer.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let received: Received = job.payload()?;
    let message = parse(&received)?;
    if message.error_code.is_some() {
        return Ok(Commit::nothing());
    }
    let of = RequestRef {
        node_id: received.receiver_node_id,
        request_id: message.request_id.clone(),
    };
    let Some(stored) = StoredRequest::load(context, of.clone()).await? else {
        return Ok(Commit::nothing());
    };
    let column = column(&message);
    if stored.received.contains(&column) || is_kept(context, &of, &column).await? {
        return Ok(Commit::nothing());
    }
    let Some(data) = verified(context, &message).await? else {
        return Ok(Commit::nothing());
    };
    let pending = state::put_column(Table::PendingAsData, of.row(), &column, &data);
    let params = json!({
        "request_id": of.request_id,
        "service_id": message.service_id,
        "as_id": message.as_id,
    });
    let then = Continuation::new(
        rp::data_received::KIND,
        request_key(&of.request_id),
        &DataRef {
            of: of.clone(),
            column,
        },
    );
    let transaction = Transact::new(&of.node_id, "SetDataReceived", &params, Some(then))
        .resend_when_disabled()
        .retry_on_shortage();
    let mut commit = transact(context, transaction).await?;
    commit.write(pending);
    Ok(commit)
}

fn parse(received: &Received) -> Result<AsResponse, Error> {
    match received.message()? {
        Message::AsResponse(message) => Ok(message),
        _ => Err(codes::INVALID_MESSAGE_TYPE.into()),
    }
}

/// The column of an AS and a service: JSON, so that no two pairs share one.
fn column(message: &AsResponse) -> String {
    json!([message.as_id, message.service_id]).to_string()
}

/// Whether the answer came before. Senders repeat messages under new ids, and the
/// ledger refuses a second acknowledgement.
async fn is_kept(context: &Context, of: &RequestRef, column: &str) -> Result<bool, Error> {
    let row = of.row();
    for table in [Table::PendingAsData, Table::AsData] {
        if context.state.get(table, &row, column).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The data, if its signature is the one on the ledger and verifies
/// (spec/messaging-and-crypto.md 4.4); `None` when the ledger has no answer.
///
/// # Errors
/// 10033; those of unpacking and of the ledger.
async fn verified(context: &Context, message: &AsResponse) -> Result<Option<AsData>, Error> {
    let (Some(packed), Some(given), Some(salt)) =
        (&message.packed_data, &message.signature, &message.data_salt)
    else {
        return Err(codes::MALFORMED_MESSAGE_FORMAT.into());
    };
    let ledger = context.ledger.as_ref();
    let as_id = &message.as_id;
    let on_ledger =
        query::data_signature(ledger, as_id, &message.request_id, &message.service_id).await?;
    let Some(on_ledger) = on_ledger else {
        return Ok(None);
    };
    if on_ledger != *given {
        return Err(codes::INVALID_DATA_RESPONSE_SIGNATURE.into());
    }
    let data = packing::unpack(packed)?;
    let key = query::signing_key(ledger, as_id)
        .await?
        .ok_or(codes::NODE_INFO_NOT_FOUND)?;
    let signed = [data.as_bytes(), salt.as_bytes()].concat();
    let bytes = STANDARD.decode(given);
    let bytes = bytes.map_err(|_| codes::INVALID_DATA_RESPONSE_SIGNATURE)?;
    let is_valid =
        |key: &NodeKey| signature::verify(&key.public_key, &key.algorithm, &signed, &bytes);
    let key = match is_valid(&key) {
        true => key,
        // The ledger took the signature before the AS changed its key.
        false => {
            let earlier = query::earlier_signing_keys(ledger, as_id, &key).await?;
            let found = earlier.into_iter().find(is_valid);
            found.ok_or(codes::INVALID_DATA_RESPONSE_SIGNATURE)?
        }
    };
    Ok(Some(AsData {
        source_node_id: as_id.clone(),
        service_id: message.service_id.clone(),
        source_signature: given.clone(),
        signature_signing_algorithm: key.algorithm,
        signature_signing_key_version: key.version,
        data_salt: salt.clone(),
        data,
    }))
}
