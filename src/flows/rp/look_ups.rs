//! Look-ups of an RP's requests (spec/http-api.md 3.1).

use serde::Deserialize;
use serde_json::json;

use super::as_response::AsData;
use crate::api::{ApiCall, Audience, CallOutcome, Endpoint};
use crate::context::row;
use crate::context::{Context, state};
use crate::error::Error;
use crate::job::{Table, Write};
use crate::ledger::query;

/// The id of a request, its data, and the removals of all data and of one request's
/// data.
pub fn endpoints() -> [Endpoint; 4] {
    [
        Endpoint::get("/rp/request_references/:reference_id", Audience::Rp)
            .does("Shows the id of the request with a reference id.")
            .path::<ReferencePath>()
            .tells(json!({"request_id": "text"}))
            .run(run_reference),
        Endpoint::get("/rp/request_data/:request_id", Audience::Rp)
            .does("Shows the data that ASes sent for a request.")
            .path::<RequestPath>()
            .tells(json!([{
                "source_node_id": "text",
                "service_id": "text",
                "source_signature": "text",
                "signature_signing_algorithm": "text",
                "signature_signing_key_version?": "integer",
                "data_salt": "text",
                "data": "text",
            }]))
            .run(run_data),
        Endpoint::post("/rp/request_data_removal", Audience::Rp)
            .does("Removes the data of all requests from this node.")
            .run(run_remove_all),
        Endpoint::post("/rp/request_data_removal/:request_id", Audience::Rp)
            .does("Removes the data of a request from this node.")
            .path::<RequestPath>()
            .run(run_remove),
    ]
}

#[derive(Deserialize)]
struct ReferencePath {
    reference_id: String,
}

#[derive(Deserialize)]
struct RequestPath {
    request_id: String,
}

async fn run_reference(call: ApiCall<ReferencePath>) -> Result<CallOutcome, Error> {
    let reference_id = &call.path.reference_id;
    let id = request_reference(&call.context, &call.node_id, reference_id).await?;
    Ok(CallOutcome::found(id.map(|id| json!({"request_id": id}))))
}

async fn run_data(call: ApiCall<RequestPath>) -> Result<CallOutcome, Error> {
    let data = request_data(&call.context, &call.node_id, &call.path.request_id).await?;
    Ok(CallOutcome::found(data.map(|data| json!(data))))
}

async fn run_remove_all(call: ApiCall) -> Result<CallOutcome, Error> {
    let removal = request_data_removal(&call.context, &call.node_id, None).await?;
    Ok(CallOutcome::Stored(removal))
}

async fn run_remove(call: ApiCall<RequestPath>) -> Result<CallOutcome, Error> {
    let request_id = Some(call.path.request_id.as_str());
    let removal = request_data_removal(&call.context, &call.node_id, request_id).await?;
    Ok(CallOutcome::Stored(removal))
}

/// Id of the living request with a reference id.
///
/// # Errors
/// Those of the store.
pub async fn request_reference(
    context: &Context,
    node_id: &str,
    reference_id: &str,
) -> Result<Option<String>, Error> {
    let row = row(node_id, reference_id);
    state::load(context, Table::RequestReference, &row, "").await
}

/// The acknowledged data of a request; `None` if the ledger does not know it.
///
/// # Errors
/// Those of the ledger and the store.
pub async fn request_data(
    context: &Context,
    node_id: &str,
    request_id: &str,
) -> Result<Option<Vec<AsData>>, Error> {
    let ledger = context.ledger.as_ref();
    let detail = query::request_detail(ledger, request_id, None).await?;
    if detail.is_none() {
        return Ok(None);
    }
    let row = row(node_id, request_id);
    let columns = state::load_columns(context, Table::AsData, &row).await?;
    Ok(Some(columns.into_iter().map(|(_, data)| data).collect()))
}

/// Writes that remove the data of one request, or of all the node's requests.
///
/// # Errors
/// Those of the store.
pub async fn request_data_removal(
    context: &Context,
    node_id: &str,
    request_id: Option<&str>,
) -> Result<Vec<Write>, Error> {
    let rows = match request_id {
        Some(request_id) => vec![row(node_id, request_id)],
        None => context.state.rows(Table::AsData, &row(node_id, "")).await?,
    };
    let removals = rows
        .into_iter()
        .map(|row| Write::delete(Table::AsData, row));
    Ok(removals.collect())
}
