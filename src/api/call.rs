//! A call as a flow sees it: checked and typed.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Map, Value, json};

use crate::config::ApiVersion;
use crate::context::Context;
use crate::error::{Error, codes};
use crate::job::Caller;

/// A call that has passed the schemas of its endpoint.
///
/// `P`: parameters of the path, `Q`: query string, `B`: body.
#[derive(Clone)]
pub struct ApiCall<P = NoPath, Q = Texts, B = NoBody> {
    /// Configuration, ledger, state and keys.
    pub context: Context,
    /// The acting node: on a proxy the one behind it that the call names.
    pub node_id: String,
    /// The address of the answer if the client waits.
    pub caller: Caller,
    /// The version of the API that the client speaks.
    pub version: ApiVersion,
    /// Parameters of the path, decoded.
    pub path: P,
    /// The query string.
    pub query: Q,
    /// The body.
    pub body: B,
}

impl<P, Q, B> ApiCall<P, Q, B> {
    /// Whether identifiers of namespaces that have a form must have it (20096).
    /// Clients of older versions do not know that rule.
    pub fn checks_identifiers(&self) -> bool {
        self.context.config.validate_identifier && self.version >= ApiVersion::V6
    }
}

/// A call before its input is typed.
#[derive(Clone)]
pub struct RawCall {
    pub context: Context,
    pub node_id: String,
    pub caller: Caller,
    pub version: ApiVersion,
    /// Parameters by name, decoded.
    pub path: Map<String, Value>,
    /// The query string, an object; a repeated name is an array.
    pub query: Value,
    /// The body; `{}` without one.
    pub body: Value,
}

impl RawCall {
    /// Types the input.
    ///
    /// # Errors
    /// 20003 for a body, 20002 for a query string, that passed its schema and
    /// yet does not fit, such as a number beyond 64 bits.
    pub fn typed<P, Q, B>(self) -> Result<ApiCall<P, Q, B>, Error>
    where
        P: DeserializeOwned,
        Q: DeserializeOwned,
        B: DeserializeOwned,
    {
        let misfit = |code| {
            move |error: serde_json::Error| {
                let fault = json!({
                    "instancePath": "", "keyword": "type", "message": error.to_string(),
                });
                Error::from(code).with_details(json!({"valid": false, "errors": [fault]}))
            }
        };
        let path = serde_json::from_value(Value::Object(self.path))
            .map_err(|error| Error::with_message(codes::UNKNOWN_ERROR, error.to_string()))?;
        let query = serde_json::from_value(self.query)
            .map_err(misfit(codes::QUERY_STRING_VALIDATION_FAILED))?;
        let body =
            serde_json::from_value(self.body).map_err(misfit(codes::BODY_VALIDATION_FAILED))?;
        Ok(ApiCall {
            context: self.context,
            node_id: self.node_id,
            caller: self.caller,
            version: self.version,
            path,
            query,
            body,
        })
    }
}

/// A path without parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct NoPath {}

/// A query string that is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct NoQuery {}

/// A body that is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "IgnoredAny")]
pub struct NoBody;

impl From<IgnoredAny> for NoBody {
    fn from(_: IgnoredAny) -> Self {
        NoBody
    }
}

/// The query string of an endpoint that declares none. These names may not be
/// repeated; others are ignored (spec/http-api.md 7, Q17).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Texts {
    /// The acting node, on a proxy.
    pub node_id: Option<String>,
    /// Prefix of the wanted names.
    pub prefix: Option<String>,
    /// The wanted kind.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    #[schemars(skip)]
    pub others: HashMap<String, Value>,
}
