//! Identity operations on real nodes: directly, with consent at another IdP and
//! at the node itself, and without it.

use erawan::context::Role;
use serde_json::{Value, json};

use crate::client::client_application;
use crate::identity_idps::{Idp, Idps, with};
use crate::network::*;

async fn with_consent_and_without(workers: usize) {
    let idps = Idps::start(Store::Embedded, workers).await;
    let [one, two] = &idps.all;

    // Nobody knows the person: no consent is needed, also in mode 3.
    let (answer, done) = one.operate("", one.person(3), "create").await;
    assert_eq!(answer["exist"], false);
    assert_eq!(done["success"], true, "{done}");
    let group = done["reference_group_code"].clone();
    assert_eq!(one.found("").await, json!({"reference_group_code": group}));
    assert_eq!(one.found("/ial").await, json!({"ial": 2.3}));

    // The other IdP needs it: refused first, then given.
    for (decision, success) in [("reject", false), ("accept", true)] {
        let person = with(two.person(3), json!({"request_message": "May they?"}));
        let answer = two.call("", person, decision).await;
        assert_eq!(answer["exist"], true);
        let request_id = answer["request_id"].as_str().unwrap();
        let created = two
            .told
            .result("create_identity_request_result", decision)
            .await;
        assert_eq!(
            (&created["success"], &created["exist"]),
            (&json!(true), &json!(true))
        );
        let referenced = json!({"request_id": request_id, "accessor_id": answer["accessor_id"]});
        assert_eq!(two.referenced(decision).await, Some(referenced));
        one.answer(request_id, decision).await;
        let done = two.told.result("create_identity_result", decision).await;
        assert_eq!(done["success"], success, "{done}");
        assert_eq!(done["request_id"], request_id);
        match success {
            true => assert_eq!(done["reference_group_code"], group),
            false => assert_eq!(done["error"]["code"], 10016),
        }
        assert_eq!(two.referenced(decision).await, None);
    }
    let notified = one.notified("create_identity").await;
    assert_eq!(notified["reference_group_code"], group);
    assert_eq!(notified["actor_node_id"], "idp2");

    // Either may consent, also the one that asks.
    let key = with(one.new_accessor(), json!({"request_message": "May we?"}));
    let answer = one.call("/accessors", key, "added").await;
    one.answer(answer["request_id"].as_str().unwrap(), "accept")
        .await;
    let done = one.told.result("add_accessor_result", "added").await;
    assert_eq!(done["success"], true, "{done}");
    assert_eq!(two.notified("add_accessor").await["actor_node_id"], "idp1");

    // The client may not wait for an answer.
    let revoke = json!({"accessor_id": answer["accessor_id"], "request_message": "May we?"});
    let answer = one.call("/accessor_revoke", revoke, "revoked").await;
    one.told
        .result("revoke_accessor_request_result", "revoked")
        .await;
    one.close(&answer["request_id"], "closed").await;
    let closed = one.told.result("close_request_result", "closed").await;
    assert_eq!(closed["success"], true, "{closed}");
    let done = one.told.result("revoke_accessor_result", "revoked").await;
    assert_eq!(done["error"]["code"], 20025, "{done}");
    assert_eq!(one.referenced("revoked").await, None);

    let given_up = json!({"request_message": "May we?"});
    let answer = two.call("/association_revoke", given_up, "given-up").await;
    one.answer(answer["request_id"].as_str().unwrap(), "accept")
        .await;
    let kind = "revoke_identity_association_result";
    let done = two.told.result(kind, "given-up").await;
    assert_eq!(done["success"], true, "{done}");
    assert_eq!(two.look_up("/ial").await, 404);
    idps.end().await;
}

#[actix_web::test]
async fn operations_with_consent_and_without_on_standalone_nodes() {
    with_consent_and_without(0).await;
}

#[actix_web::test]
async fn operations_with_consent_and_without_on_a_cluster() {
    with_consent_and_without(2).await;
}

#[actix_web::test]
async fn identities_of_mode_2_change_without_consent() {
    let idps = Idps::start(Store::Embedded, 0).await;
    let [one, two] = &idps.all;
    for (idp, name) in [(one, "one"), (two, "two")] {
        let (_, done) = idp.operate("", idp.person(2), name).await;
        assert_eq!(done["success"], true, "{done}");
    }
    let (added, done) = one.operate("/accessors", one.new_accessor(), "added").await;
    assert_eq!(done["success"], true, "{done}");
    let replaced = with(
        one.new_accessor(),
        json!({"revoking_accessor_id": added["accessor_id"]}),
    );
    let (added, done) = one
        .operate("/accessor_revoke_and_add", replaced, "replaced")
        .await;
    assert_eq!(done["success"], true, "{done}");
    let revoked = json!({"accessor_id": added["accessor_id"]});
    let (_, done) = one.operate("/accessor_revoke", revoked, "revoked").await;
    assert_eq!(done["success"], true, "{done}");
    let passport = json!({"identity_list": [{"namespace": "passport_num", "identifier": "AA1"}]});
    let (_, done) = one.operate("/of_person", passport, "passport").await;
    assert_eq!(done["success"], true, "{done}");
    for (level, value) in [
        ("ial", json!(3)),
        ("lial", json!(true)),
        ("laal", json!(false)),
    ] {
        one.call(&format!("/{level}"), json!({level: value}), level)
            .await;
        let done = one
            .told
            .result(&format!("update_{level}_result"), level)
            .await;
        assert_eq!(done["success"], true, "{done}");
        assert_eq!(one.found(&format!("/{level}")).await, json!({level: value}));
    }
    // The ledger refuses what the node cannot know: the last accessor.
    let last = json!({"accessor_id": one.accessor_id("one")});
    let (_, done) = one.operate("/accessor_revoke", last, "last").await;
    assert_eq!(
        (&done["success"], &done["error"]["code"]),
        (&json!(false), &json!(25070))
    );
    // Upgrading asks, whatever the mode.
    let answer = one
        .call("/mode", json!({"request_message": "May we?"}), "mode")
        .await;
    two.answer(answer["request_id"].as_str().unwrap(), "accept")
        .await;
    let done = one
        .told
        .result("upgrade_identity_mode_result", "mode")
        .await;
    assert_eq!(done["success"], true, "{done}");
    for action in [
        "add_accessor",
        "revoke_and_add_accessor",
        "revoke_accessor",
        "add_identity",
    ] {
        let notified: Value = two.notified(action).await;
        assert_eq!(notified["actor_node_id"], "idp1");
    }
    two.notified("upgrade_identity_mode").await;
    idps.end().await;
}

/// An RP asks an IdP that does not know the person, who is onboarded there
/// before the answer.
#[actix_web::test]
async fn a_person_is_onboarded_while_a_request_waits() {
    let net = Net::with(Store::Embedded, 0, |options| {
        options.nodes = ["rp1", "idp1"].map(str::to_owned).to_vec();
    })
    .await;
    for node in &net.network.nodes {
        ready(node.api_urls()).await;
    }
    let idp = Idp::of(&net, "idp1").await;
    let (url, rp) = client_application();
    let (_, request) = unanswered_request();
    let request = with(
        request,
        json!({"mode": 2, "bypass_identity_check": true, "callback_url": url}),
    );
    let called = format!("{}/v6/rp/requests/{IDENTITY}", net.api(Role::Rp));
    let answer = plain_client().post(called).json(&request).send().await;
    let answer: Value = answer.unwrap().json().await.unwrap();
    let request_id = answer["request_id"].as_str().unwrap();
    let is_it = |body: &Value| body["type"] == "incoming_request";
    let came = idp.told.until("the request comes", is_it).await;
    let (namespace, identifier) = IDENTITY.split_once('/').unwrap();
    let named = (&came["namespace"], &came["identifier"]);
    assert_eq!(named, (&json!(namespace), &json!(identifier)));

    let (_, done) = idp.operate("", idp.person(2), "onboarded").await;
    assert_eq!(done["success"], true, "{done}");
    idp.answer(request_id, "accept").await;
    let is_closed = |body: &Value| body["type"] == "request_status" && body["closed"] == true;
    let closed = rp.until("the request is closed", is_closed).await;
    assert_eq!(closed["status"], "completed");
    let given = &closed["response_list"][0];
    let verdict = (&given["valid_signature"], &given["valid_ial"]);
    assert_eq!(verdict, (&json!(true), &json!(true)));
    net.close().await;
}
