//! A block changed a request that asks this AS for data (spec/flows.md 4.8).

use super::ROLE;
use crate::context::Context;
use crate::context::row;
use crate::error::Error;
use crate::flows::dispatch::{BLOCK, Flow, node_of_update};
use crate::flows::{RequestUpdate, call_mark, status_update};
use crate::job::{Commit, Job, Kind, Spec, Table, Write};

/// A block changed a request that asks this AS for data.
pub const KIND: Kind = Kind::new(&Spec::transactional(14, "as.request_update"));

pub(in crate::flows) const FLOW: Flow =
    Flow::new(KIND, |context, job| Box::pin(handle(context, job)))
        .told(ROLE, BLOCK)
        .for_node(node_of_update);

/// Handler of `as.request_update`: tells the client application, and forgets the
/// request once it has ended. The continuations of answers on their way remove
/// those.
///
/// # Errors
/// Temporary ones; those of the payload.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let update: RequestUpdate = job.payload()?;
    let mut commit = status_update::callback(context, ROLE, &update).await?;
    if update.ended {
        let record = row(&update.node_id, &update.request_id);
        let calls = call_mark::forget_all(context, Table::DataRequest, &record).await?;
        commit.writes.extend(calls);
        commit.write(Write::delete(Table::DataRequest, &record));
        commit.write(Write::delete(Table::PendingDataRequest, record));
    }
    Ok(commit)
}
