//! `POST /debug/tmtransact/:method`: a transaction with the body as its parameters.
//! The method decides which key signs. What fails is answered with 500 and the
//! members of the replaced system's error, not with an error object.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::api::{ApiCall, Audience, CallOutcome, Endpoint, NoQuery, SettledAnswer};
use crate::delivery::callback::{CallbackTarget, Persistence, callback_job};
use crate::delivery::transaction::{Continuation, Fate, Settled, Transact, transact};
use crate::error::{Error, Fault, Refusal, codes};
use crate::flows::accept;
use crate::flows::dispatch::Flow;
use crate::job::{Caller, Commit, Job, Kind, Spec, codec};

crate::job::stored! {
    "debug_hearer": DebugRecipient = 1,
}

/// The transaction has settled.
pub const KIND: Kind = Kind::new(&Spec::transactional(42, "debug.settled"));

pub(in crate::flows) const FLOW: Flow =
    Flow::new(KIND, |_, job| Box::pin(async move { handle(job) }));

pub(super) fn endpoint() -> Endpoint {
    Endpoint::post("/debug/tmtransact/:method", Audience::Everybody)
        .does("Makes a transaction.")
        .without_acting_node()
        .begins()
        .path::<Path>()
        .query::<NoQuery>()
        .body::<Map<String, Value>>()
        .tells(json!("text"))
        .run(run)
        .outside_of_versions()
        .needs_nothing()
}

#[derive(Deserialize)]
struct Path {
    method: String,
}

/// Who hears of the result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum DebugRecipient {
    /// The waiting client.
    Caller(Caller),
    /// This URL.
    Url(String),
}

async fn run(call: ApiCall<Path, NoQuery, Map<String, Value>>) -> Result<CallOutcome, Error> {
    let mut params = call.body;
    let mut take = |name: &str| params.remove(name);
    let text = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned));
    let node_id = text(take("nodeId"));
    let url = text(take("debug_callbackUrl"));
    let waits = take("debug_sync") == Some(Value::Bool(true));
    // The method decides which key signs.
    take("debug_useMasterKey");
    let recipient = match url {
        Some(url) if !waits => DebugRecipient::Url(url),
        _ => DebugRecipient::Caller(call.caller.clone()),
    };
    let node_id = node_id.unwrap_or_else(|| call.context.node_id().to_owned());
    let then = Continuation::new(KIND, "debug", &recipient);
    let params = Value::Object(params);
    let request = Transact::new(&node_id, &call.path.method, &params, Some(then));
    let accept = match transact(&call.context, request).await {
        Ok(writes) => accept(writes),
        Err(error) => return Ok(CallOutcome::Failed(500, failure(&error))),
    };
    Ok(match recipient {
        DebugRecipient::Caller(_) => CallOutcome::Waits(accept),
        DebugRecipient::Url(_) => CallOutcome::StoredJobs(accept),
    })
}

/// What the replaced system's error objects have besides a text.
pub(super) fn failure(error: &Error) -> Value {
    let code = error.code();
    let mut members = Map::new();
    members.insert("code".into(), code.number.into());
    if code.fault == Fault::Client {
        members.insert("clientError".into(), true.into());
    }
    if let Some(abci) = codes::to_abci(code.number) {
        members.insert("details".into(), json!({"abciCode": abci}));
    }
    Value::Object(members)
}

/// Handler of `debug.settled`.
fn handle(job: &Job) -> Result<Commit, Error> {
    let settled: Settled = job.payload()?;
    let recipient: DebugRecipient = codec::decode(&settled.context)?;
    let mut commit = Commit::nothing();
    match (recipient, settled.fate) {
        (DebugRecipient::Caller(caller), Fate::Committed { height }) => {
            // The result is JSON in a JSON text.
            let result = json!({"height": height}).to_string();
            let body = Some(Value::from(result).to_string());
            SettledAnswer::Done { status: 200, body }.tell(&caller, &mut commit);
        }
        (DebugRecipient::Caller(caller), Fate::Refused { code, message }) => {
            let failure = failure(&Refusal::of_ledger(code, message));
            let body = Some(failure.to_string());
            SettledAnswer::Done { status: 500, body }.tell(&caller, &mut commit);
        }
        (DebugRecipient::Url(url), fate) => {
            let mut body = Map::new();
            body.insert(
                "success".into(),
                matches!(fate, Fate::Committed { .. }).into(),
            );
            match fate {
                Fate::Committed { height } => {
                    body.insert("result".into(), json!({"height": height}));
                }
                Fate::Refused { code, message } => {
                    let refusal = Refusal::of_ledger(code, message);
                    body.insert("error".into(), refusal.to_json());
                }
            }
            let target = CallbackTarget::Url(url);
            commit.job(callback_job(
                target,
                "debug",
                body,
                Persistence::Single,
                None,
            ));
        }
    }
    Ok(commit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::testing::{callbacks, job};
    use crate::job::{NewJob, Table, Write};

    fn settled(recipient: &DebugRecipient, fate: Fate) -> Commit {
        let settled = Settled {
            hash: "ab".to_owned(),
            fate,
            context: codec::encode(recipient),
        };
        handle(&job(NewJob::new(KIND, "debug", &settled))).unwrap()
    }

    fn refused() -> Fate {
        Fate::Refused {
            code: 25012,
            message: "no".to_owned(),
        }
    }

    /// What a client that waits is told.
    fn answered(fate: Fate) -> (u16, Option<Value>) {
        let waits = DebugRecipient::Caller(Caller::new("test"));
        let commit = settled(&waits, fate);
        let answer = commit.writes.iter().find_map(|write| match write {
            Write::Put {
                table: Table::Answer,
                value,
                ..
            } => Some(value),
            _ => None,
        });
        let answer: SettledAnswer = codec::decode(answer.unwrap()).unwrap();
        answer.into_result().unwrap()
    }

    #[test]
    fn a_client_that_waits_gets_json_in_a_text() {
        let told = answered(Fate::Committed { height: 7 });
        assert_eq!(told, (200, Some(json!("{\"height\":7}"))));
    }

    #[test]
    fn a_client_that_waits_gets_the_members_of_an_error() {
        let refused = |code| {
            let message = "no".to_owned();
            answered(Fate::Refused { code, message })
        };
        let of_client = json!({"code": 25057, "clientError": true, "details": {"abciCode": 88}});
        assert_eq!(refused(25057), (500, Some(of_client)));
        let of_server = json!({"code": 10000, "details": {"abciCode": 999}});
        assert_eq!(refused(10000), (500, Some(of_server)));
    }

    #[test]
    fn a_url_hears_once_what_became_of_it() {
        let url = DebugRecipient::Url("http://localhost/heard".to_owned());
        let told = |fate| {
            let told = callbacks(&settled(&url, fate).jobs);
            assert_eq!(told.len(), 1);
            told[0].1.clone()
        };
        let done = told(Fate::Committed { height: 7 });
        assert_eq!(done, json!({"success": true, "result": {"height": 7}}));
        let failed = told(refused());
        assert_eq!(
            (&failed["success"], &failed["error"]["code"]),
            (&json!(false), &json!(25012))
        );
    }
}
