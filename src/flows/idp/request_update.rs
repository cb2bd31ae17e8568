//! A block changed a request that asks this IdP for consent (spec/flows.md 3.5).

use super::ROLE;
use super::callback_progress::CallbackProgress;
use crate::context::Context;
use crate::context::row;
use crate::error::Error;
use crate::flows::dispatch::{BLOCK, Flow, node_of_update};
use crate::flows::{RequestUpdate, call_mark, status_update};
use crate::job::{Commit, Job, Kind, Spec, Table, Write};

/// A block changed a request that asks this IdP for consent.
pub const KIND: Kind = Kind::new(&Spec::transactional(10, "idp.request_update"));

pub(in crate::flows) const FLOW: Flow =
    Flow::new(KIND, |context, job| Box::pin(handle(context, job)))
        .told(ROLE, BLOCK)
        .for_node(node_of_update);

/// Handler of `idp.request_update`: tells the client application, and forgets the
/// request once it has ended. A client application hears of the request first, then
/// of the change.
///
/// # Errors
/// Temporary ones; those of the payload.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let update: RequestUpdate = job.payload()?;
    let record = row(&update.node_id, &update.request_id);
    if !update.ended
        && let Some(CallbackProgress::Not { mut updates }) =
            CallbackProgress::load(context, &record).await?
    {
        let mut commit = Commit::nothing();
        updates.push(update);
        commit.write(CallbackProgress::Not { updates }.save(&record));
        return Ok(commit);
    }
    let mut commit = status_update::callback(context, ROLE, &update).await?;
    if update.ended {
        let calls = call_mark::forget_all(context, Table::ConsentRequest, &record).await?;
        commit.writes.extend(calls);
        commit.write(Write::delete(Table::ConsentRequest, record));
    }
    Ok(commit)
}
