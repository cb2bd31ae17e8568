//! A block changed a request this IdP was asked about (spec/flows.md 3.5).

use super::ROLE;
use super::told::Told;
use crate::context::Context;
use crate::context::row;
use crate::error::Error;
use crate::flows::{RequestUpdate, call, status_update};
use crate::job::{Commit, Job, Table, Write};

/// Handler of `idp.request_update`: tells the client application, and forgets
/// the request once it has ended. A client application that has not been told of
/// the request yet hears of the change after it.
///
/// # Errors
/// Temporary ones; those of the payload.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let update: RequestUpdate = job.payload()?;
    let record = row(&update.node_id, &update.request_id);
    if !update.ended
        && let Some(Told::Not { mut updates }) = Told::load(context, &record).await?
    {
        let mut commit = Commit::nothing();
        updates.push(update);
        commit.write(Told::Not { updates }.save(&record));
        return Ok(commit);
    }
    let mut commit = status_update::callback(context, ROLE, &update).await?;
    if update.ended {
        let calls = call::forget_all(context, Table::ConsentRequest, &record).await?;
        commit.writes.extend(calls);
        commit.write(Write::delete(Table::ConsentRequest, record));
    }
    Ok(commit)
}
