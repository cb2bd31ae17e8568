//! `GET /utility/suppressed_identity_modification_notification_node_ids`: nodes
//! whose changes of identities other IdPs do not hear of.

use serde_json::json;

use super::{list, params};
use crate::api::{ApiCall, ApiVersion, Audience, CallOutcome, Endpoint, Texts};
use crate::error::Error;

pub fn endpoint() -> Endpoint {
    Endpoint::get(
        "/utility/suppressed_identity_modification_notification_node_ids",
        Audience::Everybody,
    )
    .does("Lists the IdPs whose changes of identities other IdPs do not hear of.")
    .without_acting_node()
    .query::<Texts>()
    .tells(json!(["text"]))
    .run(run)
    .since(ApiVersion::V5)
}

async fn run(call: ApiCall) -> Result<CallOutcome, Error> {
    let method = "GetSuppressedIdentityModificationNotificationNodeList";
    let params = params([("prefix", call.query.prefix)]);
    list(&call.context, method, params).await
}
