//! The client application answers.

use serde_json::{Value, json};

use super::super::*;
use super::{
    ACCESSOR, GROUP, accessor_on_ledger, answer, detail, idp, mode_2_request, receive,
    recorded_request, refusal_of, user_signature,
};
use crate::crypto::hash;
use crate::flows::testing::transactions;

#[tokio::test]
async fn an_answer_in_mode_2_needs_the_users_signature() {
    let node = idp();
    let request = mode_2_request(&node);
    receive(&node, &request).await;
    let signature = user_signature(&request);
    let good = json!({"accessor_id": ACCESSOR, "signature": signature});

    let accept = respond::respond(&node.context, "idp1", &answer(&request, good.clone())).await;
    assert_eq!(transactions(&accept.unwrap().writes).len(), 1);

    let refused = |change: Value| {
        let mut members = good.clone();
        for (name, value) in change.as_object().unwrap() {
            members[name] = value.clone();
        }
        answer(&request, members)
    };
    accessor_on_ledger(&node, "other group", "ccccc-ddddd", true);
    accessor_on_ledger(&node, "revoked", GROUP, false);
    for (change, code) in [
        (json!({"accessor_id": null}), 20014),
        (json!({"accessor_id": "other group"}), 20077),
        (json!({"accessor_id": "revoked"}), 20011),
        (json!({"ial": 2.1}), 20060),
        (json!({"signature": "Some signature"}), 20028),
        (json!({"ial": 9}), 20094),
        (json!({"aal": 9}), 20095),
    ] {
        assert_eq!(refusal_of(&node, &refused(change)).await, code);
    }
}

#[tokio::test]
async fn an_answer_about_an_unknown_identity_is_refused() {
    let node = idp();
    let mut request = mode_2_request(&node);
    request.reference_group_code = None;
    request.namespace = Some("citizen_id".to_owned());
    request.identifier = Some("1345951597671".to_owned());
    receive(&node, &request).await;
    let identity = json!({
        "identity_namespace": "citizen_id",
        "identity_identifier_hash": hash::identifier_hash("1345951597671"),
    });
    node.ledger
        .answer("GetReferenceGroupCode", identity.clone(), Value::Null);
    let answer = answer(&request, json!({"accessor_id": ACCESSOR}));
    assert_eq!(refusal_of(&node, &answer).await, 20020);

    node.ledger.answer(
        "GetReferenceGroupCode",
        identity,
        json!({"reference_group_code": GROUP}),
    );
    let here = json!({"reference_group_code": GROUP, "node_id": "idp1"});
    node.ledger
        .answer("GetIdentityInfo", here.clone(), Value::Null);
    assert_eq!(refusal_of(&node, &answer).await, 20071);
    let mode_3_only = json!({"ial": 2.3, "lial": null, "laal": null, "mode_list": [3]});
    node.ledger.answer("GetIdentityInfo", here, mode_3_only);
    assert_eq!(refusal_of(&node, &answer).await, 20065);
}

#[tokio::test]
async fn no_more_answers_are_taken_than_can_count() {
    let node = idp();
    let request = mode_2_request(&node);
    receive(&node, &request).await;
    let accepted = json!({"idp_id": "idp2", "ial": 2.3, "aal": 3, "status": "accept",
        "signature": "x", "valid_ial": null, "valid_signature": null});
    let error = json!({"idp_id": "idp2", "error_code": 10101, "valid_ial": null,
        "valid_signature": null});
    let answer = answer(&request, json!({}));
    for (min_idp, responses) in [(1, json!([accepted])), (2, json!([error]))] {
        let detail = detail(&request, "", min_idp, &["idp1", "idp2"], responses);
        node.ledger.request_from(&request.request_id, 0, detail);
        assert_eq!(refusal_of(&node, &answer).await, 20081);
    }
}

#[tokio::test]
async fn an_answer_to_a_request_never_received_is_refused() {
    let node = idp();
    let request = mode_2_request(&node);
    let answer = answer(&request, json!({}));
    assert_eq!(refusal_of(&node, &answer).await, 20038);
}

#[tokio::test]
async fn an_unregistered_error_code_is_refused() {
    let node = idp();
    let request = recorded_request();
    receive(&node, &request).await;
    let answer = error_response::IdpErrorBody {
        reply: answer(&request, json!({})).reply,
        request_id: request.request_id.clone(),
        error_code: 99,
    };
    let refused = error_response::respond_with_error(&node.context, "idp1", &answer).await;
    assert_eq!(refused.unwrap_err().code().number, 20078);
}

#[tokio::test]
async fn the_padded_hash_is_given_for_open_requests_of_mode_2_and_3_only() {
    let node = idp();
    let request = mode_2_request(&node);
    let hash_of = async |request_id: &str, accessor_id: &str| {
        padded_hash::padded_hash(&node.context, "idp1", request_id, accessor_id).await
    };
    let code = |error: Error| error.code().number;
    let early = hash_of(&request.request_id, ACCESSOR).await;
    assert_eq!(code(early.unwrap_err()), 20038);
    receive(&node, &request).await;
    assert_eq!(
        hash_of(&request.request_id, ACCESSOR).await.unwrap().len(),
        344
    );
    accessor_on_ledger(&node, "revoked", GROUP, false);
    let revoked = hash_of(&request.request_id, "revoked").await;
    assert_eq!(code(revoked.unwrap_err()), 20011);
    let mode_1 = recorded_request();
    let mode_1 = hash_of(&mode_1.request_id, ACCESSOR).await;
    assert_eq!(code(mode_1.unwrap_err()), 20075);
}
