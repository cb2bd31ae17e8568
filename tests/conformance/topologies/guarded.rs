//! TLS on both sides, a user that may do what the operator's guide says, and a
//! database of its own.

use std::sync::{LazyLock, Weak};

use async_trait::async_trait;
use erawan::config::{Redis, RedisTls, TlsFiles};
use erawan::devnet::ports;
use erawan::devnet::redis_server::{Durability, RedisServer};
use erawan::store::StoreError;
use erawan::store::redis::{RedisStore, RedisTarget};
use tokio::sync::Mutex;

use super::certificates::Certificates;
use super::contract::Topology;
use super::{NODE, server};

const NAME: &str = "redis.test";
const PASSWORD: &str = "s3cr$t: /@";
const DATABASE: u32 = 5;

pub struct Guarded {
    certificates: Certificates,
    port: u16,
    _server: RedisServer,
}

impl Guarded {
    fn tls(&self) -> RedisTls {
        RedisTls {
            authority: Some(self.certificates.authority()),
            own: Some(TlsFiles {
                key: self.certificates.key("client"),
                certificate: self.certificates.certificate("client"),
            }),
            server_name: Some(NAME.to_owned()),
        }
    }
}

#[async_trait]
impl Topology for Guarded {
    async fn begin() -> Self {
        let certificates = Certificates::make(NAME);
        let path = |path: std::path::PathBuf| path.display().to_string();
        let port = ports::free().unwrap();
        let password = format!(">{PASSWORD}");
        let server = server(
            Durability::EverySecond,
            &[
                &["--tls-port", &port.to_string()][..],
                &["--tls-ca-cert-file", &path(certificates.authority())],
                &["--tls-cert-file", &path(certificates.certificate(NAME))],
                &["--tls-key-file", &path(certificates.key(NAME))],
                &["--tls-auth-clients", "yes"],
                // As docs/operator.md says.
                &["--user", "erawan", "on", &password, "~{erawan:*"],
                &[
                    "+@all",
                    "-@admin",
                    "-@dangerous",
                    "+info",
                    "+config|get",
                    "+role",
                ],
                &["--user", "default", "off"],
            ]
            .concat(),
        );
        Self {
            certificates,
            port,
            _server: server,
        }
    }

    fn redis(&self) -> Redis {
        Redis {
            user: Some("erawan".to_owned()),
            password: Some(PASSWORD.to_owned().into()),
            database: DATABASE,
            tls: Some(self.tls()),
            ..Redis::at("127.0.0.1", self.port)
        }
    }

    fn shared() -> &'static Mutex<Weak<Self>> {
        static SHARED: LazyLock<Mutex<Weak<Guarded>>> = LazyLock::new(Mutex::default);
        &SHARED
    }
}

async fn trouble(redis: Redis) -> String {
    let node_id = NODE.to_owned();
    match RedisStore::connect(RedisTarget { redis, node_id }).await {
        Ok(_) => panic!("it lets us in"),
        Err(StoreError::Unavailable(reason)) => reason,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_us_out_is_named_with_its_variable() {
    let guarded = Guarded::begin().await;
    let redis = guarded.redis();
    super::connect(redis.clone()).await;
    let with_tls = |change: &dyn Fn(&mut RedisTls)| {
        let mut tls = guarded.tls();
        change(&mut tls);
        Redis {
            tls: Some(tls),
            ..redis.clone()
        }
    };
    let strangers = Certificates::make(NAME);
    let cases = [
        (
            with_tls(&|tls| tls.server_name = None),
            "DB_TLS_SERVER_NAME",
        ),
        (
            with_tls(&|tls| tls.authority = Some(strangers.authority())),
            "DB_TLS_CA_FILE",
        ),
        (with_tls(&|tls| tls.authority = None), "DB_TLS_CA_FILE"),
        (with_tls(&|tls| tls.own = None), "DB_TLS_CERT_FILE"),
        (
            Redis {
                tls: None,
                ..redis.clone()
            },
            "DB_TLS",
        ),
        (
            Redis {
                password: Some("wrong".to_owned().into()),
                ..redis.clone()
            },
            "DB_PASSWORD",
        ),
        (
            Redis {
                user: Some("nobody".to_owned()),
                ..redis.clone()
            },
            "DB_USERNAME",
        ),
        (
            Redis {
                user: None,
                password: None,
                ..redis.clone()
            },
            "DB_PASSWORD",
        ),
        (
            Redis {
                database: 99,
                ..redis.clone()
            },
            "DB_NUMBER",
        ),
    ];
    for (redis, variable) in cases {
        let reason = trouble(redis).await;
        assert!(reason.contains(variable), "{variable}: {reason}");
        assert!(!reason.contains(PASSWORD), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_certificates_are_used_without_a_restart() {
    let guarded = Guarded::begin().await;
    let strangers = Certificates::make(NAME);
    let tls = guarded.tls();
    let own = tls.own.clone().unwrap();
    let keep = std::fs::read(&own.certificate).unwrap();
    let keep_key = std::fs::read(&own.key).unwrap();
    std::fs::copy(strangers.certificate("client"), &own.certificate).unwrap();
    std::fs::copy(strangers.key("client"), &own.key).unwrap();
    trouble(guarded.redis()).await;
    std::fs::write(&own.certificate, keep).unwrap();
    std::fs::write(&own.key, keep_key).unwrap();
    super::connect(guarded.redis()).await;
}
