//! A chain that nobody has begun becomes a network by calls to NDID's node
//! alone, and the nodes that it has registered complete a request.

use std::path::Path;

use erawan::context::Role;
use erawan::devnet::keys::GeneratedKeys;
use erawan::devnet::network::SetUp;
use reqwest::Response;
use serde_json::{Value, json};

use crate::network::*;

/// The members of calls that give a node's keys.
pub fn keys(folder: &Path, node_id: &str) -> Value {
    let keys = GeneratedKeys::at(&folder.join("keys"), node_id);
    let pem = |path| GeneratedKeys::public_pem(path).unwrap();
    json!({
        "signing_public_key": pem(&keys.signing),
        "signing_key_algorithm": "RSA",
        "signing_algorithm": "RSASSA_PKCS1_V1_5_SHA_256",
        "signing_master_public_key": pem(&keys.master),
        "signing_master_key_algorithm": "RSA",
        "signing_master_algorithm": "RSASSA_PKCS1_V1_5_SHA_256",
        "encryption_public_key": pem(&keys.encryption),
        "encryption_key_algorithm": "RSA",
        "encryption_algorithm": "RSAES_PKCS1_V1_5",
    })
}

/// The first object with the members of the second.
pub fn with(mut body: Value, more: Value) -> Value {
    let Value::Object(more) = more else {
        panic!("no object: {more}");
    };
    body.as_object_mut().unwrap().extend(more);
    body
}

/// NDID's node, as its client sees it.
pub struct Ndid {
    pub api: String,
}

impl Ndid {
    async fn post(&self, operation: &str, body: &Value) -> Response {
        let url = format!("{}/v6/ndid/{operation}", self.api);
        plain_client().post(url).json(body).send().await.unwrap()
    }

    /// Makes a call that succeeds with this status and an empty body.
    pub async fn done(&self, operation: &str, body: Value, status: u16) {
        let answer = self.post(operation, &body).await;
        let answered = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        let expected = (status, "");
        assert_eq!((answered, text.as_str()), expected, "{operation} {body}");
    }

    /// Makes a call that is answered 200; its body.
    pub async fn told(&self, operation: &str, body: Value) -> Value {
        let answer = self.post(operation, &body).await;
        assert_eq!(answer.status(), 200, "{operation} {body}");
        answer.json().await.unwrap()
    }

    /// Makes a call that is refused with this status and code.
    pub async fn refused(&self, operation: &str, body: Value, status: u16, code: u32) {
        let answer = self.post(operation, &body).await;
        let answered = answer.status().as_u16();
        let error: Value = answer.json().await.unwrap();
        let expected = (status, json!(code));
        let found = (answered, error["error"]["code"].clone());
        assert_eq!(found, expected, "{operation} {body}: {error}");
    }

    /// What a look-up answers: status and body; null if it has none.
    pub async fn look_up(&self, path: &str) -> (u16, Value) {
        let url = format!("{}/v6/utility/{path}", self.api);
        let answer = plain_client().get(url).send().await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.text().await.unwrap();
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    /// The body of a look-up that finds something.
    pub async fn found(&self, path: &str) -> Value {
        let (status, body) = self.look_up(path).await;
        assert_eq!(status, 200, "{path}");
        body
    }
}

async fn begin_chain(ndid: &Ndid, folder: &Path) {
    let namespace = json!({"namespace": "citizen_id", "description": "Thai citizen ID"});
    // NDID has no key on the ledger.
    ndid.refused("create_namespace", namespace.clone(), 500, 10034)
        .await;
    let others = keys(folder, "rp1");
    // Signed with a key that it does not name.
    ndid.refused("init_ndid", others, 400, 25038).await;
    let history = r#"{"chains":[{"chain_id":"before"}]}"#;
    let init = with(
        keys(folder, "ndid1"),
        json!({"chain_history_info": history}),
    );
    ndid.done("init_ndid", init.clone(), 204).await;
    ndid.refused("init_ndid", init, 400, 25032).await;
    // The initialisation has not ended.
    ndid.refused("create_namespace", namespace.clone(), 500, 15029)
        .await;
    ndid.done("end_init", json!({}), 204).await;
    ndid.done("create_namespace", namespace, 201).await;
}

async fn register_nodes(ndid: &Ndid, folder: &Path) {
    let ials = json!({"supported_ial_list": [1.1, 1.2, 1.3, 2.1, 2.2, 2.3, 3]});
    ndid.done("set_supported_ial_list", ials, 204).await;
    let aals = json!({"supported_aal_list": [1, 2.1, 2.2, 3]});
    ndid.done("set_supported_aal_list", aals, 204).await;
    let modes = json!({"purpose": "", "allowed_mode_list": [1, 2, 3]});
    ndid.done("set_allowed_mode_list", modes, 204).await;
    let feature = json!({"name": "on_the_fly"});
    ndid.done("add_allowed_node_supported_feature", feature, 204)
        .await;
    for (node_id, more) in [
        ("rp1", json!({"role": "rp"})),
        (
            "idp1",
            json!({
                "role": "idp", "max_ial": 3, "max_aal": 3,
                "supported_feature_list": ["on_the_fly"],
            }),
        ),
        ("as1", json!({"role": "as"})),
    ] {
        let named = json!({"node_id": node_id, "node_name": format!("the {node_id}")});
        let node = with(with(keys(folder, node_id), named), more);
        ndid.done("register_node", node.clone(), 201).await;
        ndid.refused("register_node", node, 400, 25011).await;
        let token = json!({"node_id": node_id, "amount": 10_000});
        ndid.done("set_node_token", token, 204).await;
    }
}

async fn set_up_service(ndid: &Ndid) {
    let service = json!({"service_id": "bank_statement", "service_name": "Three months"});
    ndid.done("create_service", service, 201).await;
    let approval = json!({"service_id": "bank_statement", "node_id": "as1"});
    ndid.done("approve_service", approval, 204).await;
    for role in ["idp", "as"] {
        let code = json!({"error_code": 10101, "type": role, "description": "Unknown identity"});
        ndid.done("add_error_code", code, 204).await;
    }
}

#[actix_web::test]
async fn ndid_sets_up_a_chain_and_its_nodes_complete_a_request() {
    let mut net = Net::with(Store::Embedded, 0, |options| {
        options.nodes = ["ndid1", "rp1", "idp1", "as1"].map(str::to_owned).to_vec();
        options.set_up = SetUp::Nobody;
    })
    .await;
    // They end when they find themselves unknown on a chain that has begun.
    for role in ROLES {
        kill(&mut net.processes(role)[0]).await;
    }
    let ndid = Ndid {
        api: net.api(Role::Ndid),
    };
    ready(vec![ndid.api.clone()]).await;
    let folder = net.network.directory.clone();
    begin_chain(&ndid, &folder).await;
    register_nodes(&ndid, &folder).await;
    set_up_service(&ndid).await;

    let (_, node) = ndid.look_up("nodes/idp1").await;
    assert_eq!(node["supported_feature_list"], json!(["on_the_fly"]));
    for role in ROLES {
        start_again(&mut net.processes(role)[0]);
    }
    let apps = net.apps().await;
    drive(&apps, 3).await;
    assert_all_verified(&apps, 3);
    net.end(apps).await;
}
