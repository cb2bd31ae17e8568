//! The acknowledgement of data has settled: now the client may see the data
//! (spec/flows.md 2.5, 10.1-6).

use super::ROLE;
use super::as_response::{AsData, DataRef};
use super::stored::received_column;
use crate::context::{Context, state};
use crate::delivery::callback::error_job;
use crate::error::Error;
use crate::flows::dispatch::Flow;
use crate::flows::ledger_call::settlement;
use crate::job::{Commit, Job, Kind, Spec, Table, Write};

/// The acknowledgement of data has settled.
pub const KIND: Kind = Kind::new(&Spec::transactional(8, "rp.data_received"));

pub(in crate::flows) const FLOW: Flow =
    Flow::new(KIND, |context, job| Box::pin(handle(context, job))).told(ROLE, ACTION);

/// Action of its `error` callback.
pub const ACTION: &str = "processAsDataAfterSetDataReceived";

/// Handler of `rp.data_received`.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let (DataRef { of, column }, result) = settlement(job)?;
    let row = of.row();
    let pending: Option<AsData> = state::load(context, Table::PendingAsData, &row, &column).await?;
    let mut commit = Commit::nothing();
    commit.write(Write::DeleteColumn {
        table: Table::PendingAsData,
        row: row.clone(),
        column: column.clone(),
    });
    match result {
        Ok(_) => {
            commit.writes.extend(mark(context, &row, &column).await?);
            let received = pending.map(|data| state::put_column(Table::AsData, row, column, &data));
            commit.writes.extend(received);
        }
        Err(refusal) => {
            let (node_id, request_id) = (Some(of.node_id.as_str()), Some(of.request_id.as_str()));
            commit.job(error_job(ROLE, node_id, ACTION, request_id, &refusal));
        }
    }
    Ok(commit)
}

/// Notes that this data was received, for as long as the request lives and even if
/// the client removes the data: its message may come again.
async fn mark(context: &Context, row: &str, column: &str) -> Result<Option<Write>, Error> {
    let state = context.state.as_ref();
    let is_open = state.get(Table::RequestData, row, "").await?.is_some();
    let column = received_column(column);
    Ok(is_open.then(|| Write::put_column(Table::RequestData, row, column, Vec::new())))
}
