//! Routes that the replaced system refuses too: 501 without a body, after the
//! schema check (spec/http-api.md 3.6).

use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::{ApiCall, Audience, CallOutcome, Endpoint, NoPath, Success, Texts};
use crate::error::Error;
use crate::flows::reply::ReplyTo;

pub fn endpoints() -> [Endpoint; 4] {
    let endorsement = "/identity/:namespace/:identifier/endorsement";
    let removal = "/identity/:namespace/:identifier/removal_from_reference_group";
    let merge = "/identity/:namespace/:identifier/reference_group_merge";
    let does = "Is not supported, as in the replaced system.";
    [
        Endpoint::get(endorsement, Audience::Everybody)
            .does(does)
            .without_acting_node()
            .answers(Success::empty(501))
            .run(run),
        Endpoint::post(endorsement, Audience::Everybody)
            .does(does)
            .without_acting_node()
            .answers(Success::empty(501))
            .run(run),
        Endpoint::post(removal, Audience::Idp)
            .does(does)
            .body::<Removal>()
            .answers(Success::empty(501))
            .run(run),
        Endpoint::post(merge, Audience::Idp)
            .does(does)
            .body::<Merge>()
            .answers(Success::empty(501))
            .run(run),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Removal {
    #[serde(flatten)]
    _reply: ReplyTo,
    #[serde(rename = "request_message")]
    _request_message: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Merge {
    #[serde(flatten)]
    _reply: ReplyTo,
    #[serde(rename = "namespace_to_merge")]
    #[schemars(length(min = 1))]
    _namespace_to_merge: String,
    #[serde(rename = "identifier_to_merge")]
    #[schemars(length(min = 1))]
    _identifier_to_merge: String,
    #[serde(rename = "request_message")]
    _request_message: Option<String>,
}

async fn run<B>(_: ApiCall<NoPath, Texts, B>) -> Result<CallOutcome, Error> {
    Ok(CallOutcome::Unsupported)
}
