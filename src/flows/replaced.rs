//! The ledger was replaced by another one, or by an earlier state of itself
//! (docs/guarantees.md, "A ledger that is replaced"). These jobs look at every
//! request of this node once: blocks of the new history may never name it.

use serde::{Deserialize, Serialize};

use super::block::watched;
use super::dispatch::Flow;
use crate::context::Context;
use crate::error::Error;
use crate::flows::RequestUpdate;
use crate::job::{Commit, Job, Kind, NewJob, Row, Spec, request_key};
use crate::ledger::query;

crate::job::stored! {
    "ledger_replaced": LedgerReplaced = 1,
}

/// The ledger was replaced: look at every request of this node.
pub const KIND: Kind = Kind::new(&Spec::transactional(20, "ledger.replaced"));

pub(in crate::flows) const FLOW: Flow =
    Flow::new(KIND, |context, job| Box::pin(handle(context, job)));

/// Requests listed in one job.
const LISTED: usize = 50_000;
/// Requests looked at in one job.
const PORTION: usize = 200;
/// Queries to the ledger at a time.
const QUESTIONS: usize = 8;

/// Payload of `ledger.replaced`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LedgerReplaced {
    /// The new chain.
    pub chain_id: String,
    /// The new era.
    pub era: u64,
    /// Newest block when it was noticed.
    pub height: u64,
    part: SweepStep,
}

/// A request of this role: index of its table, and row.
type KnownRequest = (usize, Row);

/// The task of one job. The first two have the bytes of earlier releases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum SweepStep {
    /// Lists the requests.
    All,
    /// Lists the requests after this one.
    After(KnownRequest),
    /// Looks at these requests.
    Of(Vec<KnownRequest>),
}

impl LedgerReplaced {
    /// The first job.
    pub fn job(chain_id: &str, era: u64, height: u64) -> NewJob {
        let first = Self {
            chain_id: chain_id.to_owned(),
            era,
            height,
            part: SweepStep::All,
        };
        first.as_job("start")
    }

    fn with(&self, part: SweepStep) -> Self {
        Self {
            part,
            ..self.clone()
        }
    }

    fn as_job(&self, portion: &str) -> NewJob {
        let Self { chain_id, era, .. } = self;
        NewJob::new(KIND, "ledger-replaced", self)
            .source(format!("replaced:{chain_id}:{era}:{portion}"))
    }
}

/// Handler of `ledger.replaced`: makes one job for each request. Lists the requests
/// once, and looks at them in portions.
///
/// # Errors
/// Temporary ones; those of the payload.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let replaced: LedgerReplaced = job.payload()?;
    match &replaced.part {
        SweepStep::All => Ok(list(&replaced, known(context).await?)),
        SweepStep::After(last) => {
            let mut rest = known(context).await?;
            rest.retain(|request| request > last);
            Ok(list(&replaced, rest))
        }
        SweepStep::Of(requests) => look_at(context, &replaced, requests).await,
    }
}

fn list(replaced: &LedgerReplaced, mut requests: Vec<KnownRequest>) -> Commit {
    requests.sort_unstable();
    let is_last = requests.len() <= LISTED;
    requests.truncate(LISTED);
    let mut commit = Commit::nothing();
    for portion in requests.chunks(PORTION) {
        let named = portion.first().map_or("", |(_, row)| row);
        let part = replaced.with(SweepStep::Of(portion.to_vec()));
        commit.job(part.as_job(&format!("of {named}")));
    }
    if let Some(last) = requests.pop().filter(|_| !is_last) {
        let named = format!("after {}", last.1);
        commit.job(replaced.with(SweepStep::After(last)).as_job(&named));
    }
    commit
}

async fn look_at(
    context: &Context,
    replaced: &LedgerReplaced,
    requests: &[KnownRequest],
) -> Result<Commit, Error> {
    let mut commit = Commit::nothing();
    for some in requests.chunks(QUESTIONS) {
        let looks = some
            .iter()
            .map(|(table, row)| look(context, replaced, *table, row));
        let jobs = futures_util::future::try_join_all(looks).await?;
        commit.jobs.extend(jobs.into_iter().flatten());
    }
    Ok(commit)
}

/// Every request of this role.
async fn known(context: &Context) -> Result<Vec<KnownRequest>, Error> {
    let mut known = Vec::new();
    for (place, (table, _)) in watched(context.role).iter().enumerate() {
        let rows = context.state.rows(*table, "").await?;
        known.extend(rows.into_iter().map(|row| (place, row)));
    }
    Ok(known)
}

/// The job for one request. A request that the ledger does not know counts as ended.
async fn look(
    context: &Context,
    replaced: &LedgerReplaced,
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
    let LedgerReplaced { chain_id, era, .. } = replaced;
    let source = format!("replaced:{chain_id}:{era}:{row}:{}", kind.name());
    let job = NewJob::new(kind, request_key(request_id), &update);
    Ok(Some(job.source(source)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::context::{Role, row};
    use crate::flows::idp;
    use crate::flows::testing::{TestNode, job as accepted};
    use crate::job::Stored;
    use crate::job::{Table, Write, codec};

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
        let mut open = vec![LedgerReplaced::job("chain-b", 2, 40)];
        let mut jobs = 0;
        let mut sources = std::collections::BTreeSet::new();
        let mut requests = std::collections::BTreeSet::new();
        while let Some(job) = open.pop() {
            assert!(sources.insert(job.source.clone()), "{:?}", job.source);
            let commit = handle(&node.context, &accepted(job)).await.unwrap();
            jobs += 1;
            for job in commit.jobs {
                if job.kind == KIND {
                    open.push(job);
                    continue;
                }
                assert_eq!(job.kind, idp::request_update::KIND);
                let update: RequestUpdate = codec::decode(&job.payload).unwrap();
                assert!(update.ended, "the ledger does not know it");
                assert_eq!(update.height, 40);
                assert!(requests.insert(update.request_id));
            }
        }
        assert_eq!((jobs, requests.len()), (4, 450));
    }

    #[test]
    fn more_than_can_be_listed_at_once_are_listed_in_turn() {
        let replaced = LedgerReplaced {
            chain_id: "chain-b".to_owned(),
            era: 2,
            height: 40,
            part: SweepStep::All,
        };
        let all: Vec<KnownRequest> = (0..LISTED + 1).map(|n| (0, format!("{n:06}"))).collect();
        let jobs = list(&replaced, all.clone()).jobs;
        assert_eq!(jobs.len(), LISTED / PORTION + 1);
        let last: LedgerReplaced = codec::decode(&jobs.last().unwrap().payload).unwrap();
        assert_eq!(last.part, SweepStep::After(all[LISTED - 1].clone()));
        assert_eq!(
            list(&replaced, all[..LISTED].to_vec()).jobs.len(),
            LISTED / PORTION
        );
    }

    #[test]
    fn a_job_that_an_earlier_release_stored_is_read() {
        #[derive(Serialize, Deserialize)]
        struct Before(String, u64, u64, Option<(usize, Row)>);
        impl Stored for Before {}
        for (after, part) in [
            (None, SweepStep::All),
            (
                Some((1, "r".to_owned())),
                SweepStep::After((1, "r".to_owned())),
            ),
        ] {
            let stored = codec::encode(&Before("chain-b".to_owned(), 2, 40, after));
            let read: LedgerReplaced = codec::decode(&stored).unwrap();
            assert_eq!((read.height, read.part), (40, part));
        }
    }
}
