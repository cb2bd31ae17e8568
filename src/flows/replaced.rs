//! The ledger was replaced by another one, or by an earlier state of itself
//! (docs/guarantees.md, "A ledger that is replaced"). Every request this node
//! knows is looked at once: blocks of the new history may never name it.

use serde::{Deserialize, Serialize};

use super::block::watched;
use super::{RequestUpdate, request_key};
use crate::error::Error;
use crate::job::{Commit, Job, Kind, NewJob, Row};
use crate::ledger::query;
use crate::node::Context;

/// Requests looked at in one job.
const PORTION: usize = 200;
/// Questions to the ledger at a time.
const QUESTIONS: usize = 8;

/// Payload of `ledger.replaced`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replaced {
    /// The chain that is there now.
    pub chain_id: String,
    /// The era that began.
    pub era: u64,
    /// Newest block when it was noticed.
    pub height: u64,
    /// Where the portion before ended: place of the table, and row.
    after: Option<(usize, Row)>,
}

impl Replaced {
    /// The job that looks at everything.
    pub fn job(chain_id: &str, era: u64, height: u64) -> NewJob {
        let first = Self {
            chain_id: chain_id.to_owned(),
            era,
            height,
            after: None,
        };
        first.as_job("start")
    }

    fn as_job(&self, portion: &str) -> NewJob {
        let Self { chain_id, era, .. } = self;
        NewJob::new(Kind::LedgerReplaced, "ledger-replaced", self)
            .source(format!("replaced:{chain_id}:{era}:{portion}"))
    }
}

/// Handler of `ledger.replaced`: one job for each request that is known, in
/// portions.
///
/// # Errors
/// Temporary ones; those of the payload.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let replaced: Replaced = job.payload()?;
    let mut known = known(context).await?;
    known.sort_unstable();
    if let Some(after) = &replaced.after {
        known.retain(|place| place > after);
    }
    let is_last = known.len() <= PORTION;
    known.truncate(PORTION);
    let mut commit = Commit::nothing();
    for some in known.chunks(QUESTIONS) {
        let looks = some
            .iter()
            .map(|(table, row)| look(context, &replaced, *table, row));
        let jobs = futures_util::future::try_join_all(looks).await?;
        commit.jobs.extend(jobs.into_iter().flatten());
    }
    if !is_last {
        let after = known.pop();
        let portion = after.as_ref().map_or("", |(_, row)| row).to_owned();
        let next = Replaced { after, ..replaced };
        commit.job(next.as_job(&portion));
    }
    Ok(commit)
}

/// Every request of this role: place of the table, and row.
async fn known(context: &Context) -> Result<Vec<(usize, Row)>, Error> {
    let mut known = Vec::new();
    for (place, (table, _)) in watched(context.role).iter().enumerate() {
        let rows = context.state.rows(*table, "").await?;
        known.extend(rows.into_iter().map(|row| (place, row)));
    }
    Ok(known)
}

/// The job for one request. `ended` is also set when the ledger does not know
/// the request: there is nothing left to wait for.
async fn look(
    context: &Context,
    replaced: &Replaced,
    table: usize,
    row: &str,
) -> Result<Option<NewJob>, Error> {
    let kind = watched(context.role).get(table).map(|(_, kind)| *kind);
    let Some((kind, (node_id, request_id))) = kind.zip(row.split_once('/')) else {
        return Ok(None);
    };
    let detail = query::request_detail(context.ledger.as_ref(), request_id, None).await?;
    let update = RequestUpdate {
        node_id: node_id.to_owned(),
        request_id: request_id.to_owned(),
        height: replaced.height,
        ended: detail.is_none_or(|detail| detail.has_ended()),
        is_new_history: true,
    };
    let Replaced { chain_id, era, .. } = replaced;
    let source = format!("replaced:{chain_id}:{era}:{row}:{}", kind.name());
    let job = NewJob::new(kind, request_key(request_id), &update);
    Ok(Some(job.source(source)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::flows::row;
    use crate::flows::testing::{TestNode, job as accepted};
    use crate::job::{Table, Write, codec};
    use crate::node::Role;

    #[actix::test]
    async fn every_known_request_is_looked_at_once_in_portions() {
        let node = TestNode::new("idp1", Role::Idp);
        for number in 0..450 {
            let id = format!("r{number}");
            let write = Write::put(Table::ConsentRequest, row("idp1", &id), b"{}".to_vec());
            node.state.apply(&[write]);
            let asked = json!({"request_id": id});
            node.ledger.answer("GetRequestDetail", asked, Value::Null);
        }
        let mut next = Some(Replaced::job("chain-b", 2, 40));
        let mut portions = 0;
        let mut requests = std::collections::BTreeSet::new();
        while let Some(job) = next.take() {
            let commit = handle(&node.context, &accepted(job)).await.unwrap();
            portions += 1;
            for job in commit.jobs {
                if job.kind == Kind::LedgerReplaced {
                    next = Some(job);
                    continue;
                }
                assert_eq!(job.kind, Kind::IdpRequestUpdate);
                let update: RequestUpdate = codec::decode(&job.payload).unwrap();
                assert!(update.ended, "the ledger does not know it");
                assert_eq!(update.height, 40);
                assert!(requests.insert(update.request_id));
            }
        }
        assert_eq!((portions, requests.len()), (3, 450));
    }
}
