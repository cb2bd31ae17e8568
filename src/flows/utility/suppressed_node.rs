//! `GET /utility/suppressed_identity_modification_notification_node_ids/:node_id`:
//! whether other IdPs do not hear of a node's changes of identities.

use serde::Deserialize;
use serde_json::json;

use super::whole;
use crate::api::{ApiCall, ApiVersion, Audience, CallOutcome, Endpoint};
use crate::error::Error;

pub fn endpoint() -> Endpoint {
    Endpoint::get(
        "/utility/suppressed_identity_modification_notification_node_ids/:node_id",
        Audience::Everybody,
    )
    .does("Shows whether an IdP's changes of identities are hidden from other IdPs.")
    .without_acting_node()
    .path::<Path>()
    .tells(json!({"suppressed": "boolean"}))
    .run(run)
    .since(ApiVersion::V5)
}

#[derive(Deserialize)]
struct Path {
    node_id: String,
}

async fn run(call: ApiCall<Path>) -> Result<CallOutcome, Error> {
    let params = json!({"node_id": call.path.node_id});
    let method = "IsSuppressedIdentityModificationNotificationNode";
    whole(&call.context, method, params).await
}
