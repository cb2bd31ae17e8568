//! Clients of older versions.

use serde_json::{Value, json};

use super::{asked_of, call_of, ndid};
use crate::api::ApiVersion;
use crate::delivery::transaction::Transact;

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
