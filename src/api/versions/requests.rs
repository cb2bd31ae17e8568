//! `POST /rp/requests` of version 4: every service needs an answer, the salt is
//! chosen here, and a request has no type (spec/http-api-v4-v5.md 5).

use serde_json::{Value, json};

use super::{Adapter, Members, remove};
use crate::api::endpoint::Endpoint;
use crate::api::success::Success;

const UNKNOWN: [&str; 2] = ["initial_salt", "request_type"];

pub(super) fn v4(endpoint: &Endpoint) -> Adapter {
    let body = endpoint.body.as_ref();
    Adapter {
        body: body.map(|schema| schema.changed(schema_of_v4)),
        body_in: Some(without_newer),
        ..Adapter::default()
    }
}

/// What is shown depends on the version of the call.
pub(super) fn v4_shown() -> Adapter {
    let shape = json!({
        "request_id": "text",
        "min_idp": "integer",
        "min_aal": "number",
        "min_ial": "number",
        "request_timeout": "integer",
        "idp_id_list": ["text"],
        "data_request_list": [{
            "service_id": "text",
            "as_id_list~": ["text"],
            "min_as": "integer",
            "request_params_hash": "text",
            "answered_as_id_list": ["text"],
            "received_data_from_list": ["text"],
        }],
        "request_message_hash": "text",
        "response_list": [{
            "ial?": "number",
            "aal?": "number",
            "status?": "text",
            "signature?": "text",
            "idp_id": "text",
            "valid_ial~": "boolean",
            "valid_signature~": "boolean",
        }],
        "closed": "boolean",
        "timed_out": "boolean",
        "mode": "integer",
        "request_type~": "text",
        "requester_node_id": "text",
        "status": "text",
        "creation_block_height": "text",
    });
    Adapter {
        success: Some(Success::json(200, &shape)),
        ..Adapter::default()
    }
}

/// Each mode has a schema of its own.
fn schema_of_v4(source: &mut Value) {
    for branch in source["anyOf"].as_array_mut().into_iter().flatten() {
        let Some(members) = branch["properties"].as_object_mut() else {
            continue;
        };
        remove(members, &UNKNOWN);
        let service = members.get_mut("data_request_list");
        if let Some(min_as) = service.and_then(|list| list.pointer_mut("/items/properties/min_as"))
        {
            min_as["minimum"] = json!(1);
        }
    }
}

fn without_newer(body: &mut Members) {
    remove(body, &UNKNOWN);
}
