//! `GET /identity_request/request_references/:reference_id`: the operation of a
//! reference id, while it lasts.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::operation::IdentityOperation;
use crate::api::{ApiCall, Audience, CallOutcome, Endpoint};
use crate::context::{Context, row, state};
use crate::error::Error;
use crate::flows::reply::ReplyTo;
use crate::job::{Guard, Table, Write};

/// Column of an operation in the row of its reference id. Column `""` is the id of
/// its request, as for any request.
const COLUMN: &str = "operation";

pub fn endpoint() -> Endpoint {
    let path = "/identity_request/request_references/:reference_id";
    Endpoint::get(path, Audience::Idp)
        .does("Shows the request that asks the user's other IdPs for consent.")
        .path::<Path>()
        .tells(
            json!({"request_id?": "text", "accessor_id?": "text", "revoking_accessor_id?": "text"}),
        )
        .run(run)
}

#[derive(Deserialize)]
struct Path {
    reference_id: String,
}

crate::job::stored_as_json! {
    "row_identity_operation": OperationSummary,
}

/// The body of the answer about an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct OperationSummary(Map<String, Value>);

async fn run(call: ApiCall<Path>) -> Result<CallOutcome, Error> {
    let row = row(&call.node_id, &call.path.reference_id);
    let told =
        state::load::<OperationSummary>(&call.context, Table::RequestReference, &row, COLUMN);
    Ok(CallOutcome::found(
        told.await?.map(|OperationSummary(body)| body.into()),
    ))
}

/// Whether an operation has the reference id of a call.
///
/// # Errors
/// Those of the store.
pub(super) async fn is_taken(
    context: &Context,
    node_id: &str,
    reply: &ReplyTo,
) -> Result<bool, Error> {
    let row = row(node_id, &reply.reference_id);
    let columns = context.state.columns(Table::RequestReference, &row).await?;
    Ok(!columns.is_empty())
}

/// Gives a reference id to an operation, if it is free.
pub(super) fn take(
    node_id: &str,
    reply: &ReplyTo,
    request_id: Option<&str>,
    operation: &IdentityOperation,
) -> (Guard, Write) {
    let row = row(node_id, &reply.reference_id);
    let guard = Guard::Absent {
        table: Table::RequestReference,
        row,
    };
    let write = write(node_id, &reply.reference_id, request_id, operation);
    (guard, write)
}

/// Stores an operation under its reference id.
pub(in crate::flows) fn write(
    node_id: &str,
    reference_id: &str,
    request_id: Option<&str>,
    operation: &IdentityOperation,
) -> Write {
    let mut body = Map::new();
    if let Some(request_id) = request_id {
        body.insert("request_id".into(), request_id.into());
    }
    body.extend(operation.accessors());
    let row = row(node_id, reference_id);
    state::put_column(
        Table::RequestReference,
        row,
        COLUMN,
        &OperationSummary(body),
    )
}

/// Frees a reference id.
pub(super) fn free(node_id: &str, reply: &ReplyTo) -> Write {
    let row = row(node_id, &reply.reference_id);
    Write::delete(Table::RequestReference, row)
}
