//! The client application answered the `data_request` callback (spec/flows.md 4.4).

use serde_json::{Map, Value};

use super::response_created::{AnswerSource, ResultReport};
use super::{ACTION_AFTER_CALLBACK, ROLE, error, respond};
use crate::context::{Context, row};
use crate::delivery::callback::ANSWERED;
use crate::delivery::callback::{DataRequestAnswer, DataRequestRef, error_job};
use crate::error::{Error, Refusal, codes, settled};
use crate::flows::dispatch::Flow;
use crate::flows::error_code;
use crate::flows::reply::ReplyTo;
use crate::job::{Commit, Job, Table, Write};
use crate::json;

pub(in crate::flows) const FLOW: Flow =
    Flow::new(ANSWERED, |context, job| Box::pin(handle(context, job)))
        .told(ROLE, ACTION_AFTER_CALLBACK);

/// The parsed answer.
#[derive(Debug, Clone, PartialEq)]
enum ClientAnswer {
    /// 204: data or an error code will come by an API call.
    Later,
    /// Any other status than 200: this service can no longer be answered.
    Dropped,
    /// Data.
    Data {
        data: String,
        reply: Option<ReplyTo>,
    },
    /// An error code; `None` if it is not a whole number and so not a registered one.
    ErrorCode {
        error_code: Option<i64>,
        reply: Option<ReplyTo>,
    },
}

/// Handler of `as.callback_answer`.
///
/// # Errors
/// Those that are not final.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let answer: DataRequestAnswer = job.payload()?;
    let request = &answer.request;
    Ok(match settled(process(context, &answer).await)? {
        Ok(commit) => commit,
        Err(refusal) => failure(request, &refusal),
    })
}

async fn process(context: &Context, answer: &DataRequestAnswer) -> Result<Commit, Error> {
    let request = &answer.request;
    let DataRequestRef {
        node_id,
        request_id,
        service_id,
    } = request;
    match read(answer)? {
        ClientAnswer::Later => Ok(Commit::nothing()),
        ClientAnswer::Dropped => {
            let status = codes::INVALID_HTTP_RESPONSE_STATUS_CODE.into();
            let mut commit = failure(request, &status);
            commit.write(Write::DeleteColumn {
                table: Table::PendingDataRequest,
                row: row(node_id, request_id),
                column: service_id.clone(),
            });
            Ok(commit)
        }
        ClientAnswer::Data { data, reply } => {
            let from = AnswerSource::of_callback(report(context, reply));
            respond::answer(context, node_id, request_id, service_id, &data, from).await
        }
        ClientAnswer::ErrorCode { error_code, reply } => {
            let error_code = error_code.ok_or(codes::INVALID_ERROR_CODE)?;
            let from = AnswerSource::of_callback(report(context, reply));
            error::answer(context, node_id, request_id, service_id, error_code, from).await
        }
    }
}

/// # Errors
/// 20032 to 20036 and 20080.
fn read(answer: &DataRequestAnswer) -> Result<ClientAnswer, Error> {
    match answer.status {
        200 => {
            let body = answer.body.as_deref().ok_or(codes::BODY_TOO_LARGE)?;
            read_body(body)
        }
        204 => Ok(ClientAnswer::Later),
        _ => Ok(ClientAnswer::Dropped),
    }
}

fn read_body(body: &[u8]) -> Result<ClientAnswer, Error> {
    let body: Value = json::parse(body).map_err(|_| codes::CANNOT_PARSE_JSON)?;
    let Value::Object(body) = body else {
        return Err(codes::MISSING_DATA_IN_AS_DATA_RESPONSE.into());
    };
    let reply = reply(&body);
    match (given(&body, "error_code"), given(&body, "data")) {
        (Some(Value::Number(number)), _) => Ok(ClientAnswer::ErrorCode {
            error_code: error_code::whole(number),
            reply,
        }),
        (Some(_), _) => Err(codes::INVALID_ERROR_CODE_TYPE_IN_AS_RESPONSE.into()),
        (None, Some(Value::String(data))) if !data.is_empty() => Ok(ClientAnswer::Data {
            data: data.clone(),
            reply,
        }),
        // An empty text cannot be sent (spec/messaging-and-crypto.md 4.4).
        (None, None | Some(Value::String(_))) => {
            Err(codes::MISSING_DATA_IN_AS_DATA_RESPONSE.into())
        }
        (None, Some(_)) => Err(codes::INVALID_DATA_TYPE_IN_AS_DATA_RESPONSE.into()),
    }
}

fn given<'a>(body: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    body.get(name).filter(|value| !value.is_null())
}

fn reply(body: &Map<String, Value>) -> Option<ReplyTo> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(ReplyTo {
        reference_id: text("reference_id").filter(|text| !text.is_empty())?,
        callback_url: text("callback_url").filter(|text| !text.is_empty())?,
    })
}

fn report(context: &Context, reply: Option<ReplyTo>) -> ResultReport {
    let kind = respond::result_of(context.config.runtime.callback_version());
    match reply {
        Some(reply) => ResultReport::Result {
            reply,
            kind: kind.to_owned(),
        },
        None => ResultReport::FailureOnly,
    }
}

fn failure(request: &DataRequestRef, error: &Refusal) -> Commit {
    let mut commit = Commit::nothing();
    commit.job(error_job(
        ROLE,
        Some(&request.node_id),
        ACTION_AFTER_CALLBACK,
        Some(&request.request_id),
        error,
    ));
    commit
}
