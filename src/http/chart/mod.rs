//! The chart of the API: OpenAPI 3.1 of each version, and a page to read and try it.
//! Both are made from the table of endpoints at the first request.

mod page;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;

use super::own_endpoints::{get, own};
use crate::api::{ApiVersion, CallOutcome, Endpoint, Success, openapi, versions};

/// Where the document and the page of a version stand.
const PATHS: [(ApiVersion, &str, &str); 4] = [
    (ApiVersion::V6, "/openapi.json", "/openapi"),
    (ApiVersion::V6, "/v6/openapi.json", "/v6/openapi"),
    (ApiVersion::V5, "/v5/openapi.json", "/v5/openapi"),
    (ApiVersion::V4, "/v4/openapi.json", "/v4/openapi"),
];

/// The table entries; the chart shows `endpoints`.
pub(super) fn endpoints(shown: Vec<Endpoint>) -> Vec<Endpoint> {
    let shown = Arc::new(shown);
    let entries = PATHS.map(|(version, document, page)| {
        [
            once(
                document,
                "Describes all endpoints of a version as OpenAPI 3.1.",
                "application/json; charset=utf-8",
                (version, shown.clone()),
                |document| document.to_string(),
            ),
            once(
                page,
                "Shows all endpoints of a version on a page where they can be tried.",
                "text/html; charset=utf-8",
                (version, shown.clone()),
                page::of,
            ),
        ]
    });
    entries.into_iter().flatten().collect()
}

/// An endpoint whose answer is made once.
fn once(
    path: &'static str,
    does: &'static str,
    content_type: &'static str,
    (version, shown): (ApiVersion, Arc<Vec<Endpoint>>),
    text_of: fn(&Value) -> String,
) -> Endpoint {
    let made: OnceLock<Bytes> = OnceLock::new();
    own(
        get(path, does).answers(Success::text(content_type)),
        move |_| {
            let text = made.get_or_init(|| text_of(&document(version, &shown)).into());
            let text = text.clone();
            std::future::ready(Ok(CallOutcome::Text { content_type, text }))
        },
    )
}

fn document(version: ApiVersion, shown: &[Endpoint]) -> Value {
    let mut of_version = versions::of(version, shown);
    let others = shown.iter().filter(|endpoint| endpoint.since.is_none());
    of_version.extend(others.cloned());
    openapi::document(version, &of_version)
}
