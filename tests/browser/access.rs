//! Who may see and who may decide.

use erawan::operator::OperationOutcome;
use erawan::store::Store;
use reqwest::{Client, RequestBuilder, StatusCode, redirect};
use serde_json::{Value, json};

use crate::node::{OPERATOR, TestNode, VIEWER, Who, until};

/// Follows nothing and keeps nothing.
fn client() -> Client {
    let builder = Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy();
    builder.build().unwrap()
}

async fn status(call: RequestBuilder) -> StatusCode {
    call.send().await.unwrap().status()
}

async fn json(call: RequestBuilder) -> (StatusCode, Value) {
    let answer = call.send().await.unwrap();
    let status = answer.status();
    (status, answer.json().await.unwrap())
}

/// With a form as its body.
fn form(call: RequestBuilder, pairs: &[(&str, &str)]) -> RequestBuilder {
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    let body = body.extend_pairs(pairs).finish();
    let call = call.header("content-type", "application/x-www-form-urlencoded");
    call.body(body)
}

/// The cookie of a session.
async fn log_in(node: &TestNode, token: &str) -> String {
    let call = form(client().post(node.url("/login")), &[("token", token)]);
    let answer = call.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    cookie.split(';').next().unwrap().to_owned()
}

/// What a page puts into its forms.
async fn csrf(node: &TestNode, cookie: &str) -> String {
    let call = client()
        .get(node.url("/jobs?state=parked"))
        .header("cookie", cookie);
    let page = call.send().await.unwrap().text().await.unwrap();
    let (_, rest) = page.split_once("name=\"csrf\" value=\"").expect("a form");
    rest.split('"').next().unwrap().to_owned()
}

#[actix::test]
async fn without_a_token_nothing_is_shown_and_nothing_done() {
    let node = TestNode::start(Who::Tokens).await;
    let id = node.parked("a").await;
    for path in [
        "node",
        "kinds",
        "jobs",
        "receivers",
        "audit",
        "openapi.json",
    ] {
        let call = client().get(node.url(&format!("/admin/v1/{path}")));
        let (status, body) = json(call).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(body["error"].is_string());
    }
    let wrong = client()
        .get(node.url("/admin/v1/jobs"))
        .bearer_auth("wrong-token-0123456789");
    assert_eq!(status(wrong).await, StatusCode::UNAUTHORIZED);
    let drop = client().post(node.url(&format!("/admin/v1/jobs/{id}/drop")));
    let drop = drop.json(&json!({ "why": "nobody" }));
    assert_eq!(status(drop).await, StatusCode::UNAUTHORIZED);
    for path in [
        "/",
        "/queue",
        "/jobs",
        "/receivers",
        "/audit",
        "/live/glance",
    ] {
        let answer = client().get(node.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path}");
        assert_eq!(answer.headers()["location"], "/login");
    }
    assert_eq!(
        status(client().get(node.url("/assets/style.css"))).await,
        StatusCode::OK
    );
    assert_eq!(node.store.counts().await.unwrap().parked, 1);
    node.stop().await;
}

#[actix::test]
async fn a_viewer_sees_and_does_not_decide() {
    let node = TestNode::start(Who::Tokens).await;
    let id = node.parked("a").await;
    let (seen, page) = json(
        client()
            .get(node.url("/admin/v1/jobs?state=parked"))
            .bearer_auth(VIEWER),
    )
    .await;
    assert_eq!(seen, StatusCode::OK);
    assert_eq!(page["jobs"][0]["id"], id.to_string());
    for path in [format!("jobs/{id}/retry"), "receivers/pause".to_owned()] {
        let call = client()
            .post(node.url(&format!("/admin/v1/{path}")))
            .bearer_auth(VIEWER);
        let call = call.json(&json!({ "why": "I may not", "receiver": "a" }));
        assert_eq!(status(call).await, StatusCode::FORBIDDEN, "{path}");
    }
    let cookie = log_in(&node, VIEWER).await;
    let page = client()
        .get(node.url(&format!("/jobs/{id}")))
        .header("cookie", &cookie);
    let page = page.send().await.unwrap().text().await.unwrap();
    assert!(
        page.contains("poison") && !page.contains("Decide about"),
        "no form is shown"
    );
    let id = id.to_string();
    let pairs = [("id", &*id), ("action", "drop"), ("why", "x")];
    let call = client().post(node.url("/jobs/decide"));
    let call = form(call.header("cookie", &cookie), &pairs);
    assert_eq!(status(call).await, StatusCode::FORBIDDEN);
    assert_eq!(node.store.counts().await.unwrap().parked, 1);
    assert!(node.store.audit(9).await.unwrap().is_empty());
    node.stop().await;
}

#[actix::test]
async fn a_decision_is_recorded_under_the_name_that_was_proved() {
    let node = TestNode::start(Who::Tokens).await;
    let (retried, dropped) = (node.parked("a").await, node.waiting("b").await);
    let post = |path: String, body: Value| {
        client()
            .post(node.url(&path))
            .bearer_auth(OPERATOR)
            .json(&body)
    };
    let mallory = json!({ "why": "key mended", "who": "mallory" });
    let (done, body) = json(post(format!("/admin/v1/jobs/{retried}/retry"), mallory)).await;
    assert_eq!(
        (done, &body["result"]),
        (StatusCode::OK, &json!(OperationOutcome::Open))
    );
    until("it ends", async || {
        node.store.counts().await.unwrap().parked == 0
    })
    .await;
    let why = json!({ "why": "the client is gone" });
    let (done, body) = json(post(format!("/admin/v1/jobs/{dropped}/drop"), why.clone())).await;
    assert_eq!((done, &body["result"]), (StatusCode::OK, &json!("ended")));
    let again = json(post(format!("/admin/v1/jobs/{dropped}/drop"), why)).await;
    assert_eq!(again.0, StatusCode::NOT_FOUND);
    let empty = json(post(
        format!("/admin/v1/jobs/{dropped}/drop"),
        json!({ "why": " " }),
    ))
    .await;
    assert_eq!(empty.0, StatusCode::BAD_REQUEST);
    let (_, body) = json(
        client()
            .get(node.url("/admin/v1/audit"))
            .bearer_auth(VIEWER),
    )
    .await;
    let audit = body["audit"].as_array().unwrap();
    let told: Vec<_> = audit
        .iter()
        .map(|of| (of["who"].clone(), of["was"].clone()))
        .collect();
    assert_eq!(
        told,
        [
            (json!("alice"), json!("waiting")),
            (json!("alice"), json!("parked"))
        ]
    );
    node.stop().await;
}

#[actix::test]
async fn what_a_page_of_others_sends_is_refused() {
    let node = TestNode::start(Who::Tokens).await;
    let id = node.parked("a").await.to_string();
    let cookie = log_in(&node, OPERATOR).await;
    let csrf = csrf(&node, &cookie).await;
    let decide = |csrf: &str| {
        let pairs = [
            ("id", &*id),
            ("action", "drop"),
            ("why", "not wanted"),
            ("csrf", csrf),
        ];
        let call = client().post(node.url("/jobs/decide"));
        form(call.header("cookie", &cookie), &pairs)
    };
    assert_eq!(status(decide("")).await, StatusCode::FORBIDDEN);
    assert_eq!(
        status(decide(&"0".repeat(csrf.len()))).await,
        StatusCode::FORBIDDEN
    );
    let api = client().post(node.url(&format!("/admin/v1/jobs/{id}/drop")));
    let api = api
        .header("cookie", &cookie)
        .json(&json!({ "why": "not wanted" }));
    assert_eq!(status(api).await, StatusCode::FORBIDDEN);
    assert_eq!(node.store.counts().await.unwrap().parked, 1);
    assert_eq!(status(decide(&csrf)).await, StatusCode::SEE_OTHER);
    assert_eq!(node.store.counts().await.unwrap().parked, 0);

    let out = client().post(node.url("/logout"));
    let out = form(out.header("cookie", &cookie), &[("csrf", &csrf)]);
    assert_eq!(status(out).await, StatusCode::SEE_OTHER);
    let after = client().get(node.url("/jobs")).header("cookie", &cookie);
    assert_eq!(
        status(after).await,
        StatusCode::SEE_OTHER,
        "the session has ended"
    );
    node.stop().await;
}

#[actix::test]
async fn without_tokens_it_is_for_this_machine_and_shows_only() {
    let node = TestNode::start(Who::Viewers).await;
    assert!(node.dashboard.address().ip().is_loopback());
    let id = node.parked("a").await;
    let page = client().get(node.url("/"));
    assert_eq!(status(page).await, StatusCode::OK);
    // A name of others that leads here, as a rebinding page would use it.
    let rebound = client().get(node.url("/")).header("host", "evil.example");
    assert_eq!(status(rebound).await, StatusCode::FORBIDDEN);
    let drop = client().post(node.url(&format!("/admin/v1/jobs/{id}/drop")));
    let drop = drop.json(&json!({ "why": "x" }));
    assert_eq!(status(drop).await, StatusCode::FORBIDDEN);
    node.stop().await;
}

#[actix::test]
async fn every_answer_keeps_pages_to_themselves() {
    let node = TestNode::start(Who::Everybody("devnet")).await;
    for path in [
        "/",
        "/jobs",
        "/nothing",
        "/assets/live.js",
        "/admin/v1/node",
    ] {
        let answer = client().get(node.url(path)).send().await.unwrap();
        let policy = answer.headers()["content-security-policy"]
            .to_str()
            .unwrap();
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        let text = answer.text().await.unwrap();
        for strange in ["http://", "https://", " style=", "onclick", "<script>"] {
            assert!(!text.contains(strange), "{path} has {strange}");
        }
    }
    node.stop().await;
}

#[actix::test]
async fn a_paused_receiver_gets_nothing_until_it_is_resumed() {
    let node = TestNode::start(Who::Everybody("devnet")).await;
    let receiver = "callback:https://client.example";
    let decide = async |action: &str| {
        let call = client().post(node.url(&format!("/admin/v1/receivers/{action}")));
        let page = client().get(node.url("/receivers")).send().await.unwrap();
        let page = page.text().await.unwrap();
        let (_, rest) = page.split_once("name=\"csrf\" value=\"").expect("a form");
        let csrf = rest.split('"').next().unwrap();
        let call = call.header("x-csrf-token", csrf);
        let (status, body) =
            json(call.json(&json!({ "receiver": receiver, "why": "maintenance" }))).await;
        assert_eq!((status, &body["who"]), (StatusCode::OK, &json!("devnet")));
    };
    decide("pause").await;
    let delivery = |order: &str| {
        let key = format!("{receiver} {order}");
        erawan::job::NewJob::new(crate::node::kind("deliver.callback"), key, &())
    };
    let paused = node.accept(vec![delivery("a"), delivery("b")]).await;
    let other = erawan::job::NewJob::new(
        crate::node::kind("deliver.callback"),
        "callback:https://other.example x",
        &(),
    );
    let other = node.accept(vec![other]).await[0].id();
    until("others are delivered", async || {
        node.store.jobs(&[other]).await.unwrap() == [None]
    })
    .await;
    let ids: Vec<_> = paused.iter().map(erawan::job::Job::id).collect();
    let open = node.store.jobs(&ids).await.unwrap();
    assert!(open.iter().all(Option::is_some), "nothing was delivered");
    let (_, body) = json(client().get(node.url("/admin/v1/receivers"))).await;
    let first = &body["receivers"][0];
    assert_eq!(
        (&first["name"], &first["open"]),
        (&json!(receiver), &json!(2))
    );
    assert_eq!(first["pause"]["why"], "maintenance");
    decide("resume").await;
    until("they are delivered", async || {
        node.store.jobs(&ids).await.unwrap() == [None, None]
    })
    .await;
    let (_, body) = json(client().get(node.url("/admin/v1/audit"))).await;
    let actions: Vec<&str> = body["audit"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| of["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["resume", "pause"]);
    node.stop().await;
}
