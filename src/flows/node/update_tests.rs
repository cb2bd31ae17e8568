use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use serde_json::{Map, Value};

use super::*;
use crate::api::RawCall;
use crate::delivery::transaction::{Fate, Transact};
use crate::flows::ledger_call;
use crate::flows::testing::{TestNode, callbacks, continuation, params, transactions};
use crate::job::{Caller, NewJob};
use crate::store::Accept;

const RSA: &str = "RSASSA_PKCS1_V1_5_SHA_256";

fn key() -> (PKey<Private>, String) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let pem = String::from_utf8(key.public_key_to_pem().unwrap()).unwrap();
    (key, pem)
}

fn signed(key: &PKey<Private>, text: &str) -> String {
    let mut signer = Signer::new(MessageDigest::sha256(), key).unwrap();
    STANDARD.encode(signer.sign_oneshot_to_vec(text.as_bytes()).unwrap())
}

fn node(node_id: &str, role: Role) -> TestNode {
    let node = TestNode::new(node_id, role);
    let key = json!({
        "public_key": "", "algorithm": RSA, "version": 1,
        "creation_block_height": 2, "creation_chain_id": "test-chain-NDID", "active": true,
    });
    let of = json!({"node_id": node_id});
    node.ledger.answer("GetNodeSigningMasterPublicKey", of, key);
    node
}

fn body(more: Value) -> Value {
    let mut body = json!({"reference_id": "ref", "callback_url": "http://client"});
    let more: Map<String, Value> = serde_json::from_value(more).unwrap();
    body.as_object_mut().unwrap().extend(more);
    body
}

fn signing(pem: &str) -> Value {
    json!({
        "signing_public_key": pem, "signing_key_algorithm": "RSA", "signing_algorithm": RSA,
    })
}

async fn call(node: &TestNode, body: Value) -> Result<Accept, Error> {
    let endpoint = endpoint();
    let schema = endpoint.body.as_ref().unwrap();
    schema.check(&body, codes::BODY_VALIDATION_FAILED)?;
    let run = endpoint.run;
    let outcome = run(RawCall {
        context: node.context.clone(),
        node_id: node.context.node_id().to_owned(),
        version: crate::api::ApiVersion::V6,
        caller: Caller::new("test"),
        path: Map::new(),
        query: json!({}),
        body,
    });
    match outcome.await? {
        CallOutcome::Accepted {
            accept, body: None, ..
        } => Ok(accept),
        other => panic!("{other:?}"),
    }
}

async fn refused(node: &TestNode, body: Value) -> u32 {
    let told = call(node, body).await;
    told.expect_err("it is refused").code().number
}

fn only(accept: &Accept) -> Transact {
    let [transact] = &transactions(&accept.writes)[..] else {
        panic!("{accept:?}");
    };
    transact.clone()
}

fn told(jobs: &[NewJob]) -> Value {
    let [(_, told)] = &callbacks(jobs)[..] else {
        panic!("{jobs:?}");
    };
    told.clone()
}

#[actix::test]
async fn the_ledger_is_told_what_changes_and_the_client_what_became_of_it() {
    let node = node("idp1", Role::Idp);
    let (_, pem) = key();
    let types = json!(["application/pdf"]);
    let mut all = signing(&pem);
    all["supported_request_message_data_url_type_list"] = types.clone();
    let transact = only(&call(&node, body(all)).await.unwrap());
    assert_eq!(
        (transact.method.as_str(), transact.node_id.as_str()),
        ("UpdateNode", "idp1")
    );
    let expected = json!({
        "signing_public_key": pem, "signing_algorithm": RSA,
        "supported_request_message_data_url_type_list": types,
    });
    assert_eq!(params(&transact), expected);
    let settled = continuation(&transact, Fate::Committed { height: 5 });
    let commit = ledger_call::handle(&settled).unwrap();
    let expected = json!({
        "node_id": "idp1", "type": "update_node_result", "success": true, "reference_id": "ref",
    });
    assert_eq!(told(&commit.jobs), expected);

    let empty = json!({"supported_request_message_data_url_type_list": []});
    let transact = only(&call(&node, body(empty.clone())).await.unwrap());
    assert_eq!(params(&transact), empty);
}

#[actix::test]
async fn keys_are_checked_with_what_they_have_signed() {
    let node = node("rp1", Role::Rp);
    let (new, pem) = key();
    let (other, _) = key();
    let with = |more: Value| {
        let mut given = signing(&pem);
        let more: Map<String, Value> = serde_json::from_value(more).unwrap();
        given.as_object_mut().unwrap().extend(more);
        body(given)
    };
    let good = json!({"check_string": "abc", "signed_check_string": signed(&new, "abc")});
    assert!(call(&node, with(good)).await.is_ok());
    for wrong in [
        json!({"check_string": "abc"}),
        json!({"check_string": "abc", "signed_check_string": "no base64"}),
        json!({"check_string": "abc", "signed_check_string": signed(&new, "abd")}),
        json!({"check_string": "abc", "signed_check_string": signed(&other, "abc")}),
        json!({"check_string": "abc", "master_signed_check_string": signed(&new, "abc")}),
    ] {
        assert_eq!(refused(&node, with(wrong.clone())).await, 20063, "{wrong}");
    }
    let master = json!({
        "signing_master_public_key": pem, "signing_master_key_algorithm": "RSA",
        "signing_master_algorithm": RSA, "check_string": "abc",
    });
    assert_eq!(refused(&node, body(master.clone())).await, 20064);
    let mut mastered = master;
    mastered["master_signed_check_string"] = signed(&new, "abc").into();
    assert!(call(&node, body(mastered)).await.is_ok());
    // Nothing that an encryption key could have signed is asked for.
    let encryption = json!({
        "encryption_public_key": pem, "encryption_key_algorithm": "RSA",
        "encryption_algorithm": "RSAES_OAEP_SHA_256", "check_string": "abc",
    });
    assert!(call(&node, body(encryption)).await.is_ok());
}

#[actix::test]
async fn what_is_wrong_is_told_in_the_order_of_the_specification() {
    let node = node("rp1", Role::Rp);
    let (_, pem) = key();
    let list = json!({"supported_request_message_data_url_type_list": ["text/plain"]});
    assert_eq!(refused(&node, body(list.clone())).await, 20072);
    let mut unknown = list.clone();
    unknown["node_id"] = "nobody".into();
    node.ledger
        .answer("GetNodeInfo", json!({"node_id": "nobody"}), Value::Null);
    assert_eq!(refused(&node, body(unknown)).await, 10032);
    let mut bad = list;
    bad["signing_public_key"] = "no key".into();
    assert_eq!(refused(&node, body(bad)).await, 20040);
    assert_eq!(refused(&node, body(json!({}))).await, 20003);
    let mut ec = signing(&pem);
    ec["signing_key_algorithm"] = "EC".into();
    assert_eq!(refused(&node, body(ec)).await, 20042);
    let mut double = json!({"supported_request_message_data_url_type_list": ["a", "a"]});
    assert_eq!(refused(&node, body(double.take())).await, 20003);
}

/// What is missing for it to be accepted is only the key: the client hears so.
#[actix::test]
async fn a_node_whose_key_is_elsewhere_hears_of_it_by_the_callback() {
    let node = node("proxy1", Role::Proxy);
    let (_, pem) = key();
    let mut other = signing(&pem);
    other["node_id"] = "elsewhere".into();
    let of = json!({"node_id": "elsewhere"});
    node.ledger
        .answer("GetNodeSigningMasterPublicKey", of, Value::Null);
    let accept = call(&node, body(other)).await.unwrap();
    let [job] = &accept.jobs[..] else {
        panic!("{accept:?}");
    };
    let commit = ledger_call::handle(&crate::flows::testing::job(job.clone())).unwrap();
    let told = told(&commit.jobs);
    assert_eq!(told["node_id"], "elsewhere");
    assert_eq!(told["error"]["code"], 10034);
}
