//! Makes the jobs of a block (spec/flows.md 1.7).

use async_trait::async_trait;

use crate::context::{Context, Role, row};
use crate::delivery::dcontract;
use crate::error::Error;
use crate::flows::idp::identity_modified;
use crate::flows::{RequestUpdate, as_, idp, rp, status_update};
use crate::job::{Kind, NewJob, Row, Table, request_key};
use crate::ledger::{Block, BlockJobs};

/// Makes the roles' jobs from blocks.
#[derive(Clone)]
pub struct RoleBlockJobs {
    /// Configuration, ledger and state.
    pub context: Context,
}

/// A request that a block changed.
#[derive(Debug, PartialEq)]
struct RequestChange {
    request_id: String,
    /// Whether its last transaction in the block ended it.
    ended: bool,
    /// Whether IdPs answered it, and nothing else happened to it.
    only_answered: bool,
}

#[async_trait]
impl BlockJobs for RoleBlockJobs {
    /// At most one job per request, node and role, for the requests that this node
    /// takes part in, and none that would do nothing. Each job has a source, so that
    /// a block handled twice makes its jobs once.
    ///
    /// # Errors
    /// Temporary when the store does not answer; on a proxy those of the ledger.
    async fn jobs(&self, block: &Block) -> Result<Vec<NewJob>, Error> {
        let changes = changes(block);
        let mut jobs = Vec::new();
        let tells_identities = self.tells_identities(block).await?;
        if changes.is_empty() && !tells_identities {
            return Ok(jobs);
        }
        for node_id in self.context.served_nodes().await? {
            if tells_identities {
                jobs.extend(identity_modified::jobs(&node_id, block));
            }
            for (table, kind) in watched(self.context.role) {
                let known = self.known(&node_id, *table, &changes).await?;
                let is_told = !known.is_empty() && self.is_told(*kind).await?;
                let made = known.into_iter().filter_map(|(change, record)| {
                    let step = self.step(*kind, change, &record, is_told)?;
                    Some(job(&node_id, *kind, step, block, change))
                });
                jobs.extend(made);
            }
        }
        Ok(jobs)
    }
}

impl RoleBlockJobs {
    /// Whether a client application hears of identities that this block changed.
    async fn tells_identities(&self, block: &Block) -> Result<bool, Error> {
        if !matches!(self.context.role, Role::Idp | Role::Proxy) {
            return Ok(false);
        }
        let changes_any = block.successful().any(identity_modified::is_change);
        Ok(changes_any && identity_modified::is_wanted(&self.context).await?)
    }

    /// What follows from a change of a request, for the role of this kind and its
    /// record of the request. `is_told`: the client application hears of every
    /// change.
    fn step(
        &self,
        kind: Kind,
        change: &RequestChange,
        record: &[u8],
        is_told: bool,
    ) -> Option<FollowUp> {
        if kind == rp::request_update::KIND {
            // The IdP's message is judged first, and its job reports both
            // (spec/http-api.md Q10).
            return (!change.only_answered).then_some(FollowUp::Update);
        }
        if change.ended {
            return Some(FollowUp::Update);
        }
        if !is_told {
            return None;
        }
        if kind == as_::request_update::KIND {
            return Some(FollowUp::Tell(as_::ROLE));
        }
        // The client application may have to hear of the request first.
        match dcontract::may_apply(&self.context.config, record) {
            true => Some(FollowUp::Update),
            false => Some(FollowUp::Tell(idp::ROLE)),
        }
    }

    /// Whether a client application hears of every change. Otherwise only the end of
    /// a request makes a job.
    async fn is_told(&self, kind: Kind) -> Result<bool, Error> {
        let role = if kind == idp::request_update::KIND {
            idp::ROLE
        } else if kind == as_::request_update::KIND {
            as_::ROLE
        } else {
            return Ok(true);
        };
        status_update::is_wanted(&self.context, role).await
    }

    async fn known<'a>(
        &self,
        node_id: &str,
        table: Table,
        changes: &'a [RequestChange],
    ) -> Result<Vec<(&'a RequestChange, Vec<u8>)>, Error> {
        let rows: Vec<Row> = changes
            .iter()
            .map(|change| row(node_id, &change.request_id))
            .collect();
        let values = self.context.state.get_many(table, &rows).await?;
        let known = changes.iter().zip(values);
        Ok(known
            .filter_map(|(change, value)| Some((change, value?)))
            .collect())
    }
}

/// What follows from a change of a request.
#[derive(Debug, Clone, Copy)]
enum FollowUp {
    /// A job under the request's key.
    Update,
    /// Only a callback to the client application of this role.
    Tell(&'static str),
}

/// The tables of a role's requests, and the kinds of their jobs.
pub(super) fn watched(role: Role) -> &'static [(Table, Kind)] {
    const RP: (Table, Kind) = (Table::RequestData, rp::request_update::KIND);
    const IDP: (Table, Kind) = (Table::ConsentRequest, idp::request_update::KIND);
    const AS: (Table, Kind) = (Table::DataRequest, as_::request_update::KIND);
    match role {
        Role::Rp => &[RP],
        // Its own requests ask for consent to identity operations.
        Role::Idp => &[IDP, RP],
        Role::As => &[AS],
        Role::Proxy => &[RP, IDP, AS],
        Role::Ndid => &[],
    }
}

/// Methods that change the request they name. An identity operation names the
/// request of its consent and does not change it.
const CHANGE_REQUESTS: [&str; 6] = [
    "CreateRequest",
    "CreateIdpResponse",
    "CreateAsResponse",
    "SetDataReceived",
    "CloseRequest",
    "TimeOutRequest",
];

/// The requests that the block's successful transactions change, in the order of
/// their first transaction.
fn changes(block: &Block) -> Vec<RequestChange> {
    let mut changes: Vec<RequestChange> = Vec::new();
    for transaction in block.successful() {
        if !CHANGE_REQUESTS.contains(&transaction.method.as_str()) {
            continue;
        }
        let Some(request_id) = transaction.param::<String>("request_id") else {
            continue;
        };
        let method = transaction.method.as_str();
        let ended = matches!(method, "CloseRequest" | "TimeOutRequest");
        let only_answered = method == "CreateIdpResponse";
        match changes
            .iter_mut()
            .find(|change| change.request_id == request_id)
        {
            Some(change) => {
                change.ended = ended;
                change.only_answered &= only_answered;
            }
            None => changes.push(RequestChange {
                request_id,
                ended,
                only_answered,
            }),
        }
    }
    changes
}

fn job(node_id: &str, kind: Kind, step: FollowUp, block: &Block, change: &RequestChange) -> NewJob {
    let Block {
        chain_id, height, ..
    } = block;
    let request_id = &change.request_id;
    let update = RequestUpdate {
        node_id: node_id.to_owned(),
        request_id: request_id.clone(),
        height: *height,
        ended: change.ended,
        is_new_history: false,
    };
    let source = format!(
        "block:{chain_id}:{height}:{node_id}:{request_id}:{}",
        kind.name()
    );
    let job = match step {
        FollowUp::Update => NewJob::new(kind, request_key(request_id), &update),
        FollowUp::Tell(role) => status_update::delivery(role, update),
    };
    job.source(source)
}

#[cfg(test)]
mod tests;
