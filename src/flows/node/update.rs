//! `POST /node/update`: changes a node's keys, or the types of data URLs that it
//! shows in requests (spec/flows.md 7, spec/http-api.md 3.4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::public_keys::{
    check_encryption, check_signing, encryption_algorithm, encryption_key_type, key_type,
    signing_algorithm,
};
use crate::api::versions::ANY_TYPE;
use crate::api::{ApiCall, Audience, CallOutcome, Endpoint, NoPath, Texts};
use crate::context::Role;
use crate::crypto::signature;
use crate::error::{Code, Error, codes};
use crate::flows::ledger_call::{LedgerCall, ResultRecipient};
use crate::flows::reply::ReplyTo;
use crate::ledger::{Ledger, query};

const RESULT: &str = "update_node_result";

pub(super) fn endpoint() -> Endpoint {
    Endpoint::post("/node/update", Audience::Everybody)
        .does("Changes the keys and the message formats of a node.")
        .without_acting_node()
        .begins()
        .body::<Body>()
        .accepts_with_empty_json()
        .run(run)
}

/// Body of the call.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(transform = at_least_one_group)]
struct Body {
    /// The node; without: the called one.
    #[serde(default)]
    #[schemars(with = "String", length(min = 1))]
    node_id: Option<String>,
    /// `reference_id` and `callback_url`.
    #[serde(flatten)]
    reply: ReplyTo,
    /// What changes.
    #[serde(flatten)]
    change: ChangedFields,
    /// Proof that the caller has the new signing keys: a text to sign.
    #[serde(default)]
    #[schemars(with = "String", length(min = 1))]
    check_string: Option<String>,
    /// Its signature by the new signing key.
    #[serde(default)]
    #[schemars(with = "String", length(min = 1))]
    signed_check_string: Option<String>,
    /// Its signature by the new master key.
    #[serde(default)]
    #[schemars(with = "String", length(min = 1))]
    master_signed_check_string: Option<String>,
}

/// The changed members. The ledger gets all of them but the types of keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct ChangedFields {
    /// The signing key: PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1))]
    signing_public_key: Option<String>,
    /// Its type.
    #[serde(default, skip_serializing)]
    #[schemars(schema_with = "key_type")]
    signing_key_algorithm: Option<String>,
    /// What it verifies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "signing_algorithm")]
    signing_algorithm: Option<String>,
    /// The key that verifies changes of keys: PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1))]
    signing_master_public_key: Option<String>,
    /// Its type.
    #[serde(default, skip_serializing)]
    #[schemars(schema_with = "key_type")]
    signing_master_key_algorithm: Option<String>,
    /// What it verifies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "signing_algorithm")]
    signing_master_algorithm: Option<String>,
    /// The key that messages to the node are encrypted for: PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1))]
    encryption_public_key: Option<String>,
    /// Its type.
    #[serde(default, skip_serializing)]
    #[schemars(schema_with = "encryption_key_type")]
    encryption_key_algorithm: Option<String>,
    /// How it encrypts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "encryption_algorithm")]
    encryption_algorithm: Option<String>,
    /// Media types of data URLs that an IdP shows; empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>", extend("uniqueItems" = true))]
    supported_request_message_data_url_type_list: Option<Vec<String>>,
}

/// At least one group of members is required.
fn at_least_one_group(schema: &mut schemars::Schema) {
    schema.insert(
        "anyOf".into(),
        json!([
            {"required": ["signing_public_key", "signing_key_algorithm", "signing_algorithm"]},
            {"required": [
                "signing_master_public_key",
                "signing_master_key_algorithm",
                "signing_master_algorithm",
            ]},
            {"required": [
                "encryption_public_key",
                "encryption_key_algorithm",
                "encryption_algorithm",
            ]},
            {"required": ["supported_request_message_data_url_type_list"]},
        ]),
    );
}

async fn run(call: ApiCall<NoPath, Texts, Body>) -> Result<CallOutcome, Error> {
    let update = &call.body;
    update.check_keys()?;
    let node_id = update.node_id.clone().unwrap_or(call.node_id);
    let types = &update.change.supported_request_message_data_url_type_list;
    if types.is_some() {
        check_is_idp(call.context.ledger.as_ref(), &node_id).await?;
    }
    let asked = LedgerCall {
        method: "UpdateNode",
        params: json!(update.change),
        key: format!("node:{node_id}"),
        writes: Vec::new(),
        recipient: ResultRecipient::Callback {
            reply: update.reply.clone(),
            kind: RESULT.to_owned(),
            node_id: node_id.clone(),
        },
        node_id,
    };
    asked.start(&call.context).await
}

async fn check_is_idp(ledger: &dyn Ledger, node_id: &str) -> Result<(), Error> {
    let info = query::node_info(ledger, node_id).await?;
    let info = info.ok_or(codes::NODE_INFO_NOT_FOUND)?;
    match Role::parse(&info.role) {
        Some(Role::Idp) => Ok(()),
        _ => Err(codes::MUST_BE_IDP_NODE.into()),
    }
}

impl Body {
    /// The new keys, in the order of the specification.
    fn check_keys(&self) -> Result<(), Error> {
        let change = &self.change;
        self.check_signing_key(
            &change.signing_public_key,
            &change.signing_key_algorithm,
            &change.signing_algorithm,
            &self.signed_check_string,
            codes::UPDATE_NODE_KEY_CHECK_FAILED,
        )?;
        self.check_signing_key(
            &change.signing_master_public_key,
            &change.signing_master_key_algorithm,
            &change.signing_master_algorithm,
            &self.master_signed_check_string,
            codes::UPDATE_MASTER_KEY_CHECK_FAILED,
        )?;
        match &change.encryption_public_key {
            Some(pem) => check_encryption(pem, type_of(&change.encryption_key_algorithm)),
            None => Ok(()),
        }
    }

    fn check_signing_key(
        &self,
        pem: &Option<String>,
        key_type: &Option<String>,
        algorithm: &Option<String>,
        signed: &Option<String>,
        mismatch: Code,
    ) -> Result<(), Error> {
        let Some(pem) = pem else {
            return Ok(());
        };
        // The ledger refuses missing members.
        let algorithm = algorithm.as_deref().unwrap_or_default();
        check_signing(pem, type_of(key_type), algorithm)?;
        let Some(text) = &self.check_string else {
            return Ok(());
        };
        let signature = signed
            .as_ref()
            .and_then(|signed| STANDARD.decode(signed).ok());
        let is_signed = signature.is_some_and(|signature| {
            signature::verify(pem, algorithm, text.as_bytes(), &signature)
        });
        match is_signed {
            true => Ok(()),
            false => Err(mismatch.into()),
        }
    }
}

fn type_of(given: &Option<String>) -> &str {
    given.as_deref().unwrap_or(ANY_TYPE)
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
