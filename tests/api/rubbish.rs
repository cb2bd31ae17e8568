//! Every endpoint with rubbish: whatever comes, an answer goes back and the
//! next caller is served.

use std::collections::BTreeSet;

use erawan::api::ApiVersion;
use erawan::context::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::calls::{self, filled};
use crate::fakes::Node;
use crate::network::{client, send, talk};

/// The paths of all endpoints, in a version, and some that are none.
fn paths(prefix: &str) -> Vec<String> {
    let calls = calls::all(ApiVersion::V6).into_iter();
    let paths = calls.map(|call| {
        let (_, path) = call.endpoint.split_once(' ').unwrap();
        format!("{prefix}{}", filled(path))
    });
    let others = ["/", "/%00", "/v6", "/v6/"].map(str::to_owned);
    let paths: BTreeSet<String> = paths.chain(others).collect();
    paths.into_iter().collect()
}

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
        let older = ["/v5", "/v4"].iter().flat_map(|prefix| paths(prefix));
        let older = older.map(|path| (path, &QUERIES[2..]));
        let newest = paths("").into_iter().map(|path| (path, QUERIES));
        for (path, queries) in newest.chain(older) {
            for query in queries {
                let url = node.url(&format!("{path}{query}"));
                let get = send(client.get(&url)).await;
                assert!(get.status < 600 && get.status >= 200, "{url}");
                for body in bodies() {
                    let post = send(client.post(&url).json(&body)).await;
                    let built = post.status != 501;
                    assert!(!built || post.status <= 500, "{url} {body} {post:?}");
                }
            }
            let delete = client.request(Method::DELETE, node.url(&path));
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
