//! Rules of the development ledger that the recordings do not reach.

use erawan::devnet::ledger::app::{App, TxResult};
use prost::bytes::Bytes;
use serde_json::{Value, json};

use crate::ledger_keys::{CHAIN_ID, Keys};

/// An application with NDID, driven block by block.
struct Network {
    app: App,
    keys: Keys,
}

impl Network {
    fn new() -> Self {
        let mut network = Self {
            app: App::new(CHAIN_ID, []),
            keys: Keys::new(),
        };
        let init = network.keys.node("ndid1");
        assert_eq!(network.run("ndid1", "InitNDID", &init).code, 0);
        network
    }

    fn initialised() -> Self {
        let mut network = Self::new();
        assert_eq!(network.ndid("EndInit", &json!({})).code, 0);
        network
    }

    fn block(&mut self, transactions: &[Bytes]) -> Vec<TxResult> {
        let height = self.app.height() + 1;
        self.app.finalize_block(height, transactions).transactions
    }

    /// Checks and executes, in a block of its own; the result of the check if
    /// that refuses.
    fn run(&mut self, node_id: &str, method: &str, params: &Value) -> TxResult {
        let transaction = Bytes::from(self.keys.transaction(node_id, method, params));
        let checked = self.app.check_tx(&transaction);
        if checked.code != 0 {
            return checked;
        }
        self.block(&[transaction]).remove(0)
    }

    fn ndid(&mut self, method: &str, params: &Value) -> TxResult {
        self.run("ndid1", method, params)
    }

    fn register(&mut self, node_id: &str, role: &str, more: Value) {
        let mut node = self.keys.node(node_id);
        node["role"] = json!(role);
        if let Value::Object(more) = more {
            node.as_object_mut().unwrap().extend(more);
        }
        assert_eq!(self.ndid("RegisterNode", &node).code, 0);
        let tokens = json!({"node_id": node_id, "amount": 1000});
        assert_eq!(self.ndid("SetNodeToken", &tokens).code, 0);
    }

    fn query(&self, method: &str, params: &Value) -> Value {
        let answer = self.app.query(method, params.to_string().as_bytes(), 0);
        serde_json::from_slice(&answer.value.unwrap()).unwrap()
    }
}

/// Whether a result is a refusal of CheckTx: it has no event.
fn refused_by_check(result: &TxResult) -> bool {
    result.code != 0 && result.attributes.is_empty()
}

#[test]
fn before_the_end_of_initialisation_only_it_is_allowed() {
    let mut network = Network::new();
    let refused = network.ndid("AddNamespace", &json!({"namespace": "n"}));
    assert_eq!(refused.code, 83);
    assert!(refused_by_check(&refused));
    let history = json!({"kv_list": [{"key": "Q2hhaW5IaXN0b3J5SW5mbw==", "value": "e30="}]});
    assert_eq!(network.ndid("SetInitData", &history).code, 0);
    assert_eq!(network.query("GetChainHistory", &json!({})), json!({}));
    assert_eq!(network.ndid("EndInit", &json!({})).code, 0);
    assert_eq!(network.ndid("SetInitData", &history).code, 126);
    let init = network.keys.node("ndid1");
    assert_eq!(network.ndid("InitNDID", &init).code, 53);
}

#[test]
fn a_disabled_chain_takes_only_set_last_block() {
    let mut network = Network::initialised();
    assert_eq!(
        network
            .ndid("SetLastBlock", &json!({"block_height": 0}))
            .code,
        0
    );
    // In time at the check, too late in the block.
    let late = network.ndid("AddNamespace", &json!({"namespace": "n"}));
    assert_eq!((late.code, refused_by_check(&late)), (82, false));
    let later = network.ndid("AddNamespace", &json!({"namespace": "n"}));
    assert_eq!((later.code, refused_by_check(&later)), (82, true));
    assert_eq!(
        network
            .ndid("SetLastBlock", &json!({"block_height": -1}))
            .code,
        0
    );
    assert_eq!(
        network
            .ndid("AddNamespace", &json!({"namespace": "n"}))
            .code,
        0
    );
}

#[test]
fn a_transaction_that_did_not_reach_its_method_leaves_the_app_hash() {
    let mut network = Network::initialised();
    let before = network.app.app_hash();
    assert_eq!(network.block(&[]), []);
    let unsigned = network.block(&[Bytes::from_static(b"\x0a\x07EndInit")]);
    assert_ne!(unsigned[0].code, 0);
    assert_eq!(network.app.app_hash(), before);
    // Refused by its method: its nonce is stored.
    let refused = network.ndid("DisableNode", &json!({"node_id": "nobody"}));
    assert_eq!(refused.code, 24);
    assert_ne!(network.app.app_hash(), before);
}

#[test]
fn a_transaction_whose_key_changed_while_it_waited_is_not_executed() {
    let mut network = Network::initialised();
    let change = json!({
        "signing_public_key": Keys::new().public,
        "signing_algorithm": "RSASSA_PKCS1_V1_5_SHA_256",
    });
    let transactions: [Bytes; 2] = [
        network
            .keys
            .transaction("ndid1", "UpdateNode", &change)
            .into(),
        network
            .keys
            .transaction("ndid1", "AddNamespace", &json!({"namespace": "n"}))
            .into(),
    ];
    for transaction in &transactions {
        assert_eq!(network.app.check_tx(transaction).code, 0);
    }
    let results = network.block(&transactions);
    assert_eq!((results[0].code, results[1].code), (0, 999));
    let keys = network.query("GetNodePublicKeyList", &json!({"node_id": "ndid1"}));
    let active = keys["signing_public_key_list"].as_array().unwrap().iter();
    let active: Vec<bool> = active.map(|key| key["active"].as_bool().unwrap()).collect();
    assert_eq!(active, [false, true]);
}

#[test]
fn tokens_are_burned_for_refused_calls_and_priced_by_method() {
    let mut network = Network::initialised();
    network.register("rp1", "rp", json!({}));
    let close = json!({"request_id": "nothing"});
    assert_eq!(network.run("rp1", "CloseRequest", &close).code, 7);
    let token = |network: &Network| network.query("GetNodeToken", &json!({"node_id": "rp1"}));
    assert_eq!(token(&network), json!({"amount": 999}));
    let price = json!({"func": "CloseRequest", "price": 2.5});
    assert_eq!(network.ndid("SetPriceFunc", &price).code, 0);
    network.run("rp1", "CloseRequest", &close);
    assert_eq!(token(&network), json!({"amount": 996.5}));
    // Not a method of a node: refused, not paid.
    assert_eq!(network.run("rp1", "EndInit", &json!({})).code, 55);
    assert_eq!(token(&network), json!({"amount": 996.5}));
}

#[test]
fn validators_change_only_as_ed25519_keys_with_power() {
    let mut network = Network::initialised();
    let key = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=";
    let set = |key: &str, power: i64| json!({"public_key": key, "power": power});
    assert_eq!(network.ndid("SetValidator", &set("!", 1)).code, 2);
    assert_eq!(network.ndid("SetValidator", &set("AAAA", 1)).code, 132);
    assert_eq!(network.ndid("SetValidator", &set(key, -1)).code, 131);
    assert_eq!(network.ndid("SetValidator", &set(key, 0)).code, 85);
    let add: Bytes = network
        .keys
        .transaction("ndid1", "SetValidator", &set(key, 7))
        .into();
    assert_eq!(network.app.check_tx(&add).code, 0);
    let height = network.app.height() + 1;
    let changes = network.app.finalize_block(height, &[add]).validators;
    assert_eq!(changes, [(key.to_owned(), 7)]);
    assert_eq!(network.ndid("SetValidator", &set(key, 0)).code, 0);
}

#[test]
fn keys_must_fit_their_algorithm() {
    let mut network = Network::initialised();
    let ed25519 = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAiojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=\n\
        -----END PUBLIC KEY-----\n";
    let curve = |nid| {
        let group = openssl::ec::EcGroup::from_curve_name(nid).unwrap();
        let key = openssl::ec::EcKey::generate(&group).unwrap();
        let key = openssl::pkey::PKey::from_ec_key(key).unwrap();
        String::from_utf8(key.public_key_to_pem().unwrap()).unwrap()
    };
    let p256 = curve(openssl::nid::Nid::X9_62_PRIME256V1);
    let p521 = curve(openssl::nid::Nid::SECP521R1);
    let bitcoin = curve(openssl::nid::Nid::SECP256K1);
    let short = openssl::rsa::Rsa::generate(1024)
        .unwrap()
        .public_key_to_pem()
        .unwrap();
    let short = String::from_utf8(short).unwrap();
    let rsa = network.keys.public.clone();
    for (key, algorithm, code) in [
        ("no key", "Ed25519", 50),
        (bitcoin.as_str(), "ECDSA_SHA_256", 50),
        (short.as_str(), "RSASSA_PSS_SHA_256", 65),
        (rsa.as_str(), "Ed25519", 127),
        (ed25519, "RSASSA_PSS_SHA_256", 127),
        (p256.as_str(), "", 127),
        (p256.as_str(), "ECDSA_SHA_384", 128),
        (p521.as_str(), "ECDSA_SHA_256", 128),
    ] {
        let mut node = network.keys.node("rp1");
        node["role"] = json!("rp");
        node["signing_public_key"] = json!(key);
        node["signing_algorithm"] = json!(algorithm);
        let refused = network.ndid("RegisterNode", &node);
        assert_eq!(refused.code, code, "{algorithm}");
        assert!(refused_by_check(&refused));
    }
    let mut node = network.keys.node("rp1");
    node["role"] = json!("rp");
    node["encryption_public_key"] = json!(ed25519);
    assert_eq!(network.ndid("RegisterNode", &node).code, 51);
}

#[test]
fn answers_beyond_what_a_request_needs_are_refused() {
    let mut network = Network::initialised();
    network.register("rp1", "rp", json!({}));
    for idp in ["idp1", "idp2", "idp3"] {
        network.register(idp, "idp", json!({"max_ial": 3, "max_aal": 3}));
    }
    let request = json!({
        "mode": 1, "request_id": "aa", "min_idp": 1, "min_ial": 2.3, "min_aal": 1,
        "request_timeout": 60, "idp_id_list": ["idp1", "idp2"],
    });
    assert_eq!(
        network.run("rp1", "CreateRequest", &request).data.unwrap(),
        b"aa"
    );
    assert_eq!(network.run("rp1", "CreateRequest", &request).code, 23);
    let answer = |ial: f64| json!({"request_id": "aa", "ial": ial, "aal": 3, "status": "accept"});
    assert_eq!(
        network.run("idp3", "CreateIdpResponse", &answer(2.3)).code,
        76
    );
    assert_eq!(
        network.run("rp1", "CreateIdpResponse", &answer(2.3)).code,
        56
    );
    assert_eq!(
        network.run("idp1", "CreateIdpResponse", &answer(1.1)).code,
        18
    );
    assert_eq!(
        network.run("idp1", "CreateIdpResponse", &answer(3.5)).code,
        18
    );
    let error = json!({"request_id": "aa", "error_code": 5});
    assert_eq!(network.run("idp1", "CreateIdpResponse", &error).code, 106);
    assert_eq!(
        network.run("idp1", "CreateIdpResponse", &answer(2.3)).code,
        0
    );
    assert_eq!(
        network.run("idp1", "CreateIdpResponse", &answer(2.3)).code,
        16
    );
    assert_eq!(
        network.run("idp2", "CreateIdpResponse", &answer(2.3)).code,
        10
    );
    let close = json!({"request_id": "aa", "response_valid_list": [
        {"idp_id": "idp1", "valid_ial": null, "valid_signature": true}]});
    assert_eq!(network.run("idp1", "CloseRequest", &close).code, 60);
    assert_eq!(network.run("rp1", "CloseRequest", &close).code, 0);
    assert_eq!(network.run("rp1", "TimeOutRequest", &close).code, 8);
    let detail = network.query("GetRequestDetail", &json!({"request_id": "aa"}));
    let response = &detail["response_list"][0];
    assert_eq!(
        (&response["valid_ial"], &response["valid_signature"]),
        (&Value::Null, &json!(true))
    );
}

#[test]
fn a_message_is_stored_once() {
    let mut network = Network::initialised();
    network.register("rp1", "rp", json!({}));
    network.register("as1", "as", json!({}));
    let message = json!({"message_id": "m", "message": "text", "purpose": "p"});
    assert_eq!(network.run("as1", "CreateMessage", &message).code, 119);
    assert_eq!(
        network.run("rp1", "CreateMessage", &message).data.unwrap(),
        b"m"
    );
    assert_eq!(network.run("rp1", "CreateMessage", &message).code, 120);
    let stored = network.query("GetMessage", &json!({"message_id": "m"}));
    assert_eq!(stored, json!({"message": "text"}));
}
