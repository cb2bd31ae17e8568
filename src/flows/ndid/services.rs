//! `POST /ndid/{create,update,enable,disable}_service`: services that ASes may
//! offer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{endpoint, handed_on, transact};
use crate::api::{ApiCall, CallOutcome, Endpoint, NoPath, Success, Texts};
use crate::error::{Error, codes};

/// Stands for no schema: data of any form.
const NO_SCHEMA: &str = "n/a";

pub fn endpoints() -> [Endpoint; 4] {
    [
        described(
            "/ndid/create_service",
            "Adds a service that ASes may offer.",
            "AddService",
            201,
        ),
        described(
            "/ndid/update_service",
            "Changes a service.",
            "UpdateService",
            204,
        ),
        handed_on::<ServiceIdBody>(
            "/ndid/enable_service",
            "Enables a service.",
            "EnableService",
            204,
        ),
        handed_on::<ServiceIdBody>(
            "/ndid/disable_service",
            "Disables a service.",
            "DisableService",
            204,
        ),
    ]
}

fn described(
    path: &'static str,
    does: &'static str,
    method: &'static str,
    status: u16,
) -> Endpoint {
    let endpoint = endpoint(path, does).body::<ServiceBody>();
    let endpoint = endpoint.answers(Success::empty(status));
    endpoint.run(move |call: ApiCall<NoPath, Texts, ServiceBody>| describe(call, method, status))
}

async fn describe(
    call: ApiCall<NoPath, Texts, ServiceBody>,
    method: &'static str,
    status: u16,
) -> Result<CallOutcome, Error> {
    if let Some(schema) = &call.body.data_schema {
        check_data_schema(schema)?;
    }
    transact(&call, method, json!(call.body), status).await
}

/// Body that describes a service. The body's schema does not cover the schema of its
/// data, which is checked later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct ServiceBody {
    /// Its id.
    #[schemars(length(min = 1))]
    service_id: String,
    /// Its name.
    #[schemars(length(min = 1))]
    service_name: String,
    /// Form of its data: a JSON schema (draft 7) as text, or `n/a`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    data_schema: Option<Value>,
    /// Version of that schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    data_schema_version: Option<Value>,
}

/// Body that names a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct ServiceIdBody {
    /// Its id.
    #[schemars(length(min = 1))]
    service_id: String,
}

/// Whether this is a JSON schema, as text (spec/http-api.md 3.9).
fn check_data_schema(given: &Value) -> Result<(), Error> {
    let unusable = |message: String| Error::with_message(codes::UNKNOWN_ERROR, message);
    let text = match given {
        Value::String(text) if text == NO_SCHEMA => return Ok(()),
        Value::String(text) => text,
        // The text of the replaced system.
        Value::Object(_) => return Err(unusable("\"[object Object]\" is not valid JSON".into())),
        _ => return Err(unusable("The data schema is not a text".into())),
    };
    let schema = serde_json::from_str(text)
        .map_err(|error| unusable(format!("The data schema is not valid JSON: {error}")))?;
    match jsonschema::draft7::meta::is_valid(&schema) {
        true => Ok(()),
        false => Err(unusable("Invalid data schema schema".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_schema_is_the_text_of_a_json_schema_or_none() {
        let message = |given: Value| match check_data_schema(&given) {
            Ok(()) => String::new(),
            Err(error) => {
                assert_eq!(error.code().number, 10000);
                error.message().to_owned()
            }
        };
        for good in [
            "n/a",
            "{}",
            "true",
            r#"{"properties": {"age": {"type": "integer", "minimum": 1}}}"#,
        ] {
            assert_eq!(message(json!(good)), "", "{good}");
        }
        for bad in [
            "5",
            "[]",
            "null",
            r#"{"minLength": -1}"#,
            r#"{"type": "age"}"#,
        ] {
            assert_eq!(message(json!(bad)), "Invalid data schema schema", "{bad}");
        }
        let object = "\"[object Object]\" is not valid JSON";
        assert_eq!(message(json!({})), object);
        assert!(message(json!("{")).contains("not valid JSON"));
        assert!(message(json!("")).contains("not valid JSON"));
        assert!(message(json!(5)).contains("not a text"));
    }
}
