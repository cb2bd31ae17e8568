//! Schemas of bodies and query strings, and their faults in the shape clients
//! know (spec/http-api.md 1.5).

mod bodies;
mod faults;
mod queries;

use std::sync::LazyLock;

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use super::endpoint::{Endpoint, UnsupportedBody, Utility};
use super::operations::CallbackOwner;
use crate::error::{Code, Error, codes};

/// A compiled schema.
pub(super) struct Schema {
    source: Value,
    validator: Validator,
}

impl Schema {
    fn compile(source: Value) -> Self {
        let options = jsonschema::options()
            .with_draft(Draft::Draft7)
            .should_validate_formats(true);
        // The schemas are constants of this program; a test compiles each.
        let validator = options.build(&source).expect("the schema compiles");
        Self { source, validator }
    }

    /// Checks a value; all faults are in the error's details.
    fn check(&self, value: &Value, code: Code) -> Result<(), Error> {
        if self.validator.is_valid(value) {
            return Ok(());
        }
        let faults = faults::describe(&self.source, self.validator.iter_errors(value));
        let details = json!({"valid": false, "errors": faults});
        Err(Error::from(code).with_details(details))
    }
}

macro_rules! schemas {
    ($($name:ident = $source:expr;)*) => {
        $(static $name: LazyLock<Schema> = LazyLock::new(|| Schema::compile($source));)*

        #[cfg(test)]
        fn all() -> Vec<&'static Schema> {
            vec![$(&$name),*]
        }
    };
}

schemas! {
    CREATE_REQUEST = bodies::create_request();
    CLOSE_REQUEST = bodies::close_request();
    IDP_RESPONSE = bodies::idp_response();
    IDP_ERROR_RESPONSE = bodies::idp_error_response();
    OFFER_SERVICE = bodies::offer_service();
    AS_DATA = bodies::as_data();
    AS_ERROR = bodies::as_error();
    ERROR_URL = bodies::callback_urls(&["error_url"]);
    IDP_URLS = bodies::callback_urls(&[
        "incoming_request_url",
        "incoming_request_status_update_url",
        "identity_modification_notification_url",
        "error_url",
    ]);
    AS_URLS = bodies::callback_urls(&["incoming_request_status_update_url", "error_url"]);
    NODE_URLS = bodies::node_callback_urls();
    REMOVAL_FROM_REFERENCE_GROUP = bodies::removal_from_reference_group();
    REFERENCE_GROUP_MERGE = bodies::reference_group_merge();
    SETTINGS = bodies::settings();
    PADDED_HASH = queries::padded_hash();
    IDPS = queries::idps(false);
    IDPS_OF_IDENTITY = queries::idps(true);
    SERVICE_PRICES = queries::optional_text("node_id");
    SERVICE_PRICE_CEILING = queries::required_text("service_id");
    SERVICE_PRICE_DELAY = queries::optional_text("service_id");
    TEXTS = queries::texts(&["node_id", "prefix", "type"]);
}

/// Checks the body of `POST /config/set`.
pub(super) fn check_settings(body: &Value) -> Result<(), Error> {
    SETTINGS.check(body, codes::BODY_VALIDATION_FAILED)
}

/// Checks the body of a POST, if its endpoint has a schema (20003).
pub(super) fn check_body(endpoint: Endpoint, body: &Value) -> Result<(), Error> {
    match body_schema(endpoint) {
        Some(schema) => schema.check(body, codes::BODY_VALIDATION_FAILED),
        None => Ok(()),
    }
}

/// Checks the query string (20002).
pub(super) fn check_query(endpoint: Endpoint, query: &Value) -> Result<(), Error> {
    query_schema(endpoint).check(query, codes::QUERY_STRING_VALIDATION_FAILED)
}

fn body_schema(endpoint: Endpoint) -> Option<&'static Schema> {
    Some(match endpoint {
        Endpoint::CreateRequest => &CREATE_REQUEST,
        Endpoint::CloseRequest => &CLOSE_REQUEST,
        Endpoint::IdpResponse => &IDP_RESPONSE,
        Endpoint::IdpErrorResponse => &IDP_ERROR_RESPONSE,
        Endpoint::OfferService => &OFFER_SERVICE,
        Endpoint::AsData => &AS_DATA,
        Endpoint::AsError => &AS_ERROR,
        Endpoint::SetCallbackUrls(CallbackOwner::Rp | CallbackOwner::Proxy) => &ERROR_URL,
        Endpoint::SetCallbackUrls(CallbackOwner::Idp) => &IDP_URLS,
        Endpoint::SetCallbackUrls(CallbackOwner::As) => &AS_URLS,
        Endpoint::SetCallbackUrls(CallbackOwner::Node) => &NODE_URLS,
        Endpoint::Unsupported(Some(UnsupportedBody::RemovalFromReferenceGroup)) => {
            &REMOVAL_FROM_REFERENCE_GROUP
        }
        Endpoint::Unsupported(Some(UnsupportedBody::ReferenceGroupMerge)) => &REFERENCE_GROUP_MERGE,
        _ => return None,
    })
}

/// Endpoints without a schema of their own still refuse repeated parameters
/// (spec/http-api.md 7, Q17).
fn query_schema(endpoint: Endpoint) -> &'static Schema {
    match endpoint {
        Endpoint::PaddedHash => &PADDED_HASH,
        Endpoint::Utility(Utility::Idps) => &IDPS,
        Endpoint::Utility(Utility::IdpsOfIdentity) => &IDPS_OF_IDENTITY,
        Endpoint::Utility(Utility::ServicePrices) => &SERVICE_PRICES,
        Endpoint::Utility(Utility::ServicePriceCeiling) => &SERVICE_PRICE_CEILING,
        Endpoint::Utility(Utility::ServicePriceDelay) => &SERVICE_PRICE_DELAY,
        _ => &TEXTS,
    }
}

#[cfg(test)]
mod tests;
