//! `GET /utility/requests/:request_id`: a request as the ledger has it, with its status.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{ApiCall, ApiVersion, Audience, CallOutcome, Endpoint};
use crate::error::Error;
use crate::flows::status;
use crate::ledger::query;
use crate::ledger::types::{DataRequest, IdpResponse, RequestDetail};

/// Shape of a request.
fn shown_request() -> Value {
    json!({
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
            "response_list": [{
                "as_id": "text",
                "error_code?": "integer",
                "signed?": "boolean",
                "received_data?": "boolean",
            }],
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
            "error_code?": "integer",
        }],
        "closed": "boolean",
        "timed_out": "boolean",
        "mode": "integer",
        "request_type~": "text",
        "requester_node_id": "text",
        "status": "text",
        "creation_block_height": "text",
    })
}

pub fn endpoint() -> Endpoint {
    Endpoint::get("/utility/requests/:request_id", Audience::Everybody)
        .does("Shows a request as the ledger has it, with its status.")
        .without_acting_node()
        .path::<Path>()
        .tells(shown_request())
        .run(run)
}

#[derive(Deserialize)]
struct Path {
    request_id: String,
}

async fn run(call: ApiCall<Path>) -> Result<CallOutcome, Error> {
    let ledger = call.context.ledger.as_ref();
    let detail = query::request_detail(ledger, &call.path.request_id, None).await?;
    let Some(detail) = detail else {
        return Ok(CallOutcome::NotFound);
    };
    Ok(CallOutcome::Ok(match call.version {
        ApiVersion::V4 => version_4(&detail),
        ApiVersion::V5 | ApiVersion::V6 => version_6(&detail),
    }))
}

fn version_6(detail: &RequestDetail) -> Value {
    shown(detail, status::derive(detail))
}

/// Version 4 has a simpler status, shows no errors, and lists ASes instead of their
/// answers (spec/http-api-v4-v5.md 10).
fn version_4(detail: &RequestDetail) -> Value {
    let without_error = |answer: &IdpResponse| IdpResponse {
        error_code: None,
        ..answer.clone()
    };
    let answers: Vec<IdpResponse> = detail.response_list.iter().map(without_error).collect();
    let services: Vec<Value> = detail.data_request_list.iter().map(ases_of).collect();
    let mut shown = shown(detail, status::derive_v4(detail));
    shown["response_list"] = json!(answers);
    shown["data_request_list"] = services.into();
    shown
}

fn ases_of(service: &DataRequest) -> Value {
    let answers = service.response_list.iter();
    let received = answers
        .clone()
        .filter(|answer| answer.received_data == Some(true));
    let answered: Vec<&str> = answers.map(|answer| answer.as_id.as_str()).collect();
    let received: Vec<&str> = received.map(|answer| answer.as_id.as_str()).collect();
    json!({
        "service_id": service.service_id,
        "as_id_list": service.as_id_list,
        "min_as": service.min_as,
        "request_params_hash": service.request_params_hash,
        "answered_as_id_list": answered,
        "received_data_from_list": received,
    })
}

fn shown(detail: &RequestDetail, status: &str) -> Value {
    let mut shown = json!(detail);
    if let Some(members) = shown.as_object_mut() {
        for hidden in ["purpose", "creation_chain_id", "creation_block_height"] {
            members.remove(hidden);
        }
        members.insert("status".into(), status.into());
        let block = detail.creation_block();
        members.insert("creation_block_height".into(), block.into());
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both IdPs answered, one with an error; one AS sent data, one refused.
    fn detail(received: bool) -> RequestDetail {
        let detail = json!({
            "request_id": "r", "min_idp": 1, "min_aal": 1, "min_ial": 1.1, "request_timeout": 60,
            "idp_id_list": ["idp1", "idp2"], "request_message_hash": "h",
            "data_request_list": [{
                "service_id": "s", "as_id_list": ["as1", "as2"], "min_as": 1,
                "request_params_hash": "p",
                "response_list": [
                    {"as_id": "as1", "signed": true, "received_data": received},
                    {"as_id": "as2", "error_code": 1000},
                ],
            }],
            "response_list": [
                {"idp_id": "idp1", "error_code": 1000, "valid_ial": null, "valid_signature": null},
                {
                    "idp_id": "idp2", "ial": 2.3, "aal": 3, "status": "accept", "signature": "x",
                    "valid_ial": null, "valid_signature": null,
                },
            ],
            "closed": false, "timed_out": false, "purpose": "", "mode": 1, "request_type": null,
            "requester_node_id": "rp1", "creation_block_height": 7, "creation_chain_id": "c",
        });
        serde_json::from_value(detail).unwrap()
    }

    #[test]
    fn version_4_sees_no_error_and_lists_ases() {
        let shown = version_4(&detail(true));
        assert_eq!(shown["status"], "completed");
        assert_eq!(shown["creation_block_height"], "c:7");
        assert_eq!(shown["requester_node_id"], "rp1");
        assert!(shown.get("purpose").is_none());
        let error = json!({"idp_id": "idp1", "valid_ial": null, "valid_signature": null});
        assert_eq!(shown["response_list"][0], error);
        assert_eq!(shown["response_list"][1]["status"], "accept");
        let service = json!({
            "service_id": "s", "as_id_list": ["as1", "as2"], "min_as": 1,
            "request_params_hash": "p", "answered_as_id_list": ["as1", "as2"],
            "received_data_from_list": ["as1"],
        });
        assert_eq!(shown["data_request_list"], json!([service]));
        let before = version_4(&detail(false));
        assert_eq!(before["status"], "confirmed");
        assert_eq!(
            before["data_request_list"][0]["received_data_from_list"],
            json!([])
        );
    }

    #[test]
    fn later_versions_see_errors() {
        let shown = version_6(&detail(true));
        assert_eq!(shown["response_list"][0]["error_code"], 1000);
        let answers = &shown["data_request_list"][0]["response_list"];
        assert_eq!(answers[1], json!({"as_id": "as2", "error_code": 1000}));
    }
}
