//! Wrong input to every endpoint of running nodes.

use erawan::context::Role;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::network::*;

/// `:` parameters are filled with something unknown.
const POSTS: &[(Role, &str)] = &[
    (Role::Rp, "/rp/requests/citizen_id/1000000000017"),
    (Role::Rp, "/rp/request_data_removal"),
    (Role::Rp, "/rp/request_data_removal/unknown"),
    (Role::Rp, "/rp/request_close"),
    (Role::Rp, "/rp/callback"),
    (Role::Rp, "/node/callback"),
    (Role::Rp, "/utility/private_message_removal"),
    (Role::Rp, "/utility/private_message_removal/unknown"),
    (Role::Idp, "/idp/response"),
    (Role::Idp, "/idp/error_response"),
    (Role::Idp, "/idp/callback"),
    (Role::As, "/as/service/unknown"),
    (Role::As, "/as/data/unknown/unknown"),
    (Role::As, "/as/error/unknown/unknown"),
    (Role::As, "/as/payment_received_log/unknown/unknown"),
    (Role::As, "/as/callback"),
];

/// Reads of what does not exist, and what they answer.
const UNKNOWN: &[(Role, &str, u16)] = &[
    (Role::Rp, "/rp/request_references/unknown", 404),
    (Role::Rp, "/rp/request_data/unknown", 404),
    (Role::Rp, "/utility/requests/unknown", 404),
    (Role::Rp, "/utility/nodes/unknown", 404),
    (Role::Rp, "/utility/services/unknown", 404),
    (Role::Rp, "/utility/accessors/unknown", 404),
    (Role::Rp, "/utility/private_messages/unknown", 404),
    (Role::Idp, "/identity/citizen_id/1000000000017", 404),
    (Role::Idp, "/identity/citizen_id/1000000000017/ial", 404),
    (Role::As, "/as/service/unknown", 404),
    (Role::As, "/no/such/path", 404),
];

struct Caller {
    client: Client,
    bases: Vec<(Role, String)>,
}

struct Answered {
    status: StatusCode,
    body: Value,
}

impl Answered {
    /// Status and error code.
    fn error(&self) -> (u16, Option<u64>) {
        let code = self.body["error"]["code"].as_u64();
        (self.status.as_u16(), code)
    }
}

impl Caller {
    fn of(net: &Net) -> Self {
        Self {
            client: plain_client(),
            bases: ROLES.map(|role| (role, net.api(role))).to_vec(),
        }
    }

    async fn call(&self, method: Method, role: Role, path: &str, body: Vec<u8>) -> Answered {
        let (_, base) = self.bases.iter().find(|(of, _)| *of == role).unwrap();
        let request = self
            .client
            .request(method, format!("{base}/v6{path}"))
            .header("content-type", "application/json")
            .body(body);
        let answer = request.send().await.unwrap();
        Answered {
            status: answer.status(),
            body: answer.json().await.unwrap_or_default(),
        }
    }

    async fn post(&self, role: Role, path: &str, body: &Value) -> Answered {
        let body = body.to_string().into_bytes();
        self.call(Method::POST, role, path, body).await
    }
}

async fn malformed_bodies(caller: &Caller) {
    for (role, path) in POSTS {
        for body in [&b"{"[..], b"\"text\"", b"\xff\xfe{}"] {
            let answer = caller.call(Method::POST, *role, path, body.to_vec()).await;
            let is_parse_error = matches!(answer.error(), (400, Some(20007 | 20003)));
            let takes_any = path.contains("removal") && answer.status == 204;
            assert!(
                is_parse_error || takes_any,
                "{path} {:?} {:?}",
                body,
                answer.error()
            );
        }
        let oversize = vec![b' '; 26 * 1024 * 1024];
        let answer = caller.call(Method::POST, *role, path, oversize).await;
        assert_eq!(answer.error(), (400, Some(20036)), "{path}");
    }
}

async fn wrong_types(caller: &Caller) {
    let bodies = [
        json!({"reference_id": 1, "callback_url": [], "request_id": {}, "error_url": 1,
               "mode": "1", "error_code": "x", "data": 5, "url": 7, "sign_url": 1}),
        json!([]),
        json!([[1], null]),
    ];
    for (role, path) in POSTS.iter().filter(|(_, path)| !path.contains("removal")) {
        // The price of data is not built, and its log takes no body to speak of.
        for body in bodies.iter().filter(|_| !path.contains("payment")) {
            let answer = caller.post(*role, path, body).await;
            assert_eq!(answer.error(), (400, Some(20003)), "{path} {body}");
        }
    }
}

async fn wrong_values(caller: &Caller) {
    let create = async |path: &str, change: fn(&mut Value)| {
        let (_, mut body) = unanswered_request();
        change(&mut body);
        let path = format!("/rp/requests/{path}");
        caller.post(Role::Rp, &path, &body).await.error()
    };
    let good = "citizen_id/1000000000017";
    // A namespace has no check of its own, but no AS answers for an unknown one.
    let with_data: fn(&mut Value) = |body| {
        body["data_request_list"] = json!([{
            "service_id": "bank_statement", "as_id_list": ["as1"], "min_as": 1,
        }]);
    };
    assert_eq!(create("nothing/1", with_data).await, (400, Some(20022)));
    assert_eq!(
        create("citizen_id/1000000000018", |_| ()).await,
        (400, Some(20096))
    );
    assert_eq!(create("citizen_id/x", |_| ()).await, (400, Some(20096)));
    let unknown_idp: fn(&mut Value) = |body| body["idp_id_list"] = json!(["nobody"]);
    assert_eq!(create(good, unknown_idp).await, (400, Some(20058)));
    let unknown_service: fn(&mut Value) = |body| {
        body["data_request_list"] = json!([{"service_id": "nothing", "min_as": 1}]);
    };
    assert_eq!(create(good, unknown_service).await, (400, Some(20022)));

    let unknown = json!({"reference_id": "r", "callback_url": "http://a", "request_id": "unknown"});
    // Closing answers at once; its callback tells of the unknown request.
    let answer = caller.post(Role::Rp, "/rp/request_close", &unknown).await;
    assert_eq!(answer.error(), (202, None));
    let mut response = unknown.clone();
    for (member, value) in [("ial", json!(2.3)), ("aal", json!(3))] {
        response[member] = value;
    }
    response["status"] = json!("accept");
    response["signature"] = json!("s");
    let answer = caller.post(Role::Idp, "/idp/response", &response).await;
    assert_eq!(answer.error(), (400, Some(20012)));
    let mut refusal = unknown.clone();
    refusal["error_code"] = json!(10101);
    let answer = caller
        .post(Role::Idp, "/idp/error_response", &refusal)
        .await;
    assert_eq!(answer.error(), (400, Some(20012)));
    let offer = json!({
        "reference_id": "r", "callback_url": "http://a", "url": "http://a",
        "min_ial": 1.1, "min_aal": 1, "supported_namespace_list": ["nothing"],
    });
    let answer = caller
        .post(Role::As, "/as/service/bank_statement", &offer)
        .await;
    assert_eq!(answer.error(), (400, Some(20013)));
    let data = json!({"reference_id": "r", "callback_url": "http://a", "data": "d"});
    let path = "/as/data/unknown/bank_statement";
    assert_eq!(caller.post(Role::As, path, &data).await.status, 400);
    for (role, path, status) in UNKNOWN {
        let answer = caller.call(Method::GET, *role, path, Vec::new()).await;
        assert_eq!(answer.status, *status, "{path}");
    }
}

#[actix_web::test]
async fn nodes_refuse_wrong_input_and_live_on() {
    let net = Net::start(Store::Embedded, 0).await;
    let apps = net.apps().await;
    let caller = Caller::of(&net);
    malformed_bodies(&caller).await;
    wrong_types(&caller).await;
    wrong_values(&caller).await;
    drive(&apps, 5).await;
    assert_all_verified(&apps, 5);
    net.end(apps).await;
}
