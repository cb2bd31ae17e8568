//! Parameters as the application reads them: JSON decoded by the rules of Go's
//! standard decoder (spec/ledger.md, notation). Unknown members are ignored,
//! names match in any case, `null` and absent leave the zero value, another
//! type is refused.

use std::collections::HashMap;

use serde_json::Value;

use super::refusal::{TxRefusal, UNDECODABLE};

/// What can be read from one JSON value.
pub trait Decode: Default {
    /// Reads a value that is not `null`.
    ///
    /// # Errors
    /// [`UNDECODABLE`] if the value has another type.
    fn decode(value: Value) -> Result<Self, TxRefusal>;

    /// Reads a value; `null` is the zero value.
    ///
    /// # Errors
    /// [`UNDECODABLE`] if the value has another type.
    fn decode_or_zero(value: Value) -> Result<Self, TxRefusal> {
        match value {
            Value::Null => Ok(Self::default()),
            value => Self::decode(value),
        }
    }
}

/// Reads parameters from their bytes.
///
/// # Errors
/// [`UNDECODABLE`] if this is not JSON or not of this form.
pub fn from_json<T: Decode>(bytes: &[u8]) -> Result<T, TxRefusal> {
    let value = serde_json::from_slice(bytes).map_err(|_| UNDECODABLE)?;
    T::decode_or_zero(value)
}

impl Decode for String {
    fn decode(value: Value) -> Result<Self, TxRefusal> {
        match value {
            Value::String(text) => Ok(text),
            _ => Err(UNDECODABLE),
        }
    }
}

impl Decode for bool {
    fn decode(value: Value) -> Result<Self, TxRefusal> {
        value.as_bool().ok_or(UNDECODABLE)
    }
}

impl Decode for i64 {
    fn decode(value: Value) -> Result<Self, TxRefusal> {
        value.as_i64().ok_or(UNDECODABLE)
    }
}

impl Decode for u64 {
    fn decode(value: Value) -> Result<Self, TxRefusal> {
        value.as_u64().ok_or(UNDECODABLE)
    }
}

impl Decode for f64 {
    fn decode(value: Value) -> Result<Self, TxRefusal> {
        value.as_f64().ok_or(UNDECODABLE)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(value: Value) -> Result<Self, TxRefusal> {
        match value {
            Value::Array(items) => items.into_iter().map(T::decode_or_zero).collect(),
            _ => Err(UNDECODABLE),
        }
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(value: Value) -> Result<Self, TxRefusal> {
        T::decode(value).map(Some)
    }
}

/// The members of one JSON object, by lower-case name.
pub struct Members(HashMap<String, Value>);

impl Members {
    /// Takes an object apart.
    ///
    /// # Errors
    /// [`UNDECODABLE`] if the value is not an object.
    pub fn of(value: Value) -> Result<Self, TxRefusal> {
        let Value::Object(members) = value else {
            return Err(UNDECODABLE);
        };
        let by_name = members
            .into_iter()
            .map(|(name, value)| (name.to_lowercase(), value));
        Ok(Self(by_name.collect()))
    }

    /// Takes the member of this name, or the zero value.
    ///
    /// # Errors
    /// [`UNDECODABLE`] if it has another type.
    pub fn take<T: Decode>(&mut self, name: &str) -> Result<T, TxRefusal> {
        let name = name.strip_prefix("r#").unwrap_or(name);
        T::decode_or_zero(self.0.remove(name).unwrap_or(Value::Null))
    }
}

/// Declares a struct that is read from a JSON object whose members have the
/// names of its fields.
macro_rules! params {
    ($($(#[$meta:meta])* $vis:vis struct $name:ident { $($field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        $vis struct $name { $(pub $field: $type),* }

        impl $crate::devnet::ledger::app::params::Decode for $name {
            fn decode(
                value: serde_json::Value,
            ) -> Result<Self, $crate::devnet::ledger::app::refusal::TxRefusal> {
                #[allow(unused_mut, unused_variables)]
                let mut members = $crate::devnet::ledger::app::params::Members::of(value)?;
                Ok(Self { $($field: members.take(stringify!($field))?),* })
            }
        }
    )*};
}

pub(super) use params;

#[cfg(test)]
mod tests {
    use super::*;

    params! {
        struct Sample { request_id: String, r#type: String, count: i64, flag: Option<bool>, list: Vec<String> }
    }

    #[test]
    fn members_match_in_any_case_and_null_is_the_zero_value() {
        let read: Sample = from_json(
            br#"{"Request_ID":"a","type":"idp","count":null,"other":[1],"list":["x",null]}"#,
        )
        .unwrap();
        assert_eq!(read.request_id, "a");
        assert_eq!(read.r#type, "idp");
        assert_eq!((read.count, read.flag), (0, None));
        assert_eq!(read.list, ["x", ""]);
    }

    #[test]
    fn another_type_is_refused() {
        for wrong in [
            r#"{"request_id":1}"#,
            r#"{"count":1.5}"#,
            r#"{"count":"1"}"#,
            r#"{"list":{}}"#,
            "[]",
            "{",
            "",
        ] {
            assert_eq!(
                from_json::<Sample>(wrong.as_bytes()),
                Err(UNDECODABLE),
                "{wrong}"
            );
        }
    }
}
