//! Checks data against the JSON schema that NDID registered for its service
//! (spec/flows.md 4.5; errors in the form of spec/http-api.md 1.5).

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{Draft, ValidationError};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::{Error, codes};
use crate::json as text;
use crate::ledger::query;
use crate::ledger::types::ServiceDetail;

const NO_SCHEMA: &str = "n/a";

/// Most mistakes listed in `details`.
const MOST_ERRORS: usize = 100;

/// Most characters of one text in `details`.
const LONGEST_TEXT: usize = 1000;

/// Checks data. Services without a schema or its version take anything.
///
/// # Errors
/// 10036 no such service, 10035 data that is not JSON, 10037 a schema that
/// cannot be used, 20059 (with details); those of the ledger.
pub async fn check(context: &Context, service_id: &str, data: &str) -> Result<(), Error> {
    let service = query::service_detail(context.ledger.as_ref(), service_id)
        .await?
        .ok_or(codes::CANNOT_GET_DATA_SCHEMA)?;
    match schema(&service) {
        Some(schema) => validate(schema, data),
        None => Ok(()),
    }
}

fn schema(service: &ServiceDetail) -> Option<&str> {
    let is_set = |text: &&str| !text.is_empty() && *text != NO_SCHEMA;
    service.data_schema_version.as_deref().filter(is_set)?;
    service.data_schema.as_deref().filter(is_set)
}

fn validate(schema: &str, data: &str) -> Result<(), Error> {
    let data: Value = text::parse(data.as_bytes()).map_err(|_| codes::CANNOT_PARSE_DATA)?;
    let unusable = |why: String| Error::with_message(codes::CANNOT_VALIDATE_DATA, why);
    let schema: Value =
        serde_json::from_str(schema).map_err(|error| unusable(error.to_string()))?;
    let validator = jsonschema::options()
        .with_draft(Draft::Draft7)
        .should_validate_formats(true)
        .build(&schema)
        .map_err(|error| unusable(error.to_string()))?;
    let errors: Vec<Value> = validator
        .iter_errors(&data)
        .take(MOST_ERRORS)
        .map(|error| describe(&error))
        .collect();
    if errors.is_empty() {
        return Ok(());
    }
    let details = json!({"valid": false, "errors": errors});
    Err(Error::from(codes::DATA_VALIDATION_FAILED).with_details(details))
}

/// One mistake, without the data itself, which is private and may be large.
fn describe(error: &ValidationError<'_>) -> Value {
    json!({
        "instancePath": error.instance_path().as_str(),
        "schemaPath": format!("#{}", error.schema_path().as_str()),
        "keyword": error.kind().keyword(),
        "params": params(error.kind()),
        "message": error.masked().to_string().chars().take(LONGEST_TEXT).collect::<String>(),
    })
}

fn params(kind: &ValidationErrorKind) -> Value {
    use ValidationErrorKind as Kind;
    match kind {
        Kind::Required { property } => json!({"missingProperty": property}),
        Kind::Type {
            kind: TypeKind::Single(kind),
        } => json!({"type": kind.as_str()}),
        Kind::Type {
            kind: TypeKind::Multiple(kinds),
        } => {
            let names: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
            json!({"type": names})
        }
        Kind::Enum { options } => json!({"allowedValues": options.as_ref()}),
        Kind::Constant { expected_value } => json!({"allowedValue": expected_value.as_ref()}),
        Kind::AdditionalProperties { unexpected } => {
            json!({"additionalProperty": unexpected.first()})
        }
        Kind::AdditionalItems { limit } => json!({"limit": limit}),
        Kind::MaxItems { limit }
        | Kind::MinItems { limit }
        | Kind::MaxLength { limit }
        | Kind::MinLength { limit }
        | Kind::MaxProperties { limit }
        | Kind::MinProperties { limit } => json!({"limit": limit}),
        Kind::Maximum { limit } => json!({"comparison": "<=", "limit": limit}),
        Kind::Minimum { limit } => json!({"comparison": ">=", "limit": limit}),
        Kind::ExclusiveMaximum { limit } => json!({"comparison": "<", "limit": limit}),
        Kind::ExclusiveMinimum { limit } => json!({"comparison": ">", "limit": limit}),
        Kind::MultipleOf { multiple_of } => json!({"multipleOf": multiple_of}),
        Kind::Pattern { pattern } => json!({"pattern": pattern}),
        Kind::Format { format } => json!({"format": format}),
        _ => json!({}),
    }
}
