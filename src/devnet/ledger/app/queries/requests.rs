//! Requests, data signatures and messages (spec/ledger.md 5.2, 6.2).

use serde_json::{Map, Value, json};

use super::{Query, QueryResponse, null_if_empty, number, query};
use crate::devnet::ledger::app::params::params;
use crate::devnet::ledger::app::request::{AsResponse, DataRequest, IdpResponse, Request};
use crate::devnet::ledger::app::state::State;

pub const QUERIES: &[Query] = &[
    query!("GetRequest", get_request),
    query!("GetRequestDetail", get_request_detail),
    query!("GetDataSignature", get_data_signature),
    query!("GetMessage", get_message),
    query!("GetMessageDetail", get_message_detail),
];

params! {
    struct RequestId {
        request_id: String,
    }

    struct DataSignatureKey {
        node_id: String,
        request_id: String,
        service_id: String,
    }

    struct MessageId {
        message_id: String,
    }
}

fn request_at<'a>(state: &'a State, id: &str, height: i64) -> Option<&'a Request> {
    let history = state.requests.get(id)?;
    Some(if height > 0 {
        history.at(height)
    } else {
        history.latest()
    })
}

fn get_request(state: &State, params: RequestId, height: i64) -> QueryResponse {
    let Some(request) = request_at(state, &params.request_id, height) else {
        return QueryResponse::not_found(&json!({}));
    };
    QueryResponse::found(&json!({
        "closed": request.closed,
        "timed_out": request.timed_out,
        "request_message_hash": request.message_hash,
        "mode": request.mode,
    }))
}

fn get_request_detail(state: &State, params: RequestId, height: i64) -> QueryResponse {
    let Some(request) = request_at(state, &params.request_id, height) else {
        return QueryResponse::not_found(&json!({}));
    };
    let data_requests: Vec<Value> = request.data_requests.iter().map(data_request).collect();
    let responses: Vec<Value> = request.responses.iter().map(idp_response).collect();
    QueryResponse::found(&json!({
        "request_id": request.id,
        "min_idp": request.min_idp,
        "min_aal": number(request.min_aal),
        "min_ial": number(request.min_ial),
        "request_timeout": request.timeout,
        "idp_id_list": request.idp_ids,
        "data_request_list": data_requests,
        "request_message_hash": request.message_hash,
        "response_list": responses,
        "closed": request.closed,
        "timed_out": request.timed_out,
        "purpose": request.purpose,
        "mode": request.mode,
        "request_type": request.request_type,
        "requester_node_id": request.owner,
        "creation_block_height": request.creation_height,
        "creation_chain_id": request.creation_chain_id,
    }))
}

fn data_request(data: &DataRequest) -> Value {
    let responses: Vec<Value> = data.responses.iter().map(as_response).collect();
    json!({
        "service_id": data.service_id,
        "as_id_list": null_if_empty(&data.as_ids),
        "min_as": data.min_as,
        "request_params_hash": data.params_hash,
        "response_list": responses,
    })
}

fn as_response(response: &AsResponse) -> Value {
    if response.error_code != 0 {
        return json!({"as_id": response.as_id, "error_code": response.error_code});
    }
    json!({
        "as_id": response.as_id,
        "signed": response.signed,
        "received_data": response.received_data,
    })
}

fn idp_response(response: &IdpResponse) -> Value {
    let mut members = Map::new();
    if response.error_code == 0 {
        members.insert("ial".to_owned(), number(response.ial));
        members.insert("aal".to_owned(), number(response.aal));
        members.insert("status".to_owned(), json!(response.status));
        members.insert("signature".to_owned(), json!(response.signature));
    }
    members.insert("idp_id".to_owned(), json!(response.idp_id));
    members.insert("valid_ial".to_owned(), json!(response.valid_ial));
    members.insert(
        "valid_signature".to_owned(),
        json!(response.valid_signature),
    );
    if response.error_code != 0 {
        members.insert("error_code".to_owned(), json!(response.error_code));
    }
    Value::Object(members)
}

fn get_data_signature(state: &State, params: DataSignatureKey, _height: i64) -> QueryResponse {
    let key = (params.node_id, params.service_id, params.request_id);
    match state.data_signatures.get(&key) {
        Some(signature) => QueryResponse::found(&json!({"signature": signature})),
        None => QueryResponse::not_found(&json!({})),
    }
}

fn get_message(state: &State, params: MessageId, _height: i64) -> QueryResponse {
    match state.messages.get(&params.message_id) {
        Some(message) => QueryResponse::found(&json!({"message": message.message})),
        None => QueryResponse::not_found(&json!({})),
    }
}

fn get_message_detail(state: &State, params: MessageId, _height: i64) -> QueryResponse {
    let Some(message) = state.messages.get(&params.message_id) else {
        return QueryResponse::not_found(&json!({}));
    };
    QueryResponse::found(&json!({
        "message_id": params.message_id,
        "message": message.message,
        "purpose": message.purpose,
        "requester_node_id": message.owner,
        "creation_block_height": message.creation_height,
        "creation_chain_id": message.creation_chain_id,
    }))
}
