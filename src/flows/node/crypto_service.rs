//! Tries the URLs of an external crypto service before they are stored
//! (spec/messaging-and-crypto.md 6).

use serde_json::{Map, Value};

use crate::context::Context;
use crate::crypto::{KeyUse, external};
use crate::error::Error;

/// The URLs that are tried, in this order.
const NAMES: [&str; 3] = ["sign_url", "master_sign_url", "decrypt_url"];

/// Tries the URLs of a crypto service among `urls` and stops at the first failure;
/// the URLs before it have passed.
pub(super) async fn test_urls(
    context: &Context,
    urls: &Map<String, Value>,
) -> (Map<String, Value>, Option<Error>) {
    let mut tested = Map::new();
    for name in NAMES {
        let Some(url) = urls.get(name).and_then(Value::as_str) else {
            continue;
        };
        if let Err(error) = test_url(context, name, url).await {
            return (tested, Some(error));
        }
        tested.insert(name.to_owned(), url.into());
    }
    (tested, None)
}

async fn test_url(context: &Context, name: &str, url: &str) -> Result<(), Error> {
    let (http, ledger) = (&context.http, context.ledger.as_ref());
    let node_id = context.node_id();
    let version = context.config.runtime.external_crypto_version();
    let key_use = match name {
        "sign_url" => KeyUse::Signing,
        "master_sign_url" => KeyUse::SigningMaster,
        _ => return external::test_decrypt_url(http, ledger, version, node_id, url).await,
    };
    external::test_sign_url(http, ledger, version, node_id, key_use, url).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::context::Role;
    use crate::crypto::external_tests::Service;
    use crate::messaging::testing;
    use crate::messaging::testing::FakeLedger;

    #[actix::test]
    async fn urls_before_the_first_that_fails_have_passed() {
        let service = Service::start();
        let mut context = testing::context("rp1", Role::Rp, FakeLedger::recorded());
        context.http = service.client.clone();
        let (good, wrong) = (service.url("sign"), service.url("wrong"));
        let decrypt = service.url("decrypt");
        let test = async |urls: Value| {
            let (tested, failure) = test_urls(&context, urls.as_object().unwrap()).await;
            let code = failure.map(|error| error.code().number);
            (Value::Object(tested), code)
        };
        let mixed = json!({
            "message_queue_send_success_url": "http://app", "decrypt_url": wrong, "sign_url": good,
        });
        assert_eq!(test(mixed).await, (json!({"sign_url": good}), Some(20046)));
        let wrong_first = json!({"sign_url": wrong, "decrypt_url": decrypt});
        assert_eq!(test(wrong_first).await, (json!({}), Some(20049)));
        let right = json!({"sign_url": good, "decrypt_url": decrypt});
        assert_eq!(test(right.clone()).await, (right, None));
    }
}
