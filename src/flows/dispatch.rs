//! From a job's kind to its handler, and from a handler's failure to what the
//! client application hears.

use crate::actors::Run;
use crate::delivery::callback::error_job;
use crate::error::{Error, Refusal, codes, settled};
use crate::flows::{Received, RequestUpdate, as_, idp, node, replaced, rp};
use crate::job::{Commit, Job, Kind};
use crate::node::Context;

const OF_REQUEST: &str = "request:";

/// Whether jobs of this key are those of a request.
pub(crate) fn is_of_request(key: &str) -> bool {
    key.starts_with(OF_REQUEST)
}

/// Runs a job of a flow. Failures that may pass are returned and the job is run
/// again later; so are those of something stored that cannot be read, and the
/// job is parked; any other ends the job as failed and is told by an `error`
/// callback to the role concerned (spec/flows.md 1.4).
///
/// # Errors
/// Those that are not final ([`Error::settle`]).
pub async fn run(context: &Context, job: &Job) -> Result<Run, Error> {
    Ok(Run::Commit(match settled(handle(context, job).await)? {
        Ok(commit) => commit,
        Err(refusal) => failed(context, job, &refusal),
    }))
}

async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let commit = match job.kind() {
        Kind::LedgerReplaced => replaced::handle(context, job).await?,
        Kind::RpRequestCreated => rp::request_created::handle(context, job).await?,
        Kind::RpIdpResponse => rp::idp_response::handle(context, job).await?,
        Kind::RpAsResponse => rp::as_response::handle(context, job).await?,
        Kind::RpDataReceived => rp::data_received::handle(context, job).await?,
        Kind::RpRequestUpdate => rp::request_update::handle(context, job).await?,
        Kind::RpCloseRequest => rp::close_request::handle(context, job).await?,
        Kind::RpRequestClosed => rp::close_request::handle_closed(context, job).await?,
        Kind::RpTimeOut => rp::time_out::handle(context, job).await?,
        Kind::RpRequestTimedOut => rp::time_out::handle_timed_out(context, job).await?,
        Kind::IdpConsentRequest => idp::consent_request::handle(context, job).await?,
        Kind::IdpContractChecked => idp::contract_checked::handle(context, job).await?,
        Kind::IdpRequestUpdate => idp::request_update::handle(context, job).await?,
        Kind::IdpResponseCreated => idp::response_created::handle(context, job).await?,
        Kind::IdpIdentityModified => idp::identity_modified::handle(context, job).await?,
        Kind::AsDataRequest => as_::data_request::handle(context, job).await?,
        Kind::AsCallbackAnswer => as_::callback_answer::handle(context, job).await?,
        Kind::AsRequestUpdate => as_::request_update::handle(context, job).await?,
        Kind::AsResponseCreated => as_::response_created::handle(context, job).await?,
        Kind::AsServiceRegistered => as_::service::handle(context, job).await?,
        Kind::AsSignData => as_::sign_data::handle(context, job).await?,
        Kind::NodeMqRegistered => node::mq_registration::handle(context, job).await?,
        kind => {
            let problem = format!("no flow handles {}", kind.name());
            return Err(Error::with_message(codes::UNKNOWN_ERROR, problem));
        }
    };
    Ok(commit)
}

fn failed(context: &Context, job: &Job, error: &Refusal) -> Commit {
    let mut commit = Commit::failed(error.to_string());
    if let Some((role, action)) = told_as(job.kind()) {
        let node_id = node_id(context, job);
        let request_id = job.key().strip_prefix(OF_REQUEST);
        commit.job(error_job(role, Some(&node_id), action, request_id, error));
    }
    commit
}

/// Whose `error_url` hears of a failure, and under which action; `None` for
/// work whose failure the flow itself has told, or which concerns no role.
fn told_as(kind: Kind) -> Option<(&'static str, &'static str)> {
    const BLOCK: &str = "handleTendermintNewBlock";
    const RP: &str = "rp.processMessage";
    const IDP: &str = "idp.processMessage";
    const AS: &str = "as.processMessage";
    match kind {
        Kind::RpRequestUpdate => Some(("rp", BLOCK)),
        Kind::IdpRequestUpdate | Kind::IdpIdentityModified => Some(("idp", BLOCK)),
        Kind::AsRequestUpdate => Some(("as", BLOCK)),
        Kind::RpAsResponse => Some(("rp", "processAsResponse")),
        Kind::RpDataReceived => Some(("rp", rp::data_received::ACTION)),
        Kind::AsCallbackAnswer => Some(("as", "afterGotDataFromCallback")),
        Kind::RpIdpResponse
        | Kind::RpRequestCreated
        | Kind::RpCloseRequest
        | Kind::RpRequestClosed
        | Kind::RpTimeOut
        | Kind::RpRequestTimedOut => Some(("rp", RP)),
        Kind::IdpConsentRequest | Kind::IdpContractChecked | Kind::IdpResponseCreated => {
            Some(("idp", IDP))
        }
        Kind::AsDataRequest
        | Kind::AsResponseCreated
        | Kind::AsServiceRegistered
        | Kind::AsSignData => Some(("as", AS)),
        Kind::NodeMqRegistered
        | Kind::MqReceive
        | Kind::MqGiveUp
        | Kind::MqSend
        | Kind::LedgerTransact
        | Kind::LedgerConfirm
        | Kind::LedgerReplaced
        | Kind::DeliverTransaction
        | Kind::DeliverMessage
        | Kind::DeliverCallback
        | Kind::DeliverStatusUpdate
        | Kind::FetchContract
        | Kind::Noop
        | Kind::NoopChain
        | Kind::NoopOnce
        | Kind::NoopStuck
        | Kind::Unreadable => None,
    }
}

/// The node concerned, which may live behind this proxy.
fn node_id(context: &Context, job: &Job) -> String {
    let named = match job.kind() {
        Kind::RpRequestUpdate | Kind::IdpRequestUpdate | Kind::AsRequestUpdate => {
            let update: Option<RequestUpdate> = job.payload().ok();
            update.map(|update| update.node_id)
        }
        Kind::IdpContractChecked => {
            let checked: Option<idp::contract_checked::Checked> = job.payload().ok();
            checked.map(|checked| checked.contract.node_id)
        }
        Kind::IdpIdentityModified => {
            let modified: Option<idp::identity_modified::Modified> = job.payload().ok();
            modified.map(|modified| modified.node_id)
        }
        Kind::RpIdpResponse
        | Kind::RpAsResponse
        | Kind::IdpConsentRequest
        | Kind::AsDataRequest => {
            let received: Option<Received> = job.payload().ok();
            received.map(|received| received.receiver_node_id)
        }
        _ => None,
    };
    named.unwrap_or_else(|| context.node_id().to_owned())
}
