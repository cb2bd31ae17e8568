//! Accessors in calls: the keys that people sign with.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::crypto::public_key;
use crate::error::{Error, codes};

/// The only type there is.
const TYPE: &str = "RSA";

/// Members of a call that describe a new accessor.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct NewAccessor {
    /// `RSA`.
    #[serde(rename = "accessor_type")]
    _accessor_type: AccessorType,
    /// PEM text.
    #[schemars(length(min = 1))]
    accessor_public_key: String,
    /// Chosen by the client, or made here.
    #[serde(default)]
    #[schemars(length(min = 1))]
    accessor_id: Option<String>,
}

/// Types of accessors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
enum AccessorType {
    /// The person's key is an RSA key.
    #[serde(rename = "RSA")]
    Rsa,
}

/// An accessor with a valid key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedAccessor {
    /// Unique on the platform.
    pub accessor_id: String,
    /// PEM text.
    pub public_key: String,
}

impl NewAccessor {
    /// Checks the key.
    ///
    /// # Errors
    /// 20040 no key, 20042 of another type, 20044 too short, in this order.
    pub fn check(self) -> Result<CheckedAccessor, Error> {
        let key = public_key::parse(&self.accessor_public_key)?;
        public_key::check_rsa(&key).map_err(|error| match error.code() {
            codes::UNSUPPORTED_KEY_TYPE => codes::MISMATCHED_KEY_TYPE.into(),
            _ => error,
        })?;
        let made = || Uuid::new_v4().to_string();
        Ok(CheckedAccessor {
            accessor_id: self.accessor_id.unwrap_or_else(made),
            public_key: self.accessor_public_key,
        })
    }
}

impl CheckedAccessor {
    /// Adds the accessor to the parameters of a transaction.
    pub fn add_to(&self, params: &mut Value) {
        params["accessor_id"] = self.accessor_id.as_str().into();
        params["accessor_public_key"] = self.public_key.as_str().into();
        params["accessor_type"] = TYPE.into();
    }
}
