//! The client application answered the `data_request` callback (spec/flows.md 4.4).

use serde_json::{Map, Value};

use super::response_created::{Report, Source};
use super::{ACTION_AFTER_CALLBACK, ROLE, error, respond};
use crate::context::{Context, row};
use crate::delivery::callback::ANSWERED;
use crate::delivery::callback::{DataRequestAnswer, DataRequestRef, error_job};
use crate::error::{Error, Refusal, codes, settled};
use crate::flows::dispatch::Flow;
use crate::flows::error_code;
use crate::flows::reply::Reply;
use crate::job::{Commit, Job, Table, Write};
use crate::json;

pub(in crate::flows) const FLOW: Flow =
    Flow::new(ANSWERED, |context, job| Box::pin(handle(context, job)))
        .told(ROLE, ACTION_AFTER_CALLBACK);

/// What the answer asks for.
#[derive(Debug, Clone, PartialEq)]
enum Answer {
    /// 204: data or an error code will come by an API call.
    Later,
    /// Any other status than 200: this service can no longer be answered.
    Dropped,
    /// Data.
    Data { data: String, reply: Option<Reply> },
    /// An error code; `None` if it is not a whole number and so not a registered one.
    ErrorCode {
        error_code: Option<i64>,
        reply: Option<Reply>,
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
        Answer::Later => Ok(Commit::nothing()),
        Answer::Dropped => {
            let status = codes::INVALID_HTTP_RESPONSE_STATUS_CODE.into();
            let mut commit = failure(request, &status);
            commit.write(Write::DeleteColumn {
                table: Table::PendingDataRequest,
                row: row(node_id, request_id),
                column: service_id.clone(),
            });
            Ok(commit)
        }
        Answer::Data { data, reply } => {
            let from = Source::of_callback(report(context, reply));
            respond::answer(context, node_id, request_id, service_id, &data, from).await
        }
        Answer::ErrorCode { error_code, reply } => {
            let error_code = error_code.ok_or(codes::INVALID_ERROR_CODE)?;
            let from = Source::of_callback(report(context, reply));
            error::answer(context, node_id, request_id, service_id, error_code, from).await
        }
    }
}

/// # Errors
/// 20032 to 20036 and 20080.
fn read(answer: &DataRequestAnswer) -> Result<Answer, Error> {
    match answer.status {
        200 => {
            let body = answer.body.as_deref().ok_or(codes::BODY_TOO_LARGE)?;
            read_body(body)
        }
        204 => Ok(Answer::Later),
        _ => Ok(Answer::Dropped),
    }
}

fn read_body(body: &[u8]) -> Result<Answer, Error> {
    let body: Value = json::parse(body).map_err(|_| codes::CANNOT_PARSE_JSON)?;
    let Value::Object(body) = body else {
        return Err(codes::MISSING_DATA_IN_AS_DATA_RESPONSE.into());
    };
    let reply = reply(&body);
    match (given(&body, "error_code"), given(&body, "data")) {
        (Some(Value::Number(number)), _) => Ok(Answer::ErrorCode {
            error_code: error_code::whole(number),
            reply,
        }),
        (Some(_), _) => Err(codes::INVALID_ERROR_CODE_TYPE_IN_AS_RESPONSE.into()),
        (None, Some(Value::String(data))) if !data.is_empty() => Ok(Answer::Data {
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

fn reply(body: &Map<String, Value>) -> Option<Reply> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(Reply {
        reference_id: text("reference_id").filter(|text| !text.is_empty())?,
        callback_url: text("callback_url").filter(|text| !text.is_empty())?,
    })
}

fn report(context: &Context, reply: Option<Reply>) -> Report {
    let kind = respond::result_of(context.config.runtime.callback_version());
    match reply {
        Some(reply) => Report::Result {
            reply,
            kind: kind.to_owned(),
        },
        None => Report::FailureOnly,
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
