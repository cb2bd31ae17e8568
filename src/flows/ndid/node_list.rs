//! `POST /ndid/get_node_id_list`: the active nodes.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::endpoint;
use crate::api::{Call, Endpoint, NoPath, Outcome, Texts};
use crate::error::{Error, codes};
use crate::ledger::query;

/// The table entries.
pub fn endpoints() -> [Endpoint; 1] {
    [endpoint(
        "/ndid/get_node_id_list",
        "Lists the ids of the active nodes of a role.",
    )
    .body::<Wanted>()
    .tells(json!({"node_id_list": ["text"]}))
    .run(run)]
}

/// Body that says which nodes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
struct Wanted {
    /// Of which role; without: of any.
    #[serde(default)]
    role: Option<Role>,
}

/// A role that lists are kept of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Role {
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

impl Role {
    fn text(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Rp => "rp",
            Self::Idp => "idp",
            Self::As => "as",
        }
    }
}

async fn run(call: Call<NoPath, Texts, Wanted>) -> Result<Outcome, Error> {
    let role = call.body.role.map(Role::text);
    let ids = query::node_ids(call.context.ledger.as_ref(), role).await?;
    match ids.is_empty() {
        false => Ok(Outcome::Ok(json!({"node_id_list": ids}))),
        // As clients of the replaced system know it.
        true => {
            let text = "There is no active node of this role";
            Err(Error::with_message(codes::UNKNOWN_ERROR, text))
        }
    }
}
