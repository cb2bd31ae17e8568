//! URLs set by `POST /<role>/callback` and `/node/callback` (spec/flows.md
//! 1.4, 3.7). Table `CallbackUrl`: row = role, column = name, value = the URL
//! as text. On a proxy one set serves all nodes behind it.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::error::Error;
use crate::flows::state;
use crate::job::{Table, Write};
use crate::node::Context;

/// The names of a role (`rp`, `idp`, `as`, `proxy` or `node`), in the order in
/// which they are shown.
fn names(role: &str) -> &'static [&'static str] {
    match role {
        "rp" | "proxy" => &["error_url"],
        "idp" => &[
            "incoming_request_url",
            "incoming_request_status_update_url",
            "identity_modification_notification_url",
            "error_url",
        ],
        "as" => &["incoming_request_status_update_url", "error_url"],
        "node" => &[
            "sign_url",
            "master_sign_url",
            "decrypt_url",
            "message_queue_send_success_url",
        ],
        _ => &[],
    }
}

/// The URLs that are set; empty if none is.
///
/// # Errors
/// Those of the store.
pub async fn callback_urls(context: &Context, role: &str) -> Result<Map<String, Value>, Error> {
    let mut stored: HashMap<_, _> = context
        .state
        .columns(Table::CallbackUrl, role)
        .await?
        .into_iter()
        .collect();
    let mut urls = Map::new();
    for name in names(role) {
        if let Some(url) = stored.remove(*name) {
            let url = state::text(Table::CallbackUrl, role, name, url)?;
            urls.insert((*name).to_owned(), url.into());
        }
    }
    Ok(urls)
}

/// Sets the URLs given, leaving the others as they are. Members that the role
/// does not have are ignored.
pub fn set_callback_urls(role: &str, urls: &Map<String, Value>) -> Vec<Write> {
    let given = names(role)
        .iter()
        .filter_map(|name| Some((*name, urls.get(*name)?.as_str()?)));
    given
        .map(|(name, url)| {
            Write::put_column(Table::CallbackUrl, role, name, url.as_bytes().to_vec())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::flows::testing::TestNode;
    use crate::node::Role;

    #[tokio::test]
    async fn only_given_urls_of_the_role_change() {
        let node = TestNode::new("idp1", Role::Idp);
        let shown = callback_urls(&node.context, "idp").await.unwrap();
        assert!(shown.is_empty());
        for (given, expected) in [
            (
                json!({"incoming_request_url": "http://a", "error_url": "http://b"}),
                json!({"incoming_request_url": "http://a", "error_url": "http://b"}),
            ),
            (
                json!({"error_url": "http://c", "sign_url": "http://d", "node_id": "x"}),
                json!({"incoming_request_url": "http://a", "error_url": "http://c"}),
            ),
        ] {
            node.state
                .apply(&set_callback_urls("idp", given.as_object().unwrap()));
            let shown = callback_urls(&node.context, "idp").await.unwrap();
            assert_eq!(Value::Object(shown), expected);
        }
        assert!(callback_urls(&node.context, "rp").await.unwrap().is_empty());
    }
}
