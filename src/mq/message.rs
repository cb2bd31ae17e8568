//! The four message types (spec/messaging-and-crypto.md 4).

use serde::{Deserialize, Serialize};
use serde_json::Number;

/// As in JSON, where `type` names the variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    /// RP to IdP: asks for the user's consent.
    ConsentRequest(ConsentRequest),
    /// IdP to RP: the answer is on the ledger.
    IdpResponse(IdpResponse),
    /// RP to AS: asks for data.
    DataRequest(DataRequest),
    /// AS to RP: data, or an error.
    AsResponse(AsResponse),
}

impl Message {
    /// The name on the wire.
    pub fn type_name(&self) -> &'static str {
        match self {
            Message::ConsentRequest(_) => "consent_request",
            Message::IdpResponse(_) => "idp_response",
            Message::DataRequest(_) => "data_request",
            Message::AsResponse(_) => "as_response",
        }
    }

    pub fn request_id(&self) -> &str {
        match self {
            Message::ConsentRequest(message) => &message.request_id,
            Message::IdpResponse(message) => &message.request_id,
            Message::DataRequest(message) => &message.request_id,
            Message::AsResponse(message) => &message.request_id,
        }
    }

    /// Chain and height of the transaction before the message.
    pub fn position(&self) -> (&str, u64) {
        match self {
            Message::ConsentRequest(message) => (&message.chain_id, message.height),
            Message::IdpResponse(message) => (&message.chain_id, message.height),
            Message::DataRequest(message) => (&message.chain_id, message.height),
            Message::AsResponse(message) => (&message.chain_id, message.height),
        }
    }

    /// The node that claims to have sent it.
    pub fn sender(&self) -> &str {
        match self {
            Message::ConsentRequest(message) => &message.rp_id,
            Message::IdpResponse(message) => &message.idp_id,
            Message::DataRequest(message) => &message.rp_id,
            Message::AsResponse(message) => &message.as_id,
        }
    }
}

/// A service in a [`ConsentRequest`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestedService {
    pub service_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_id_list: Option<Vec<String>>,
    /// How many answers are wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_as: Option<u64>,
}

/// spec/messaging-and-crypto.md 4.1
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConsentRequest {
    /// Mode 1, and IdPs that do not know the identity yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// With `namespace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,
    /// Modes 2 and 3, IdPs that know the identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_group_code: Option<String>,
    /// 1, 2 or 3.
    pub mode: u8,
    /// 64 hex digits.
    pub request_id: String,
    /// Lowest AAL.
    pub min_aal: Number,
    /// Lowest IAL.
    pub min_ial: Number,
    /// Seconds.
    pub request_timeout: u64,
    /// Services, without their parameters.
    pub data_request_list: Vec<RequestedService>,
    /// One per service.
    pub data_request_params_salt_list: Vec<String>,
    /// Text for the user; may be a data URL.
    pub request_message: String,
    pub rp_id: String,
    /// Salt of the message hash.
    pub request_message_salt: String,
    /// Salt all others derive from.
    pub initial_salt: String,
    /// Absent when not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_type: Option<String>,
    /// Unix time in milliseconds.
    pub creation_time: u64,
    /// Chain of CreateRequest.
    pub chain_id: String,
    /// Block of CreateRequest.
    pub height: u64,
}

/// spec/messaging-and-crypto.md 4.2
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IdpResponse {
    pub request_id: String,
    /// Absent on error answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u8>,
    /// Modes 2 and 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accessor_id: Option<String>,
    pub idp_id: String,
    /// Only on error answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<Number>,
    /// Chain of CreateIdpResponse.
    pub chain_id: String,
    /// Block of CreateIdpResponse.
    pub height: u64,
}

/// A service in a [`DataRequest`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceDataRequest {
    pub service_id: String,
    /// Absent if the RP gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_params: Option<String>,
    /// Salt of the parameters' hash.
    pub request_params_salt: String,
}

/// An IdP answer's private part, modes 2 and 3.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ResponsePrivateData {
    pub idp_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accessor_id: Option<String>,
}

/// spec/messaging-and-crypto.md 4.3
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataRequest {
    pub request_id: String,
    /// 1, 2 or 3.
    pub mode: u8,
    /// Of the identity.
    pub namespace: String,
    /// Of the identity.
    pub identifier: String,
    /// What this AS is asked for.
    pub service_data_request_list: Vec<ServiceDataRequest>,
    /// Text shown to the user.
    pub request_message: String,
    /// Salt of the message hash.
    pub request_message_salt: String,
    /// Empty in mode 1.
    pub response_private_data_list: Vec<ResponsePrivateData>,
    /// Unix time in milliseconds.
    pub creation_time: u64,
    /// Seconds.
    pub request_timeout: u64,
    pub rp_id: String,
    /// Salt all others derive from.
    pub initial_salt: String,
    /// Chain of the IdP answer that completed the consent.
    pub chain_id: String,
    /// Block of it.
    pub height: u64,
}

/// Data of an AS, packed (spec/messaging-and-crypto.md 3.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackedData {
    pub buffer_base64: String,
    pub metadata: PackedDataMetadata,
}

/// How to unpack [`PackedData`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedDataMetadata {
    /// Set when the data was a base64 data URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64_data_url: Option<bool>,
    /// Its prefix, up to and including the comma.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_url_prefix: Option<String>,
    /// `gzip` or null.
    pub compression_algorithm: Option<String>,
}

/// spec/messaging-and-crypto.md 4.4
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AsResponse {
    pub request_id: String,
    pub as_id: String,
    pub service_id: String,
    /// Base64; absent on error answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Base64; absent on error answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_salt: Option<String>,
    /// Absent on error answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packed_data: Option<PackedData>,
    /// Only on error answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<Number>,
    /// Chain of CreateAsResponse.
    pub chain_id: String,
    /// Block of CreateAsResponse.
    pub height: u64,
}
