//! Records that queries return (spec/ledger.md 5, 6). Numbers that clients see
//! stay [`Number`], so that `1` does not become `1.0`. Lists that the ledger
//! may write as `null` are read as empty.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Number;

fn null_as_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}

/// A public key of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeKey {
    /// PEM text.
    pub public_key: String,
    /// Algorithm name (spec/messaging-and-crypto.md 5.4, 5.5).
    pub algorithm: String,
    /// 1 for the first key.
    pub version: u64,
    /// Block that registered it.
    pub creation_block_height: i64,
    /// Chain of that block.
    pub creation_chain_id: String,
    /// Whether it is the current one.
    pub active: bool,
}

impl NodeKey {
    /// A key that the ledger does not have (yet).
    pub fn unregistered(public_key: &str, algorithm: &str) -> Self {
        Self {
            public_key: public_key.to_owned(),
            algorithm: algorithm.to_owned(),
            version: 0,
            creation_block_height: 0,
            creation_chain_id: String::new(),
            active: false,
        }
    }
}

/// Keys that a node has had (`GetNodePublicKeyList`), in any order.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct KeyHistory {
    /// Of its signing key.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub signing_public_key_list: Vec<NodeKey>,
    /// Of its encryption key.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub encryption_public_key_list: Vec<NodeKey>,
}

/// Where a node's message queue service listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MqAddress {
    /// IP address or host name.
    pub ip: String,
    /// TCP port.
    pub port: i32,
}

/// The proxy a node lives behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proxy {
    pub node_id: String,
    /// The key to encrypt messages to it.
    pub encryption_public_key: NodeKey,
    /// The key that verifies its signatures.
    pub signing_public_key: NodeKey,
    #[serde(default, deserialize_with = "null_as_empty")]
    pub mq: Vec<MqAddress>,
    /// `KEY_ON_PROXY` or `KEY_ON_NODE`.
    pub config: String,
}

/// `GetNodeInfo` (spec/ledger.md 5.3).
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct NodeInfo {
    /// Current signing key.
    pub signing_public_key: NodeKey,
    /// Current master key.
    pub signing_master_public_key: NodeKey,
    /// Current encryption key.
    pub encryption_public_key: NodeKey,
    /// Free text, by convention JSON.
    pub node_name: String,
    /// `RP`, `IdP`, `AS`, `Proxy` or `NDID`.
    pub role: String,
    /// IdP only.
    pub max_ial: Option<Number>,
    /// IdP only.
    pub max_aal: Option<Number>,
    /// IdP and RP only.
    #[serde(default)]
    pub node_id_whitelist_active: bool,
    /// Only when active.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub node_id_whitelist: Vec<String>,
    /// Behind a proxy only.
    pub proxy: Option<Proxy>,
    /// Own addresses.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub mq: Vec<MqAddress>,
    /// False when NDID has disabled it.
    pub active: bool,
}

/// An entry of `GetNodesBehindProxyNode`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct NodeBehindProxy {
    pub node_id: String,
    /// `KEY_ON_PROXY` or `KEY_ON_NODE`.
    pub config: String,
}

/// An entry of `GetIdpNodesInfo`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct IdpNodeInfo {
    pub node_id: String,
    /// The key to encrypt messages to it.
    pub encryption_public_key: NodeKey,
    /// Own addresses.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub mq: Vec<MqAddress>,
    /// Behind a proxy only.
    pub proxy: Option<IdpProxy>,
}

/// The proxy part of [`IdpNodeInfo`] and [`AsNodeInfo`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct IdpProxy {
    pub node_id: String,
    /// The key to encrypt the outer layer.
    pub encryption_public_key: NodeKey,
    #[serde(default, deserialize_with = "null_as_empty")]
    pub mq: Vec<MqAddress>,
    /// `KEY_ON_PROXY` or `KEY_ON_NODE`.
    pub config: String,
}

/// An entry of `GetAsNodesInfoByServiceId`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct AsNodeInfo {
    pub node_id: String,
    /// Lowest IAL of a request it answers.
    pub min_ial: Number,
    /// Lowest AAL of a request it answers.
    pub min_aal: Number,
    /// The key to encrypt messages to it.
    pub encryption_public_key: NodeKey,
    /// Own addresses.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub mq: Vec<MqAddress>,
    /// Behind a proxy only.
    pub proxy: Option<IdpProxy>,
    /// Namespaces it serves.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub supported_namespace_list: Vec<String>,
}

/// An AS's answer to one service of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AsResponse {
    pub as_id: String,
    /// Present on answers with data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed: Option<bool>,
    /// Present on answers with data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received_data: Option<bool>,
    /// Present on error answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<i64>,
}

/// One service of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataRequest {
    pub service_id: String,
    /// Empty: any AS.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub as_id_list: Vec<String>,
    /// Wanted answers; 0: any number.
    pub min_as: u64,
    /// Hash of parameters and salt.
    pub request_params_hash: String,
    /// Answers in order.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub response_list: Vec<AsResponse>,
}

/// An IdP's answer to a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IdpResponse {
    /// Assurance level of the identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ial: Option<Number>,
    /// Assurance level of the authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aal: Option<Number>,
    /// `accept` or `reject`; absent on error answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Accessor signature; opaque in mode 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    pub idp_id: String,
    /// The RP's verdict, known after close or time-out; null in mode 1.
    pub valid_ial: Option<bool>,
    /// The RP's verdict, known after close or time-out; null in mode 1.
    pub valid_signature: Option<bool>,
    /// Present on error answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<i64>,
}

impl IdpResponse {
    pub fn is_error(&self) -> bool {
        self.error_code.is_some()
    }
}

/// `GetRequestDetail` (spec/ledger.md 6.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestDetail {
    /// 64 hex digits.
    pub request_id: String,
    /// How many IdPs must answer.
    pub min_idp: u64,
    /// Lowest AAL of an answer.
    pub min_aal: Number,
    /// Lowest IAL of an answer.
    pub min_ial: Number,
    /// Seconds.
    pub request_timeout: u64,
    /// The IdPs that may answer.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub idp_id_list: Vec<String>,
    /// Services asked for.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub data_request_list: Vec<DataRequest>,
    /// Hash of message and salt.
    pub request_message_hash: String,
    /// Answers in order.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub response_list: Vec<IdpResponse>,
    /// Ended by its owner.
    pub closed: bool,
    /// Ended by time.
    pub timed_out: bool,
    /// Empty for requests of RPs.
    pub purpose: String,
    /// 1, 2 or 3.
    pub mode: u8,
    /// Null if none.
    pub request_type: Option<String>,
    /// The node that created it.
    pub requester_node_id: String,
    pub creation_block_height: u64,
    /// Chain of that block.
    pub creation_chain_id: String,
}

impl RequestDetail {
    /// Whether no answer can be added any more.
    pub fn has_ended(&self) -> bool {
        self.closed || self.timed_out
    }

    /// Answers that are not errors.
    pub fn answers(&self) -> impl Iterator<Item = &IdpResponse> {
        self.response_list
            .iter()
            .filter(|response| !response.is_error())
    }

    /// The request's services by id.
    pub fn service(&self, service_id: &str) -> Option<&DataRequest> {
        self.data_request_list
            .iter()
            .find(|service| service.service_id == service_id)
    }

    /// `<chain id>:<height of creation>`, the form clients see.
    pub fn creation_block(&self) -> String {
        format!("{}:{}", self.creation_chain_id, self.creation_block_height)
    }
}

/// A row of `GetAsNodesByServiceId`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct AsNode {
    pub node_id: String,
}

/// A row of `GetServicesByAsID`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ProvidedService {
    pub service_id: String,
    /// Lowest IAL.
    pub min_ial: Number,
    /// Lowest AAL.
    pub min_aal: Number,
    /// Whether the AS has switched it on.
    pub active: bool,
    /// Whether NDID has withdrawn its approval.
    pub suspended: bool,
    #[serde(default, deserialize_with = "null_as_empty")]
    pub supported_namespace_list: Vec<String>,
}

/// `GetServiceDetail`; empty members are absent on the ledger.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ServiceDetail {
    /// JSON schema as text.
    pub data_schema: Option<String>,
    pub data_schema_version: Option<String>,
    /// False when NDID has disabled it.
    #[serde(default)]
    pub active: bool,
}

/// `GetServicePriceMinEffectiveDatetimeDelay`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct ServicePriceDelay {
    /// Seconds.
    pub duration_second: u64,
}

/// `GetAccessorKey`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct AccessorKey {
    /// PEM text.
    pub accessor_public_key: String,
    /// False for a revoked one.
    pub active: bool,
    /// IdP that registered it.
    pub owner_node_id: String,
}

/// `GetIdentityInfo`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct IdentityInfo {
    /// Declared by that IdP.
    pub ial: Number,
    /// Modes of that IdP for this identity.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub mode_list: Vec<u8>,
}

/// A row of `GetIdpNodes` for an identity.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct IdpOfIdentity {
    /// Modes of that IdP for this identity.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub mode_list: Vec<u8>,
}

/// A row of `GetErrorCodeList`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ErrorCode {
    /// The number.
    pub error_code: i64,
}

/// A row of `GetNamespaceList`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Namespace {
    pub namespace: String,
}
