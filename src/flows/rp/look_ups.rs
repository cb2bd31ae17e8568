//! What a client can ask about its requests (spec/http-api.md 3.1).

use super::as_response::AsData;
use crate::error::Error;
use crate::flows::{row, state};
use crate::job::{Table, Write};
use crate::ledger::query;
use crate::node::Context;

/// Id of the request that a reference id stands for while it lives.
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

/// What removes the data of one request, or of all of the node's requests.
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
