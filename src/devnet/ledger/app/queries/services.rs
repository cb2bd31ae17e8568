//! Namespaces and services (spec/ledger.md 5.4).

use serde_json::{Value, json};

use super::{Query, QueryResponse, query};
use crate::devnet::ledger::app::params::params;
use crate::devnet::ledger::app::state::{Namespace, State};

pub const QUERIES: &[Query] = &[
    query!("GetNamespaceList", no params, get_namespaces),
    query!("GetServiceList", no params, get_services),
    query!("GetServiceDetail", get_service),
];

params! {
    struct ServiceId {
        service_id: String,
    }
}

fn get_namespaces(state: &State) -> QueryResponse {
    if state.namespaces.is_empty() {
        return QueryResponse::not_found(&json!([]));
    }
    let active = state.namespaces.iter().filter(|namespace| namespace.active);
    QueryResponse::found(&active.map(namespace).collect())
}

fn namespace(namespace: &Namespace) -> Value {
    let mut row = json!({"namespace": namespace.name});
    if !namespace.description.is_empty() {
        row["description"] = json!(namespace.description);
    }
    row["active"] = json!(true);
    if namespace.allowed_count != 0 {
        row["allowed_identifier_count_in_reference_group"] = json!(namespace.allowed_count);
    }
    if namespace.allowed_active_count != 0 {
        row["allowed_active_identifier_count_in_reference_group"] =
            json!(namespace.allowed_active_count);
    }
    row
}

fn get_services(state: &State) -> QueryResponse {
    if state.services.is_empty() {
        return QueryResponse::not_found(&json!([]));
    }
    let active = state.services.iter().filter(|service| service.active);
    let rows = active.map(
        |service| json!({"service_id": service.id, "service_name": service.name, "active": true}),
    );
    QueryResponse::found(&rows.collect())
}

fn get_service(state: &State, params: ServiceId, _height: i64) -> QueryResponse {
    let Ok(service) = state.service(&params.service_id) else {
        return QueryResponse::not_found(&json!({}));
    };
    let mut detail = json!({"service_id": service.id, "service_name": service.name});
    let texts = [
        ("data_schema", &service.data_schema),
        ("data_schema_version", &service.data_schema_version),
    ];
    for (name, text) in texts {
        if !text.is_empty() {
            detail[name] = json!(text);
        }
    }
    if service.active {
        detail["active"] = json!(true);
    }
    QueryResponse::found(&detail)
}
