//! The JSON-RPC 2.0 envelope (spec/ledger.md 1.2). Ids are JSON strings.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::pulse;

/// The result or error of the call with this id.
#[derive(Debug, PartialEq)]
pub(super) struct RpcResponse {
    /// As sent with the call.
    pub id: String,
    pub outcome: Result<Value, CallError>,
}

/// The `error` member.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CallError {
    pub code: i64,
    pub message: String,
    pub data: String,
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    error: Value,
}

/// The text frame of a call.
pub(super) fn request(id: &str, method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "method": method, "params": params, "id": id}).to_string()
}

/// Reads a text frame; `None` if it answers nothing.
pub(super) fn answer(text: &str) -> Option<RpcResponse> {
    pulse::keep_off("parsing an answer of the ledger");
    let wire: Wire = serde_json::from_str(text).ok()?;
    let id = match wire.id {
        Value::String(id) => id,
        Value::Number(id) => id.to_string(),
        _ => return None,
    };
    let outcome = match wire.error {
        Value::Null => Ok(wire.result),
        error => Err(failure(&error)),
    };
    Some(RpcResponse { id, outcome })
}

fn failure(error: &Value) -> CallError {
    let text = |member: &Value| match member {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    CallError {
        code: error["code"].as_i64().unwrap_or_default(),
        message: text(&error["message"]),
        data: text(&error["data"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_the_specified_form() {
        assert_eq!(
            request("17", "status", &json!([])),
            r#"{"jsonrpc":"2.0","method":"status","params":[],"id":"17"}"#
        );
    }

    #[test]
    fn results_and_errors_are_told_apart() {
        let result = answer(r#"{"jsonrpc":"2.0","id":"1","result":{"a":1}}"#).unwrap();
        assert_eq!(result.outcome, Ok(json!({"a": 1})));
        let error =
            answer(r#"{"id":"2","error":{"code":-32603,"message":"Internal error","data":"x"}}"#)
                .unwrap();
        assert_eq!(error.id, "2");
        assert_eq!(error.outcome.unwrap_err().data, "x");
    }

    #[test]
    fn rubbish_is_no_answer() {
        for text in ["", "null", "[]", "{}", "{\"id\":{}}", "not json", "\"x\""] {
            assert_eq!(answer(text), None, "{text}");
        }
    }
}
