//! `POST /debug/tmquery/:method`: a query of the ledger, with the body as its
//! parameters.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::{ApiCall, Audience, CallOutcome, Endpoint, NoQuery};
use crate::error::Error;
use crate::flows::debug::transact::failure;

pub(super) fn endpoint() -> Endpoint {
    Endpoint::post("/debug/tmquery/:method", Audience::Everybody)
        .does("Asks the ledger.")
        .without_acting_node()
        .path::<Path>()
        .query::<NoQuery>()
        .body::<Map<String, Value>>()
        .tells(json!("any"))
        .run(run)
        .outside_of_versions()
        .needs_nothing()
}

#[derive(Deserialize)]
struct Path {
    method: String,
}

async fn run(call: ApiCall<Path, NoQuery, Map<String, Value>>) -> Result<CallOutcome, Error> {
    let ledger = call.context.ledger.as_ref();
    let params = Value::Object(call.body);
    Ok(match ledger.query(&call.path.method, params, None).await {
        Ok(answer) => CallOutcome::Ok(answer.map_or(Value::Null, |answer| answer.as_ref().clone())),
        Err(error) => CallOutcome::Failed(500, failure(&error)),
    })
}
