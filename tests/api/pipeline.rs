//! Paths, roles, keys, settings and acting nodes.

use erawan::api::CallOutcome;
use erawan::config::{ApiVersion, Environment, TlsFiles};
use erawan::context::Role;
use erawan::error::{Error, codes};
use reqwest::Method;
use serde_json::json;

use crate::fakes::Node;
use crate::network::{ReceivedResponse, client, send};

async fn get(node: &Node, path: &str) -> ReceivedResponse {
    send(client().get(node.url(path))).await
}

#[actix_web::test]
async fn every_call_needs_the_api_key_when_there_is_one() {
    let node = Node::start_with(Role::Rp, |config| {
        let hash = "85DBE15D75EF9308C7AE0F33C7A324CC6F4BF519A2ED2F3027BD33C140A4F9AA";
        config.api.key_hash = Some(hash.to_owned());
    })
    .await;
    for path in ["/info", "/rp/callback", "/no/such/path"] {
        let answer = get(&node, path).await;
        assert_eq!(
            (answer.status, answer.error_code()),
            (400, Some(20092)),
            "{path}"
        );
        let wrong = client()
            .get(node.url(path))
            .header("X-API-Key", "secret-kez");
        assert_eq!(send(wrong).await.error_code(), Some(20092), "{path}");
    }
    assert_eq!(node.take_reached(), []);
    let right = client()
        .get(node.url("/info"))
        .header("X-API-Key", "secret-key");
    assert_eq!(send(right).await.status, 200);
}

#[actix_web::test]
async fn head_answers_like_get_without_a_body() {
    let node = Node::start(Role::Rp).await;
    node.will_return(Ok(CallOutcome::Ok(json!({"error_url": "http://a"}))));
    let got = get(&node, "/rp/callback").await;
    let head = send(client().head(node.url("/rp/callback"))).await;
    assert_eq!((got.status, head.status), (200, 200));
    assert_eq!(got.content_length, head.content_length);
    assert_eq!(head.text, "");
    assert_eq!(
        send(client().head(node.url("/rp/request_close")))
            .await
            .status,
        404
    );
}

#[actix_web::test]
async fn options_lists_methods_and_other_methods_are_not_found() {
    let node = Node::start(Role::Rp).await;
    let options = |path: &str| client().request(Method::OPTIONS, node.url(path));
    let answer = send(options("/v6/rp/callback/")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text, "GET,HEAD,POST");
    assert_eq!(answer.allow.as_deref(), Some("GET,HEAD,POST"));
    assert_eq!(send(options("/idp/callback")).await.status, 404);
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::TRACE] {
        let answer = send(client().request(method.clone(), node.url("/rp/callback"))).await;
        assert_eq!((answer.status, answer.text.as_str()), (404, ""), "{method}");
        assert_eq!(answer.content_length.as_deref(), Some("0"));
        assert_eq!(answer.content_type, None);
    }
}

#[actix_web::test]
async fn options_lists_the_methods_of_paths_without_a_version() {
    const READ: [&str; 14] = [
        "/license",
        "/source",
        "/info",
        "/num_expected_txs",
        "/expected_txs",
        "/num_pending_outbound_mq_messages",
        "/num_pending_client_callbacks",
        "/num_pending_external_crypto_callbacks",
        "/num_processing_blocks",
        "/processing_blocks",
        "/num_processing_inbound_messages",
        "/reinit_node_keys/",
        "/config",
        "/Config/telemetry/reissue_token",
    ];
    let node = Node::start(Role::Rp).await;
    // As the paths themselves, whether the node is ready or not.
    node.readiness.lock().ledger_connected = false;
    let options = async |node: &Node, path: &str| {
        let answer = send(client().request(Method::OPTIONS, node.url(path))).await;
        (answer.status, answer.allow, answer.text)
    };
    let listed = |methods: &str| (200, Some(methods.to_owned()), methods.to_owned());
    for path in READ {
        assert_eq!(options(&node, path).await, listed("GET,HEAD"), "{path}");
    }
    assert_eq!(options(&node, "/config/set").await, listed("POST"));
    assert_eq!(node.take_reached(), []);
    let closed = Node::start_with(Role::Rp, |config| config.api.config_routes = false).await;
    for path in ["/config", "/config/set", "/info/more", "/nothing"] {
        assert_eq!(options(&closed, path).await.0, 404, "{path}");
    }
}

#[actix_web::test]
async fn path_parameters_are_decoded_once_after_splitting() {
    let node = Node::start(Role::Rp).await;
    get(&node, "/V6/Rp/Request_References/A%2Fb%2520%E0%B8%81/").await;
    assert_eq!(node.take_reached()[0].arguments, ["A/b%20ก"]);
    for invalid in ["%zz", "%", "a%4", "%ff"] {
        let answer = get(&node, &format!("/rp/request_references/{invalid}")).await;
        assert_eq!(
            (answer.status, answer.error_code()),
            (500, Some(10000)),
            "{invalid}"
        );
    }
    assert_eq!(node.take_reached(), []);
}

#[actix_web::test]
async fn a_foreign_role_is_not_found_before_the_body_is_checked() {
    let node = Node::start(Role::As).await;
    for path in [
        "/rp/request_close",
        "/idp/response",
        "/proxy/callback",
        "/ndid/end_init",
    ] {
        let answer = send(client().post(node.url(path)).json(&json!({"a": 1}))).await;
        assert_eq!((answer.status, answer.text.as_str()), (404, ""), "{path}");
    }
    assert_eq!(get(&node, "/utility/request_types").await.status, 200);
}

#[actix_web::test]
async fn a_proxy_must_be_told_who_acts() {
    let node = Node::start(Role::Proxy).await;
    assert_eq!(
        get(&node, "/rp/request_data/r").await.error_code(),
        Some(20057)
    );
    get(&node, "/rp/request_data/r?node_id=rp4").await;
    assert_eq!(node.take_reached()[0].node_id, "rp4");
    let post = |body| {
        client()
            .post(node.url("/as/payment_received_log/r/s"))
            .json(&body)
    };
    assert_eq!(send(post(json!({}))).await.error_code(), Some(20057));
    send(post(json!({"node_id": "as4"}))).await;
    assert_eq!(node.take_reached()[0].node_id, "as4");
    assert_eq!(get(&node, "/proxy/callback").await.status, 204);
    assert_eq!(get(&node, "/utility/namespaces").await.status, 200);
}

#[actix_web::test]
async fn other_nodes_act_for_themselves_whatever_the_call_says() {
    let node = Node::start(Role::Rp).await;
    get(&node, "/rp/request_data/r?node_id=rp4").await;
    assert_eq!(node.take_reached()[0].node_id, "rp1");
    let repeated = get(&node, "/rp/request_data/r?node_id=a&node_id=b").await;
    assert_eq!((repeated.status, repeated.error_code()), (400, Some(20002)));
}

#[actix_web::test]
async fn the_query_is_checked_where_it_has_a_schema() {
    let node = Node::start(Role::Idp).await;
    let answer = get(&node, "/idp/request_message_padded_hash?request_id=r").await;
    assert_eq!((answer.status, answer.error_code()), (400, Some(20002)));
    assert_eq!(answer.json()["details"]["errors"][0]["keyword"], "required");
    get(
        &node,
        "/idp/request_message_padded_hash?request_id=r&accessor_id=a%20b",
    )
    .await;
    let query = json!({"request_id": "r", "accessor_id": "a b"});
    assert_eq!(node.take_reached()[0].query, query);
    assert_eq!(
        get(&node, "/utility/service_price_ceiling")
            .await
            .error_code(),
        Some(20002)
    );
    assert_eq!(
        get(&node, "/utility/idp?agent=maybe").await.error_code(),
        Some(20002)
    );
}

#[actix_web::test]
async fn endorsement_is_unsupported_without_a_body_and_for_everybody() {
    let node = Node::start(Role::Rp).await;
    let answer = get(&node, "/identity/ns/id/endorsement").await;
    assert_eq!((answer.status, answer.text.as_str()), (501, ""));
    let idp = Node::start(Role::Idp).await;
    let merge = |body| {
        let path = "/identity/ns/id/reference_group_merge";
        client().post(idp.url(path)).json(&body)
    };
    assert_eq!(send(merge(json!({}))).await.error_code(), Some(20003));
    let whole = json!({
        "reference_id": "a",
        "callback_url": "http://a",
        "namespace_to_merge": "n",
        "identifier_to_merge": "i",
    });
    let answer = send(merge(whole)).await;
    assert_eq!((answer.status, answer.text.as_str()), (501, ""));
}

#[actix_web::test]
async fn paths_without_a_version_are_of_the_default_version() {
    let node = Node::start_with(Role::Rp, |config| {
        config.api.default_version = ApiVersion::V5;
    })
    .await;
    assert_eq!(get(&node, "/no/such/path").await.status, 404);
    for path in [
        "/rp/callback",
        "/v4/rp/callback",
        "/v5/rp/callback",
        "/V6/rp/callback",
    ] {
        assert_eq!(get(&node, path).await.status, 204, "{path}");
    }
    node.ledger.answer_with(|method, _| {
        Ok(Some(match method {
            "GetSupportedIALList" => json!({"supported_ial_list": [1.1]}),
            _ => json!([]),
        }))
    });
    for (path, status) in [
        ("/utility/supported_ial", 200),
        ("/v4/utility/supported_ial", 404),
        ("/utility/node_supported_features", 404),
        ("/v6/utility/node_supported_features", 200),
        ("/v3/rp/callback", 404),
        ("/v5.3/rp/callback", 404),
    ] {
        assert_eq!(get(&node, path).await.status, status, "{path}");
    }
}

#[actix_web::test]
async fn error_statuses_are_those_of_the_configuration() {
    let node = Node::start_with(Role::Rp, |config| {
        config.api.client_error_status = 422;
        config.api.server_error_status = 599;
    })
    .await;
    let mut statuses = Vec::new();
    for code in [
        codes::REQUEST_IS_CLOSED,
        codes::MISSING_ARGUMENTS,
        codes::ABCI_UNAUTHORIZED,
    ] {
        node.will_return(Err(Error::from(code)));
        statuses.push(get(&node, "/rp/request_data/r").await.status);
    }
    assert_eq!(statuses, [422, 599, 403]);
}

/// Proxies and meshes on the way add theirs.
#[actix_web::test]
async fn calls_with_very_many_header_lines_are_served() {
    let node = Node::start_with(Role::Rp, |config| {
        let hash = "85dbe15d75ef9308c7ae0f33c7a324cc6f4bf519a2ed2f3027bd33c140a4f9aa";
        config.api.key_hash = Some(hash.to_owned());
    })
    .await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for lines in [10, 97, 500] {
        let mut call = client
            .post(node.url("/rp/request_close"))
            .header("X-API-Key", "secret-key");
        for line in 0..lines {
            call = call.header(format!("x-mesh-{line}"), "value");
        }
        let body = json!({"reference_id": "r", "callback_url": "http://a", "request_id": "x"});
        let answer = send(call.json(&body)).await;
        assert_eq!(answer.status, 204, "{lines}: {answer:?}");
        assert_eq!(node.take_reached()[0].body, body);
    }
}

#[actix_web::test]
async fn settings_can_be_changed_and_are_answered() {
    let node = Node::start(Role::Rp).await;
    let set = |body| client().post(node.url("/config/set")).json(&body);
    let body = json!({
        "CALLBACK_API_VERSION": "4.0",
        "EXTERNAL_CRYPTO_SERVICE_CALLBACK_API_VERSION": "5.3",
        "AUTO_CLOSE_REQUEST_ON_COMPLETED": false,
    });
    let answer = send(set(body)).await;
    assert_eq!(answer.status, 200);
    let shown = get(&node, "/config").await.json();
    assert_eq!(shown, answer.json());
    assert_eq!(shown["callbackApiVersion"], "4.0");
    assert_eq!(shown["externalCryptoServiceCallbackApiVersion"], "5.3");
    assert_eq!(shown["autoCloseRequestOnCompleted"], false);
    assert_eq!(shown["autoCloseRequestOnErrored"], true);
    let wrong = send(set(json!({"CALLBACK_API_VERSION": "7.0"}))).await;
    assert_eq!((wrong.status, wrong.error_code()), (400, Some(20003)));
    assert_eq!(
        get(&node, "/config/telemetry/reissue_token").await.status,
        404
    );
}

#[actix_web::test]
async fn settings_and_debug_routes_exist_only_where_they_are_switched_on() {
    let closed = Node::start_with(Role::Rp, |config| config.api.config_routes = false).await;
    assert_eq!(get(&closed, "/config").await.status, 404);
    assert_eq!(get(&closed, "/debug/tmQuery/x").await.status, 404);
    let development = Node::start_with(Role::Rp, |config| {
        config.environment = Environment::Development;
    })
    .await;
    let query = client().post(development.url("/debug/tmQuery/x"));
    assert_eq!(send(query).await.status, 204);
}

#[actix_web::test]
async fn keys_are_read_again_on_request() {
    let node = Node::start(Role::Rp).await;
    assert_eq!(get(&node, "/reinit_node_keys").await.status, 204);
    assert_eq!(node.take_reached()[0].operation, "GET /reinit_node_keys");
}

#[actix_web::test]
async fn tls_is_served_with_the_configured_files() {
    let directory = tempfile::tempdir().unwrap();
    let files = TlsFiles {
        key: directory.path().join("key.pem"),
        certificate: directory.path().join("cert.pem"),
    };
    write_certificate(&files);
    let node = Node::start_with(Role::Rp, |config| config.api.https = Some(files)).await;
    let url = format!("https://{}/info", node.address);
    assert_eq!(send(client().get(url)).await.status, 200);
}

/// A certificate of its own authority.
fn write_certificate(files: &TlsFiles) {
    use openssl::asn1::Asn1Time;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::hash::MessageDigest;
    use openssl::nid::Nid;
    use openssl::pkey::PKey;
    use openssl::x509::{X509Builder, X509NameBuilder};

    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "localhost").unwrap();
    let name = name.build();
    let mut certificate = X509Builder::new().unwrap();
    certificate.set_version(2).unwrap();
    certificate.set_subject_name(&name).unwrap();
    certificate.set_issuer_name(&name).unwrap();
    certificate.set_pubkey(&key).unwrap();
    let (now, tomorrow) = (Asn1Time::days_from_now(0), Asn1Time::days_from_now(1));
    certificate.set_not_before(&now.unwrap()).unwrap();
    certificate.set_not_after(&tomorrow.unwrap()).unwrap();
    certificate.sign(&key, MessageDigest::sha256()).unwrap();
    let pem = certificate.build().to_pem().unwrap();
    std::fs::write(&files.certificate, pem).unwrap();
    std::fs::write(&files.key, key.private_key_to_pem_pkcs8().unwrap()).unwrap();
}
