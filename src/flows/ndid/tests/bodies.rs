//! The schemas of bodies.

use serde_json::{Value, json};

use super::{keys, of_path, with};
use crate::api::ApiVersion;
use crate::error::codes;

/// Where and why each fault is one, in order.
fn faults(path: &str, body: &Value) -> Vec<(String, String)> {
    let schema = of_path(ApiVersion::V6, path).body.unwrap();
    let error = match schema.check(body, codes::BODY_VALIDATION_FAILED) {
        Ok(()) => return Vec::new(),
        Err(error) => error,
    };
    let errors = error.details().unwrap()["errors"]
        .as_array()
        .unwrap()
        .clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let faults = errors.iter();
    faults
        .map(|fault| (text(&fault["instancePath"]), text(&fault["keyword"])))
        .collect()
}

#[test]
fn bodies_are_judged_by_their_schemas() {
    /// Path, body, and keyword and member of each fault.
    type Case = (&'static str, Value, &'static [(&'static str, &'static str)]);
    let cases: &[Case] = &[
        (
            "set_node_token",
            json!({"node_id": "rp1", "amount": -1000}),
            &[("/amount", "minimum")],
        ),
        (
            "set_node_token",
            json!({"amount": "1", "node_id": ""}),
            &[("/node_id", "minLength"), ("/amount", "type")],
        ),
        (
            "create_namespace",
            json!({
                "namespace": "", "description": null,
                "allowed_identifier_count_in_reference_group": -2,
                "allowed_active_identifier_count_in_reference_group": 1.5,
            }),
            &[
                ("/namespace", "minLength"),
                ("/description", "type"),
                ("/allowed_identifier_count_in_reference_group", "minimum"),
                (
                    "/allowed_active_identifier_count_in_reference_group",
                    "type",
                ),
            ],
        ),
        (
            "set_allowed_mode_list",
            json!({"purpose": "", "allowed_mode_list": [2, 2, 4]}),
            &[
                ("/allowed_mode_list", "uniqueItems"),
                ("/allowed_mode_list/2", "enum"),
            ],
        ),
        (
            "set_service_price_ceiling",
            json!({"service_id": "s", "price_ceiling_by_currency_list": []}),
            &[("/price_ceiling_by_currency_list", "minItems")],
        ),
        (
            "set_service_price_ceiling",
            json!({"service_id": "s", "price_ceiling_by_currency_list": [
                {"currency": "THB", "price": 1}, {"currency": "THB", "price": -2},
            ]}),
            &[
                ("/price_ceiling_by_currency_list/1/price", "minimum"),
                ("/price_ceiling_by_currency_list", "uniqueItemProperties"),
            ],
        ),
        (
            "set_service_price_min_effective_datetime_delay",
            json!({"duration_second": 0, "service_id": ""}),
            &[
                ("/duration_second", "minimum"),
                ("/service_id", "minLength"),
            ],
        ),
        (
            "add_error_code",
            json!({"error_code": 0, "type": "rp"}),
            &[
                ("", "required"),
                ("/error_code", "minimum"),
                ("/type", "enum"),
            ],
        ),
        (
            "update_node_proxy_node",
            json!({"node_id": "rp1", "proxy_node_id": "proxy1", "config": "X"}),
            &[("/config", "enum")],
        ),
        (
            "add_node_to_proxy_node",
            json!({"node_id": "rp1", "proxy_node_id": "proxy1"}),
            &[("", "required")],
        ),
        (
            "get_node_id_list",
            json!({"role": "proxy"}),
            &[("/role", "enum")],
        ),
        (
            "set_supported_ial_list",
            json!({"supported_ial_list": [1, -1, "3"]}),
            &[
                ("/supported_ial_list/1", "minimum"),
                ("/supported_ial_list/2", "type"),
            ],
        ),
        ("set_last_block", json!({}), &[("", "required")]),
        (
            "set_last_block",
            json!({"block_height": -2}),
            &[("/block_height", "minimum")],
        ),
        (
            "create_service",
            json!({"service_id": "s", "service_name": "", "data_schema": 5}),
            &[("/service_name", "minLength")],
        ),
        (
            "update_node",
            json!({"node_id": "rp1", "agent": "yes", "node_id_whitelist": [""]}),
            &[("/agent", "type"), ("/node_id_whitelist/0", "minLength")],
        ),
    ];
    for (name, body, expected) in cases {
        let found = faults(&format!("/ndid/{name}"), body);
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(place, keyword)| (place.as_str(), keyword.as_str()))
            .collect();
        assert_eq!(&found, expected, "{name} {body}");
    }
}

#[test]
fn the_bodies_of_registrations_name_all_keys_and_a_role() {
    let required =
        |path: &str| of_path(ApiVersion::V6, path).body.unwrap().source()["required"].clone();
    let named = [
        "signing_public_key",
        "signing_key_algorithm",
        "signing_algorithm",
        "signing_master_public_key",
        "signing_master_key_algorithm",
        "signing_master_algorithm",
        "encryption_public_key",
        "encryption_key_algorithm",
        "encryption_algorithm",
    ];
    for path in ["/ndid/init_ndid", "/ndid/register_node", "/node/create"] {
        let found = required(path);
        for name in named {
            assert!(
                found.as_array().unwrap().contains(&json!(name)),
                "{path} {name}"
            );
        }
    }
    let body = with(
        keys(),
        json!({"node_id": "x", "node_name": "y", "role": "proxy"}),
    );
    assert_eq!(faults("/ndid/register_node", &body), []);
    let body = with(
        body,
        json!({"reference_id": "r", "callback_url": "http://c"}),
    );
    let role = ("/role".to_owned(), "enum".to_owned());
    assert_eq!(faults("/node/create", &body), [role]);
}
