//! `GET /utility/suppressed_identity_modification_notification_node_ids/:node_id`: whether modifications by a node are notified to nobody.

use serde::Deserialize;
use serde_json::json;

use super::whole;
use crate::api::{ApiVersion, Audience, Call, Endpoint, Outcome};
use crate::error::Error;

/// The table entry.
pub fn endpoint() -> Endpoint {
    Endpoint::get(
        "/utility/suppressed_identity_modification_notification_node_ids/:node_id",
        Audience::Everybody,
    )
    .does("Tells whether an IdP's changes of identities are told to nobody.")
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

async fn run(call: Call<Path>) -> Result<Outcome, Error> {
    let params = json!({"node_id": call.path.node_id});
    let method = "IsSuppressedIdentityModificationNotificationNode";
    whole(&call.context, method, params).await
}
