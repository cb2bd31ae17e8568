//! Runs a job of a flow, and says what the client application hears of its
//! failure.

use futures_util::future::BoxFuture;

use super::kinds::FLOWS;
use super::{idp, rp};
use crate::context::{Context, Role};
use crate::delivery::callback::error_job;
use crate::error::{Error, Refusal, codes, settled};
use crate::flows::RequestUpdate;
use crate::job::{Commit, Handler, Job, Kind, Run, request_of};
use crate::messaging::Received;

/// Action of `error` callbacks about what follows from a block.
pub(super) const BLOCK: &str = "handleTendermintNewBlock";

type Handled<'a> = BoxFuture<'a, Result<Commit, Error>>;

/// The handler of a kind, and who hears of its failure. Stands beside the
/// function it names; [`super::kinds`] lists them.
pub(super) struct Flow {
    handler: Handler<Context, Result<Commit, Error>>,
    /// Role and action of the `error` callback; `None` for work whose failure the
    /// flow itself has told, or which concerns no role.
    told: Option<(&'static str, &'static str)>,
    /// The node concerned, if the payload names one.
    node: fn(&Job) -> Option<String>,
}

impl Flow {
    /// Jobs of this kind are run so, and nobody hears of their failure.
    pub const fn new(kind: Kind, handle: for<'a> fn(&'a Context, &'a Job) -> Handled<'a>) -> Self {
        Self {
            handler: Handler::new(kind, handle),
            told: None,
            node: |_| None,
        }
    }

    /// The `error_url` of this role hears of a failure, under this action.
    pub const fn told(mut self, role: &'static str, action: &'static str) -> Self {
        self.told = Some((role, action));
        self
    }

    /// The payload names the node concerned, which may live behind this proxy.
    pub const fn for_node(mut self, node: fn(&Job) -> Option<String>) -> Self {
        self.node = node;
        self
    }

    /// Which jobs it runs.
    pub const fn kind(&self) -> Kind {
        self.handler.kind()
    }

    fn failed(&self, context: &Context, job: &Job, error: &Refusal) -> Commit {
        let mut commit = Commit::failed(error.to_string());
        if let Some((role, action)) = self.told {
            let (role, action) = match context.role {
                Role::Idp if role == rp::ROLE => of_requesting_idp(action),
                _ => (role, action),
            };
            let node_id = (self.node)(job).unwrap_or_else(|| context.node_id().to_owned());
            let request_id = request_of(job.key());
            commit.job(error_job(role, Some(&node_id), action, request_id, error));
        }
        commit
    }
}

/// Runs a job of a flow. Failures that may pass are returned and the job is run
/// again later; so are those of something stored that cannot be read, and the
/// job is parked; any other ends the job as failed and is told by an `error`
/// callback to the role concerned (spec/flows.md 1.4).
///
/// # Errors
/// Those that are not final ([`Error::settle`]).
pub async fn run(context: &Context, job: &Job) -> Result<Run, Error> {
    let kind = job.kind();
    let Some(flow) = FLOWS.iter().find(|flow| flow.kind() == kind) else {
        let problem = format!("no flow handles {}", kind.name());
        return Err(Error::with_message(codes::UNKNOWN_ERROR, problem));
    };
    let handled = flow.handler.run(context, job).await;
    Ok(Run::Commit(match settled(handled)? {
        Ok(commit) => commit,
        Err(refusal) => flow.failed(context, job, &refusal),
    }))
}

/// Role and action of an `error` callback about a request of an IdP, in place
/// of those of an RP: it asks for consent as an RP does.
pub(super) fn of_requesting_idp(action: &str) -> (&'static str, &str) {
    match action {
        rp::report::PROCESS_MESSAGE => (idp::ROLE, idp::PROCESS_MESSAGE),
        other => (idp::ROLE, other),
    }
}

/// The node whose request a block changed.
pub(super) fn node_of_update(job: &Job) -> Option<String> {
    let update: RequestUpdate = job.payload().ok()?;
    Some(update.node_id)
}

/// The node that a message is for.
pub(super) fn node_of_message(job: &Job) -> Option<String> {
    let received: Received = job.payload().ok()?;
    Some(received.receiver_node_id)
}
