//! What every endpoint of the table has: a description, a schema, and a call.

use std::collections::{BTreeMap, BTreeSet};

use erawan::api::{ApiVersion, Endpoint, Method, SuccessBody, openapi, versions};
use erawan::context::Role;
use erawan::flows::endpoints;
use serde_json::{Value, json};

use crate::calls::{self, Sample, arguments, filled, name, role};
use crate::fakes::Node;
use crate::network::{ReceivedResponse, client, send};

/// POST endpoints that look at no body (spec/http-api.md 3).
const WITHOUT_BODY: [&str; 10] = [
    "/rp/request_data_removal",
    "/rp/request_data_removal/:request_id",
    "/as/payment_received_log/:request_id/:service_id",
    "/identity/:namespace/:identifier/endorsement",
    "/utility/private_message_removal",
    "/utility/private_message_removal/:request_id",
    "/ndid/end_init",
    "/ndid/get_allowed_min_ial_for_register_identity_at_first_idp",
    "/debug/tmquery/:method",
    "/debug/tmtransact/:method",
];

/// GET endpoints whose answer has no body.
const WITHOUT_ANSWER: [&str; 4] = [
    "/identity/:namespace/:identifier/endorsement",
    "/reinit_node_keys",
    "/config/telemetry/reissue_token",
    "/debug/error_callback_test/",
];

async fn own() -> Vec<Endpoint> {
    Node::start(Role::Rp).await.own
}

#[actix_web::test]
async fn every_endpoint_has_a_description_a_schema_and_a_call() {
    let mut all = endpoints::all();
    all.extend(own().await);
    let calls = calls::all(ApiVersion::V6);
    let mut called: BTreeMap<&str, usize> = BTreeMap::new();
    for call in &calls {
        *called.entry(call.endpoint).or_default() += 1;
    }
    let mut lacks = Vec::new();
    let mut descriptions = BTreeSet::new();
    for endpoint in &all {
        let name = name(endpoint);
        let text = endpoint.description;
        let is_sentence = text.starts_with(char::is_uppercase) && text.ends_with('.');
        if !is_sentence || text.split(' ').count() < 3 {
            lacks.push(format!("{name}: description {text:?}"));
        }
        descriptions.insert(text);
        let needs_schema = endpoint.method == Method::Post;
        if needs_schema && endpoint.body.is_none() && !WITHOUT_BODY.contains(&endpoint.path) {
            lacks.push(format!("{name}: schema of the body"));
        }
        if endpoint.method == Method::Get
            && matches!(endpoint.success.body, SuccessBody::Empty)
            && !WITHOUT_ANSWER
                .iter()
                .any(|path| endpoint.path.starts_with(path))
        {
            lacks.push(format!("{name}: shape of the answer"));
        }
        match called.remove(name.as_str()) {
            Some(1) => {}
            Some(number) => lacks.push(format!("{name}: {number} calls in tests/api/calls.rs")),
            None => lacks.push(format!("{name}: no call in tests/api/calls.rs")),
        }
    }
    lacks.extend(called.keys().map(|name| format!("{name}: no endpoint")));
    assert!(lacks.is_empty(), "{}", lacks.join("\n"));
    assert!(descriptions.len() > 100, "descriptions differ");
}

async fn call(
    node: &Node,
    prefix: &str,
    endpoint: &Endpoint,
    query: &str,
    body: &Value,
) -> ReceivedResponse {
    let url = node.url(&format!("{prefix}{}?{query}", filled(endpoint.path)));
    match endpoint.method {
        Method::Get => send(client().get(url)).await,
        Method::Post => send(client().post(url).json(body)).await,
    }
}

fn sample(endpoint: &Endpoint, version: ApiVersion) -> Sample {
    let name = name(endpoint);
    let mut calls = calls::all(version).into_iter();
    calls.find(|call| call.endpoint == name).unwrap()
}

/// What keeps a body from being taken: each required member away, and each
/// member of another type.
fn spoiled(endpoint: &Endpoint, body: &Value) -> Vec<Value> {
    let Some(schema) = &endpoint.body else {
        return Vec::new();
    };
    let source = schema.source();
    let branches = source["anyOf"].as_array();
    let branches = branches.filter(|branches| branches[0]["properties"].is_object());
    let branches = branches.map_or(std::slice::from_ref(source), Vec::as_slice);
    let mut spoiled = vec![json!([])];
    for (name, schema) in branches[0]["properties"].as_object().unwrap() {
        let is_required = |branch: &Value| {
            let required = branch["required"].as_array();
            required.is_some_and(|required| required.contains(&json!(name)))
        };
        if branches.iter().all(is_required) {
            let mut without = body.clone();
            without.as_object_mut().unwrap().remove(name);
            spoiled.push(without);
        }
        if schema.get("type").is_some() {
            let mut other = body.clone();
            other[name] = json!({"of": "another type"});
            spoiled.push(other);
        }
    }
    spoiled
}

/// Calls every endpoint of a version at nodes of all roles; tells how many
/// endpoints it called, and how many spoiled bodies were refused.
async fn call_all(version: ApiVersion) -> (usize, usize) {
    let prefix = openapi::prefix(version);
    let (mut called, mut refused) = (0, 0);
    for role_of_node in [Role::Rp, Role::Idp, Role::As, Role::Proxy, Role::Ndid] {
        let node = Node::start_recording(role_of_node, |_| ()).await;
        for endpoint in versions::of(version, &endpoints::all()) {
            if role(&endpoint) != role_of_node {
                continue;
            }
            called += 1;
            let name = name(&endpoint);
            let Sample { query, body, .. } = sample(&endpoint, version);
            let answer = call(&node, prefix, &endpoint, query, &body).await;
            let reached = node.take_reached();
            assert_eq!(answer.status, 204, "{name}: {answer:?}");
            assert_eq!(reached.len(), 1, "{name}");
            assert_eq!(reached[0].operation, name);
            assert_eq!(reached[0].arguments, arguments(endpoint.path), "{name}");
            assert_eq!(reached[0].node_id, node_id(role_of_node), "{name}");
            for body in spoiled(&endpoint, &body) {
                let answer = call(&node, prefix, &endpoint, query, &body).await;
                assert_eq!(answer.error_code(), Some(20003), "{name} {body}");
                refused += 1;
            }
            assert_eq!(node.take_reached().len(), 0, "{name}");
        }
    }
    (called, refused)
}

#[actix_web::test]
async fn every_endpoint_of_every_version_is_reached_by_its_call_and_by_no_spoiled_one() {
    for (version, endpoints) in [
        (ApiVersion::V4, 80),
        (ApiVersion::V5, 108),
        (ApiVersion::V6, 115),
    ] {
        let (called, refused) = call_all(version).await;
        assert!(called >= endpoints, "{version:?}: {called}");
        assert!(refused > 150, "{version:?}: {refused} bodies were refused");
    }
}

fn node_id(role: Role) -> String {
    format!("{}1", role.as_str())
}

#[actix_web::test]
async fn the_process_answers_of_itself_whatever_it_lacks() {
    let node = Node::start(Role::Rp).await;
    node.readiness.lock().ledger_connected = false;
    for endpoint in &node.own {
        let name = name(endpoint);
        assert_eq!(endpoint.since, None, "{name}");
        let Sample { query, body, .. } = sample(endpoint, ApiVersion::V6);
        let expected = match endpoint.path {
            "/reinit_node_keys" => 204,
            // No public repository, no telemetry.
            "/source" | "/config/telemetry/reissue_token" => 404,
            _ => 200,
        };
        let answer = call(&node, "", endpoint, query, &body).await;
        assert_eq!(answer.status, expected, "{name}");
        if !endpoint.path.contains("openapi") {
            let below = node.url(&format!("/v6{}", endpoint.path));
            assert_eq!(send(client().get(below)).await.status, 503, "{name}");
        }
    }
}
