//! For whom a proxy acts.

use erawan::context::Role;
use erawan::devnet::keys::GeneratedKeys;
use erawan::devnet::verdict::read_transactions;
use serde_json::{Value, json};

use crate::client::{Told, client_application};
use crate::identity_idps::{Idp, with};
use crate::ndid_set_up::Ndid;
use crate::network::*;
use crate::rp::Rp;

/// A proxy, and an application that calls it.
struct Caller {
    api: String,
    url: String,
    told: Told,
}

impl Caller {
    /// Makes a call for a node; what its result callback says.
    async fn result(&self, path: &str, kind: &str, node_id: &str, mut body: Value) -> Value {
        let reference = format!("for-{node_id}");
        body["reference_id"] = reference.as_str().into();
        body["callback_url"] = self.url.as_str().into();
        body["node_id"] = node_id.into();
        let called = plain_client().post(format!("{}/v6/{path}", self.api));
        let answer = called.json(&body).send().await.unwrap();
        let status = answer.status();
        assert_eq!(status, 202, "{node_id}: {}", answer.text().await.unwrap());
        self.told.result(kind, &reference).await
    }

    async fn create(&self, node_id: &str) -> Value {
        let (_, body) = unanswered_request();
        let path = format!("rp/requests/{IDENTITY}");
        let kind = "create_request_result";
        self.result(&path, kind, node_id, body).await
    }

    async fn offer_service(&self, node_id: &str) -> Value {
        let body = json!({
            "min_ial": 1.1,
            "min_aal": 1,
            "url": self.url,
            "supported_namespace_list": ["citizen_id"],
        });
        let kind = "add_or_update_service_result";
        self.result("as/service/customer_info", kind, node_id, body)
            .await
    }
}

/// A key file with the name of a node says nothing: the ledger decides.
#[actix_web::test]
async fn a_proxy_acts_for_nobody_that_is_not_behind_it_whatever_keys_it_has() {
    let nodes = [
        "proxy1",
        "proxy2",
        "idp1",
        "rp1",
        "proxy1_rp4",
        "proxy1_as4",
        "proxy2_rp5",
        "proxy2_as5",
    ];
    let net = Net::with(Store::Embedded, 0, |options| {
        options.nodes = nodes.map(str::to_owned).to_vec();
    })
    .await;
    // Those of nodes behind the other proxy are in the same folder.
    let keys = net.network.directory.join("keys");
    let (own, copied) = (
        GeneratedKeys::at(&keys, "rp1"),
        GeneratedKeys::behind_proxy(&keys, "rp1"),
    );
    for (from, to) in [
        (own.signing, copied.signing),
        (own.master, copied.master),
        (own.encryption, copied.encryption),
    ] {
        std::fs::copy(from, to).unwrap();
    }
    for node_id in ["rp1", "proxy2_rp5", "proxy2_as5"] {
        assert!(GeneratedKeys::behind_proxy(&keys, node_id).signing.exists());
    }
    for node in &net.network.nodes {
        ready(node.api_urls()).await;
    }
    let proxy = net.api(Role::Proxy);
    let reload = plain_client().get(format!("{proxy}/reinit_node_keys"));
    assert_eq!(reload.send().await.unwrap().status(), 204);
    let (url, told) = client_application();
    let caller = Caller {
        api: proxy,
        url,
        told,
    };
    let before = read_transactions(&net.network.ledger).await.unwrap();

    for refused in [
        caller.create("proxy2_rp5").await,
        caller.create("rp1").await,
        caller.offer_service("proxy2_as5").await,
    ] {
        assert_eq!(refused["success"], false, "{refused}");
        assert_eq!(refused["error"]["code"], 10034, "{refused}");
    }
    for made in [
        caller.create("proxy1_rp4").await,
        caller.offer_service("proxy1_as4").await,
    ] {
        assert_eq!(made["success"], true, "{made}");
    }
    let after = read_transactions(&net.network.ledger).await.unwrap();
    let made: Vec<_> = after[before.len()..]
        .iter()
        .map(|made| (made.node_id.as_str(), made.method.as_str()))
        .collect();
    let allowed = [
        ("proxy1_rp4", "CreateRequest"),
        ("proxy1_as4", "RegisterServiceDestination"),
    ];
    assert_eq!(made, allowed);
    net.close().await;
}

/// An IdP behind a proxy, in every mode; and without its keys there, nothing is
/// done for it.
#[actix_web::test]
async fn a_proxy_is_the_idp_of_requests_of_every_mode_as_long_as_it_has_the_keys() {
    const IDP: &str = "proxy1_idp4";
    let net = Net::with(Store::Embedded, 0, |options| {
        let nodes = ["ndid1", "rp1", "idp1", "proxy1", IDP];
        options.nodes = nodes.map(str::to_owned).to_vec();
    })
    .await;
    for node in &net.network.nodes {
        ready(node.api_urls()).await;
    }
    let rp = Rp::of(&net);
    let (idp, other) = (Idp::of(&net, IDP).await, Idp::of(&net, "idp1").await);
    let ndid = Ndid {
        api: net.api(Role::Ndid),
    };
    let of_mode_1 = json!({"mode": 1, "idp_id_list": [IDP]});
    let completes_mode_1 = async || {
        let request_id = rp.ask(IDENTITY, of_mode_1.clone()).await;
        idp.answer_mode_1(&request_id).await;
        assert_eq!(rp.closed(&request_id).await["status"], "completed");
    };
    completes_mode_1().await;

    for mode in [2, 3] {
        let person = format!("passport_num/behind{mode}");
        let (idp, other) = (idp.of_person(&person), other.of_person(&person));
        let (_, done) = idp.operate("", idp.person(mode), &person).await;
        assert_eq!(
            (&done["success"], &done["node_id"]),
            (&json!(true), &json!(IDP))
        );
        // Also for others' operations: the person consents behind the proxy.
        let asked = with(other.person(mode), json!({"request_message": "May they?"}));
        let reference = format!("{person}-elsewhere");
        let answer = other.call("", asked, &reference).await;
        if mode == 3 {
            idp.answer(answer["request_id"].as_str().unwrap(), "accept")
                .await;
        }
        let done = other.told.result(Idp::result_type(""), &reference).await;
        assert_eq!(done["success"], true, "{done}");

        let members = json!({"mode": mode, "idp_id_list": [], "bypass_identity_check": false});
        let request_id = rp.ask(&person, members).await;
        let came = idp.asked(&request_id).await;
        let group = &came["reference_group_code"];
        assert_eq!(*group, done["reference_group_code"], "{came}");
        idp.answer(&request_id, "accept").await;
        let closed = rp.closed(&request_id).await;
        let given = &closed["response_list"][0];
        assert_eq!(
            (&closed["status"], &given["idp_id"]),
            (&json!("completed"), &json!(IDP))
        );
        let verdict = (&given["valid_signature"], &given["valid_ial"]);
        assert_eq!(verdict, (&json!(true), &json!(true)));
    }

    let keys_are_on = async |config: &str| {
        let moved = json!({"node_id": IDP, "proxy_node_id": "proxy1", "config": config});
        ndid.done("update_node_proxy_node", moved, 204).await;
    };
    keys_are_on("KEY_ON_NODE").await;
    let unheard = rp.ask(IDENTITY, of_mode_1.clone()).await;
    let kind = "create_request_result";
    let is_it = |body: &Value| body["type"] == kind && body["request_id"] == unheard.as_str();
    rp.told.until(kind, is_it).await;
    all_idle(&net).await;
    let level = idp.of_person("passport_num/behind2");
    let refused = level
        .begin("/lial", &json!({"lial": true}), "refused")
        .await;
    assert_eq!(refused.status(), 202);
    let refused = idp.told.result("update_lial_result", "refused").await;
    assert_eq!(refused["error"]["code"], 10034, "{refused}");
    keys_are_on("KEY_ON_PROXY").await;
    // What comes later is told, what came meanwhile never is.
    completes_mode_1().await;
    let is_unheard = |body: &Value| body["request_id"] == unheard.as_str();
    assert_eq!(idp.told.count(is_unheard), 0);
    net.close().await;
}
