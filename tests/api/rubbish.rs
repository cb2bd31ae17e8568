//! Every endpoint with rubbish: whatever comes, an answer goes back and the
//! next caller is served.

use erawan::context::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::fakes::Node;
use crate::network::{client, send, talk};

const PATHS: &[&str] = &[
    "/rp/requests/a/b",
    "/rp/request_references/a",
    "/rp/request_data/a",
    "/rp/request_data_removal",
    "/rp/request_data_removal/a",
    "/rp/request_close",
    "/rp/messages",
    "/rp/callback",
    "/idp/response",
    "/idp/error_response",
    "/idp/request_message_padded_hash",
    "/idp/callback",
    "/as/service/a",
    "/as/service_price/a",
    "/as/data/a/b",
    "/as/error/a/b",
    "/as/payment_received_log/a/b",
    "/as/callback",
    "/proxy/callback",
    "/node/create",
    "/node/update",
    "/node/callback",
    "/identity",
    "/identity/a/b",
    "/identity/a/b/accessors",
    "/identity/a/b/mode",
    "/identity/a/b/ial",
    "/identity/a/b/lial",
    "/identity/a/b/laal",
    "/identity/a/b/endorsement",
    "/identity/a/b/removal_from_reference_group",
    "/identity/a/b/reference_group_merge",
    "/identity_request/request_references/a",
    "/identity_request/request_close",
    "/ndid/init_ndid",
    "/ndid/set_allowed_mode_list",
    "/ndid/register_node",
    "/ndid/update_node",
    "/ndid/enable_node",
    "/ndid/set_node_token",
    "/ndid/create_namespace",
    "/ndid/enable_namespace",
    "/ndid/create_service",
    "/ndid/enable_service",
    "/ndid/set_service_price_ceiling",
    "/ndid/set_service_price_min_effective_datetime_delay",
    "/ndid/set_validator",
    "/ndid/approve_service",
    "/ndid/add_node_to_proxy_node",
    "/ndid/update_node_proxy_node",
    "/ndid/remove_node_from_proxy_node",
    "/ndid/set_last_block",
    "/ndid/get_allowed_min_ial_for_register_identity_at_first_idp",
    "/ndid/set_allowed_min_ial_for_register_identity_at_first_idp",
    "/ndid/get_node_id_list",
    "/ndid/add_error_code",
    "/ndid/remove_error_code",
    "/ndid/add_request_type",
    "/ndid/add_suppressed_identity_modification_notification_node",
    "/ndid/add_allowed_node_supported_feature",
    "/ndid/set_supported_ial_list",
    "/ndid/set_supported_aal_list",
    "/utility/idp",
    "/utility/idp/a/b",
    "/utility/as/a",
    "/utility/as/service_price/a",
    "/utility/service_price_ceiling",
    "/utility/service_price_min_effective_datetime_delay",
    "/utility/requests/a",
    "/utility/accessors/a",
    "/utility/nodes/a",
    "/utility/nodes/a/public_keys",
    "/utility/nodes/a/token",
    "/utility/namespaces",
    "/utility/services",
    "/utility/services/a",
    "/utility/idp_error_codes",
    "/utility/as_error_codes",
    "/utility/private_messages/a",
    "/utility/private_message_removal",
    "/utility/private_message_removal/a",
    "/utility/messages/a",
    "/utility/request_types",
    "/utility/suppressed_identity_modification_notification_node_ids",
    "/utility/suppressed_identity_modification_notification_node_ids/a",
    "/utility/node_supported_features",
    "/utility/supported_ial",
    "/utility/supported_aal",
    "/info",
    "/config",
    "/config/set",
    "/expected_txs",
    "/",
    "/%00",
    "/v6",
    "/v6/",
];

const QUERIES: &[&str] = &[
    "",
    "?node_id=&prefix=&type=x",
    "?node_id[]=1&mode[a][b]=2&=&&[=]",
    "?min_ial=%zz&min_aal=-e9&supported_feature_list=,,&filter_for_node_id=%00",
];

fn bodies() -> Vec<Value> {
    vec![
        json!({}),
        json!([[[]]]),
        json!({"node_id": null, "reference_id": [], "callback_url": {}, "mode": "1"}),
        json!({"mode": 1, "data_request_list": [1, {"min_as": -1}], "idp_id_list": [null, null]}),
        json!({"error_code": 1e300, "ial": -0.0, "status": {}, "url": "http://\u{0}"}),
    ]
}

/// A ledger whose answers are nothing like what was asked for.
fn odd_answers(node: &Node) {
    node.ledger.answer_with(|method, _| {
        Ok(Some(match method.len() % 4 {
            0 => json!({"node": {"a": 1}, "price_list_by_node": [1, {"price_list": [2]}]}),
            1 => json!([1, null]),
            2 => json!("text"),
            _ => json!({"creation_block_height": "x", "proxy": 1, "signing_public_key": []}),
        }))
    });
}

#[actix_web::test]
async fn every_endpoint_answers_rubbish() {
    for role in [Role::Proxy, Role::Ndid] {
        let node = Node::start(role).await;
        odd_answers(&node);
        let client = reqwest_client_that_keeps_connections();
        for path in PATHS {
            for query in QUERIES {
                let url = node.url(&format!("{path}{query}"));
                let get = send(client.get(&url)).await;
                assert!(get.status < 600 && get.status >= 200, "{url}");
                for body in bodies() {
                    let post = send(client.post(&url).json(&body)).await;
                    let built = post.status != 501;
                    assert!(!built || post.status <= 500, "{url} {body} {post:?}");
                }
            }
            let delete = client.request(Method::DELETE, node.url(path));
            let delete = send(delete).await;
            assert!(matches!(delete.status, 404 | 501), "{path} {delete:?}");
        }
    }
}

fn reqwest_client_that_keeps_connections() -> reqwest::Client {
    drop(client());
    reqwest::Client::builder().no_proxy().build().unwrap()
}

#[actix_web::test]
async fn what_is_not_http_does_not_disturb_the_server() {
    let node = Node::start(Role::Rp).await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /rp/request_close HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST /rp/request_close HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let answer = talk(node.address, bytes).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let mut endless = b"GET /info HTTP/1.1\r\n".to_vec();
    endless.extend(vec![b'a'; 200_000]);
    let answer = talk(node.address, &endless).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
        "{answer}"
    );
    assert_eq!(send(client().get(node.url("/info"))).await.status, 200);
}
