//! Every operation that signs or decrypts, on nodes that have no keys, in both
//! versions of the calls to the crypto service.

use std::collections::BTreeSet;

use erawan::context::Role;
use serde_json::{Value, json};

use crate::client::{Told, client_application};
use crate::crypto_service::CryptoService;
use crate::identity_idps::{Idp, with};
use crate::ndid_set_up::Ndid;
use crate::network::*;

const IDP: &str = "idp2";
const BEHIND: &str = "proxy1_idp4";

/// Every operation on a person, at an IdP and at one behind a proxy.
async fn identities(one: &Idp, two: &Idp, round: usize) {
    let under = |name: &str| format!("{name}{round}");
    let done = |(_, done): (Value, Value)| assert_eq!(done["success"], true, "{done}");
    let consented = |done: Value| assert_eq!(done["success"], true, "{done}");
    let asking = || json!({"request_message": "May we?"});
    done(one.operate("", one.person(2), &under("one")).await);
    done(two.operate("", two.person(2), &under("two")).await);
    let (added, result) = one
        .operate("/accessors", one.new_accessor(), &under("added"))
        .await;
    consented(result);
    let replaced = with(
        one.new_accessor(),
        json!({"revoking_accessor_id": added["accessor_id"]}),
    );
    let (added, result) = one
        .operate("/accessor_revoke_and_add", replaced, &under("replaced"))
        .await;
    consented(result);
    let revoked = json!({"accessor_id": added["accessor_id"]});
    done(
        one.operate("/accessor_revoke", revoked, &under("revoked"))
            .await,
    );
    let identifier = format!("more{}", uuid::Uuid::new_v4().simple());
    let more = json!({"namespace": "passport_num", "identifier": identifier});
    let more = json!({"identity_list": [more]});
    done(one.operate("/of_person", more, &under("more")).await);
    for (level, value) in [
        ("ial", json!(3)),
        ("lial", json!(true)),
        ("laal", json!(true)),
    ] {
        let body = json!({level: value});
        done(two.operate(&format!("/{level}"), body, &under(level)).await);
    }
    // The other IdP of the person consents.
    let answer = one.call("/mode", asking(), &under("mode")).await;
    two.answer(answer["request_id"].as_str().unwrap(), "accept")
        .await;
    consented(
        one.told
            .result(Idp::result_type("/mode"), &under("mode"))
            .await,
    );
    let answer = one
        .call("/association_revoke", asking(), &under("left"))
        .await;
    two.answer(answer["request_id"].as_str().unwrap(), "accept")
        .await;
    let kind = Idp::result_type("/association_revoke");
    consented(one.told.result(kind, &under("left")).await);
    // Messages of a proxy to itself are wrapped as well.
    let answer = two.call("/mode", asking(), &under("own")).await;
    two.answer(answer["request_id"].as_str().unwrap(), "accept")
        .await;
    consented(
        two.told
            .result(Idp::result_type("/mode"), &under("own"))
            .await,
    );
}

/// A client of any node.
struct Client {
    url: String,
    told: Told,
}

impl Client {
    /// A call whose result is called back.
    async fn done(&self, api: &str, path: &str, kind: &str, body: Value) {
        let reference = format!("{kind}-{}", uuid::Uuid::new_v4());
        let reply = json!({"reference_id": reference, "callback_url": self.url});
        let call = plain_client().post(format!("{api}/v6/{path}"));
        let answer = call.json(&with(body, reply)).send().await.unwrap();
        let status = answer.status();
        assert_eq!(status, 202, "{path}: {}", answer.text().await.unwrap());
        let result = self.told.result(kind, &reference).await;
        assert_eq!(result["success"], true, "{path}: {result}");
    }
}

/// What other roles sign, beside requests.
async fn others(net: &Net, version: &str) {
    let (url, told) = client_application();
    let client = Client { url, told };
    let message = json!({"message": "a message", "purpose": version});
    let kind = "create_message_result";
    client
        .done(&net.api(Role::Rp), "rp/messages", kind, message)
        .await;
    let offer = json!({
        "min_ial": 1.1, "min_aal": 1, "url": client.url,
        "supported_namespace_list": ["citizen_id"],
    });
    let kind = "add_or_update_service_result";
    let path = "as/service/customer_info";
    client.done(&net.api(Role::As), path, kind, offer).await;
    let types = json!({"supported_request_message_data_url_type_list": ["text/plain"]});
    let mut nodes = net.network.nodes.iter();
    let idp = nodes.find(|node| node.node_id == IDP).unwrap();
    let kind = "update_node_result";
    client
        .done(&idp.api_urls()[0], "node/update", kind, types)
        .await;
    let ndid = Ndid {
        api: net.api(Role::Ndid),
    };
    let name = format!("of_version_{version}");
    let namespace = json!({"namespace": name, "description": "a test's"});
    ndid.done("create_namespace", namespace, 201).await;
}

async fn speak(net: &Net, version: &str) {
    for node in &net.network.nodes {
        for api in node.api_urls() {
            let setting = json!({"EXTERNAL_CRYPTO_SERVICE_CALLBACK_API_VERSION": version});
            let call = plain_client().post(format!("{api}/config/set"));
            let answer = call.json(&setting).send().await.unwrap();
            assert_eq!(answer.status(), 200);
        }
    }
}

#[actix_web::test]
async fn every_operation_is_signed_and_decrypted_by_the_service_in_both_versions() {
    let net = Net::with(Store::Embedded, 0, |options| {
        let nodes = ["ndid1", "rp1", "idp1", IDP, "as1", "proxy1", BEHIND];
        options.nodes = nodes.map(str::to_owned).to_vec();
        let external = ("USE_EXTERNAL_CRYPTO_SERVICE", "true");
        options.settings = vec![(external.0.to_owned(), external.1.to_owned())];
    })
    .await;
    let service = CryptoService::start(net.network.directory.join("keys"));
    for node in &net.network.nodes {
        for api in node.api_urls() {
            service.introduce(&api).await;
        }
        ready(node.api_urls()).await;
    }
    let apps = net.apps().await;
    let one = Idp::of(&net, IDP).await;
    let two = Idp::of(&net, BEHIND).await;
    let mut expected = BTreeSet::new();
    for (index, version) in ["5.3", "6.0"].into_iter().enumerate() {
        speak(&net, version).await;
        drive(&apps, 3).await;
        assert_all_verified(&apps, 3 * (index as u64 + 1));
        let person = format!("passport_num/of{index}");
        identities(&one.of_person(&person), &two.of_person(&person), index).await;
        others(&net, version).await;
        for node_id in ["rp1", "idp1", IDP, "as1", "proxy1", BEHIND] {
            let node_id = || node_id.to_owned();
            expected.extend([
                ("sign", node_id(), version),
                ("decrypt", node_id(), version),
            ]);
        }
        expected.insert(("sign", "ndid1".to_owned(), version));
        expected.insert(("master_sign", IDP.to_owned(), version));
    }
    let asked = service.asked();
    let missing: Vec<_> = expected.difference(&asked).collect();
    assert!(missing.is_empty(), "{missing:?}");
    net.end(apps).await;
}
