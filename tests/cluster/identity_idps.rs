//! Two IdPs and their applications: what they call, and how their users sign.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use erawan::context::Role;
use erawan::devnet::network::NodeProcess;
use openssl::pkey::Private;
use openssl::rsa::{Padding, Rsa};
use parking_lot::Mutex;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::client::{Told, client_application};
use crate::network::*;

/// Types of results, by the ends of the paths of the operations.
const RESULTS: [(&str, &str); 10] = [
    ("", "create_identity_result"),
    ("/of_person", "add_identity_result"),
    ("/accessors", "add_accessor_result"),
    ("/accessor_revoke", "revoke_accessor_result"),
    ("/accessor_revoke_and_add", "revoke_and_add_accessor_result"),
    ("/association_revoke", "revoke_identity_association_result"),
    ("/mode", "upgrade_identity_mode_result"),
    ("/ial", "update_ial_result"),
    ("/lial", "update_lial_result"),
    ("/laal", "update_laal_result"),
];

/// The first object with the members of the second.
pub fn with(mut body: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// `idp1` and `idp2`.
pub struct Idps {
    pub net: Net,
    pub all: [Idp; 2],
}

impl Idps {
    pub async fn start(store: Store, workers: usize) -> Self {
        let net = Net::with(store, workers, |options| {
            options.nodes = ["idp1", "idp2"].map(str::to_owned).to_vec();
        })
        .await;
        for node in &net.network.nodes {
            ready(node.api_urls()).await;
        }
        let all = [Idp::of(&net, "idp1").await, Idp::of(&net, "idp2").await];
        Self { net, all }
    }

    pub async fn end(self) {
        self.net.close().await;
    }

    /// Processes of a node.
    pub fn processes(&mut self, node_id: &str) -> &mut Vec<NodeProcess> {
        let mut nodes = self.net.network.nodes.iter_mut();
        let node = nodes.find(|node| node.node_id == node_id);
        &mut node.unwrap().processes
    }
}

/// An IdP's application, and one person who is known there.
pub struct Idp {
    node_id: String,
    /// A proxy has to be told for whom it is called.
    is_behind_proxy: bool,
    /// Of the person: namespace and identifier.
    identity: String,
    apis: Vec<String>,
    url: String,
    pub told: Told,
    key: Rsa<Private>,
    /// The person's code, and the reference id it was made under.
    accessors: Mutex<Vec<(String, String)>>,
}

impl Idp {
    pub async fn of(net: &Net, node_id: &str) -> Self {
        let mut nodes = net.network.nodes.iter();
        let proxy = node_id.split_once('_').map(|(proxy, _)| proxy);
        let serves = proxy.unwrap_or(node_id);
        let node = nodes.find(|node| node.node_id == serves).unwrap();
        assert_eq!(node.role == Role::Idp, proxy.is_none());
        let (url, told) = client_application();
        let idp = Self {
            node_id: node_id.to_owned(),
            is_behind_proxy: proxy.is_some(),
            identity: IDENTITY.to_owned(),
            apis: node.api_urls(),
            url,
            told,
            key: Rsa::generate(2048).unwrap(),
            accessors: Mutex::default(),
        };
        let urls = json!({
            "incoming_request_url": idp.url,
            "identity_modification_notification_url": idp.url,
            "error_url": idp.url,
        });
        let answer = idp
            .request(Method::POST, "/idp/callback", Some(&urls))
            .await;
        assert_eq!(answer.status(), 204);
        idp
    }

    /// The same with another person.
    pub fn of_person(&self, identity: &str) -> Self {
        Self {
            node_id: self.node_id.clone(),
            is_behind_proxy: self.is_behind_proxy,
            identity: identity.to_owned(),
            apis: self.apis.clone(),
            url: self.url.clone(),
            told: self.told.clone(),
            key: self.key.clone(),
            accessors: Mutex::default(),
        }
    }

    /// A call that is made until a process of the node answers it.
    async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Response {
        let (mut path, mut body) = (path.to_owned(), body.cloned());
        if self.is_behind_proxy {
            match &mut body {
                Some(body) => body["node_id"] = self.node_id.as_str().into(),
                None => {
                    let joint = if path.contains('?') { '&' } else { '?' };
                    path = format!("{path}{joint}node_id={}", self.node_id);
                }
            }
        }
        let answer = Mutex::new(None);
        let answered = || async {
            for api in &self.apis {
                let url = format!("{api}/v6{path}");
                let mut call: RequestBuilder = plain_client().request(method.clone(), url);
                if let Some(body) = &body {
                    call = call.json(body);
                }
                if let Ok(answered) = call.send().await
                    && answered.status() != 503
                {
                    *answer.lock() = Some(answered);
                    return true;
                }
            }
            false
        };
        eventually("a process answers", answered).await;
        answer.into_inner().unwrap()
    }

    fn path(&self, operation: &str) -> String {
        let identity = &self.identity;
        match operation {
            "" => "/identity".to_owned(),
            "/of_person" => format!("/identity/{identity}"),
            _ => format!("/identity/{identity}{operation}"),
        }
    }

    /// The answer to a call that starts an operation.
    pub async fn begin(&self, operation: &str, body: &Value, reference: &str) -> Response {
        let reply = json!({"reference_id": reference, "callback_url": self.url});
        let body = with(body.clone(), reply);
        self.request(Method::POST, &self.path(operation), Some(&body))
            .await
    }

    /// The same of one that is accepted: its body, null if there is none.
    pub async fn call(&self, operation: &str, body: Value, reference: &str) -> Value {
        let answer = self.begin(operation, &body, reference).await;
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert_eq!(status, 202, "{operation} {body}: {text}");
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        self.note(&answer, reference);
        answer
    }

    /// The accessor of the person, if there is one in an answer.
    pub fn note(&self, answer: &Value, reference: &str) {
        if let Some(id) = answer["accessor_id"].as_str() {
            let accessor = (id.to_owned(), reference.to_owned());
            self.accessors.lock().push(accessor);
        }
    }

    /// An operation that needs no consent: the answer to the call, and its result.
    pub async fn operate(&self, operation: &str, body: Value, reference: &str) -> (Value, Value) {
        let answer = self.call(operation, body, reference).await;
        let result = self
            .told
            .result(Self::result_type(operation), reference)
            .await;
        (answer, result)
    }

    pub fn result_type(operation: &str) -> &'static str {
        let mut all = RESULTS.iter();
        all.find(|(path, _)| *path == operation).unwrap().1
    }

    /// Members of a call that adds a key of the person.
    pub fn new_accessor(&self) -> Value {
        let pem = self.key.public_key_to_pem().unwrap();
        let pem = String::from_utf8(pem).unwrap();
        json!({"accessor_type": "RSA", "accessor_public_key": pem})
    }

    /// Members of a call that creates the person.
    pub fn person(&self, mode: u8) -> Value {
        let (namespace, identifier) = self.identity.split_once('/').unwrap();
        let identity = json!([{"namespace": namespace, "identifier": identifier}]);
        let more = json!({"identity_list": identity, "mode": mode, "ial": 2.3});
        with(self.new_accessor(), more)
    }

    /// The accessor that was made under a reference id.
    pub fn accessor_id(&self, reference: &str) -> String {
        let accessors = self.accessors.lock();
        let mut made = accessors.iter().filter(|(_, under)| under == reference);
        made.next().unwrap().0.clone()
    }

    /// Waits for a request; the callback.
    pub async fn asked(&self, request_id: &str) -> Value {
        let is_it =
            |body: &Value| body["type"] == "incoming_request" && body["request_id"] == request_id;
        self.told.until("the request comes", is_it).await
    }

    /// The person decides about a request of mode 1 that has come.
    pub async fn answer_mode_1(&self, request_id: &str) {
        let came = self.asked(request_id).await;
        assert_eq!(came["node_id"], self.node_id);
        let members = json!({"status": "accept", "signature": "c2lnbmVk"});
        self.respond(request_id, members).await;
    }

    /// The person decides about a request that has come, and signs.
    pub async fn answer(&self, request_id: &str, decision: &str) {
        self.asked(request_id).await;
        let accessor_id = self.accessors.lock()[0].0.clone();
        let path = format!(
            "/idp/request_message_padded_hash?request_id={request_id}&accessor_id={accessor_id}"
        );
        let padded: Value = self
            .request(Method::GET, &path, None)
            .await
            .json()
            .await
            .unwrap();
        let padded = padded["request_message_padded_hash"].as_str().unwrap();
        let padded = STANDARD.decode(padded).unwrap();
        let mut signature = vec![0; 256];
        self.key
            .private_encrypt(&padded, &mut signature, Padding::NONE)
            .unwrap();
        let members = json!({
            "status": decision, "accessor_id": accessor_id,
            "signature": STANDARD.encode(signature),
        });
        self.respond(request_id, members).await;
    }

    async fn respond(&self, request_id: &str, members: Value) {
        let reference = format!("answer-{request_id}");
        let body = json!({
            "reference_id": reference, "callback_url": self.url, "request_id": request_id,
            "ial": 2.3, "aal": 3,
        });
        let body = with(body, members);
        let answer = self
            .request(Method::POST, "/idp/response", Some(&body))
            .await;
        let status = answer.status();
        assert_eq!(status, 202, "{}", answer.text().await.unwrap());
        let done = self.told.result("response_result", &reference).await;
        assert_eq!(done["success"], true, "{}: {done}", self.node_id);
    }

    /// Closes a request for consent.
    pub async fn close(&self, request_id: &Value, reference: &str) {
        let body = json!({
            "reference_id": reference, "callback_url": self.url, "request_id": request_id,
        });
        let path = "/identity_request/request_close";
        let answer = self.request(Method::POST, path, Some(&body)).await;
        assert_eq!(answer.status(), 202);
    }

    /// What a look-up about the person finds.
    pub async fn found(&self, what: &str) -> Value {
        let path = format!("/identity/{}{what}", self.identity);
        let answer = self.request(Method::GET, &path, None).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    }

    /// Status of a look-up about the person.
    pub async fn look_up(&self, what: &str) -> u16 {
        let path = format!("/identity/{}{what}", self.identity);
        let answer = self.request(Method::GET, &path, None).await;
        answer.status().as_u16()
    }

    /// What a reference id stands for.
    pub async fn referenced(&self, reference: &str) -> Option<Value> {
        let path = format!("/identity_request/request_references/{reference}");
        let answer = self.request(Method::GET, &path, None).await;
        match answer.status().as_u16() {
            200 => Some(answer.json().await.unwrap()),
            404 => None,
            other => panic!("{other}"),
        }
    }

    /// The notice that another node has done this to the person.
    pub async fn notified(&self, action: &str) -> Value {
        let is_it = |body: &Value| {
            body["type"] == "identity_modification_notification" && body["action"] == action
        };
        self.told.until(action, is_it).await
    }
}
