//! `POST /identity` of version 4, which knows neither LIAL nor LAAL
//! (spec/http-api-v4-v5.md 5).

use super::{Adapter, Members, remove};
use crate::api::endpoint::Endpoint;

const UNKNOWN: [&str; 2] = ["lial", "laal"];

pub(super) fn v4(endpoint: &Endpoint) -> Adapter {
    let body = endpoint.body.as_ref();
    let without = |source: &mut serde_json::Value| {
        if let Some(members) = source["properties"].as_object_mut() {
            remove(members, &UNKNOWN);
        }
    };
    Adapter {
        body: body.map(|schema| schema.changed(without)),
        body_in: Some(without_newer),
        ..Adapter::default()
    }
}

fn without_newer(body: &mut Members) {
    remove(body, &UNKNOWN);
}
