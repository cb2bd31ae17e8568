//! For whom a proxy acts.

use erawan::context::Role;
use erawan::devnet::keys::GeneratedKeys;
use erawan::devnet::verdict::read_transactions;
use serde_json::{Value, json};

use crate::client::{Told, client_application};
use crate::network::*;

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
