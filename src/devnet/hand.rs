//! How NDID reaches the chain of a development network: by transactions with its
//! key, or by calls of its node.

use std::io;
use std::time::Duration;

use openssl::hash::MessageDigest;
use openssl::pkey::{Id, PKey, Private};
use openssl::sign::Signer;
use rand::RngCore;
use reqwest::Client;
use serde_json::{Value, json};

use super::genesis::NDID;
use super::keys::SigningKeys;
use crate::ledger::{Ledger, transaction};

const POLL: Duration = Duration::from_millis(5);
/// A call is answered when its block is in.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Methods of the ledger, and the operations under `/ndid` that lead to them.
const OPERATIONS: [(&str, &str); 13] = [
    ("InitNDID", "init_ndid"),
    ("EndInit", "end_init"),
    ("SetSupportedIALList", "set_supported_ial_list"),
    ("SetSupportedAALList", "set_supported_aal_list"),
    (
        "AddAllowedNodeSupportedFeature",
        "add_allowed_node_supported_feature",
    ),
    ("RegisterNode", "register_node"),
    ("SetNodeToken", "set_node_token"),
    ("AddNodeToProxyNode", "add_node_to_proxy_node"),
    ("AddNamespace", "create_namespace"),
    ("AddService", "create_service"),
    ("RegisterServiceDestinationByNDID", "approve_service"),
    ("AddRequestType", "add_request_type"),
    ("AddErrorCode", "add_error_code"),
];

/// A way to the chain.
pub enum Hand<'a> {
    /// Its key.
    Key {
        ledger: &'a dyn Ledger,
        key: PKey<Private>,
    },
    /// Its node.
    Node(NdidNode),
}

/// NDID's node, as its client sees it.
pub struct NdidNode {
    http: Client,
    /// Base URL of the API.
    api: String,
    /// What the keys of nodes are.
    signing: SigningKeys,
}

impl NdidNode {
    /// The node with this API.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(api: String, signing: SigningKeys) -> io::Result<Self> {
        let http = Client::builder().timeout(CALL_TIMEOUT).no_proxy().build();
        Ok(Self {
            http: http.map_err(io::Error::other)?,
            api,
            signing,
        })
    }

    /// Calls the operation that leads to this method.
    async fn call(&self, method: &str, params: Value) -> io::Result<()> {
        let mut operations = OPERATIONS.iter();
        let operation = operations.find(|(known, _)| *known == method);
        let (_, operation) =
            operation.ok_or_else(|| io::Error::other(format!("no operation for {method}")))?;
        let url = format!("{}/ndid/{operation}", self.api);
        let call = self.http.post(url).json(&self.body(params));
        let answer = call.send().await.map_err(io::Error::other)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let text = answer.text().await.unwrap_or_default();
        Err(io::Error::other(format!(
            "{NDID} answered {operation} with {status}: {text}"
        )))
    }

    /// The API wants to know the type of each key.
    fn body(&self, mut params: Value) -> Value {
        for (purpose, kind) in [
            ("signing", self.signing.kind()),
            ("signing_master", self.signing.kind()),
            ("encryption", SigningKeys::Rsa.kind()),
        ] {
            if params.get(format!("{purpose}_public_key")).is_some() {
                params[format!("{purpose}_key_algorithm")] = json!(kind);
            }
        }
        params
    }
}

impl Hand<'_> {
    /// Makes a transaction and waits for its block.
    ///
    /// # Errors
    /// When the ledger refuses it or cannot be reached.
    pub(super) async fn transact(&self, method: &str, params: Value) -> io::Result<()> {
        match self {
            Self::Key { ledger, key } => sign_and_send(*ledger, key, method, params).await,
            Self::Node(node) => node.call(method, params).await,
        }
    }
}

async fn sign_and_send(
    ledger: &dyn Ledger,
    key: &PKey<Private>,
    method: &str,
    params: Value,
) -> io::Result<()> {
    let params = params.to_string().into_bytes();
    let mut nonce = [0; 32];
    rand::rng().fill_bytes(&mut nonce);
    let chain_id = ledger.chain_id().map_err(io::Error::other)?;
    let message = transaction::signed_message(method, &params, &chain_id, &nonce);
    let signature = sign(key, &message).map_err(io::Error::other)?;
    let signed = transaction::encode(method, &params, &nonce, &signature, NDID);
    let answer = ledger.broadcast(&signed.bytes).await;
    let answer = answer.map_err(io::Error::other)?;
    if answer.code != 0 {
        return Err(refused(method, answer.code, &answer.log));
    }
    loop {
        let inclusion = ledger.transaction(&signed.hash).await;
        match inclusion.map_err(io::Error::other)? {
            Some(inclusion) if inclusion.code == 0 => return Ok(()),
            Some(inclusion) => return Err(refused(method, inclusion.code, &inclusion.log)),
            None => tokio::time::sleep(POLL).await,
        }
    }
}

fn sign(key: &PKey<Private>, message: &[u8]) -> Result<Vec<u8>, openssl::error::ErrorStack> {
    match key.id() {
        Id::ED25519 => Signer::new_without_digest(key)?.sign_oneshot_to_vec(message),
        _ => Signer::new(MessageDigest::sha256(), key)?.sign_oneshot_to_vec(message),
    }
}

fn refused(method: &str, code: u32, log: &str) -> io::Error {
    io::Error::other(format!("the ledger refused {method}: {code} {log}"))
}
