//! Every endpoint makes the recorded transaction.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::*;
use super::{asked, body_of, ndid, recorded_transactions};
use crate::flows::testing::params;

/// Path, method and status of every call that leads to a transaction.
const TRANSACTIONS: &[(&str, &str, u16)] = &[
    ("init_ndid", "InitNDID", 204),
    ("end_init", "EndInit", 204),
    ("set_last_block", "SetLastBlock", 204),
    ("set_allowed_mode_list", "SetAllowedModeList", 204),
    ("register_node", "RegisterNode", 201),
    ("update_node", "UpdateNodeByNDID", 204),
    ("enable_node", "EnableNode", 204),
    ("disable_node", "DisableNode", 204),
    ("set_node_token", "SetNodeToken", 204),
    ("add_node_token", "AddNodeToken", 204),
    ("reduce_node_token", "ReduceNodeToken", 204),
    ("create_namespace", "AddNamespace", 201),
    ("update_namespace", "UpdateNamespace", 204),
    ("enable_namespace", "EnableNamespace", 204),
    ("disable_namespace", "DisableNamespace", 204),
    ("create_service", "AddService", 201),
    ("update_service", "UpdateService", 204),
    ("enable_service", "EnableService", 204),
    ("disable_service", "DisableService", 204),
    ("approve_service", "RegisterServiceDestinationByNDID", 204),
    (
        "enable_service_destination",
        "EnableServiceDestinationByNDID",
        204,
    ),
    (
        "disable_service_destination",
        "DisableServiceDestinationByNDID",
        204,
    ),
    ("set_service_price_ceiling", "SetServicePriceCeiling", 204),
    (
        "set_service_price_min_effective_datetime_delay",
        "SetServicePriceMinEffectiveDatetimeDelay",
        204,
    ),
    ("set_validator", "SetValidator", 204),
    ("add_node_to_proxy_node", "AddNodeToProxyNode", 204),
    ("update_node_proxy_node", "UpdateNodeProxyNode", 204),
    (
        "remove_node_from_proxy_node",
        "RemoveNodeFromProxyNode",
        204,
    ),
    ("set_supported_ial_list", "SetSupportedIALList", 204),
    ("set_supported_aal_list", "SetSupportedAALList", 204),
    (
        "set_allowed_min_ial_for_register_identity_at_first_idp",
        "SetAllowedMinIalForRegisterIdentityAtFirstIdp",
        204,
    ),
    ("add_error_code", "AddErrorCode", 204),
    ("remove_error_code", "RemoveErrorCode", 204),
    ("add_request_type", "AddRequestType", 204),
    ("remove_request_type", "RemoveRequestType", 204),
    (
        "add_suppressed_identity_modification_notification_node",
        "AddSuppressedIdentityModificationNotificationNode",
        204,
    ),
    (
        "remove_suppressed_identity_modification_notification_node",
        "RemoveSuppressedIdentityModificationNotificationNode",
        204,
    ),
    (
        "add_allowed_node_supported_feature",
        "AddAllowedNodeSupportedFeature",
        204,
    ),
    (
        "remove_allowed_node_supported_feature",
        "RemoveAllowedNodeSupportedFeature",
        204,
    ),
];

#[test]
fn every_endpoint_is_built() {
    let mut paths: Vec<String> = TRANSACTIONS
        .iter()
        .map(|(name, ..)| format!("/ndid/{name}"))
        .collect();
    paths.push("/ndid/get_allowed_min_ial_for_register_identity_at_first_idp".to_owned());
    paths.push("/ndid/get_node_id_list".to_owned());
    assert_eq!(paths.len(), 41);
    paths.push("/node/create".to_owned());
    let mut built: Vec<_> = endpoints();
    built.retain(|endpoint| endpoint.audience == Audience::Ndid);
    let mut built: Vec<_> = built.iter().map(|entry| entry.path.to_owned()).collect();
    built.sort();
    paths.sort();
    assert_eq!(built, paths);
}

#[actix::test]
async fn the_ledger_is_asked_for_what_the_recorded_ndid_asked_for() {
    let node = ndid();
    let every_level: Vec<f64> = (0..60).map(|tenths| f64::from(tenths) / 10.0).collect();
    for (method, member) in [
        ("GetSupportedIALList", "supported_ial_list"),
        ("GetSupportedAALList", "supported_aal_list"),
    ] {
        node.ledger
            .answer(method, Value::Null, json!({member: every_level}));
    }
    let mut compared = BTreeMap::new();
    for (method, recorded) in recorded_transactions() {
        let Some((name, _, status)) = TRANSACTIONS.iter().find(|entry| entry.1 == method) else {
            continue;
        };
        let mut body = body_of(&recorded);
        if method == "InitNDID" {
            body.as_object_mut().unwrap().remove("node_id");
        }
        let (transact, answered) = asked(&node, &format!("/ndid/{name}"), body).await;
        assert_eq!(transact.method, method);
        assert_eq!(params(&transact), recorded, "{method}");
        assert_eq!((transact.node_id.as_str(), answered), ("ndid1", *status));
        *compared.entry(method).or_insert(0) += 1;
    }
    // All but SetLastBlock and SetValidator.
    assert_eq!(compared.len(), TRANSACTIONS.len() - 2, "{compared:?}");
}

#[actix::test]
async fn what_was_not_recorded_is_handed_on_as_it_is() {
    let node = ndid();
    for (name, body) in [
        ("set_last_block", json!({"block_height": -1})),
        ("set_validator", json!({"public_key": "AA==", "power": 1.5})),
        ("remove_error_code", json!({"error_code": 1, "type": "idp"})),
        (
            "set_supported_aal_list",
            json!({"supported_aal_list": [3, 1, 3]}),
        ),
        (
            "set_allowed_mode_list",
            json!({"purpose": "AddIdentity", "allowed_mode_list": [3]}),
        ),
        (
            "create_service",
            json!({
                "service_id": "s", "service_name": "n", "data_schema": "n/a",
                "data_schema_version": "1",
            }),
        ),
    ] {
        let (_, method, status) = TRANSACTIONS.iter().find(|entry| entry.0 == name).unwrap();
        let mut with_unknown = body.clone();
        with_unknown["unknown"] = json!(1);
        let (transact, answered) = asked(&node, &format!("/ndid/{name}"), with_unknown).await;
        assert_eq!((transact.method.as_str(), answered), (*method, *status));
        assert_eq!(params(&transact), body, "{name}");
    }
    // The exception: all of the body, in its order.
    let change = json!({"unknown": 1, "max_aal": 0, "node_id": "rp1"});
    let (transact, _) = asked(&node, "/ndid/update_node", change.clone()).await;
    assert_eq!(transact.params, change.to_string());
    let (transact, _) = asked(&node, "/ndid/end_init", json!([1])).await;
    assert_eq!(transact.params, "{}");
}
