//! Checks, answers and callbacks.

use serde_json::{Value, json};

use super::super::*;
use super::{answer, asked, call, keys, ndid, refused, with};
use crate::context::Role;
use crate::delivery::transaction::Fate;
use crate::flows::ledger_call;
use crate::flows::testing::{TestNode, callbacks, continuation, params, transactions};

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
    let Ok(CallOutcome::Accepted {
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
    assert_eq!(answer, CallOutcome::Ok(ids(&["rp1", "idp1"])));
    let answer = call(&node, list, json!({"role": "rp"})).await.unwrap();
    assert_eq!(answer, CallOutcome::Ok(ids(&["rp1"])));
    assert_eq!(refused(&node, list, json!({"role": "as"})).await, 10000);

    let first = "/ndid/get_allowed_min_ial_for_register_identity_at_first_idp";
    let query = "GetAllowedMinIalForRegisterIdentityAtFirstIdp";
    for (answered, min_ial) in [
        (json!({"min_ial": 1.1}), json!(1.1)),
        (Value::Null, json!(0)),
    ] {
        node.ledger.answer(query, Value::Null, answered);
        let answer = call(&node, first, json!({})).await.unwrap();
        assert_eq!(answer, CallOutcome::Ok(json!({"min_ial": min_ial})));
    }
}
