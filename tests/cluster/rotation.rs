//! Nodes change their keys in the middle of their work.

use erawan::context::Role;
use erawan::devnet::keys::GeneratedKeys;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use serde_json::{Value, json};

use crate::client::{Told, client_application};
use crate::network::*;

const SIGN: &str = "RSASSA_PSS_SHA_256";
const CHECK: &str = "somebody has the keys";

/// New keys of a node, which nobody has yet.
struct NewKeys {
    signing: PKey<Private>,
    master: PKey<Private>,
    encryption: PKey<Private>,
}

fn rsa() -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
}

fn signed(key: &PKey<Private>) -> String {
    use base64::Engine as _;
    let mut signer = Signer::new(MessageDigest::sha256(), key).unwrap();
    let padding = openssl::rsa::Padding::PKCS1_PSS;
    signer.set_rsa_padding(padding).unwrap();
    let signature = signer.sign_oneshot_to_vec(CHECK.as_bytes()).unwrap();
    base64::engine::general_purpose::STANDARD.encode(signature)
}

impl NewKeys {
    fn make() -> Self {
        Self {
            signing: rsa(),
            master: rsa(),
            encryption: rsa(),
        }
    }

    /// Body of the call that tells the ledger.
    fn body(&self) -> Value {
        let public =
            |key: &PKey<Private>| String::from_utf8(key.public_key_to_pem().unwrap()).unwrap();
        json!({
            "signing_public_key": public(&self.signing),
            "signing_key_algorithm": "RSA",
            "signing_algorithm": SIGN,
            "signing_master_public_key": public(&self.master),
            "signing_master_key_algorithm": "RSA",
            "signing_master_algorithm": SIGN,
            "encryption_public_key": public(&self.encryption),
            "encryption_key_algorithm": "RSA",
            "encryption_algorithm": "RSAES_OAEP_SHA_256",
            "check_string": CHECK,
            "signed_check_string": signed(&self.signing),
            "master_signed_check_string": signed(&self.master),
        })
    }

    /// Replaces the keys that are there.
    fn install(&self, files: &GeneratedKeys) {
        for (key, path) in [
            (&self.signing, &files.signing),
            (&self.master, &files.master),
            (&self.encryption, &files.encryption),
        ] {
            std::fs::write(path, key.private_key_to_pem_pkcs8().unwrap()).unwrap();
        }
    }
}

/// A client of a node.
struct Operator {
    api: String,
    url: String,
    told: Told,
}

impl Operator {
    fn of(net: &Net, role: Role) -> Self {
        let (url, told) = client_application();
        Self {
            api: net.api(role),
            url,
            told,
        }
    }

    /// Tells the ledger; what the callback says.
    async fn update(&self, node_id: &str, mut body: Value) -> Value {
        let reference = uuid::Uuid::new_v4().to_string();
        body["reference_id"] = reference.as_str().into();
        body["callback_url"] = self.url.as_str().into();
        body["node_id"] = node_id.into();
        let called = plain_client().post(format!("{}/v6/node/update", self.api));
        let answer = called.json(&body).send().await.unwrap();
        let status = answer.status();
        assert_eq!(status, 202, "{}", answer.text().await.unwrap());
        self.told.result("update_node_result", &reference).await
    }

    async fn reload(&self) {
        let called = plain_client().get(format!("{}/reinit_node_keys", self.api));
        assert_eq!(called.send().await.unwrap().status(), 204);
    }
}

fn is_done(told: &Value) {
    assert_eq!(told["success"], true, "{told}");
}

/// Whatever comes first, the files, the ledger or the call that reads files: in
/// all processes of the node everything goes on.
#[actix_web::test]
async fn keys_change_in_all_processes_while_requests_are_made() {
    let net = Net::start(Store::Redis, 2).await;
    let apps = net.apps().await;
    let files = |node_id: &str| GeneratedKeys::at(&net.network.directory.join("keys"), node_id);
    let [rp, idp, as_] = ROLES.map(|role| Operator::of(&net, role));
    under_load(&apps, async {
        for _ in 0..2 {
            // Files, one process is told, the ledger.
            let keys = NewKeys::make();
            keys.install(&files("rp1"));
            rp.reload().await;
            is_done(&rp.update("rp1", keys.body()).await);
            // Files, then the ledger, without a notice to anybody.
            let keys = NewKeys::make();
            keys.install(&files("idp1"));
            is_done(&idp.update("idp1", keys.body()).await);
            // The ledger, files, one process is told.
            let keys = NewKeys::make();
            is_done(&as_.update("as1", keys.body()).await);
            keys.install(&files("as1"));
            as_.reload().await;
        }
    })
    .await;
    net.end(apps).await;
}

/// A proxy changes the keys of the nodes that it works for, and of no others.
#[actix_web::test]
async fn a_proxy_changes_the_keys_of_nodes_behind_it() {
    let net = Net::with(Store::Embedded, 0, |options| {
        let nodes = ["proxy1", "idp1", "proxy1_rp4", "proxy2", "proxy2_rp5"];
        options.nodes = nodes.map(str::to_owned).to_vec();
    })
    .await;
    for node in &net.network.nodes {
        ready(node.api_urls()).await;
    }
    let directory = net.network.directory.join("keys");
    let proxy = Operator::of(&net, Role::Proxy);
    let keys = NewKeys::make();
    keys.install(&GeneratedKeys::behind_proxy(&directory, "proxy1_rp4"));
    is_done(&proxy.update("proxy1_rp4", keys.body()).await);
    let refused = proxy.update("proxy2_rp5", NewKeys::make().body()).await;
    assert_eq!(refused["success"], false, "{refused}");
    assert_eq!(refused["error"]["code"], 10034, "{refused}");
    assert_eq!(refused["node_id"], "proxy2_rp5");

    // The new keys sign.
    let (reference, mut body) = unanswered_request();
    body["callback_url"] = proxy.url.as_str().into();
    body["node_id"] = "proxy1_rp4".into();
    let called = plain_client().post(format!("{}/v6/rp/requests/{IDENTITY}", proxy.api));
    assert_eq!(called.json(&body).send().await.unwrap().status(), 202);
    is_done(&proxy.told.result("create_request_result", &reference).await);
    net.close().await;
}
