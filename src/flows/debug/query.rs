//! `POST /debug/tmquery/:method`: a query of the ledger, with the body as its
//! parameters.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::api::{ApiCall, Audience, CallOutcome, Endpoint, NoQuery};
use crate::error::Error;

pub(super) fn endpoint() -> Endpoint {
    Endpoint::post("/debug/tmquery/:method", Audience::Everybody)
        .does("Asks the ledger.")
        .without_acting_node()
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

async fn run(call: ApiCall<Path, NoQuery, Map<String, Value>>) -> Result<CallOutcome, Error> {
    let ledger = call.context.ledger.as_ref();
    let params = Value::Object(call.body);
    let answer = ledger.query(&call.path.method, params, None).await?;
    let answer = answer.map_or(Value::Null, |answer| answer.as_ref().clone());
    Ok(CallOutcome::Ok(answer))
}
