use serde_json::{Value, json};

use super::*;
use crate::error::codes;
use crate::flows::endpoints;

/// A body or query string as version 6 gets it.
fn mapped(mapping: Option<fn(&mut Members)>, given: Value) -> Value {
    let Value::Object(mut members) = given else {
        panic!("{given} is no object");
    };
    mapping.expect("it maps")(&mut members);
    members.into()
}

/// An answer as the client gets it.
fn answered(adapter: Adapter, mut answer: Value) -> Value {
    adapter.answer_out.expect("it maps")(&mut answer);
    answer
}

/// Keywords of the faults of a value.
fn faults(schema: &Schema, given: &Value) -> Vec<String> {
    let Err(error) = schema.check(given, codes::BODY_VALIDATION_FAILED) else {
        return Vec::new();
    };
    let details = error.details().unwrap();
    let faults = details["errors"].as_array().unwrap().iter();
    faults
        .map(|fault| fault["keyword"].as_str().unwrap().to_owned())
        .collect()
}

fn names(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

fn endpoint(path: &str) -> Endpoint {
    let mut all = endpoints::all().into_iter();
    let found = all.find(|endpoint| endpoint.method == Method::Post && endpoint.path == path);
    found.unwrap_or_else(|| panic!("there is no {path}"))
}

fn adapted_paths(version: ApiVersion) -> Vec<&'static str> {
    let all = endpoints::all();
    let all = all
        .iter()
        .filter(|endpoint| endpoint.since.is_some_and(|since| since <= version));
    let adapted = all.filter(|endpoint| adapter(version, endpoint).is_some());
    let mut paths: Vec<&str> = adapted.map(|endpoint| endpoint.path).collect();
    paths.sort_unstable();
    paths
}

#[test]
fn what_differs_is_adapted_and_nothing_else() {
    let version_5 = [
        "/ndid/init_ndid",
        "/ndid/register_node",
        "/ndid/set_allowed_min_ial_for_register_identity_at_first_idp",
        "/ndid/update_node",
        "/node/create",
        "/node/update",
        "/rp/request_data/:request_id",
        "/utility/idp",
        "/utility/idp/:namespace/:identifier",
        "/utility/nodes/:node_id",
    ];
    assert_eq!(adapted_paths(ApiVersion::V6), [""; 0]);
    assert_eq!(adapted_paths(ApiVersion::V5), version_5);
    let mut version_4 = version_5.to_vec();
    version_4.extend([
        "/identity",
        "/rp/requests/:namespace/:identifier",
        "/utility/requests/:request_id",
    ]);
    version_4.sort_unstable();
    assert_eq!(adapted_paths(ApiVersion::V4), version_4);
}

#[test]
fn one_key_signs_and_decrypts_with_fixed_algorithms() {
    let given = json!({
        "node_id": "n", "node_key": "K", "node_master_key": "M", "node_master_key_type": "RSA",
        "node_sign_method": "RSA-SHA256", "signing_public_key": "of version 6", "role": "rp",
    });
    let expected = json!({
        "node_id": "n", "role": "rp",
        "signing_public_key": "K", "signing_key_algorithm": "any",
        "signing_algorithm": "RSASSA_PKCS1_V1_5_SHA_256",
        "encryption_public_key": "K", "encryption_key_algorithm": "any",
        "encryption_algorithm": "RSAES_PKCS1_V1_5",
        "signing_master_public_key": "M", "signing_master_key_algorithm": "RSA",
        "signing_master_algorithm": "RSASSA_PKCS1_V1_5_SHA_256",
    });
    assert_eq!(mapped(registration::creation().body_in, given), expected);
    let of_ndid = json!({"public_key": "K", "master_public_key": "M", "public_key_type": "RSA"});
    let mut of_ndid = mapped(registration::init().body_in, of_ndid);
    assert_eq!(of_ndid["encryption_key_algorithm"], "RSA");
    assert_eq!(of_ndid["signing_master_key_algorithm"], "any");
    of_ndid
        .as_object_mut()
        .unwrap()
        .retain(|name, _| name.contains("master"));
    assert_eq!(of_ndid.as_object().unwrap().len(), 3);
}

#[test]
fn a_change_of_keys_changes_those_that_are_named() {
    let only_master = json!({"node_master_key": "M", "encryption_public_key": "E"});
    let changed = mapped(registration::update_of_keys().body_in, only_master);
    let expected = [
        "signing_master_public_key",
        "signing_master_key_algorithm",
        "signing_master_algorithm",
    ];
    assert_eq!(names(&changed), expected);
    let schema = registration::update_of_keys().body.unwrap();
    let without = json!({"reference_id": "r", "callback_url": "http://a", "node_id": "n"});
    assert_eq!(
        faults(&schema, &without),
        ["required", "required", "required", "anyOf"]
    );
    let mut with = without.clone();
    with["supported_request_message_data_url_type_list"] = json!([]);
    assert_eq!(faults(&schema, &with), [""; 0]);
    with["node_sign_method"] = json!("ECDSA_SHA_256");
    with["node_key_type"] = json!("EC");
    assert_eq!(faults(&schema, &with), ["enum", "enum"]);
}

fn registered() -> Value {
    json!({
        "node_id": "n", "node_name": "n", "node_key": "K", "node_master_key": "M", "role": "idp",
        "max_ial": 2.3, "max_aal": 3,
    })
}

#[test]
fn a_new_node_has_the_one_feature_of_version_5_or_none() {
    for (flag, features) in [
        (Some(true), json!(["on_the_fly"])),
        (Some(false), json!([])),
        (None, json!([])),
    ] {
        let mut given = registered();
        given["supported_feature_list"] = json!(["of version 6"]);
        if let Some(flag) = flag {
            given["on_the_fly_support"] = json!(flag);
        }
        let mapped = mapped(registration::register_v5().body_in, given);
        assert_eq!(mapped["supported_feature_list"], features, "{flag:?}");
        assert!(mapped.get("on_the_fly_support").is_none());
    }
}

#[test]
fn version_4_knows_neither_features_nor_agents_nor_white_lists() {
    let newer = json!({
        "on_the_fly_support": 5, "agent": "x", "node_id_whitelist_active": [],
        "node_id_whitelist": {}, "supported_feature_list": 1,
    });
    let mut given = registered();
    let members = given.as_object_mut().unwrap();
    members.extend(newer.as_object().unwrap().clone());
    assert_eq!(
        faults(&registration::register_v4().body.unwrap(), &given),
        [""; 0]
    );
    let of_version_5 = faults(&registration::register_v5().body.unwrap(), &given);
    assert_eq!(of_version_5, ["type"; 4]);
    let registered = mapped(registration::register_v4().body_in, given);
    let mut update = json!({"node_id": "n"});
    let members = update.as_object_mut().unwrap();
    members.extend(newer.as_object().unwrap().clone());
    assert_eq!(
        faults(&registration::update_v4().body.unwrap(), &update),
        [""; 0]
    );
    let updated = mapped(registration::update_v4().body_in, update);
    for name in newer.as_object().unwrap().keys() {
        assert!(registered.get(name).is_none(), "{name}");
        assert!(updated.get(name).is_none(), "{name}");
    }
}

#[test]
fn levels_come_from_fixed_lists() {
    let schema = registration::register_v5().body.unwrap();
    let with = |name: &str, level: Value| {
        let mut given = registered();
        given[name] = level;
        faults(&schema, &given)
    };
    assert_eq!(with("max_ial", json!(1.3)), [""; 0]);
    assert_eq!(with("max_ial", json!(3.0)), [""; 0]);
    assert_eq!(with("max_ial", json!(1.4)), ["enum"]);
    assert_eq!(with("max_aal", json!(2.2)), [""; 0]);
    assert_eq!(with("max_aal", json!(1.1)), ["enum"]);
    let first = registration::first_idp().body.unwrap();
    assert_eq!(faults(&first, &json!({"min_ial": 2.3})), [""; 0]);
    assert_eq!(faults(&first, &json!({"min_ial": 2.4})), ["enum"]);
    assert_eq!(faults(&first, &json!({})), ["required"]);
}

#[test]
fn a_changed_node_keeps_the_flag_for_the_operation() {
    let given = json!({"node_id": "n", "on_the_fly_support": false, "supported_feature_list": []});
    let mapped = mapped(registration::update_v5().body_in, given);
    assert_eq!(mapped, json!({"node_id": "n", "on_the_fly_support": false}));
}

#[test]
fn only_the_flag_true_filters_idps() {
    let query = |given| mapped(idps::v5().query_in, given);
    let expected = json!({"min_ial": "2.3", "supported_feature_list": "on_the_fly"});
    assert_eq!(
        query(json!({"min_ial": "2.3", "on_the_fly_support": "true"})),
        expected
    );
    for given in [
        json!({"on_the_fly_support": "false"}),
        json!({"supported_feature_list": "x"}),
    ] {
        assert_eq!(query(given), json!({}));
    }
    let schema = idps::v5().query.unwrap();
    assert_eq!(
        faults(&schema, &json!({"on_the_fly_support": "yes"})),
        ["enum"]
    );
    assert_eq!(
        faults(&schema, &json!({"supported_feature_list": ["a", "b"]})),
        [""; 0]
    );
    let of_identity = idps::v5_of_identity().query.unwrap();
    assert_eq!(faults(&of_identity, &json!({"mode": "1"})), ["enum"]);
    let version_4 = idps::v4().query.unwrap();
    assert_eq!(
        faults(
            &version_4,
            &json!({"agent": "perhaps", "min_ial": ["1", "2"]})
        ),
        ["type"]
    );
    let query = json!({"min_aal": "1", "mode": "2", "agent": "true", "filter_for_node_id": "n"});
    let kept = mapped(idps::v4_of_identity().query_in, query.clone());
    assert_eq!(kept, json!({"min_aal": "1", "mode": "2"}));
    assert_eq!(mapped(idps::v4().query_in, query), json!({"min_aal": "1"}));
}

/// An entry as version 6 shows it (of the recordings, with a feature).
fn idp() -> Value {
    json!({
        "node_id": "idp1", "node_name": "name", "max_ial": 3, "max_aal": 3,
        "supported_feature_list": ["on_the_fly"], "ial": 2.3, "lial": true, "laal": true,
        "mode_list": [2], "supported_request_message_data_url_type_list": [], "agent": false,
    })
}

#[test]
fn idps_are_shown_as_the_recordings_have_them() {
    let version_5 = answered(idps::v5_of_identity(), json!([idp()]));
    let recorded = json!({
        "node_id": "idp1", "node_name": "name", "max_ial": 3, "max_aal": 3, "ial": 2.3,
        "lial": true, "laal": true, "mode_list": [2],
        "supported_request_message_data_url_type_list": [], "agent": false,
        "on_the_fly_support": true,
    });
    assert_eq!(version_5, json!([recorded]));
    assert_eq!(names(&version_5[0]), names(&recorded));
    let mut without = idp();
    without["supported_feature_list"] = json!([]);
    let shown = answered(idps::v5(), json!([without]));
    assert_eq!(shown[0]["on_the_fly_support"], false);
    let expected = json!({
        "node_id": "idp1", "node_name": "name", "max_ial": 3, "max_aal": 3, "lial": null,
        "laal": null, "supported_request_message_data_url_type_list": [],
    });
    assert_eq!(answered(idps::v4(), json!([idp()])), json!([expected]));
    let expected = json!({
        "node_id": "idp1", "node_name": "name", "max_ial": 3, "max_aal": 3, "ial": 2.3,
        "mode_list": [2], "supported_request_message_data_url_type_list": [],
    });
    assert_eq!(
        answered(idps::v4_of_identity(), json!([idp()])),
        json!([expected])
    );
}

#[test]
fn nodes_are_shown_with_two_plain_keys() {
    let key = |pem: &str| json!({"public_key": pem, "algorithm": "ECDSA_SHA_256", "version": 2});
    let node = json!({
        "signing_public_key": key("S"), "signing_master_public_key": key("M"),
        "encryption_public_key": key("E"), "node_name": "n", "role": "IdP",
        "supported_feature_list": [], "mq": null, "active": true, "agent": true,
        "node_id_whitelist_active": true, "node_id_whitelist": ["rp1"],
        "proxy": {
            "node_id": "p", "node_name": "p", "signing_public_key": key("PS"),
            "signing_master_public_key": key("PM"), "encryption_public_key": key("PE"),
            "mq": null, "config": "KEY_ON_PROXY",
        },
    });
    let mut expected = json!({
        "public_key": "S", "master_public_key": "M", "node_name": "n", "role": "IdP", "mq": null,
        "active": true, "agent": true, "node_id_whitelist_active": true,
        "node_id_whitelist": ["rp1"],
        "proxy": {
            "node_id": "p", "node_name": "p", "public_key": "PS", "master_public_key": "PM",
            "mq": null, "config": "KEY_ON_PROXY",
        },
        "on_the_fly_support": false,
    });
    assert_eq!(answered(nodes::v5(), node.clone()), expected);
    let newer = [
        "agent",
        "node_id_whitelist_active",
        "node_id_whitelist",
        "on_the_fly_support",
    ];
    expected
        .as_object_mut()
        .unwrap()
        .retain(|name, _| !newer.contains(&name.as_str()));
    assert_eq!(answered(nodes::v4(), node), expected);
}

#[test]
fn data_has_the_algorithm_as_its_sign_method() {
    let data = |algorithm: &str, version: Option<u64>| {
        let mut data = json!({
            "source_node_id": "as1", "service_id": "s", "source_signature": "x",
            "signature_signing_algorithm": algorithm, "signature_signing_key_version": version,
            "data_salt": "y", "data": "z",
        });
        if version.is_none() {
            data.as_object_mut()
                .unwrap()
                .shift_remove("signature_signing_key_version");
        }
        answered(request_data::v5(), json!([data]))[0].take()
    };
    let shown = data("ECDSA_SHA_256", Some(1));
    assert_eq!(shown["signature_sign_method"], "ECDSA_SHA_256");
    let recorded = [
        "source_node_id",
        "service_id",
        "source_signature",
        "signature_sign_method",
        "data_salt",
        "data",
    ];
    assert_eq!(names(&shown), recorded);
    let pkcs1 = "RSASSA_PKCS1_V1_5_SHA_256";
    assert_eq!(data(pkcs1, Some(3))["signature_sign_method"], pkcs1);
    assert_eq!(data(pkcs1, None)["signature_sign_method"], "RSA-SHA256");
    assert_eq!(names(&data(pkcs1, None)), recorded);
}

#[test]
fn requests_of_version_4_want_an_answer_of_every_service() {
    let endpoint = endpoint("/rp/requests/:namespace/:identifier");
    let request = |mode: u8, min_as: u64| {
        json!({
            "reference_id": "r", "callback_url": "http://a", "mode": mode, "request_message": "m",
            "min_ial": 1.1, "min_aal": 1, "min_idp": 1, "request_timeout": 60,
            "idp_id_list": ["idp1"], "bypass_identity_check": false, "initial_salt": 5,
            "request_type": "", "data_request_list": [{"service_id": "s", "min_as": min_as}],
        })
    };
    let schema = requests::v4(&endpoint).body.unwrap();
    for mode in [1, 2, 3] {
        assert_eq!(faults(&schema, &request(mode, 1)), [""; 0], "{mode}");
        assert!(!faults(&schema, &request(mode, 0)).is_empty(), "{mode}");
    }
    let mapped = mapped(requests::v4(&endpoint).body_in, request(2, 1));
    assert!(mapped.get("initial_salt").is_none() && mapped.get("request_type").is_none());
    let newer = endpoint.body.unwrap();
    assert!(
        !faults(&newer, &request(2, 1)).is_empty(),
        "version 6 looks at both"
    );
}

#[test]
fn identities_of_version_4_have_no_lial_and_no_laal() {
    let given = json!({"lial": "x", "laal": 5, "ial": 2.3});
    let mapped = mapped(identities::v4(&endpoint("/identity")).body_in, given);
    assert_eq!(mapped, json!({"ial": 2.3}));
}

#[test]
fn an_array_is_no_body_of_any_version() {
    for version in [ApiVersion::V4, ApiVersion::V5] {
        for endpoint in of(version, &endpoints::all()) {
            if let Some(schema) = &endpoint.body {
                let faults = faults(schema, &json!([]));
                assert_eq!(
                    faults.first().map(String::as_str),
                    Some("type"),
                    "{}",
                    endpoint.path
                );
            }
        }
    }
}
