//! The transaction of an AS's answer has settled (spec/flows.md 4.5).

use serde::{Deserialize, Serialize};

use super::PROCESS_MESSAGE;
use super::respond::DataAnswer;
use super::{ACTION_AFTER_CALLBACK, ROLE};
use crate::context::row;
use crate::context::{Context, state};
use crate::delivery::callback::error_job;
use crate::error::{Error, Refusal, codes, settled};
use crate::flows::call_mark::CallMark;
use crate::flows::dispatch::Flow;
use crate::flows::ledger_call::settlement;
use crate::flows::reply::ReplyTo;
use crate::job::{Commit, Job, Kind, NewJob, Spec, Table, Write};
use crate::messaging::outbound;
use crate::mq::message::{AsResponse, Message};

crate::job::stored! {
    "as_answered": AsResponseContext = 1,
}

/// The transaction of our answer has settled.
pub const KIND: Kind = Kind::new(&Spec::transactional(15, "as.response_created"));

pub(in crate::flows) const FLOW: Flow =
    Flow::new(KIND, |context, job| Box::pin(handle(context, job))).told(ROLE, PROCESS_MESSAGE);

const ACTION_OF_ANSWER: &str = "as.afterCreateAsResponse";

/// `type` of the result callback of an answer.
pub(super) const RESULT: &str = "response_result";

/// Context of the continuation of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AsResponseContext {
    /// The AS (behind a proxy: that node).
    pub node_id: String,
    /// Which request.
    pub request_id: String,
    /// For which service.
    pub service_id: String,
    /// Who gets the data.
    pub rp_id: String,
    /// Data or error code.
    pub content: AsResponseContent,
    /// Who hears of the result.
    pub report: ResultReport,
    /// The call that brought the answer; `None`: the answer to a callback.
    pub call: Option<CallMark>,
}

/// What the RP gets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum AsResponseContent {
    /// Data.
    Data {
        /// Row in table `DataAnswer`.
        answer_row: String,
    },
    /// The error code.
    Error(i64),
}

/// How the client application hears of the result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ResultReport {
    /// By a result callback.
    Result {
        /// URL and reference id.
        reply: ReplyTo,
        /// `type` of the callback.
        kind: String,
    },
    /// An `error` callback about a failure, nothing about success (answers to the
    /// `data_request` callback without `reference_id` and `callback_url`).
    FailureOnly,
}

/// Where an answer came from.
pub(super) struct AnswerSource {
    /// Who hears of the result.
    pub report: ResultReport,
    /// The API call, if one brought the answer.
    pub call: Option<CallMark>,
}

impl AnswerSource {
    /// An answer by an API call.
    pub fn of_call(reply: &ReplyTo, result: &str, call: CallMark) -> Self {
        let report = ResultReport::Result {
            reply: reply.clone(),
            kind: result.to_owned(),
        };
        Self {
            report,
            call: Some(call),
        }
    }

    /// The answer to the `data_request` callback.
    pub fn of_callback(report: ResultReport) -> Self {
        Self { report, call: None }
    }
}

/// Handler of `as.response_created`. Once the answer is on the ledger the result is
/// success, even if no message can be sent to the RP: an `error` callback reports
/// that.
///
/// # Errors
/// Those that are not final.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let (answered, result) = settlement::<AsResponseContext>(job)?;
    let call = answered.call.as_ref();
    let mut commit = match result {
        Ok(height) => {
            let mut commit = tell(context, &answered, height).await?;
            if let Some(call) = call {
                commit.write(call.keep(context, Table::DataRequest).await?);
            }
            commit
        }
        Err(refusal) => {
            let mut commit = refused(&answered, &refusal);
            commit.writes.extend(call.map(CallMark::forget));
            commit
        }
    };
    if let AsResponseContent::Data { answer_row } = &answered.content {
        commit.write(Write::delete(Table::DataAnswer, answer_row));
    }
    Ok(commit)
}

async fn tell(
    context: &Context,
    answered: &AsResponseContext,
    height: u64,
) -> Result<Commit, Error> {
    let mut commit = match settled(message(context, answered, height).await)? {
        Ok(messages) => messages,
        Err(refusal) => {
            let mut commit = Commit::nothing();
            commit.job(error_callback(answered, ACTION_OF_ANSWER, &refusal));
            commit
        }
    };
    commit.write(Write::DeleteColumn {
        table: Table::PendingDataRequest,
        row: row(&answered.node_id, &answered.request_id),
        column: answered.service_id.clone(),
    });
    if let ResultReport::Result { reply, kind } = &answered.report {
        commit.job(reply.about_request(&answered.node_id, kind, &answered.request_id, None));
    }
    Ok(commit)
}

async fn message(
    context: &Context,
    answered: &AsResponseContext,
    height: u64,
) -> Result<Commit, Error> {
    let (data, error_code) = match &answered.content {
        AsResponseContent::Data { answer_row } => (Some(load(context, answer_row).await?), None),
        AsResponseContent::Error(error_code) => (None, Some((*error_code).into())),
    };
    let (signature, data_salt, packed_data) = match data {
        Some(data) => (
            Some(data.signature),
            Some(data.data_salt),
            Some(data.packed_data),
        ),
        None => (None, None, None),
    };
    let response = Message::AsResponse(AsResponse {
        request_id: answered.request_id.clone(),
        as_id: answered.node_id.clone(),
        service_id: answered.service_id.clone(),
        signature,
        data_salt,
        packed_data,
        error_code,
        chain_id: context.ledger.chain_id()?,
        height,
    });
    let receiver = outbound::receiver(context, &answered.rp_id).await?;
    outbound::send(context, &answered.node_id, &[receiver], &response).await
}

async fn load(context: &Context, answer_row: &str) -> Result<DataAnswer, Error> {
    let answer = state::load(context, Table::DataAnswer, answer_row, "").await?;
    answer.ok_or_else(|| {
        Error::with_message(codes::DB_ERROR, format!("no stored answer {answer_row}"))
    })
}

/// The data request stays open: the client application may try again.
pub(super) fn refused(answered: &AsResponseContext, error: &Refusal) -> Commit {
    let mut commit = Commit::nothing();
    commit.job(match &answered.report {
        ResultReport::Result { reply, kind } => {
            let request_id = &answered.request_id;
            reply.about_request(&answered.node_id, kind, request_id, Some(error))
        }
        ResultReport::FailureOnly => error_callback(answered, ACTION_AFTER_CALLBACK, error),
    });
    commit
}

fn error_callback(answered: &AsResponseContext, action: &str, error: &Refusal) -> NewJob {
    let request_id = Some(answered.request_id.as_str());
    error_job(ROLE, Some(&answered.node_id), action, request_id, error)
}
