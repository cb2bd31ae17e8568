//! Setting up a development chain as NDID would (spec/ledger.md 7).

use std::io;
use std::time::Duration;

use openssl::hash::MessageDigest;
use openssl::pkey::{Id, PKey, Private};
use openssl::sign::Signer;
use rand::RngCore;
use serde_json::{Value, json};

use super::keys::{GeneratedKeys, SigningKeys};
use crate::context::Role;
use crate::ledger::{Ledger, query, transaction};

/// Node id of the network's NDID.
pub const NDID: &str = "ndid1";
/// Services the development network knows.
pub const SERVICES: [(&str, &str); 2] = [
    ("bank_statement", "All transactions in the past 3 months"),
    ("customer_info", "Customer information"),
];
/// Far more than any development network uses up.
const TOKENS: u64 = 1_000_000_000;
const POLL: Duration = Duration::from_millis(5);

/// A node to be registered.
pub struct Member {
    pub node_id: String,
    pub role: Role,
    pub keys: GeneratedKeys,
    /// The proxy that works for it.
    pub proxy: Option<String>,
}

/// NDID's hand on the chain.
struct Administrator<'a> {
    ledger: &'a dyn Ledger,
    key: PKey<Private>,
}

/// Makes a chain ready for its members; does nothing on one that is.
///
/// # Errors
/// When the ledger refuses a transaction or cannot be reached.
pub async fn initialise(
    ledger: &dyn Ledger,
    ndid: &GeneratedKeys,
    signing: SigningKeys,
    members: &[Member],
) -> io::Result<()> {
    if query::is_init_ended(ledger)
        .await
        .map_err(io::Error::other)?
    {
        return Ok(());
    }
    let administrator = Administrator {
        ledger,
        key: GeneratedKeys::read(&ndid.signing)?,
    };
    administrator.set_up_chain(ndid, signing).await?;
    for member in members {
        administrator.register(member, signing).await?;
    }
    for member in members {
        administrator.put_behind_proxy(member).await?;
    }
    administrator.set_up_services(members).await
}

impl Administrator<'_> {
    async fn set_up_chain(&self, ndid: &GeneratedKeys, signing: SigningKeys) -> io::Result<()> {
        let mut init = key_params(ndid, signing)?;
        init["node_id"] = json!(NDID);
        self.transact("InitNDID", init).await?;
        self.transact("EndInit", json!({})).await?;
        let ials = json!({"supported_ial_list": [1.1, 1.2, 1.3, 2.1, 2.2, 2.3, 3]});
        self.transact("SetSupportedIALList", ials).await?;
        let aals = json!({"supported_aal_list": [1, 2.1, 2.2, 3]});
        self.transact("SetSupportedAALList", aals).await?;
        self.transact(
            "AddAllowedNodeSupportedFeature",
            json!({"name": "on_the_fly"}),
        )
        .await
    }

    async fn register(&self, member: &Member, signing: SigningKeys) -> io::Result<()> {
        let node_id = &member.node_id;
        let mut node = key_params(&member.keys, signing)?;
        let name = json!({
            "marketing_name_th": format!("{node_id}_TH"),
            "marketing_name_en": format!("{node_id}_EN"),
            "industry_code": "001",
        });
        node["node_id"] = json!(node_id);
        node["node_name"] = json!(name.to_string());
        node["role"] = json!(member.role.as_str());
        if member.role == Role::Idp {
            node["max_ial"] = json!(3);
            node["max_aal"] = json!(3);
            node["supported_feature_list"] = json!([]);
        }
        self.transact("RegisterNode", node).await?;
        let token = json!({"node_id": node_id, "amount": TOKENS});
        self.transact("SetNodeToken", token).await
    }

    async fn put_behind_proxy(&self, member: &Member) -> io::Result<()> {
        let Some(proxy) = &member.proxy else {
            return Ok(());
        };
        let params = json!({
            "node_id": member.node_id, "proxy_node_id": proxy, "config": "KEY_ON_PROXY",
        });
        self.transact("AddNodeToProxyNode", params).await
    }

    async fn set_up_services(&self, members: &[Member]) -> io::Result<()> {
        for (namespace, description) in [
            ("citizen_id", "Thai citizen ID"),
            ("passport_num", "Passport Number"),
        ] {
            let params = json!({"namespace": namespace, "description": description});
            self.transact("AddNamespace", params).await?;
        }
        for (service_id, service_name) in SERVICES {
            let params = json!({"service_id": service_id, "service_name": service_name});
            self.transact("AddService", params).await?;
            for member in members.iter().filter(|member| member.role == Role::As) {
                let params = json!({"service_id": service_id, "node_id": member.node_id});
                self.transact("RegisterServiceDestinationByNDID", params)
                    .await?;
            }
        }
        let contract = json!({"name": "dsign.dcontract"});
        self.transact("AddRequestType", contract).await?;
        for role in ["idp", "as"] {
            let params =
                json!({"error_code": 10101, "type": role, "description": "Unknown identity"});
            self.transact("AddErrorCode", params).await?;
        }
        Ok(())
    }

    /// Broadcasts a transaction and waits for its block.
    async fn transact(&self, method: &str, params: Value) -> io::Result<()> {
        let params = params.to_string().into_bytes();
        let mut nonce = [0; 32];
        rand::rng().fill_bytes(&mut nonce);
        let chain_id = self.ledger.chain_id().map_err(io::Error::other)?;
        let message = transaction::signed_message(method, &params, &chain_id, &nonce);
        let signature = self.sign(&message).map_err(io::Error::other)?;
        let signed = transaction::encode(method, &params, &nonce, &signature, NDID);
        let answer = self
            .ledger
            .broadcast(&signed.bytes)
            .await
            .map_err(io::Error::other)?;
        if answer.code != 0 {
            return Err(refused(method, answer.code, &answer.log));
        }
        loop {
            let inclusion = self.ledger.transaction(&signed.hash).await;
            match inclusion.map_err(io::Error::other)? {
                Some(inclusion) if inclusion.code == 0 => return Ok(()),
                Some(inclusion) => return Err(refused(method, inclusion.code, &inclusion.log)),
                None => tokio::time::sleep(POLL).await,
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, openssl::error::ErrorStack> {
        match self.key.id() {
            Id::ED25519 => Signer::new_without_digest(&self.key)?.sign_oneshot_to_vec(message),
            _ => Signer::new(MessageDigest::sha256(), &self.key)?.sign_oneshot_to_vec(message),
        }
    }
}

fn refused(method: &str, code: u32, log: &str) -> io::Error {
    io::Error::other(format!("the ledger refused {method}: {code} {log}"))
}

fn key_params(keys: &GeneratedKeys, signing: SigningKeys) -> io::Result<Value> {
    Ok(json!({
        "signing_public_key": GeneratedKeys::public_pem(&keys.signing)?,
        "signing_algorithm": signing.algorithm(),
        "signing_master_public_key": GeneratedKeys::public_pem(&keys.master)?,
        "signing_master_algorithm": signing.algorithm(),
        "encryption_public_key": GeneratedKeys::public_pem(&keys.encryption)?,
        "encryption_algorithm": "RSAES_PKCS1_V1_5",
    }))
}
