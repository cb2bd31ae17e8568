//! URLs set by `POST /<role>/callback` and `/node/callback` (spec/flows.md
//! 1.4, 3.7). Table `CallbackUrl`: row = role, column = name, value = the URL
//! as text. On a proxy one set serves all nodes behind it.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::crypto_service;
use crate::api::{self, ApiCall, Audience, CallOutcome, Endpoint, NoPath, Texts};
use crate::context::{Context, state};
use crate::error::Error;
use crate::job::{Table, Write};

/// A look-up and a setting for each role and for the node.
pub fn endpoints() -> Vec<Endpoint> {
    [
        pair::<RpUrls>(),
        pair::<IdpUrls>(),
        pair::<AsUrls>(),
        pair::<ProxyUrls>(),
        // A node becomes ready through these.
        pair::<NodeUrls>().map(Endpoint::needs_nothing),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The URLs of a role, as the body that sets them.
trait Urls: Serialize + DeserializeOwned + JsonSchema + Send + 'static {
    /// Row of the URLs.
    const ROLE: &str;
    /// Path of the look-up and the setting.
    const PATH: &str;
    /// Who sets them.
    const AUDIENCE: Audience;
    /// Their names.
    const NAMES: &'static [&'static str];
}

macro_rules! urls {
    ($name:ident, $role:literal, $path:literal, $audience:ident, { $($url:ident),* }, $($attribute:meta)*) => {
        #[derive(Serialize, Deserialize, JsonSchema)]
        $(#[$attribute])*
        struct $name {
            $(
                #[serde(default, skip_serializing_if = "Option::is_none")]
                #[schemars(schema_with = "api::url")]
                $url: Option<String>,
            )*
        }

        impl Urls for $name {
            const ROLE: &str = $role;
            const PATH: &str = $path;
            const AUDIENCE: Audience = Audience::$audience;
            const NAMES: &'static [&'static str] = &[$(stringify!($url)),*];
        }
    };
}

urls!(RpUrls, "rp", "/rp/callback", Rp, { error_url },);
urls!(ProxyUrls, "proxy", "/proxy/callback", Proxy, { error_url },);
urls!(IdpUrls, "idp", "/idp/callback", Idp, {
    incoming_request_url,
    incoming_request_status_update_url,
    identity_modification_notification_url,
    error_url
},);
urls!(AsUrls, "as", "/as/callback", As, {
    incoming_request_status_update_url,
    error_url
},);
urls!(NodeUrls, "node", "/node/callback", Everybody, {
    sign_url,
    master_sign_url,
    decrypt_url,
    message_queue_send_success_url
}, schemars(transform = at_least_one));

/// At least one URL is required.
fn at_least_one(schema: &mut schemars::Schema) {
    let members = schema.get("properties").and_then(Value::as_object);
    let names = members.into_iter().flat_map(Map::keys);
    let branches: Vec<Value> = names.map(|name| json!({"required": [name]})).collect();
    schema.insert("anyOf".into(), branches.into());
}

fn pair<U: Urls>() -> [Endpoint; 2] {
    [
        Endpoint::get(U::PATH, U::AUDIENCE)
            .does("Shows the URLs that callbacks go to.")
            .without_acting_node()
            .tells(shown::<U>())
            .run(show::<U>),
        Endpoint::post(U::PATH, U::AUDIENCE)
            .does("Sets the URLs that callbacks go to.")
            .without_acting_node()
            .body::<U>()
            .run(set::<U>),
    ]
}

/// Shape of what is shown: those that are set.
fn shown<U: Urls>() -> Value {
    let names = U::NAMES.iter();
    names
        .map(|name| (format!("{name}?"), json!("text")))
        .collect()
}

async fn show<U: Urls>(call: ApiCall) -> Result<CallOutcome, Error> {
    let urls = callback_urls(&call.context, U::ROLE).await?;
    let is_set = !urls.is_empty();
    Ok(CallOutcome::found(is_set.then_some(Value::Object(urls))))
}

async fn set<U: Urls>(call: ApiCall<NoPath, Texts, U>) -> Result<CallOutcome, Error> {
    let urls = match json!(call.body) {
        Value::Object(urls) => urls,
        _ => Map::new(),
    };
    // Only the node's own URLs are tried first.
    let (tested, failure) = crypto_service::test_urls(&call.context, &urls).await;
    Ok(match failure {
        Some(error) => CallOutcome::StoredBefore(set_callback_urls(U::ROLE, &tested), error),
        None => CallOutcome::Stored(set_callback_urls(U::ROLE, &urls)),
    })
}

/// The names of a role's URLs (`rp`, `idp`, `as`, `proxy` or `node`), in the order
/// of the look-up.
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

/// Sets the URLs of the body and leaves the others unchanged. Ignores members that
/// the role does not have.
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
    use crate::context::Role;
    use crate::flows::testing::TestNode;

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
