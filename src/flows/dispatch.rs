//! Runs a job of a flow, and tells the client application of its failure.

use futures_util::future::BoxFuture;

use super::kinds::FLOWS;
use super::{idp, rp};
use crate::context::{Context, Role};
use crate::delivery::callback::error_job;
use crate::error::{Error, Refusal, codes, settled};
use crate::flows::RequestUpdate;
use crate::job::{Commit, Handler, Job, Kind, Run, request_of};
use crate::messaging::Received;

/// Action of `error` callbacks about jobs of a block.
pub(super) const BLOCK: &str = "handleTendermintNewBlock";

type Handled<'a> = BoxFuture<'a, Result<Commit, Error>>;

/// The handler of a kind, and who hears of its failure. Each stands beside its
/// function; [`super::kinds`] lists them.
pub(super) struct Flow {
    handler: Handler<Context, Result<Commit, Error>>,
    /// Role and action of the `error` callback. `None` if the flow itself tells of
    /// its failure, or if no role is concerned.
    told: Option<(&'static str, &'static str)>,
    /// The node concerned, if the payload names one.
    node: fn(&Job) -> Option<String>,
}

impl Flow {
    /// `handle` runs jobs of this kind, and nobody hears of their failure.
    pub const fn new(kind: Kind, handle: for<'a> fn(&'a Context, &'a Job) -> Handled<'a>) -> Self {
        Self {
            handler: Handler::new(kind, handle),
            told: None,
            node: |_| None,
        }
    }

    /// Sends failures to the `error_url` of this role, under this action.
    pub const fn told(mut self, role: &'static str, action: &'static str) -> Self {
        self.told = Some((role, action));
        self
    }

    /// Reads the node concerned from the payload: it may be behind this proxy.
    pub const fn for_node(mut self, node: fn(&Job) -> Option<String>) -> Self {
        self.node = node;
        self
    }

    /// The kind of its jobs.
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

/// Runs a job of a flow. Returns temporary failures (the job runs again later) and
/// failures to read stored bytes (the job is parked). Any other failure ends the job
/// as failed, and the role concerned gets an `error` callback (spec/flows.md 1.4).
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

/// Role and action of an `error` callback about a request of an IdP, instead of an
/// RP's: an IdP asks for consent as an RP does.
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
