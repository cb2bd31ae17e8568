//! Nodes whose private keys are with an external crypto service.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web::{Data, Json};
use actix_web::{App, HttpResponse, HttpServer, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use erawan::context::Role;
use erawan::crypto::{encryption, signature};
use erawan::devnet::keys::{GeneratedKeys, SigningKeys};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::client::client_application;
use crate::network::*;

/// What was asked for: which URL, for which node, in which version of the calls.
pub type Asked = (&'static str, String, &'static str);

/// The keys of every node, and what they were asked for.
#[derive(Clone)]
struct Vault {
    keys: PathBuf,
    asked: Arc<Mutex<BTreeSet<Asked>>>,
}

/// A crypto service with the keys of every node.
pub struct CryptoService {
    address: SocketAddr,
    vault: Vault,
    running: Option<ServerHandle>,
}

impl CryptoService {
    pub fn start(keys: PathBuf) -> Self {
        let mut service = Self {
            address: ([127, 0, 0, 1], free_port()).into(),
            vault: Vault {
                keys,
                asked: Arc::default(),
            },
            running: None,
        };
        service.come_back();
        service
    }

    fn come_back(&mut self) {
        let vault = Data::new(self.vault.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(vault.clone())
                .app_data(web::JsonConfig::default().limit(16 * 1024 * 1024))
                .route("/sign", web::post().to(sign))
                .route("/master_sign", web::post().to(master_sign))
                .route("/decrypt", web::post().to(decrypt))
        });
        let server = server.workers(1).disable_signals();
        let server = server.bind(self.address).unwrap().run();
        self.running = Some(server.handle());
        actix_web::rt::spawn(server);
    }

    async fn go_away(&mut self) {
        self.running.take().unwrap().stop(false).await;
    }

    /// What it was asked for so far.
    pub fn asked(&self) -> BTreeSet<Asked> {
        self.vault.asked.lock().clone()
    }

    /// Tells a node where it is.
    pub async fn introduce(&self, api: &str) {
        let url = |path: &str| format!("http://{}/{path}", self.address);
        let urls = json!({
            "sign_url": url("sign"),
            "master_sign_url": url("master_sign"),
            "decrypt_url": url("decrypt"),
        });
        let is_told = || async {
            let call = plain_client().post(format!("{api}/v6/node/callback"));
            let answer = call.json(&urls).send().await;
            answer.is_ok_and(|answer| answer.status() == 204)
        };
        eventually("the node takes the URLs", is_told).await;
    }
}

fn member(body: &Value, name: &str) -> Vec<u8> {
    STANDARD.decode(body[name].as_str().unwrap()).unwrap()
}

/// Members of a call to sign, and to decrypt, by version.
const MEMBERS: [(&str, &[&str], &[&str]); 2] = [
    (
        "5.3",
        &[
            "node_id",
            "request_message",
            "request_message_hash",
            "hash_method",
            "key_type",
            "sign_method",
        ],
        &["node_id", "encrypted_message", "key_type"],
    ),
    (
        "6.0",
        &[
            "node_id",
            "request_message",
            "request_message_hash",
            "hash_algorithm",
            "key_algorithm",
            "signing_algorithm",
            "key_version",
        ],
        &[
            "node_id",
            "encrypted_message",
            "key_algorithm",
            "encryption_algorithm",
            "key_version",
        ],
    ),
];

impl Vault {
    fn note(&self, url: &'static str, body: &Value) {
        let members: Vec<&str> = body
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let mut versions = MEMBERS.iter();
        let version = versions
            .find(|(_, sign, decrypt)| members == *if url == "decrypt" { decrypt } else { sign });
        let (version, ..) = version.unwrap_or_else(|| panic!("{url}: {members:?}"));
        let node_id = body["node_id"].as_str().unwrap().to_owned();
        self.asked.lock().insert((url, node_id, *version));
    }

    /// The keys of the version that is asked for; those that came later are in a
    /// folder of their own.
    fn keys_of(&self, body: &Value) -> GeneratedKeys {
        let node_id = body["node_id"].as_str().unwrap();
        match body["key_version"].as_u64() {
            None | Some(1) if node_id.contains('_') => {
                GeneratedKeys::behind_proxy(&self.keys, node_id)
            }
            None | Some(1) => GeneratedKeys::at(&self.keys, node_id),
            Some(version) => GeneratedKeys::at(&self.keys.join(version.to_string()), node_id),
        }
    }
}

fn signed(key: &Path, body: &Value) -> HttpResponse {
    let key = GeneratedKeys::read(key).unwrap();
    let algorithm = body
        .get("signing_algorithm")
        .unwrap_or(&body["sign_method"]);
    let algorithm = algorithm.as_str().unwrap();
    let signature = signature::sign(&key, algorithm, &member(body, "request_message")).unwrap();
    HttpResponse::Ok().json(json!({"signature": STANDARD.encode(signature)}))
}

async fn sign(vault: Data<Vault>, body: Json<Value>) -> HttpResponse {
    vault.note("sign", &body);
    signed(&vault.keys_of(&body).signing, &body)
}

async fn master_sign(vault: Data<Vault>, body: Json<Value>) -> HttpResponse {
    vault.note("master_sign", &body);
    signed(&vault.keys_of(&body).master, &body)
}

async fn decrypt(vault: Data<Vault>, body: Json<Value>) -> HttpResponse {
    vault.note("decrypt", &body);
    let key = GeneratedKeys::read(&vault.keys_of(&body).encryption).unwrap();
    let algorithm = body.get("encryption_algorithm").and_then(Value::as_str);
    let algorithm = algorithm.unwrap_or("RSAES_PKCS1_V1_5");
    let decrypted = encryption::decrypt(&key, algorithm, &member(&body, "encrypted_message"));
    match decrypted {
        Ok(plain) => HttpResponse::Ok().json(json!({"decrypted_message": STANDARD.encode(plain)})),
        // Sealed for another key.
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}

#[actix_web::test]
async fn an_external_crypto_service_signs_and_its_absence_is_told_in_time() {
    let net = Net::with(Store::Redis, 2, |options| {
        options.settings = vec![
            ("USE_EXTERNAL_CRYPTO_SERVICE".to_owned(), "true".to_owned()),
            ("CALLBACK_RETRY_TIMEOUT".to_owned(), "1".to_owned()),
        ];
    })
    .await;
    let mut service = CryptoService::start(net.network.directory.join("keys"));
    for role in ROLES {
        service.introduce(&net.api(role)).await;
        ready(net.network.node(role).unwrap().api_urls()).await;
    }
    let apps = net.apps().await;
    drive(&apps, 5).await;
    assert_all_verified(&apps, 5);

    service.go_away().await;
    let (callback_url, told) = client_application();
    let (reference, mut body) = unanswered_request();
    body["callback_url"] = callback_url.into();
    let url = format!("{}/v6/rp/requests/{IDENTITY}", net.api(Role::Rp));
    let called = plain_client().post(url).json(&body);
    let answer = called.timeout(Duration::from_secs(5)).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let result = told.result("create_request_result", &reference).await;
    assert_eq!(result["success"], false);

    service.come_back();
    drive(&apps, 5).await;
    assert_all_verified(&apps, 10);
    let asked = service.asked();
    for url in ["sign", "decrypt"] {
        for node_id in ["rp1", "idp1", "as1"] {
            let call = (url, node_id.to_owned(), "6.0");
            assert!(asked.contains(&call), "{call:?}");
        }
    }
    net.end(apps).await;
}

/// Forgets the URLs of the RP's crypto service.
async fn forget_urls(net: &Net) {
    let redis = net.redis.as_ref().unwrap();
    let client = redis::Client::open(("127.0.0.1", redis.port())).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut forget = redis::cmd("DEL");
    forget.arg("{erawan:rp1}:s:callback_url:node");
    let forgotten: u64 = forget.query_async(&mut connection).await.unwrap();
    assert_eq!(forgotten, 1);
}

/// What is set counts from the answer on, for every process of the node.
#[actix_web::test]
async fn no_call_is_refused_after_the_urls_of_the_crypto_service_were_set() {
    const MISSING: &str = "URLs of the external crypto service";
    let mut net = Net::with(Store::Redis, 3, |options| {
        let external = ("USE_EXTERNAL_CRYPTO_SERVICE", "true");
        options.settings = vec![(external.0.to_owned(), external.1.to_owned())];
    })
    .await;
    let service = CryptoService::start(net.network.directory.join("keys"));
    for role in ROLES {
        service.introduce(&net.api(role)).await;
        ready(net.network.node(role).unwrap().api_urls()).await;
    }
    let urls = net.network.node(Role::Rp).unwrap().api_urls();
    let (mut made, mut refused) = (0, Vec::new());
    for round in 0..5 {
        forget_urls(&net).await;
        for part in net.processes(Role::Rp).iter().skip(1) {
            is_unready(part, MISSING).await;
        }
        service.introduce(&urls[round % urls.len()]).await;
        let calls = urls.iter().map(|url| call_that_writes(url));
        for answer in futures_util::future::join_all(calls).await {
            let answer = answer.unwrap();
            made += 1;
            if answer.status() != 202 {
                refused.push((answer.status(), answer.text().await.unwrap()));
            }
        }
    }
    assert!(
        refused.is_empty(),
        "{} of {made}: {refused:?}",
        refused.len()
    );
    net.close().await;
}

/// The service has all versions at once, and is told which one is meant.
#[actix_web::test]
async fn keys_of_the_crypto_service_change_while_requests_are_made() {
    let net = Net::with(Store::Redis, 2, |options| {
        let external = ("USE_EXTERNAL_CRYPTO_SERVICE", "true");
        options.settings = vec![(external.0.to_owned(), external.1.to_owned())];
    })
    .await;
    let keys = net.network.directory.join("keys");
    std::fs::create_dir(keys.join("2")).unwrap();
    let service = CryptoService::start(keys.clone());
    for role in ROLES {
        service.introduce(&net.api(role)).await;
        ready(net.network.node(role).unwrap().api_urls()).await;
    }
    let apps = net.apps().await;
    let (callback_url, told) = client_application();
    under_load(&apps, async {
        for (role, node_id) in ROLES.into_iter().zip(["rp1", "idp1", "as1"]) {
            let new = GeneratedKeys::at(&keys.join("2"), node_id);
            new.ensure(SigningKeys::Rsa).unwrap();
            let public = |path: &Path| {
                let key = GeneratedKeys::read(path).unwrap();
                String::from_utf8(key.public_key_to_pem().unwrap()).unwrap()
            };
            let body = json!({
                "reference_id": node_id,
                "callback_url": callback_url,
                "signing_public_key": public(&new.signing),
                "signing_key_algorithm": "RSA",
                "signing_algorithm": "RSASSA_PKCS1_V1_5_SHA_384",
                "signing_master_public_key": public(&new.master),
                "signing_master_key_algorithm": "RSA",
                "signing_master_algorithm": "RSASSA_PKCS1_V1_5_SHA_512",
                "encryption_public_key": public(&new.encryption),
                "encryption_key_algorithm": "RSA",
                "encryption_algorithm": "RSAES_OAEP_SHA_256",
            });
            let url = format!("{}/v6/node/update", net.api(role));
            let answer = plain_client().post(url).json(&body).send().await.unwrap();
            assert_eq!(answer.status(), 202);
            let result = told.result("update_node_result", node_id).await;
            assert_eq!(result["success"], true, "{result}");
        }
    })
    .await;
    net.end(apps).await;
}
