//! What is random follows from something all the same: hashes from salts,
//! signatures from keys (spec/messaging-and-crypto.md 5).

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::bn::{BigNum, BigNumContext};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sha::Sha256;
use openssl::sign::Verifier;
use serde_json::Value;

/// Stored messages whose members are shown in the order in which they were
/// signed.
const SHOWN_AS_SENT: &[&str] = &["idp_response"];

/// What is known of a request.
#[derive(Debug, Default, Clone)]
struct Request {
    initial_salt: String,
    message: String,
    /// Namespace and identifier, if they are known.
    identity: Option<(String, String)>,
    /// Parameters by service.
    params: HashMap<String, String>,
}

/// Checks what live bodies say.
#[derive(Debug, Default)]
pub struct Checks {
    requests: HashMap<String, Request>,
    /// Hashes of messages, by message id.
    messages: HashMap<String, String>,
    /// Signing keys of nodes, PEM.
    nodes: HashMap<String, String>,
    /// How many values were checked.
    pub made: usize,
}

impl Checks {
    /// Knows the nodes' signing keys.
    pub fn new(nodes: HashMap<String, String>) -> Self {
        Self {
            nodes,
            ..Self::default()
        }
    }

    /// An RP has made a request, or written a message to be hashed.
    pub fn request_made(&mut self, path: &str, request: &Value, response: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let salt = response["initial_salt"].as_str();
        if let (Some(id), Some(salt)) = (response["message_id"].as_str(), salt) {
            let message = hashed(&[&text(&request["message"]), &hashed(&[salt])]);
            self.messages.insert(id.to_owned(), message);
        }
        let (Some(id), true) = (
            response["request_id"].as_str(),
            response["initial_salt"].is_string(),
        ) else {
            return;
        };
        let identity = path.split_once("/rp/requests/").and_then(|(_, identity)| {
            let (namespace, identifier) = identity.split_once('/')?;
            Some((namespace.to_owned(), identifier.to_owned()))
        });
        let data_requests = request["data_request_list"]
            .as_array()
            .into_iter()
            .flatten();
        let made = Request {
            initial_salt: text(&response["initial_salt"]),
            message: text(&request["request_message"]),
            identity,
            params: data_requests
                .map(|of| (text(&of["service_id"]), text(&of["request_params"])))
                .collect(),
        };
        self.requests.insert(id.to_owned(), made);
    }

    /// What is wrong in a live body. `request_id` is that of the call.
    pub fn faults(&mut self, body: &Value, request_id: Option<&str>) -> Vec<String> {
        let mut faults = Vec::new();
        self.look(body, request_id, &mut faults);
        faults
    }

    fn look(&mut self, value: &Value, request_id: Option<&str>, faults: &mut Vec<String>) {
        match value {
            Value::Array(items) => {
                for item in items {
                    self.look(item, request_id, faults);
                }
            }
            Value::Object(members) => {
                let request_id = value["request_id"].as_str().or(request_id);
                self.object(value, request_id, faults);
                for member in members.values() {
                    self.look(member, request_id, faults);
                }
            }
            _ => {}
        }
    }

    fn object(&mut self, value: &Value, request_id: Option<&str>, faults: &mut Vec<String>) {
        let of = |name: &str| value[name].as_str();
        let (message, salt) = (of("request_message"), of("request_message_salt"));
        if let (Some(message), Some(salt), Some(hash)) = (message, salt, of("request_message_hash"))
        {
            self.same(
                "request_message_hash",
                hash,
                &hashed(&[message, salt]),
                faults,
            );
        }
        if let (Some(data), Some(salt), Some(signature)) =
            (of("data"), of("data_salt"), of("source_signature"))
        {
            let node = of("source_node_id").unwrap_or_default();
            self.made += 1;
            if !self.has_signed(node, &[data, salt].concat(), signature) {
                faults.push(format!("source_signature of {node} does not verify"));
            }
        }
        let message = &value["message"];
        let is_shown_as_sent = of("direction") == Some("inbound")
            && message["type"]
                .as_str()
                .is_some_and(|kind| SHOWN_AS_SENT.contains(&kind));
        if let (true, Some(signature)) = (is_shown_as_sent, of("signature")) {
            let node = value["source"]["node_id"].as_str().unwrap_or_default();
            self.made += 1;
            if !self.has_signed(node, &message.to_string(), signature) {
                faults.push(format!("signature of a message of {node} does not verify"));
            }
        }
        let written = of("message_id").and_then(|id| self.messages.get(id).cloned());
        if let (Some(written), Some(message)) = (written, of("message")) {
            self.same("message", message, &written, faults);
        }
        let known = request_id.and_then(|id| Some((id, self.requests.get(id)?.clone())));
        if let Some((id, request)) = known {
            self.of_request(value, id, &request, faults);
        }
    }

    fn of_request(&mut self, value: &Value, id: &str, request: &Request, faults: &mut Vec<String>) {
        let of = |name: &str| value[name].as_str();
        let initial = request.initial_salt.as_str();
        let message_salt = request
            .identity
            .as_ref()
            .map(|(namespace, identifier)| hashed(&[namespace, identifier, initial]));
        let service = of("service_id").unwrap_or_default();
        let params_salt = hashed(&[id, service, initial]);
        let params = request.params.get(service).map(String::as_str);
        let expected = [
            ("initial_salt", Some(initial.to_owned())),
            ("request_message_salt", message_salt.clone()),
            (
                "request_message_hash",
                message_salt.map(|salt| hashed(&[&request.message, &salt])),
            ),
            ("request_params_salt", Some(params_salt.clone())),
            (
                "request_params_hash",
                params.map(|params| hashed(&[params, &params_salt])),
            ),
            // A proxy salts with its own id, for every node behind it.
            (
                "data_salt",
                of("source_node_id").map(|node| {
                    let node = node.split('_').next().unwrap_or_default();
                    hashed(&[id, service, node, initial])
                }),
            ),
        ];
        for (name, expected) in expected {
            if let (Some(live), Some(expected)) = (of(name), expected) {
                self.same(name, live, &expected, faults);
            }
        }
    }

    fn same(&mut self, name: &str, live: &str, expected: &str, faults: &mut Vec<String>) {
        self.made += 1;
        if live != expected {
            faults.push(format!("{name} is {live}, not {expected} as it follows"));
        }
    }

    /// What is wrong with a padded hash that a user's key is to sign.
    pub fn padded_hash_faults(&mut self, id: &str, accessor: &str, body: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        let live = body["request_message_padded_hash"].as_str();
        if let (Some(live), Some(request)) = (live, self.requests.get(id).cloned()) {
            let expected = padded_hash(&request.message, &request.initial_salt, id, accessor);
            let name = "request_message_padded_hash";
            self.same(name, live, &expected, &mut faults);
        }
        faults
    }

    fn has_signed(&self, node: &str, message: &str, signature: &str) -> bool {
        let verify = || {
            let key = PKey::public_key_from_pem(self.nodes.get(node)?.as_bytes()).ok()?;
            let signature = STANDARD.decode(signature).ok()?;
            let mut verifier = Verifier::new(MessageDigest::sha256(), &key).ok()?;
            verifier.verify_oneshot(&signature, message.as_bytes()).ok()
        };
        verify() == Some(true)
    }
}

fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
    }
    hasher.finish()
}

fn hashed(parts: &[&str]) -> String {
    STANDARD.encode(digest(parts))
}

/// What a user's RSA key of 2048 bits signs.
fn padded_hash(message: &str, initial_salt: &str, request_id: &str, public_key: &str) -> String {
    let salt = hashed(&[request_id, initial_salt]);
    let paddings = (1..=7).map(|number| digest(&[initial_salt, &number.to_string()]));
    let mut block: Vec<u8> = paddings.flatten().collect();
    block.extend(digest(&[message, &salt]));
    let key = PKey::public_key_from_pem(public_key.as_bytes()).unwrap();
    let key = key.rsa().unwrap();
    let mut reduced = BigNum::new().unwrap();
    let block = BigNum::from_slice(&block).unwrap();
    let mut context = BigNumContext::new().unwrap();
    reduced.nnmod(&block, key.n(), &mut context).unwrap();
    STANDARD.encode(reduced.to_vec_padded(256).unwrap())
}

#[cfg(test)]
#[path = "checks_tests.rs"]
mod tests;
