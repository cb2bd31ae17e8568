//! NDID's calls, and what the ledger is asked for because of them.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::pkey::Id;
use prost::Message as _;
use serde_json::{Map, Value, json};

use super::*;
use crate::api::{Answered, ApiVersion, RawCall, versions};
use crate::context::Role;
use crate::crypto::public_key;
use crate::delivery::transaction::{Fate, Transact};
use crate::error::codes;
use crate::flows::ledger_call;
use crate::flows::testing::{TestNode, callbacks, continuation, params, transactions};
use crate::job::{Caller, Table, Write, codec};
use crate::proto::wire::Tx;

/// NDID's node on a network that supports these levels.
fn ndid() -> TestNode {
    let node = TestNode::new("ndid1", Role::Ndid);
    let key = json!({
        "public_key": "", "algorithm": "RSASSA_PKCS1_V1_5_SHA_256", "version": 1,
        "creation_block_height": 2, "creation_chain_id": "test-chain-NDID", "active": true,
    });
    let of = json!({"node_id": "ndid1"});
    node.ledger.answer("GetNodeSigningPublicKey", of, key);
    let ials = json!({"supported_ial_list": [1.1, 2.3, 3]});
    node.ledger.answer("GetSupportedIALList", Value::Null, ials);
    let aals = json!({"supported_aal_list": [1, 2.2, 3]});
    node.ledger.answer("GetSupportedAALList", Value::Null, aals);
    node
}

fn of_path(version: ApiVersion, path: &str) -> Endpoint {
    let mut all = versions::of(version, &endpoints()).into_iter();
    let found = all.find(|endpoint| endpoint.path == path);
    found.unwrap_or_else(|| panic!("there is no {path}"))
}

/// A call as HTTP makes it.
async fn call(node: &TestNode, path: &str, body: Value) -> Result<Outcome, Error> {
    call_of(ApiVersion::V6, node, path, body).await
}

/// The same of a client of a version.
async fn call_of(
    version: ApiVersion,
    node: &TestNode,
    path: &str,
    body: Value,
) -> Result<Outcome, Error> {
    let endpoint = of_path(version, path);
    if let Some(schema) = &endpoint.body {
        schema.check(&body, codes::BODY_VALIDATION_FAILED)?;
    }
    let run = endpoint.run;
    run(RawCall {
        context: node.context.clone(),
        node_id: "ndid1".to_owned(),
        caller: Caller::new("test"),
        version,
        path: Map::new(),
        query: json!({}),
        body,
    })
    .await
}

/// Number of the error that a call is answered with.
async fn refused(node: &TestNode, path: &str, body: Value) -> u32 {
    match call(node, path, body).await {
        Err(error) => error.code().number,
        Ok(outcome) => panic!("{path} is not refused: {outcome:?}"),
    }
}

/// The transaction of a call, and the status that tells of its success.
async fn asked(node: &TestNode, path: &str, body: Value) -> (Transact, u16) {
    asked_of(ApiVersion::V6, node, path, body).await
}

/// The same of a client of a version.
async fn asked_of(
    version: ApiVersion,
    node: &TestNode,
    path: &str,
    body: Value,
) -> (Transact, u16) {
    let outcome = call_of(version, node, path, body).await;
    let Ok(Outcome::Waits(accept)) = outcome else {
        panic!("{path} makes no transaction: {outcome:?}");
    };
    let [transact] = &transactions(&accept.writes)[..] else {
        panic!("{path}: {:?}", accept.writes);
    };
    let fate = Fate::Committed { height: 7 };
    match answer(transact, fate) {
        Answered::Done { status, body: None } => (transact.clone(), status),
        other => panic!("{path} is answered {other:?}"),
    }
}

/// What the waiting call is answered when its transaction has settled.
fn answer(transact: &Transact, fate: Fate) -> Answered {
    let commit = ledger_call::handle(&continuation(transact, fate)).unwrap();
    let mut answers = commit.writes.iter().filter_map(|write| match write {
        Write::Put {
            table: Table::Answer,
            value,
            ..
        } => Some(codec::decode(value).unwrap()),
        _ => None,
    });
    answers.next().expect("the call is answered")
}

/// Path, method and status of every call that leads to a transaction.
const TRANSACTIONS: &[(&str, &str, u16)] = &[
    ("init_ndid", "InitNDID", 204),
    ("end_init", "EndInit", 204),
    ("set_last_block", "SetLastBlock", 204),
    ("set_allowed_mode_list", "SetAllowedModeList", 204),
    ("register_node", "RegisterNode", 201),
    ("update_node", "UpdateNodeByNDID", 204),
    ("enable_node", "EnableNode", 204),
    ("disable_node", "DisableNode", 204),
    ("set_node_token", "SetNodeToken", 204),
    ("add_node_token", "AddNodeToken", 204),
    ("reduce_node_token", "ReduceNodeToken", 204),
    ("create_namespace", "AddNamespace", 201),
    ("update_namespace", "UpdateNamespace", 204),
    ("enable_namespace", "EnableNamespace", 204),
    ("disable_namespace", "DisableNamespace", 204),
    ("create_service", "AddService", 201),
    ("update_service", "UpdateService", 204),
    ("enable_service", "EnableService", 204),
    ("disable_service", "DisableService", 204),
    ("approve_service", "RegisterServiceDestinationByNDID", 204),
    (
        "enable_service_destination",
        "EnableServiceDestinationByNDID",
        204,
    ),
    (
        "disable_service_destination",
        "DisableServiceDestinationByNDID",
        204,
    ),
    ("set_service_price_ceiling", "SetServicePriceCeiling", 204),
    (
        "set_service_price_min_effective_datetime_delay",
        "SetServicePriceMinEffectiveDatetimeDelay",
        204,
    ),
    ("set_validator", "SetValidator", 204),
    ("add_node_to_proxy_node", "AddNodeToProxyNode", 204),
    ("update_node_proxy_node", "UpdateNodeProxyNode", 204),
    (
        "remove_node_from_proxy_node",
        "RemoveNodeFromProxyNode",
        204,
    ),
    ("set_supported_ial_list", "SetSupportedIALList", 204),
    ("set_supported_aal_list", "SetSupportedAALList", 204),
    (
        "set_allowed_min_ial_for_register_identity_at_first_idp",
        "SetAllowedMinIalForRegisterIdentityAtFirstIdp",
        204,
    ),
    ("add_error_code", "AddErrorCode", 204),
    ("remove_error_code", "RemoveErrorCode", 204),
    ("add_request_type", "AddRequestType", 204),
    ("remove_request_type", "RemoveRequestType", 204),
    (
        "add_suppressed_identity_modification_notification_node",
        "AddSuppressedIdentityModificationNotificationNode",
        204,
    ),
    (
        "remove_suppressed_identity_modification_notification_node",
        "RemoveSuppressedIdentityModificationNotificationNode",
        204,
    ),
    (
        "add_allowed_node_supported_feature",
        "AddAllowedNodeSupportedFeature",
        204,
    ),
    (
        "remove_allowed_node_supported_feature",
        "RemoveAllowedNodeSupportedFeature",
        204,
    ),
];

#[test]
fn every_endpoint_is_built() {
    let mut paths: Vec<String> = TRANSACTIONS
        .iter()
        .map(|(name, ..)| format!("/ndid/{name}"))
        .collect();
    paths.push("/ndid/get_allowed_min_ial_for_register_identity_at_first_idp".to_owned());
    paths.push("/ndid/get_node_id_list".to_owned());
    assert_eq!(paths.len(), 41);
    paths.push("/node/create".to_owned());
    let mut built: Vec<_> = endpoints();
    built.retain(|endpoint| endpoint.audience == Audience::Ndid);
    let mut built: Vec<_> = built.iter().map(|entry| entry.path.to_owned()).collect();
    built.sort();
    paths.sort();
    assert_eq!(built, paths);
}

/// The transactions of the recorded NDID: method and parameters.
fn recorded_transactions() -> Vec<(String, Value)> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/wire/vectors/full/ledger.jsonl.gz"
    );
    let file = flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap());
    let mut found = Vec::new();
    for line in BufReader::new(file).lines() {
        let block: Value = serde_json::from_str(&line.unwrap()).unwrap();
        for record in block["txs"].as_array().into_iter().flatten() {
            let bytes = STANDARD.decode(record["tx"].as_str().unwrap()).unwrap();
            let tx = Tx::decode(bytes.as_slice()).unwrap();
            if tx.node_id == "ndid1" {
                let params = serde_json::from_slice(&tx.params).unwrap();
                found.push((tx.method, params));
            }
        }
    }
    found
}

/// The body of the call that led to these parameters: types of keys are not
/// handed on.
fn body_of(params: &Value) -> Value {
    let mut body = params.clone();
    for purpose in ["signing", "signing_master", "encryption"] {
        let Some(pem) = params[format!("{purpose}_public_key")].as_str() else {
            continue;
        };
        let key_type = match public_key::parse(pem).unwrap().id() {
            Id::RSA => "RSA",
            Id::EC => "EC",
            _ => "Ed25519",
        };
        body[format!("{purpose}_key_algorithm")] = json!(key_type);
    }
    body
}

#[actix::test]
async fn the_ledger_is_asked_for_what_the_recorded_ndid_asked_for() {
    let node = ndid();
    let every_level: Vec<f64> = (0..60).map(|tenths| f64::from(tenths) / 10.0).collect();
    for (method, member) in [
        ("GetSupportedIALList", "supported_ial_list"),
        ("GetSupportedAALList", "supported_aal_list"),
    ] {
        node.ledger
            .answer(method, Value::Null, json!({member: every_level}));
    }
    let mut compared = BTreeMap::new();
    for (method, recorded) in recorded_transactions() {
        let Some((name, _, status)) = TRANSACTIONS.iter().find(|entry| entry.1 == method) else {
            continue;
        };
        let mut body = body_of(&recorded);
        if method == "InitNDID" {
            body.as_object_mut().unwrap().remove("node_id");
        }
        let (transact, answered) = asked(&node, &format!("/ndid/{name}"), body).await;
        assert_eq!(transact.method, method);
        assert_eq!(params(&transact), recorded, "{method}");
        assert_eq!((transact.node_id.as_str(), answered), ("ndid1", *status));
        *compared.entry(method).or_insert(0) += 1;
    }
    // All but SetLastBlock and SetValidator.
    assert_eq!(compared.len(), TRANSACTIONS.len() - 2, "{compared:?}");
}

#[actix::test]
async fn what_was_not_recorded_is_handed_on_as_it_is() {
    let node = ndid();
    for (name, body) in [
        ("set_last_block", json!({"block_height": -1})),
        ("set_validator", json!({"public_key": "AA==", "power": 1.5})),
        ("remove_error_code", json!({"error_code": 1, "type": "idp"})),
        (
            "set_supported_aal_list",
            json!({"supported_aal_list": [3, 1, 3]}),
        ),
        (
            "set_allowed_mode_list",
            json!({"purpose": "AddIdentity", "allowed_mode_list": [3]}),
        ),
        (
            "create_service",
            json!({
                "service_id": "s", "service_name": "n", "data_schema": "n/a",
                "data_schema_version": "1",
            }),
        ),
    ] {
        let (_, method, status) = TRANSACTIONS.iter().find(|entry| entry.0 == name).unwrap();
        let mut with_unknown = body.clone();
        with_unknown["unknown"] = json!(1);
        let (transact, answered) = asked(&node, &format!("/ndid/{name}"), with_unknown).await;
        assert_eq!((transact.method.as_str(), answered), (*method, *status));
        assert_eq!(params(&transact), body, "{name}");
    }
    // The exception: all of the body, in its order.
    let change = json!({"unknown": 1, "max_aal": 0, "node_id": "rp1"});
    let (transact, _) = asked(&node, "/ndid/update_node", change.clone()).await;
    assert_eq!(transact.params, change.to_string());
    let (transact, _) = asked(&node, "/ndid/end_init", json!([1])).await;
    assert_eq!(transact.params, "{}");
}

fn keys() -> Value {
    let (_, mut init) = recorded_transactions().swap_remove(0);
    init.as_object_mut().unwrap().remove("node_id");
    body_of(&init)
}

fn with(mut body: Value, more: Value) -> Value {
    let members = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(members);
    body
}

/// Where and why each fault is one, in order.
fn faults(path: &str, body: &Value) -> Vec<(String, String)> {
    let schema = of_path(ApiVersion::V6, path).body.unwrap();
    let error = match schema.check(body, codes::BODY_VALIDATION_FAILED) {
        Ok(()) => return Vec::new(),
        Err(error) => error,
    };
    let errors = error.details().unwrap()["errors"]
        .as_array()
        .unwrap()
        .clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let faults = errors.iter();
    faults
        .map(|fault| (text(&fault["instancePath"]), text(&fault["keyword"])))
        .collect()
}

#[test]
fn bodies_are_judged_by_their_schemas() {
    /// Path, body, and keyword and member of each fault.
    type Case = (&'static str, Value, &'static [(&'static str, &'static str)]);
    let cases: &[Case] = &[
        (
            "set_node_token",
            json!({"node_id": "rp1", "amount": -1000}),
            &[("/amount", "minimum")],
        ),
        (
            "set_node_token",
            json!({"amount": "1", "node_id": ""}),
            &[("/node_id", "minLength"), ("/amount", "type")],
        ),
        (
            "create_namespace",
            json!({
                "namespace": "", "description": null,
                "allowed_identifier_count_in_reference_group": -2,
                "allowed_active_identifier_count_in_reference_group": 1.5,
            }),
            &[
                ("/namespace", "minLength"),
                ("/description", "type"),
                ("/allowed_identifier_count_in_reference_group", "minimum"),
                (
                    "/allowed_active_identifier_count_in_reference_group",
                    "type",
                ),
            ],
        ),
        (
            "set_allowed_mode_list",
            json!({"purpose": "", "allowed_mode_list": [2, 2, 4]}),
            &[
                ("/allowed_mode_list", "uniqueItems"),
                ("/allowed_mode_list/2", "enum"),
            ],
        ),
        (
            "set_service_price_ceiling",
            json!({"service_id": "s", "price_ceiling_by_currency_list": []}),
            &[("/price_ceiling_by_currency_list", "minItems")],
        ),
        (
            "set_service_price_ceiling",
            json!({"service_id": "s", "price_ceiling_by_currency_list": [
                {"currency": "THB", "price": 1}, {"currency": "THB", "price": -2},
            ]}),
            &[
                ("/price_ceiling_by_currency_list/1/price", "minimum"),
                ("/price_ceiling_by_currency_list", "uniqueItemProperties"),
            ],
        ),
        (
            "set_service_price_min_effective_datetime_delay",
            json!({"duration_second": 0, "service_id": ""}),
            &[
                ("/duration_second", "minimum"),
                ("/service_id", "minLength"),
            ],
        ),
        (
            "add_error_code",
            json!({"error_code": 0, "type": "rp"}),
            &[
                ("", "required"),
                ("/error_code", "minimum"),
                ("/type", "enum"),
            ],
        ),
        (
            "update_node_proxy_node",
            json!({"node_id": "rp1", "proxy_node_id": "proxy1", "config": "X"}),
            &[("/config", "enum")],
        ),
        (
            "add_node_to_proxy_node",
            json!({"node_id": "rp1", "proxy_node_id": "proxy1"}),
            &[("", "required")],
        ),
        (
            "get_node_id_list",
            json!({"role": "proxy"}),
            &[("/role", "enum")],
        ),
        (
            "set_supported_ial_list",
            json!({"supported_ial_list": [1, -1, "3"]}),
            &[
                ("/supported_ial_list/1", "minimum"),
                ("/supported_ial_list/2", "type"),
            ],
        ),
        ("set_last_block", json!({}), &[("", "required")]),
        (
            "set_last_block",
            json!({"block_height": -2}),
            &[("/block_height", "minimum")],
        ),
        (
            "create_service",
            json!({"service_id": "s", "service_name": "", "data_schema": 5}),
            &[("/service_name", "minLength")],
        ),
        (
            "update_node",
            json!({"node_id": "rp1", "agent": "yes", "node_id_whitelist": [""]}),
            &[("/agent", "type"), ("/node_id_whitelist/0", "minLength")],
        ),
    ];
    for (name, body, expected) in cases {
        let found = faults(&format!("/ndid/{name}"), body);
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(place, keyword)| (place.as_str(), keyword.as_str()))
            .collect();
        assert_eq!(&found, expected, "{name} {body}");
    }
}

#[test]
fn the_bodies_of_registrations_name_all_keys_and_a_role() {
    let required =
        |path: &str| of_path(ApiVersion::V6, path).body.unwrap().source()["required"].clone();
    let named = [
        "signing_public_key",
        "signing_key_algorithm",
        "signing_algorithm",
        "signing_master_public_key",
        "signing_master_key_algorithm",
        "signing_master_algorithm",
        "encryption_public_key",
        "encryption_key_algorithm",
        "encryption_algorithm",
    ];
    for path in ["/ndid/init_ndid", "/ndid/register_node", "/node/create"] {
        let found = required(path);
        for name in named {
            assert!(
                found.as_array().unwrap().contains(&json!(name)),
                "{path} {name}"
            );
        }
    }
    let body = with(
        keys(),
        json!({"node_id": "x", "node_name": "y", "role": "proxy"}),
    );
    assert_eq!(faults("/ndid/register_node", &body), []);
    let body = with(
        body,
        json!({"reference_id": "r", "callback_url": "http://c"}),
    );
    let role = ("/role".to_owned(), "enum".to_owned());
    assert_eq!(faults("/node/create", &body), [role]);
}

#[actix::test]
async fn registrations_are_checked_in_the_order_of_the_specification() {
    let node = ndid();
    let path = "/ndid/register_node";
    let body = |more: Value| {
        let named = json!({"node_id": "n", "node_name": "N", "role": "idp"});
        with(with(keys(), named), more)
    };
    for (more, code) in [
        // The signing key first, whatever else is wrong.
        (
            json!({
                "signing_public_key": "x", "signing_master_public_key": "y",
                "signing_key_algorithm": "EC",
            }),
            20040,
        ),
        (
            json!({"signing_master_key_algorithm": "EC", "encryption_public_key": "x"}),
            20042,
        ),
        (json!({"encryption_public_key": "x"}), 20040),
        (json!({}), 10000),
        (json!({"max_ial": 3}), 10000),
        (json!({"max_ial": 3, "max_aal": 1.5}), 20095),
        (json!({"max_ial": 1.5, "max_aal": 1.5}), 20094),
        (json!({"role": "rp", "max_aal": 3}), 10000),
    ] {
        let body = body(more);
        assert_eq!(refused(&node, path, body.clone()).await, code, "{body}");
        let reply = json!({"reference_id": "r", "callback_url": "http://c"});
        let creation = with(body, reply);
        assert_eq!(refused(&node, "/node/create", creation).await, code);
    }
    let good = body(json!({"max_ial": 3, "max_aal": 2.2}));
    let (transact, status) = asked(&node, path, good).await;
    assert_eq!((transact.method.as_str(), status), ("RegisterNode", 201));
    assert_eq!(params(&transact).get("signing_key_algorithm"), None);
}

#[actix::test]
async fn levels_that_are_not_supported_are_refused() {
    let node = ndid();
    let update = "/ndid/update_node";
    let level = |name: &str, level: f64| json!({"node_id": "idp1", name: level});
    assert_eq!(refused(&node, update, level("max_ial", 1.5)).await, 20094);
    assert_eq!(refused(&node, update, level("max_aal", 1.5)).await, 20095);
    asked(&node, update, level("max_ial", 0.0)).await;
    let first = "/ndid/set_allowed_min_ial_for_register_identity_at_first_idp";
    assert_eq!(refused(&node, first, json!({"min_ial": 0})).await, 20094);
    asked(&node, first, json!({"min_ial": 2.3})).await;
    let service = json!({"service_id": "s", "service_name": "n", "data_schema": {}});
    for path in ["/ndid/create_service", "/ndid/update_service"] {
        assert_eq!(refused(&node, path, service.clone()).await, 10000);
    }
}

/// Nothing of this node is on the ledger yet.
#[actix::test]
async fn the_first_transaction_of_a_chain_is_signed_as_it_says() {
    let node = TestNode::new("ndid1", Role::Ndid);
    let history = r#"{"chains":[{"chain_id":"before"}]}"#;
    let body = with(keys(), json!({"chain_history_info": history}));
    let (transact, status) = asked(&node, "/ndid/init_ndid", body).await;
    assert_eq!((transact.method.as_str(), status), ("InitNDID", 204));
    let params = params(&transact);
    assert_eq!(params["node_id"], "ndid1");
    assert_eq!(params["chain_history_info"], history);
    assert_eq!(params.as_object().unwrap().len(), 8);
    assert_eq!(node.ledger.asked(), []);
    let wrong = with(keys(), json!({"signing_key_algorithm": "Ed25519"}));
    assert_eq!(refused(&node, "/ndid/init_ndid", wrong).await, 20042);
}

#[actix::test]
async fn a_waiting_call_is_answered_what_the_ledger_said() {
    let node = ndid();
    let body = json!({"namespace": "n"});
    let (transact, _) = asked(&node, "/ndid/create_namespace", body).await;
    let fate = Fate::Refused {
        code: 25013,
        message: "Duplicate namespace".to_owned(),
    };
    let error = answer(&transact, fate).into_result().unwrap_err();
    let expected = json!({"code": 25013, "message": "Duplicate namespace"});
    assert_eq!(error.to_json(), expected);
}

#[actix::test]
async fn a_client_that_does_not_wait_hears_of_its_node_by_a_callback() {
    let node = ndid();
    let body = json!({
        "reference_id": "r", "callback_url": "http://client", "node_id": "rp9",
        "node_name": "nine", "role": "rp",
    });
    let outcome = call(&node, "/node/create", with(keys(), body)).await;
    let Ok(Outcome::Accepted {
        accept, body: None, ..
    }) = outcome
    else {
        panic!("{outcome:?}");
    };
    let [transact] = &transactions(&accept.writes)[..] else {
        panic!("{:?}", accept.writes);
    };
    assert_eq!(transact.method, "RegisterNode");
    let sent = params(transact);
    assert_eq!(
        (&sent["node_id"], &sent["role"]),
        (&json!("rp9"), &json!("rp"))
    );
    for absent in [
        "reference_id",
        "callback_url",
        "max_ial",
        "encryption_key_algorithm",
    ] {
        assert_eq!(sent.get(absent), None, "{absent}");
    }
    let told = |fate| {
        let commit = ledger_call::handle(&continuation(transact, fate)).unwrap();
        let mut told = callbacks(&commit.jobs);
        assert_eq!(told.len(), 1);
        told.remove(0).1
    };
    let success = json!({
        "node_id": "ndid1", "type": "create_node_result", "success": true, "reference_id": "r",
    });
    assert_eq!(told(Fate::Committed { height: 7 }), success);
    let failure = told(Fate::Refused {
        code: 25011,
        message: "Duplicate node ID".to_owned(),
    });
    assert_eq!(failure["success"], false);
    assert_eq!(failure["error"]["code"], 25011);
}

#[actix::test]
async fn look_ups_are_answered_from_the_ledger() {
    let node = ndid();
    let list = "/ndid/get_node_id_list";
    let ids = |ids: &[&str]| json!({"node_id_list": ids});
    let query = "GetNodeIDList";
    node.ledger.answer(query, json!({}), ids(&["rp1", "idp1"]));
    node.ledger
        .answer(query, json!({"role": "rp"}), ids(&["rp1"]));
    node.ledger
        .answer(query, json!({"role": "as"}), Value::Null);
    let answer = call(&node, list, json!({})).await.unwrap();
    assert_eq!(answer, Outcome::Ok(ids(&["rp1", "idp1"])));
    let answer = call(&node, list, json!({"role": "rp"})).await.unwrap();
    assert_eq!(answer, Outcome::Ok(ids(&["rp1"])));
    assert_eq!(refused(&node, list, json!({"role": "as"})).await, 10000);

    let first = "/ndid/get_allowed_min_ial_for_register_identity_at_first_idp";
    let query = "GetAllowedMinIalForRegisterIdentityAtFirstIdp";
    for (answered, min_ial) in [
        (json!({"min_ial": 1.1}), json!(1.1)),
        (Value::Null, json!(0)),
    ] {
        node.ledger.answer(query, Value::Null, answered);
        let answer = call(&node, first, json!({})).await.unwrap();
        assert_eq!(answer, Outcome::Ok(json!({"min_ial": min_ial})));
    }
}

/// What the ledger is asked for.
fn asked_for(transact: &Transact) -> Value {
    serde_json::from_str(&transact.params).unwrap()
}

#[actix::test]
async fn older_clients_register_nodes_with_one_key_for_two_uses() {
    let node = ndid();
    let rsa = openssl::rsa::Rsa::generate(2048).unwrap();
    let pem = String::from_utf8(rsa.public_key_to_pem().unwrap()).unwrap();
    let body = json!({
        "node_id": "rp9", "node_name": "n", "node_key": pem, "node_master_key": pem, "role": "rp",
        "on_the_fly_support": true, "agent": true,
    });
    let mut expected = json!({
        "node_id": "rp9", "node_name": "n", "role": "rp",
        "signing_public_key": pem, "signing_algorithm": "RSASSA_PKCS1_V1_5_SHA_256",
        "signing_master_public_key": pem,
        "signing_master_algorithm": "RSASSA_PKCS1_V1_5_SHA_256",
        "encryption_public_key": pem, "encryption_algorithm": "RSAES_PKCS1_V1_5",
    });
    let path = "/ndid/register_node";
    let (transact, status) = asked_of(ApiVersion::V4, &node, path, body.clone()).await;
    assert_eq!((asked_for(&transact), status), (expected.clone(), 201));
    expected["supported_feature_list"] = json!(["on_the_fly"]);
    expected["agent"] = json!(true);
    let (transact, _) = asked_of(ApiVersion::V5, &node, path, body.clone()).await;
    assert_eq!(asked_for(&transact), expected);
    let ed25519 = openssl::pkey::PKey::generate_ed25519().unwrap();
    let ed25519 = String::from_utf8(ed25519.public_key_to_pem().unwrap()).unwrap();
    for (name, value, code) in [
        ("node_key", json!("no key"), 20040),
        ("node_key", json!(ed25519), 20041),
        ("node_key_type", json!("EC"), 20003),
        ("max_ial", json!(1.4), 20003),
    ] {
        let mut body = body.clone();
        body[name] = value;
        let refused = call_of(ApiVersion::V5, &node, path, body).await;
        assert_eq!(refused.unwrap_err().code().number, code, "{name}");
    }
}

#[actix::test]
async fn older_clients_change_one_feature_and_no_other() {
    let node = ndid();
    let has = json!({"supported_feature_list": ["other", "on_the_fly"]});
    let of = json!({"node_id": "idp1"});
    node.ledger.answer("GetNodeInfo", of.clone(), has);
    for (version, flag, features) in [
        (
            ApiVersion::V5,
            Some(true),
            Some(json!(["other", "on_the_fly"])),
        ),
        (ApiVersion::V5, Some(false), Some(json!(["other"]))),
        (ApiVersion::V5, None, None),
        (ApiVersion::V4, Some(false), None),
    ] {
        let (mut body, mut expected) = (of.clone(), of.clone());
        if let Some(flag) = flag {
            body["on_the_fly_support"] = json!(flag);
        }
        if let Some(features) = features {
            expected["supported_feature_list"] = features;
        }
        let (transact, _) = asked_of(version, &node, "/ndid/update_node", body).await;
        assert_eq!(asked_for(&transact), expected, "{version:?} {flag:?}");
    }
}
