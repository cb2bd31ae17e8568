//! The body of the call.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value, json};

use crate::api;
use crate::error::{Error, codes};

/// A service whose data the client wants.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct RequestedData {
    /// Which service.
    #[schemars(length(min = 1))]
    pub service_id: String,
    /// Who may answer; empty: everyone who qualifies.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub as_id_list: Vec<String>,
    /// How many answers are wanted; 0: any number.
    #[serde(deserialize_with = "whole_number")]
    pub min_as: u64,
    /// Only the AS sees them.
    pub request_params: Option<String>,
}

/// Path and body of the call; the body has passed its JSON schema.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(transform = by_mode)]
pub struct CreateRequest {
    /// From the path.
    #[serde(skip)]
    pub namespace: String,
    /// From the path.
    #[serde(skip)]
    pub identifier: String,
    /// Whether the identifier must have the form of its namespace.
    #[serde(skip)]
    pub checks_identifier: bool,
    /// The client's name for the request.
    #[schemars(length(min = 1))]
    pub reference_id: String,
    /// Where the client hears of it.
    #[schemars(schema_with = "api::url")]
    pub callback_url: String,
    /// 1, 2 or 3.
    #[serde(deserialize_with = "whole_number")]
    pub mode: u64,
    /// Who may answer; empty: everyone who qualifies (modes 2 and 3).
    #[serde(default)]
    #[schemars(inner(length(min = 1)), extend("uniqueItems" = true))]
    pub idp_id_list: Vec<String>,
    /// Services that data is wanted of.
    #[serde(default)]
    #[schemars(extend("uniqueItems" = true))]
    pub data_request_list: Vec<RequestedData>,
    /// Text for the user; may be a data URL.
    pub request_message: String,
    /// Lowest IAL.
    pub min_ial: Number,
    /// Lowest AAL.
    pub min_aal: Number,
    /// How many IdPs must answer.
    #[serde(deserialize_with = "whole_number")]
    #[schemars(range(min = 1))]
    pub min_idp: u64,
    /// Seconds.
    #[serde(deserialize_with = "whole_number")]
    #[schemars(range(min = 1))]
    pub request_timeout: u64,
    /// Modes 2 and 3; of any type and without meaning in mode 1 (spec/http-api.md Q20).
    #[serde(default)]
    pub bypass_identity_check: Value,
    /// At least 44 characters; generated when absent or empty.
    pub initial_salt: Option<String>,
    /// Registered with NDID.
    #[schemars(length(min = 1))]
    pub request_type: Option<String>,
}

impl CreateRequest {
    /// From the path and a body that has passed its JSON schema.
    ///
    /// # Errors
    /// 20003 for numbers beyond what the ledger can hold.
    pub fn new(namespace: &str, identifier: &str, body: Value) -> Result<Self, Error> {
        let mut input: Self = serde_json::from_value(body).map_err(|error| {
            let details = json!({"valid": false, "errors": [{
                "instancePath": "", "keyword": "type", "message": error.to_string(),
            }]});
            Error::from(codes::BODY_VALIDATION_FAILED).with_details(details)
        })?;
        input.namespace = namespace.to_owned();
        input.identifier = identifier.to_owned();
        Ok(input)
    }

    /// Whether the request may go to IdPs that do not know the identity.
    pub(in crate::flows::rp) fn is_bypassed(&self) -> bool {
        self.mode != 1 && self.bypass_identity_check == Value::Bool(true)
    }
}

/// The schema of mode 1 differs from that of modes 2 and 3.
fn by_mode(schema: &mut schemars::Schema) {
    let of_modes = |modes: &[u8]| {
        let mut branch = schema.clone().to_value();
        branch["properties"]["mode"] = json!({"type": "number", "enum": modes});
        let bypass = "bypass_identity_check";
        if modes == [1] {
            if let Some(members) = branch["properties"].as_object_mut() {
                members.remove(bypass);
            }
        } else {
            branch["properties"][bypass] = json!({"type": "boolean"});
            if let Some(required) = branch["required"].as_array_mut() {
                required.push(bypass.into());
            }
        }
        branch
    };
    *schema = schemars::json_schema!({"anyOf": [of_modes(&[1]), of_modes(&[2, 3])]});
}

/// JSON has one kind of number: `1.0` is a whole number, as `1` is.
pub(in crate::flows) fn whole_number<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<u64, D::Error> {
    const LARGEST: f64 = 9_007_199_254_740_991.0;
    let number = Number::deserialize(deserializer)?;
    let from_float = || {
        let value = number.as_f64()?;
        let is_whole = value.fract() == 0.0 && (0.0..=LARGEST).contains(&value);
        is_whole.then_some(value as u64)
    };
    number
        .as_u64()
        .or_else(from_float)
        .ok_or_else(|| serde::de::Error::custom(format!("{number} is not a whole number")))
}
