//! Arguments of a call: by position, by name, or in the query of a URL.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::methods::Failure;

/// Arguments as they came.
pub enum Arguments {
    /// A JSON array.
    Positional(Vec<Value>),
    /// A JSON object.
    Named(Map<String, Value>),
    /// Members of a URL's query.
    Query(HashMap<String, String>),
}

/// How bytes are written in JSON.
#[derive(Clone, Copy)]
pub enum Encoding {
    /// As CometBFT's `HexBytes`.
    Hex,
    /// As any other bytes.
    Base64,
}

impl Arguments {
    /// Arguments of a JSON-RPC call.
    ///
    /// # Errors
    /// Bad parameters unless array, object, null or absent.
    pub fn from_json(params: Option<Value>) -> Result<Self, Failure> {
        match params {
            None | Some(Value::Null) => Ok(Self::Positional(Vec::new())),
            Some(Value::Array(values)) => Ok(Self::Positional(values)),
            Some(Value::Object(members)) => Ok(Self::Named(members)),
            Some(_) => Err(Failure::bad_params("params must be an array or an object")),
        }
    }

    /// Arguments in a URL.
    pub fn from_query(query: &str) -> Self {
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        Self::Query(pairs.into_owned().collect())
    }

    fn json(&self, place: usize, name: &str) -> Option<&Value> {
        let value = match self {
            Self::Positional(values) => values.get(place),
            Self::Named(members) => members.get(name),
            Self::Query(_) => None,
        };
        value.filter(|value| !value.is_null())
    }

    /// A height: a number, or one as text; `None` if absent.
    ///
    /// # Errors
    /// Bad parameters if it is neither.
    pub fn height(&self, place: usize, name: &str) -> Result<Option<i64>, Failure> {
        let text = match self {
            Self::Query(members) => match members.get(name) {
                None => return Ok(None),
                Some(text) => text.trim_matches('"').to_owned(),
            },
            _ => match self.json(place, name) {
                None => return Ok(None),
                Some(Value::String(text)) => text.clone(),
                Some(Value::Number(number)) => number.to_string(),
                Some(_) => return Err(Failure::bad_params("height is not a number")),
            },
        };
        let height = text.parse();
        height
            .map(Some)
            .map_err(|_| Failure::bad_params(format!("height {text:?} is not a number")))
    }

    /// Text, empty if absent.
    ///
    /// # Errors
    /// Bad parameters if it is not text.
    pub fn text(&self, place: usize, name: &str) -> Result<String, Failure> {
        if let Self::Query(members) = self {
            let text = members.get(name).cloned().unwrap_or_default();
            return Ok(text.trim_matches('"').to_owned());
        }
        match self.json(place, name) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(Failure::bad_params(format!("{name} is not text"))),
        }
    }

    /// Bytes, empty if absent. In a URL: `0x` and hex, or the bytes themselves
    /// in quotes.
    ///
    /// # Errors
    /// Bad parameters if they are not written so.
    pub fn bytes(&self, place: usize, name: &str, encoding: Encoding) -> Result<Vec<u8>, Failure> {
        let wrong = || Failure::bad_params(format!("{name} cannot be decoded"));
        if let Self::Query(members) = self {
            let text = members.get(name).map(String::as_str).unwrap_or_default();
            return match text.strip_prefix("0x") {
                Some(digits) => hex::decode(digits).map_err(|_| wrong()),
                None => Ok(text.trim_matches('"').as_bytes().to_vec()),
            };
        }
        let text = self.text(place, name)?;
        match encoding {
            Encoding::Base64 => STANDARD.decode(text).map_err(|_| wrong()),
            Encoding::Hex => {
                let digits = text.strip_prefix("0x").unwrap_or(&text);
                hex::decode(digits).map_err(|_| wrong())
            }
        }
    }
}
