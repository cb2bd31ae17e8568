//! Look-ups that are plain ledger queries (spec/http-api.md 3.5, 3.6). What the
//! recordings have is compared there; this is the rest.

use std::sync::Arc;

use erawan::context::Role;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::fakes::Node;
use crate::network::{ReceivedResponse, client, send};

/// A node whose ledger answers one method, and what it was asked.
async fn node_with(role: Role, method: &'static str, value: Value) -> (Node, Asked) {
    let node = Node::start(role).await;
    let asked = Asked::default();
    let noted = asked.clone();
    node.ledger.answer_with(move |asked_method, params| {
        noted
            .0
            .lock()
            .push((asked_method.to_owned(), params.clone()));
        let known = asked_method == method && !value.is_null();
        Ok(known.then(|| value.clone()))
    });
    (node, asked)
}

#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<(String, Value)>>>);

impl Asked {
    fn last(&self) -> (String, Value) {
        self.0.lock().last().unwrap().clone()
    }
}

async fn get(node: &Node, path: &str) -> ReceivedResponse {
    send(client().get(node.url(path))).await
}

#[actix_web::test]
async fn filters_of_idps_become_parameters_of_the_query() {
    let (node, asked) =
        node_with(Role::Rp, "GetIdpNodes", json!({"node": [{"node_id": "i"}]})).await;
    let path = concat!(
        "/utility/idp?min_ial=2.3&min_aal=x&supported_feature_list=a,%20b,",
        "&agent=true&filter_for_node_id=rp1"
    );
    assert_eq!(get(&node, path).await.json(), json!([{"node_id": "i"}]));
    let expected = json!({
        "filter_for_node_id": "rp1", "agent": true, "min_ial": 2.3, "min_aal": 0,
        "supported_feature_list": ["a", "b"],
    });
    assert_eq!(asked.last(), ("GetIdpNodes".to_owned(), expected));
    get(
        &node,
        "/utility/idp/citizen_id/1234567890123?mode=3&min_ial=1.1",
    )
    .await;
    let expected = json!({
        "identity_namespace": "citizen_id",
        "identity_identifier_hash": erawan::crypto::hash::identifier_hash("1234567890123"),
        "min_ial": 1.1, "min_aal": 0, "supported_feature_list": [], "mode_list": [3],
    });
    assert_eq!(asked.last().1, expected);
}

#[actix_web::test]
async fn keys_of_unknown_blocks_have_null() {
    let key = |height: i64, chain: &str| json!({"public_key": "k", "creation_block_height": height, "creation_chain_id": chain});
    let info = json!({
        "signing_public_key": key(5, "c"),
        "signing_master_public_key": key(0, ""),
        "encryption_public_key": key(-1, "c"),
        "proxy": {"node_id": "p", "signing_public_key": key(0, "")},
        "mq": null,
    });
    let (node, _) = node_with(Role::Rp, "GetNodeInfo", info).await;
    let shown = get(&node, "/utility/nodes/idp1").await.json();
    assert_eq!(shown["signing_public_key"], key(5, "c"));
    let unknown = &shown["signing_master_public_key"];
    assert_eq!(unknown["creation_block_height"], Value::Null);
    assert_eq!(unknown["creation_chain_id"], Value::Null);
    assert_eq!(
        shown["encryption_public_key"]["creation_block_height"],
        Value::Null
    );
    assert_eq!(
        shown["proxy"]["signing_public_key"]["creation_chain_id"],
        Value::Null
    );
    assert_eq!(shown["mq"], Value::Null);

    let lists =
        json!({"signing_public_key_list": [key(0, "")], "encryption_public_key_list": null});
    let (node, _) = node_with(Role::Rp, "GetNodePublicKeyList", lists).await;
    let shown = get(&node, "/utility/nodes/idp1/public_keys").await.json();
    assert_eq!(
        shown["signing_public_key_list"][0]["creation_block_height"],
        Value::Null
    );
    assert_eq!(shown["signing_master_public_key_list"], json!([]));
    assert_eq!(shown["encryption_public_key_list"], json!([]));
}

#[actix_web::test]
async fn prices_and_messages_show_their_block_with_its_chain() {
    let prices = json!({"price_list_by_node": [{"node_id": "as1", "price_list": [
        {"detail": "", "creation_block_height": 7, "creation_chain_id": "c"},
    ]}]});
    let (node, asked) = node_with(Role::Rp, "GetServicePriceList", prices).await;
    let shown = get(&node, "/utility/as/service_price/s?node_id=as1")
        .await
        .json();
    let price = json!({"detail": "", "creation_block_height": "c:7"});
    assert_eq!(shown, json!([{"node_id": "as1", "price_list": [price]}]));
    assert_eq!(asked.last().1, json!({"node_id": "as1", "service_id": "s"}));

    let message = json!({"message_id": "m", "creation_block_height": 7, "creation_chain_id": "c"});
    let (node, _) = node_with(Role::Rp, "GetMessageDetail", message).await;
    let shown = get(&node, "/utility/messages/m").await.json();
    assert_eq!(shown["creation_block_height"], "c:7");
    assert_eq!(shown["creation_chain_id"], "c");
}

#[actix_web::test]
async fn ases_of_an_unknown_service_are_not_found_but_of_an_active_one_none() {
    let (node, _) = node_with(Role::Rp, "GetServiceDetail", Value::Null).await;
    assert_eq!(get(&node, "/utility/as/s").await.status, 404);
    let (node, _) = node_with(Role::Rp, "GetServiceDetail", json!({"service_name": "s"})).await;
    assert_eq!(get(&node, "/utility/as/s").await.status, 404);
    let active = json!({"service_name": "s", "active": true});
    let (node, _) = node_with(Role::Rp, "GetServiceDetail", active).await;
    assert_eq!(get(&node, "/utility/as/s").await.json(), json!([]));
}

#[actix_web::test]
async fn members_of_a_service_without_meaning_are_left_out() {
    let detail = json!({"service_id": "s", "data_schema": "n/a", "data_schema_version": "n/a"});
    let (node, _) = node_with(Role::Rp, "GetServiceDetail", detail).await;
    let shown = get(&node, "/utility/services/s").await.json();
    assert_eq!(shown, json!({"service_id": "s"}));
}

#[actix_web::test]
async fn what_the_ledger_does_not_find_is_not_found_or_empty() {
    let (node, asked) = node_with(Role::Idp, "", Value::Null).await;
    for path in [
        "/utility/requests/r",
        "/utility/accessors/a",
        "/utility/nodes/n",
        "/utility/nodes/n/public_keys",
        "/utility/nodes/n/token",
        "/utility/services/s",
        "/utility/messages/m",
        "/utility/as/service_price/s",
        "/utility/service_price_ceiling?service_id=s",
        "/utility/service_price_min_effective_datetime_delay",
        "/identity/n/i",
        "/identity/n/i/ial",
    ] {
        let answer = get(&node, path).await;
        assert_eq!((answer.status, answer.text.as_str()), (404, ""), "{path}");
    }
    for path in [
        "/utility/idp",
        "/utility/idp/n/i",
        "/utility/namespaces",
        "/utility/services",
        "/utility/idp_error_codes",
        "/utility/as_error_codes",
        "/utility/request_types",
        "/utility/node_supported_features",
        "/utility/suppressed_identity_modification_notification_node_ids",
        "/utility/supported_ial",
        "/utility/supported_aal",
    ] {
        assert_eq!(get(&node, path).await.text, "[]", "{path}");
    }
    get(&node, "/utility/request_types?prefix=a").await;
    assert_eq!(asked.last().1, json!({"prefix": "a"}));
}

#[actix_web::test]
async fn levels_of_an_identity_are_those_this_idp_declared() {
    let identity = json!({"ial": 2.3, "lial": true, "laal": null, "mode_list": [2]});
    let (node, asked) = node_with(Role::Idp, "GetIdentityInfo", identity).await;
    assert_eq!(
        get(&node, "/identity/n/i/ial").await.json(),
        json!({"ial": 2.3})
    );
    assert_eq!(
        get(&node, "/identity/n/i/lial").await.json(),
        json!({"lial": true})
    );
    assert_eq!(
        get(&node, "/identity/n/i/laal").await.json(),
        json!({"laal": null})
    );
    assert_eq!(asked.last().1["node_id"], "idp1");
}
