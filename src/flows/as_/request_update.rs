//! A block changed a request this AS was asked about (spec/flows.md 4.8).

use super::ROLE;
use crate::context::Context;
use crate::context::row;
use crate::error::Error;
use crate::flows::{RequestUpdate, call, status_update};
use crate::job::{Commit, Job, Table, Write};

/// Handler of `as.request_update`: tells the client application, and forgets
/// the request once it has ended. Answers on their way are removed by their own
/// continuation.
///
/// # Errors
/// Temporary ones; those of the payload.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let update: RequestUpdate = job.payload()?;
    let mut commit = status_update::callback(context, ROLE, &update).await?;
    if update.ended {
        let record = row(&update.node_id, &update.request_id);
        let calls = call::forget_all(context, Table::DataRequest, &record).await?;
        commit.writes.extend(calls);
        commit.write(Write::delete(Table::DataRequest, &record));
        commit.write(Write::delete(Table::PendingDataRequest, record));
    }
    Ok(commit)
}
