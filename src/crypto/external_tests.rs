//! The external crypto service against a small HTTP server.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::{App, HttpResponse, HttpServer, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::pkey::{PKey, Private};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::external::{ExternalCrypto, client, test_decrypt_url, test_sign_url};
use super::{Crypto, KeyUse, encryption, signature};
use crate::config::{ApiVersion, Config, Runtime};
use crate::http_client::HttpClient;
use crate::job::Table;
use crate::ledger::types::NodeKey;
use crate::messaging::testing;
use crate::messaging::testing::{FakeLedger, MemoryState};

const SIGN: &str = "RSASSA_PKCS1_V1_5_SHA_256";
const WRAP: &str = "RSAES_PKCS1_V1_5";

type Bodies = web::Data<Mutex<Vec<Value>>>;

fn key(name: &str) -> PKey<Private> {
    let pem = std::fs::read(testing::recording(&format!("keys/rp1.{name}.pem"))).unwrap();
    PKey::private_key_from_pem(&pem).unwrap()
}

async fn sign(bodies: Bodies, body: web::Json<Value>) -> HttpResponse {
    let message = STANDARD
        .decode(body["request_message"].as_str().unwrap())
        .unwrap();
    bodies.lock().push(body.into_inner());
    let signature = signature::sign(&key("signing"), SIGN, &message).unwrap();
    HttpResponse::Ok().json(json!({"signature": STANDARD.encode(signature)}))
}

async fn decrypt(bodies: Bodies, body: web::Json<Value>) -> HttpResponse {
    let encrypted = STANDARD
        .decode(body["encrypted_message"].as_str().unwrap())
        .unwrap();
    bodies.lock().push(body.into_inner());
    let decrypted = encryption::decrypt(&key("encryption"), WRAP, &encrypted).unwrap();
    HttpResponse::Ok().json(json!({"decrypted_message": STANDARD.encode(decrypted)}))
}

async fn wrong() -> HttpResponse {
    HttpResponse::Ok().json(json!({"signature": "AAAA", "decrypted_message": "AAAA"}))
}

/// A service, the bodies it got, and a client.
pub(crate) struct Service {
    address: SocketAddr,
    bodies: Bodies,
    pub client: HttpClient,
}

impl Service {
    pub fn start() -> Self {
        let bodies: Bodies = web::Data::new(Mutex::default());
        let shared = bodies.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .app_data(web::JsonConfig::default().limit(10_000_000))
                .route("/sign", web::post().to(sign))
                .route("/decrypt", web::post().to(decrypt))
                .route("/wrong", web::post().to(wrong))
                .route("/text", web::post().to(async || "no JSON"))
                .route("/failing", web::post().to(HttpResponse::BadGateway))
        });
        let server = server.workers(1).bind(("127.0.0.1", 0)).unwrap();
        let address = server.addrs()[0];
        actix::spawn(server.run());
        Self {
            address,
            bodies,
            client: client(&Config::for_test("rp1")).unwrap(),
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    fn crypto(&self, version: ApiVersion, sign: &str, decrypt: &str) -> ExternalCrypto {
        let runtime = Runtime::default();
        *runtime.external_crypto_version.write() = version;
        self.crypto_with(Arc::new(runtime), sign, decrypt)
    }

    fn crypto_with(&self, runtime: Arc<Runtime>, sign: &str, decrypt: &str) -> ExternalCrypto {
        let state = MemoryState::default();
        state.put(Table::CallbackUrl, "node", "sign_url", sign.as_bytes());
        let column = "decrypt_url";
        state.put(Table::CallbackUrl, "node", column, decrypt.as_bytes());
        ExternalCrypto::new(Arc::new(state), runtime, self.client.clone())
    }
}

fn of_ledger(algorithm: &str, version: u64) -> NodeKey {
    NodeKey {
        version,
        ..NodeKey::unregistered("", algorithm)
    }
}

fn public_key(name: &str) -> String {
    String::from_utf8(key(name).public_key_to_pem().unwrap()).unwrap()
}

#[actix::test]
async fn the_service_signs_and_decrypts() {
    let service = Service::start();
    let crypto = service.crypto(
        ApiVersion::V6,
        &service.url("sign"),
        &service.url("decrypt"),
    );
    assert!(!crypto.is_local());
    let signature = crypto
        .sign("rp1", KeyUse::Signing, &of_ledger(SIGN, 3), b"test")
        .await
        .unwrap();
    assert!(signature::verify(
        &public_key("signing"),
        SIGN,
        b"test",
        &signature
    ));
    let expected = json!({
        "node_id": "rp1",
        "request_message": "dGVzdA==",
        "request_message_hash": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=",
        "hash_algorithm": "SHA256",
        "key_algorithm": "RSA",
        "signing_algorithm": "RSASSA_PKCS1_V1_5_SHA_256",
        "key_version": 3,
    });
    assert_eq!(service.bodies.lock().pop().unwrap(), expected);

    let wrapped = encryption::encrypt(&public_key("encryption"), WRAP, &[7; 32]).unwrap();
    let decrypted = crypto
        .decrypt("rp1", &of_ledger(WRAP, 3), &wrapped)
        .await
        .unwrap();
    assert_eq!(decrypted, [7; 32]);
    let expected = json!({
        "node_id": "rp1",
        "encrypted_message": STANDARD.encode(&wrapped),
        "key_algorithm": "RSA",
        "encryption_algorithm": WRAP,
        "key_version": 3,
    });
    assert_eq!(service.bodies.lock().pop().unwrap(), expected);
}

#[actix::test]
async fn earlier_versions_have_other_bodies() {
    let service = Service::start();
    let crypto = service.crypto(
        ApiVersion::V5,
        &service.url("sign"),
        &service.url("decrypt"),
    );
    crypto
        .sign("rp1", KeyUse::Signing, &of_ledger(SIGN, 3), b"test")
        .await
        .unwrap();
    let expected = json!({
        "node_id": "rp1",
        "request_message": "dGVzdA==",
        "request_message_hash": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=",
        "hash_method": "SHA256",
        "key_type": "RSA",
        "sign_method": "RSASSA_PKCS1_V1_5_SHA_256",
    });
    assert_eq!(service.bodies.lock().pop().unwrap(), expected);
}

#[actix::test]
async fn a_change_of_the_version_takes_effect_at_the_next_call() {
    let service = Service::start();
    let runtime = Arc::new(Runtime::default());
    let crypto = service.crypto_with(runtime.clone(), &service.url("sign"), "");
    for (version, member) in [
        (ApiVersion::V6, "signing_algorithm"),
        (ApiVersion::V5, "sign_method"),
        (ApiVersion::V6, "signing_algorithm"),
    ] {
        *runtime.external_crypto_version.write() = version;
        let signed = crypto
            .sign("rp1", KeyUse::Signing, &of_ledger(SIGN, 3), b"test")
            .await;
        signed.unwrap();
        let body = service.bodies.lock().pop().unwrap();
        assert!(body.get(member).is_some(), "{body}");
    }
}

#[actix::test]
async fn failures_are_temporary_only_when_the_service_cannot_be_reached() {
    let service = Service::start();
    let failing = async |sign_url: &str| {
        let crypto = service.crypto(ApiVersion::V6, sign_url, "");
        let result = crypto
            .sign("rp1", KeyUse::Signing, &of_ledger(SIGN, 1), b"m")
            .await;
        result.unwrap_err().is_temporary()
    };
    assert!(failing("http://127.0.0.1:1/").await);
    for path in ["text", "failing", "nothing"] {
        assert!(!failing(&service.url(path)).await, "{path}");
    }
    let crypto = service.crypto(ApiVersion::V6, "", "");
    let error = crypto
        .sign("rp1", KeyUse::SigningMaster, &of_ledger(SIGN, 1), b"m")
        .await
        .unwrap_err();
    assert_eq!(error.code().number, 10011);
    assert!(error.is_temporary(), "it will be set");
}

#[actix::test]
async fn urls_are_tested_with_the_codes_of_each_failure() {
    let service = Service::start();
    let ledger = FakeLedger::recorded();
    let sign = async |node_id: &str, key_use, url: &str| {
        let (client, version) = (&service.client, ApiVersion::V6);
        test_sign_url(client, ledger.as_ref(), version, node_id, key_use, url)
            .await
            .map_err(|error| error.code().number)
    };
    let decrypt = async |node_id: &str, url: &str| {
        let (client, version) = (&service.client, ApiVersion::V6);
        test_decrypt_url(client, ledger.as_ref(), version, node_id, url)
            .await
            .map_err(|error| error.code().number)
    };
    let nowhere = "http://127.0.0.1:1/";
    let key = json!({
        "public_key": public_key("master"), "algorithm": SIGN, "version": 1,
        "creation_block_height": 1, "creation_chain_id": "c", "active": true,
    });
    let params = json!({"node_id": "rp1"});
    ledger.set("GetNodeSigningMasterPublicKey", &params, key);

    let signing = KeyUse::Signing;
    assert_eq!(sign("rp1", signing, &service.url("sign")).await, Ok(()));
    assert_eq!(
        sign("nobody", signing, &service.url("sign")).await,
        Err(20008)
    );
    assert_eq!(sign("rp1", signing, nowhere).await, Err(20050));
    assert_eq!(sign("rp1", signing, &service.url("text")).await, Err(20051));
    assert_eq!(
        sign("rp1", signing, &service.url("wrong")).await,
        Err(20049)
    );
    let master = KeyUse::SigningMaster;
    assert_eq!(sign("nobody", master, nowhere).await, Err(20009));
    assert_eq!(sign("rp1", master, nowhere).await, Err(20053));
    assert_eq!(sign("rp1", master, &service.url("text")).await, Err(20054));
    assert_eq!(sign("rp1", master, &service.url("sign")).await, Err(20052));
    assert_eq!(decrypt("rp1", &service.url("decrypt")).await, Ok(()));
    assert_eq!(decrypt("nobody", nowhere).await, Err(20010));
    assert_eq!(decrypt("rp1", nowhere).await, Err(20047));
    assert_eq!(decrypt("rp1", &service.url("text")).await, Err(20048));
    assert_eq!(decrypt("rp1", &service.url("wrong")).await, Err(20046));
}

#[actix::test]
async fn a_service_that_hangs_has_its_places_and_no_more() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let state = MemoryState::default();
    let url = format!("http://{}", listener.local_addr().unwrap());
    state.put(Table::CallbackUrl, "node", "sign_url", url.as_bytes());
    let client = client(&Config::for_test("rp1")).unwrap();
    let crypto = ExternalCrypto::new(Arc::new(state), Arc::default(), client).with_places(1);
    let key = of_ledger(SIGN, 1);
    let sign = || crypto.sign("rp1", KeyUse::Signing, &key, b"a");
    let hanging = sign();
    tokio::select! {
        biased;
        signed = hanging => panic!("{signed:?}"),
        refused = sign() => {
            let error = refused.unwrap_err();
            assert!(error.is_temporary() && error.is_of_crypto_service(), "{error}");
        }
    }
    assert_eq!(crypto.calls_under_way(), 0, "dropped with its caller");
}
