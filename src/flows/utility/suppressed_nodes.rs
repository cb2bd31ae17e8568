//! `GET /utility/suppressed_identity_modification_notification_node_ids`: nodes whose modifications of identities are notified to nobody.

use serde_json::json;

use super::{list, params};
use crate::api::{ApiVersion, Audience, Call, Endpoint, Outcome, Texts};
use crate::error::Error;

/// The table entry.
pub fn endpoint() -> Endpoint {
    Endpoint::get(
        "/utility/suppressed_identity_modification_notification_node_ids",
        Audience::Everybody,
    )
    .does("Lists the IdPs whose changes of identities are told to nobody.")
    .without_acting_node()
    .query::<Texts>()
    .tells(json!(["text"]))
    .run(run)
    .since(ApiVersion::V5)
}

async fn run(call: Call) -> Result<Outcome, Error> {
    let method = "GetSuppressedIdentityModificationNotificationNodeList";
    let params = params([("prefix", call.query.prefix)]);
    list(&call.context, method, params).await
}
