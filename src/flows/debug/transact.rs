//! `POST /debug/tmtransact/:method`: a transaction with the body as its
//! parameters. It is signed with the key that the ledger wants of the method.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::api::{Answered, Audience, Call, Endpoint, NoQuery, Outcome};
use crate::delivery::callback::{Persistence, Target, callback_job};
use crate::delivery::transaction::{Continuation, Fate, Settled, Transact, transact};
use crate::error::{Error, Refusal};
use crate::flows::accept;
use crate::flows::dispatch::Flow;
use crate::job::{Caller, Commit, Job, Kind, Spec, codec};

crate::job::stored! {
    "debug_hearer": Hearer = 1,
}

/// The transaction has settled.
pub const KIND: Kind = Kind::new(&Spec::transactional(42, "debug.settled"));

pub(in crate::flows) const FLOW: Flow =
    Flow::new(KIND, |_, job| Box::pin(async move { handle(job) }));

/// The table entry.
pub(super) fn endpoint() -> Endpoint {
    Endpoint::post("/debug/tmtransact/:method", Audience::Everybody)
        .does("Makes a transaction.")
        .without_acting_node()
        .begins()
        .path::<Path>()
        .query::<NoQuery>()
        .body::<Map<String, Value>>()
        .run(run)
        .outside_of_versions()
        .needs_nothing()
}

#[derive(Deserialize)]
struct Path {
    method: String,
}

/// Who hears what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Hearer {
    /// The client that waits.
    Caller(Caller),
    /// Whoever listens at this URL.
    Url(String),
}

async fn run(call: Call<Path, NoQuery, Map<String, Value>>) -> Result<Outcome, Error> {
    let mut params = call.body;
    let mut take = |name: &str| params.remove(name);
    let text = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned));
    let node_id = text(take("nodeId"));
    let url = text(take("debug_callbackUrl"));
    let waits = take("debug_sync") == Some(Value::Bool(true));
    // Which key signs follows from the method.
    take("debug_useMasterKey");
    let hearer = match url {
        Some(url) if !waits => Hearer::Url(url),
        _ => Hearer::Caller(call.caller.clone()),
    };
    let node_id = node_id.unwrap_or_else(|| call.context.node_id().to_owned());
    let then = Continuation::new(KIND, "debug", &hearer);
    let params = Value::Object(params);
    let request = Transact::new(&node_id, &call.path.method, &params, Some(then));
    let accept = accept(transact(&call.context, request).await?);
    Ok(match hearer {
        Hearer::Caller(_) => Outcome::Waits(accept),
        Hearer::Url(_) => Outcome::StoredJobs(accept),
    })
}

/// Handler of `debug.settled`.
fn handle(job: &Job) -> Result<Commit, Error> {
    let settled: Settled = job.payload()?;
    let hearer: Hearer = codec::decode(&settled.context)?;
    let mut commit = Commit::nothing();
    match (hearer, settled.fate) {
        (Hearer::Caller(caller), Fate::Committed { height }) => {
            // JSON in a JSON text.
            let result = json!({"height": height}).to_string();
            let body = Some(Value::from(result).to_string());
            Answered::Done { status: 200, body }.tell(&caller, &mut commit);
        }
        (Hearer::Caller(caller), Fate::Refused { code, message }) => {
            Answered::Refused { code, message }.tell(&caller, &mut commit);
        }
        (Hearer::Url(url), fate) => {
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
            let target = Target::Url(url);
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
