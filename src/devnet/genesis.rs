//! Setting up a development chain as NDID would (spec/ledger.md 7).

use std::io;

use serde_json::{Value, json};

use super::hand::Hand;
use super::keys::{GeneratedKeys, SigningKeys};
use crate::context::Role;
use crate::ledger::{Ledger, query};

/// Node id of the network's NDID.
pub const NDID: &str = "ndid1";
/// Services the development network knows.
pub const SERVICES: [(&str, &str); 2] = [
    ("bank_statement", "All transactions in the past 3 months"),
    ("customer_info", "Customer information"),
];
/// Far more than any development network uses up.
const TOKENS: u64 = 1_000_000_000;

/// A node to be registered.
pub struct Member {
    pub node_id: String,
    pub role: Role,
    pub keys: GeneratedKeys,
    /// The proxy that works for it.
    pub proxy: Option<String>,
}

/// NDID.
struct Administrator<'a> {
    hand: Hand<'a>,
    signing: SigningKeys,
}

/// Whether a chain has been made ready.
///
/// # Errors
/// When the ledger cannot be reached.
pub async fn is_ready(ledger: &dyn Ledger) -> io::Result<bool> {
    query::is_init_ended(ledger).await.map_err(io::Error::other)
}

/// Makes a chain ready for its members that nobody has begun.
///
/// # Errors
/// When the ledger refuses a transaction or cannot be reached.
pub async fn initialise(
    hand: Hand<'_>,
    ndid: &GeneratedKeys,
    signing: SigningKeys,
    members: &[Member],
) -> io::Result<()> {
    let administrator = Administrator { hand, signing };
    administrator.set_up_chain(ndid).await?;
    for member in members {
        administrator.register(member).await?;
    }
    for member in members {
        administrator.put_behind_proxy(member).await?;
    }
    administrator.set_up_services(members).await
}

impl Administrator<'_> {
    async fn set_up_chain(&self, ndid: &GeneratedKeys) -> io::Result<()> {
        let mut init = key_params(ndid, self.signing)?;
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

    async fn register(&self, member: &Member) -> io::Result<()> {
        let node_id = &member.node_id;
        let mut node = key_params(&member.keys, self.signing)?;
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

    async fn transact(&self, method: &str, params: Value) -> io::Result<()> {
        self.hand.transact(method, params).await
    }
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
