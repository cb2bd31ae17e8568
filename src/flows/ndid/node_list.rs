//! `POST /ndid/get_node_id_list`: the active nodes.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::endpoint;
use crate::api::{ApiCall, CallOutcome, Endpoint, NoPath, Texts};
use crate::error::{Error, codes};
use crate::ledger::query;

pub fn endpoints() -> [Endpoint; 1] {
    [endpoint(
        "/ndid/get_node_id_list",
        "Lists the ids of the active nodes of a role.",
    )
    .body::<Body>()
    .tells(json!({"node_id_list": ["text"]}))
    .run(run)]
}

/// Body that filters the nodes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
struct Body {
    /// Role of the nodes; without: any.
    #[serde(default)]
    role: Option<ListedRole>,
}

/// A role that can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ListedRole {
    /// Any.
    #[serde(rename = "")]
    Any,
    /// RPs.
    Rp,
    /// IdPs.
    Idp,
    /// ASes.
    As,
}

impl ListedRole {
    fn text(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Rp => "rp",
            Self::Idp => "idp",
            Self::As => "as",
        }
    }
}

async fn run(call: ApiCall<NoPath, Texts, Body>) -> Result<CallOutcome, Error> {
    let role = call.body.role.map(ListedRole::text);
    let ids = query::node_ids(call.context.ledger.as_ref(), role).await?;
    match ids.is_empty() {
        false => Ok(CallOutcome::Ok(json!({"node_id_list": ids}))),
        // The form of the replaced system.
        true => {
            let text = "There is no active node of this role";
            Err(Error::with_message(codes::UNKNOWN_ERROR, text))
        }
    }
}
