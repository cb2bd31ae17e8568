//! Every endpoint of NDID's node: what it changes, and what the ledger refuses.

use erawan::context::Role;
use serde_json::{Value, json};

use crate::client::client_application;
use crate::ndid_set_up::{Ndid, keys, with};
use crate::network::*;

async fn network() -> (Net, Ndid) {
    let net = Net::with(Store::Embedded, 0, |options| {
        options.nodes = vec!["ndid1".to_owned()];
    })
    .await;
    let api = net.api(Role::Ndid);
    ready(vec![api.clone()]).await;
    (net, Ndid { api })
}

fn of_node(node_id: &str) -> Value {
    json!({"node_id": node_id})
}

/// Registers a node that has NDID's keys.
async fn register(net: &Net, ndid: &Ndid, node_id: &str, more: Value) {
    let named = json!({"node_id": node_id, "node_name": "a test's"});
    let node = with(with(keys(&net.network.directory, "ndid1"), named), more);
    ndid.done("register_node", node.clone(), 201).await;
    ndid.refused("register_node", node, 400, 25011).await;
}

async fn nodes_and_tokens(net: &Net, ndid: &Ndid) {
    register(net, ndid, "rp7", json!({"role": "rp"})).await;
    ndid.refused("get_node_id_list", json!({"role": "idp"}), 500, 10000)
        .await;
    let idp = json!({"role": "idp", "max_ial": 3, "max_aal": 3});
    register(net, ndid, "idp7", idp).await;
    register(net, ndid, "as7", json!({"role": "as"})).await;
    register(net, ndid, "proxy7", json!({"role": "proxy"})).await;
    let all = ndid.told("get_node_id_list", json!({})).await;
    let expected = json!({"node_id_list": ["rp7", "idp7", "as7", "proxy7"]});
    assert_eq!(all, expected);

    let change = json!({"node_id": "idp7", "max_ial": 2.3, "agent": true});
    ndid.done("update_node", change, 204).await;
    let node = ndid.found("nodes/idp7").await;
    let found = (&node["max_ial"], &node["max_aal"], &node["agent"]);
    assert_eq!(found, (&json!(2.3), &json!(3), &json!(true)));
    ndid.refused("update_node", of_node("nobody"), 400, 25015)
        .await;
    let level = json!({"node_id": "idp7", "max_ial": 1.5});
    ndid.refused("update_node", level, 400, 20094).await;

    for (operation, is_active) in [("disable_node", false), ("enable_node", true)] {
        ndid.done(operation, of_node("as7"), 204).await;
        assert_eq!(ndid.found("nodes/as7").await["active"], is_active);
        ndid.refused(operation, of_node("nobody"), 400, 25015).await;
    }

    let amount = |node_id: &str, amount: f64| json!({"node_id": node_id, "amount": amount});
    for (operation, change, after) in [
        ("set_node_token", 10.0, 10.0),
        ("add_node_token", 5.5, 15.5),
        ("reduce_node_token", 0.5, 15.0),
    ] {
        ndid.done(operation, amount("rp7", change), 204).await;
        let token = ndid.found("nodes/rp7/token").await;
        assert_eq!(token["amount"].as_f64(), Some(after), "{operation}");
        ndid.refused(operation, amount("nobody", 1.0), 400, 25006)
            .await;
    }
    ndid.refused("reduce_node_token", amount("rp7", 99.0), 400, 25007)
        .await;
}

async fn a_node_made_for_a_client_that_does_not_wait(net: &Net, ndid: &Ndid) {
    let (url, told) = client_application();
    let create = async |reference: &str| {
        let body = json!({
            "reference_id": reference, "callback_url": url,
            "node_id": "rp8", "node_name": "a test's", "role": "rp",
        });
        let body = with(keys(&net.network.directory, "ndid1"), body);
        let path = format!("{}/v6/node/create", ndid.api);
        let answer = plain_client().post(path).json(&body).send().await.unwrap();
        let answered = (answer.status().as_u16(), answer.text().await.unwrap());
        assert_eq!(answered, (202, String::new()));
        told.result("create_node_result", reference).await
    };
    let success = json!({
        "node_id": "ndid1", "type": "create_node_result", "success": true, "reference_id": "one",
    });
    assert_eq!(create("one").await, success);
    assert_eq!(ndid.found("nodes/rp8").await["role"], "RP");
    let failure = create("two").await;
    assert_eq!(failure["success"], false);
    assert_eq!(failure["error"]["code"], 25011);
}

async fn namespaces_and_services(ndid: &Ndid) {
    let space = |description: &str| json!({"namespace": "space", "description": description});
    let name = |namespace: &str| json!({"namespace": namespace});
    let shown = async || {
        let all = ndid.found("namespaces").await;
        let mut all = all.as_array().cloned().unwrap().into_iter();
        let found = all.find(|entry| entry["namespace"] == "space");
        found.map(|entry| entry["description"].clone())
    };
    ndid.done("create_namespace", space("first"), 201).await;
    ndid.refused("create_namespace", space("first"), 400, 25013)
        .await;
    ndid.done("update_namespace", space("second"), 204).await;
    assert_eq!(shown().await, Some(json!("second")));
    ndid.done("disable_namespace", name("space"), 204).await;
    assert_eq!(shown().await, None);
    ndid.done("enable_namespace", name("space"), 204).await;
    assert_eq!(shown().await, Some(json!("second")));
    for operation in ["update_namespace", "enable_namespace", "disable_namespace"] {
        ndid.refused(operation, name("nothing"), 400, 25014).await;
    }

    let schema = r#"{"properties":{"age":{"type":"integer"}}}"#;
    let service = |id: &str, name: &str| {
        json!({
            "service_id": id, "service_name": name, "data_schema": schema,
            "data_schema_version": "1",
        })
    };
    let id = |service_id: &str| json!({"service_id": service_id});
    ndid.done("create_service", service("s", "first"), 201)
        .await;
    ndid.refused("create_service", service("s", "first"), 400, 25005)
        .await;
    ndid.done("update_service", service("s", "second"), 204)
        .await;
    let found = ndid.found("services/s").await;
    let of_data = (&found["service_name"], &found["data_schema"]);
    assert_eq!(of_data, (&json!("second"), &json!(schema)));
    let faulty = with(
        service("t", "t"),
        json!({"data_schema": "{\"minLength\":-1}"}),
    );
    ndid.refused("create_service", faulty, 500, 10000).await;
    let is_listed = async || {
        let all = ndid.found("services").await;
        let mut all = all.as_array().unwrap().iter();
        all.any(|entry| entry["service_id"] == "s")
    };
    ndid.done("disable_service", id("s"), 204).await;
    assert!(!is_listed().await);
    ndid.done("enable_service", id("s"), 204).await;
    assert!(is_listed().await);
    ndid.refused("update_service", service("nothing", "n"), 400, 25018)
        .await;
    for operation in ["enable_service", "disable_service"] {
        ndid.refused(operation, id("nothing"), 400, 25018).await;
    }
}

async fn destinations_and_prices(ndid: &Ndid) {
    let of =
        |node_id: &str, service_id: &str| json!({"node_id": node_id, "service_id": service_id});
    let operations = [
        "approve_service",
        "disable_service_destination",
        "enable_service_destination",
    ];
    // What was never approved can be neither enabled nor disabled.
    for operation in &operations[1..] {
        ndid.refused(operation, of("as7", "s"), 400, 25018).await;
    }
    for operation in operations {
        ndid.done(operation, of("as7", "s"), 204).await;
        ndid.refused(operation, of("nobody", "s"), 400, 25015).await;
        ndid.refused(operation, of("as7", "nothing"), 400, 25018)
            .await;
        ndid.refused(operation, of("rp7", "s"), 400, 25053).await;
    }

    let ceiling = json!([{"currency": "THB", "price": 369.99}]);
    let body = |id: &str| json!({"service_id": id, "price_ceiling_by_currency_list": ceiling});
    ndid.done("set_service_price_ceiling", body("s"), 204).await;
    let found = ndid.found("service_price_ceiling?service_id=s").await;
    assert_eq!(found["price_ceiling_by_currency_list"], ceiling);
    ndid.refused("set_service_price_ceiling", body("nothing"), 400, 25018)
        .await;

    let operation = "set_service_price_min_effective_datetime_delay";
    let look_up = "service_price_min_effective_datetime_delay";
    ndid.done(operation, json!({"duration_second": 100}), 204)
        .await;
    let own = json!({"service_id": "s", "duration_second": 7});
    ndid.done(operation, own, 204).await;
    assert_eq!(ndid.found(look_up).await["duration_second"], 100);
    let found = ndid.found(&format!("{look_up}?service_id=s")).await;
    assert_eq!(found["duration_second"], 7);
    let unknown = json!({"service_id": "nothing", "duration_second": 7});
    ndid.refused(operation, unknown, 400, 25018).await;
}

async fn proxies(ndid: &Ndid) {
    let behind = |node_id: &str, config: &str| json!({"node_id": node_id, "proxy_node_id": "proxy7", "config": config});
    let shown = async || ndid.found("nodes/rp7").await["proxy"]["config"].clone();
    let (add, update) = ("add_node_to_proxy_node", "update_node_proxy_node");
    let remove = "remove_node_from_proxy_node";
    let on_proxy = behind("rp7", "KEY_ON_PROXY");
    ndid.refused(update, on_proxy.clone(), 400, 25048).await;
    ndid.done(add, on_proxy.clone(), 204).await;
    assert_eq!(shown().await, "KEY_ON_PROXY");
    ndid.refused(add, on_proxy, 400, 25046).await;
    ndid.done(update, behind("rp7", "KEY_ON_NODE"), 204).await;
    assert_eq!(shown().await, "KEY_ON_NODE");
    ndid.done(remove, of_node("rp7"), 204).await;
    assert_eq!(shown().await, Value::Null);
    ndid.refused(remove, of_node("rp7"), 400, 25048).await;
    for operation in [add, update] {
        let unknown = behind("nobody", "KEY_ON_NODE");
        ndid.refused(operation, unknown, 400, 25015).await;
    }
    ndid.refused(remove, of_node("nobody"), 400, 25015).await;
    ndid.refused(remove, of_node("proxy7"), 400, 25047).await;
}

/// A list to which something is added and from which it is removed.
struct Kept {
    operations: [&'static str; 2],
    body: Value,
    look_up: &'static str,
    /// Whether what is looked up shows it.
    shows: fn(&Value) -> bool,
    /// Codes of a second addition and a second removal.
    codes: [u32; 2],
}

async fn lists(ndid: &Ndid) {
    for kept in [
        Kept {
            operations: ["add_error_code", "remove_error_code"],
            body: json!({"error_code": 5, "type": "idp", "description": "Five"}),
            look_up: "idp_error_codes",
            shows: |list| {
                let mut codes = list.as_array().unwrap().iter();
                codes.any(|code| code == &json!({"error_code": 5, "description": "Five"}))
            },
            codes: [25073, 25073],
        },
        Kept {
            operations: ["add_request_type", "remove_request_type"],
            body: json!({"name": "a.type"}),
            look_up: "request_types",
            shows: |list| list.as_array().unwrap().contains(&json!("a.type")),
            codes: [25085, 25086],
        },
        Kept {
            operations: [
                "add_allowed_node_supported_feature",
                "remove_allowed_node_supported_feature",
            ],
            body: json!({"name": "a_feature"}),
            look_up: "node_supported_features",
            shows: |list| list.as_array().unwrap().contains(&json!("a_feature")),
            codes: [25092, 25093],
        },
        Kept {
            operations: [
                "add_suppressed_identity_modification_notification_node",
                "remove_suppressed_identity_modification_notification_node",
            ],
            body: of_node("idp7"),
            look_up: "suppressed_identity_modification_notification_node_ids",
            shows: |list| list.as_array().unwrap().contains(&json!("idp7")),
            codes: [25087, 25088],
        },
    ] {
        let changes = kept.operations.into_iter().zip([true, false]);
        for ((operation, is_there), code) in changes.zip(kept.codes) {
            ndid.done(operation, kept.body.clone(), 204).await;
            let found = ndid.found(kept.look_up).await;
            assert_eq!((kept.shows)(&found), is_there, "{operation}: {found}");
            ndid.refused(operation, kept.body.clone(), 400, code).await;
        }
    }
    let suppress = "add_suppressed_identity_modification_notification_node";
    ndid.refused(suppress, of_node("rp7"), 400, 25089).await;
}

async fn levels_and_modes(ndid: &Ndid) {
    let set = "set_allowed_min_ial_for_register_identity_at_first_idp";
    let get = "get_allowed_min_ial_for_register_identity_at_first_idp";
    assert_eq!(ndid.told(get, json!({})).await, json!({"min_ial": 0}));
    ndid.done(set, json!({"min_ial": 1.1}), 204).await;
    assert_eq!(ndid.told(get, json!({})).await, json!({"min_ial": 1.1}));
    let ials = json!({"supported_ial_list": [2.3, 3]});
    ndid.done("set_supported_ial_list", ials, 204).await;
    assert_eq!(ndid.found("supported_ial").await, json!([2.3, 3]));
    ndid.refused(set, json!({"min_ial": 1.1}), 400, 20094).await;
    let aals = json!({"supported_aal_list": [2.2]});
    ndid.done("set_supported_aal_list", aals, 204).await;
    assert_eq!(ndid.found("supported_aal").await, json!([2.2]));
    let modes = json!({"purpose": "", "allowed_mode_list": [2, 3]});
    ndid.done("set_allowed_mode_list", modes, 204).await;
}

async fn validators_and_the_end(ndid: &Ndid) {
    let validator = |key: &str, power: i64| json!({"public_key": key, "power": power});
    let key = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=";
    let operation = "set_validator";
    ndid.refused(operation, validator(key, 0), 400, 25054).await;
    ndid.refused(operation, validator("AAAA", 1), 400, 25095)
        .await;
    ndid.done(operation, validator(key, 1), 204).await;
    // It can be removed now.
    ndid.done(operation, validator(key, 0), 204).await;

    let last = |height: i64| json!({"block_height": height});
    let namespace = json!({"namespace": "late"});
    ndid.done("set_last_block", last(0), 204).await;
    ndid.refused("create_namespace", namespace.clone(), 500, 15028)
        .await;
    ndid.done("set_last_block", last(-1), 204).await;
    ndid.done("create_namespace", namespace, 201).await;
}

#[actix_web::test]
async fn each_endpoint_has_its_effect_and_its_refusals() {
    let (net, ndid) = network().await;
    nodes_and_tokens(&net, &ndid).await;
    a_node_made_for_a_client_that_does_not_wait(&net, &ndid).await;
    namespaces_and_services(&ndid).await;
    destinations_and_prices(&ndid).await;
    proxies(&ndid).await;
    lists(&ndid).await;
    levels_and_modes(&ndid).await;
    validators_and_the_end(&ndid).await;
    net.close().await;
}
