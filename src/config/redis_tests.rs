use std::collections::HashMap;
use std::path::Path;

use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;
use secrecy::ExposeSecret;

use super::*;
use crate::config::variables;

fn read(variables: &[(&str, &str)]) -> (Redis, Checker) {
    let owned = variables.iter();
    let environment: HashMap<String, String> = owned
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let mut checker = Checker::default();
    let redis = redis(&variables::read(&environment), &mut checker);
    (redis, checker)
}

fn good(variables: &[(&str, &str)]) -> Redis {
    let (redis, checker) = read(variables);
    assert_eq!(checker.mistakes, []);
    redis
}

/// The variables that are named as wrong.
fn wrong(variables: &[(&str, &str)]) -> Vec<&'static str> {
    let (_, checker) = read(variables);
    let text = format!("{:?} {:?}", checker.mistakes, checker.warnings);
    assert!(!text.contains("hidden"), "{text}");
    let mistakes = checker.mistakes.iter();
    mistakes.map(|mistake| mistake.variable).collect()
}

fn password(redis: &Redis) -> Option<&str> {
    redis.password.as_ref().map(ExposeSecret::expose_secret)
}

#[test]
fn a_url_stands_for_the_single_variables() {
    let single = good(&[
        ("DB_IP", "[::1]"),
        ("DB_PORT", "7000"),
        ("DB_USERNAME", "node"),
        ("DB_PASSWORD", "hidden"),
        ("DB_NUMBER", "3"),
        ("DB_TLS", "true"),
    ]);
    let url = good(&[("DB_URL", "rediss://node:hidden@[::1]:7000/3")]);
    for redis in [&single, &url] {
        assert_eq!((redis.host.as_str(), redis.port), ("::1", 7000));
        assert_eq!(redis.user.as_deref(), Some("node"));
        assert_eq!(password(redis), Some("hidden"));
        assert_eq!((redis.database, redis.tls.is_some()), (3, true));
        assert!(!format!("{redis:?} {redis}").contains("hidden"));
    }
    let apart = good(&[("DB_URL", "redis://db"), ("DB_PASSWORD", "hidden")]);
    assert_eq!(password(&apart), Some("hidden"));
}

#[test]
fn what_contradicts_itself_is_named() {
    let sentinels = ("DB_SENTINELS", "a,b:1");
    let group = ("DB_SENTINEL_MASTER", "main");
    let nodes = ("DB_CLUSTER_NODES", "a,b");
    for (variables, expected) in [
        (vec![("DB_URL", "postgres://:hidden@db")], "DB_URL"),
        (vec![("DB_URL", "redis://:hidden@db/x")], "DB_URL"),
        (
            vec![("DB_URL", "redis://a:hidden@db"), ("DB_USERNAME", "b")],
            "DB_USERNAME",
        ),
        (
            vec![("DB_URL", "redis://:hidden@db"), ("DB_PASSWORD", "other")],
            "DB_PASSWORD",
        ),
        (
            vec![("DB_URL", "redis://db/1"), ("DB_NUMBER", "2")],
            "DB_NUMBER",
        ),
        (
            vec![("DB_URL", "rediss://db"), ("DB_TLS", "false")],
            "DB_TLS",
        ),
        (vec![("DB_USERNAME", "a")], "DB_PASSWORD"),
        (vec![sentinels], "DB_SENTINEL_MASTER"),
        (vec![sentinels, group, nodes], "DB_SENTINELS"),
        (vec![("DB_SENTINELS", "a, /b"), group], "DB_SENTINELS"),
        (
            vec![sentinels, group, ("DB_SENTINEL_TLS", "true")],
            "DB_SENTINEL_TLS",
        ),
        (
            vec![sentinels, group, ("DB_SENTINEL_USERNAME", "a")],
            "DB_SENTINEL_PASSWORD",
        ),
        (vec![nodes, ("DB_URL", "redis://db")], "DB_CLUSTER_NODES"),
        (vec![nodes, ("DB_NUMBER", "1")], "DB_NUMBER"),
        (vec![("DB_CLUSTER_NODES", ":hidden@a")], "DB_CLUSTER_NODES"),
        (
            vec![("DB_MIN_REPLICAS_TO_ACK", "all")],
            "DB_MIN_REPLICAS_TO_ACK",
        ),
        (
            vec![("DB_REPLICA_ACK_TIMEOUT_MS", "4000")],
            "DB_REPLICA_ACK_TIMEOUT_MS",
        ),
    ] {
        assert_eq!(wrong(&variables), [expected], "{variables:?}");
    }
}

#[test]
fn sentinels_and_clusters_are_named_by_their_addresses() {
    let redis = good(&[
        ("DB_SENTINELS", "a, b:26380, [::1]:26381"),
        ("DB_SENTINEL_MASTER", "main"),
        ("DB_SENTINEL_PASSWORD", "hidden"),
        ("DB_IP", "old"),
    ]);
    assert_eq!(
        redis.to_string(),
        "main of the Sentinels a:26379,b:26380,[::1]:26381"
    );
    let RedisPlace::Sentinels { login, .. } = &redis.place else {
        panic!("{redis:?}");
    };
    assert!(login.password.is_some() && redis.password.is_none());
    assert!(!format!("{redis:?}").contains("hidden"));
    let cluster = good(&[("DB_CLUSTER_NODES", "a,b:7001")]);
    assert_eq!(cluster.to_string(), "the cluster of a:6379,b:7001");
    let promise = good(&[("DB_MIN_REPLICAS_TO_ACK", "1")]).promise.unwrap();
    assert_eq!((promise.replicas, promise.patience.as_millis()), (1, 1000));
}

#[test]
fn what_has_no_effect_is_told() {
    let warned = |variables: &[(&str, &str)]| read(variables).1.warnings.join("\n");
    let beside = warned(&[("DB_URL", "redis://db"), ("DB_IP", "old"), ("DB_PORT", "1")]);
    assert!(beside.contains("DB_IP has no effect"), "{beside}");
    assert!(beside.contains("DB_PORT has no effect"), "{beside}");
    let alone = warned(&[
        ("DB_SENTINEL_PASSWORD", "hidden"),
        ("DB_TLS_CA_FILE", "/ca"),
    ]);
    assert!(
        alone.contains("DB_SENTINEL_PASSWORD has no effect"),
        "{alone}"
    );
    assert!(alone.contains("DB_TLS_CA_FILE has no effect"), "{alone}");
    assert!(!alone.contains("hidden"));
    assert_eq!(warned(&[("DB_IP", "db")]), "");
}

fn key() -> PKey<Private> {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap()
}

fn certificate(key: &PKey<Private>) -> X509 {
    let mut builder = X509::builder().unwrap();
    builder.set_pubkey(key).unwrap();
    let (now, later) = (Asn1Time::days_from_now(0), Asn1Time::days_from_now(1));
    builder.set_not_before(&now.unwrap()).unwrap();
    builder.set_not_after(&later.unwrap()).unwrap();
    builder.sign(key, MessageDigest::sha256()).unwrap();
    builder.build()
}

#[test]
fn tls_files_are_read_and_belong_together() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (own, other) = (key(), key());
    let pem = certificate(&own).to_pem().unwrap();
    let (ca, certificate) = (write("ca", &pem), write("certificate", &pem));
    let own_key = write("key", &own.private_key_to_pem_pkcs8().unwrap());
    let other_key = write("other", &other.private_key_to_pem_pkcs8().unwrap());
    let cipher = openssl::symm::Cipher::aes_128_cbc();
    let locked = own.private_key_to_pem_pkcs8_passphrase(cipher, b"hidden");
    let locked = write("locked", &locked.unwrap());
    let empty = write("empty", b"");
    let files = |ca: &str, certificate: &str, key: &str| {
        let variables = [
            ("DB_TLS", "true"),
            ("DB_TLS_CA_FILE", ca),
            ("DB_TLS_CERT_FILE", certificate),
            ("DB_TLS_KEY_FILE", key),
        ];
        wrong(&variables)
    };
    assert_eq!(files(&ca, &certificate, &own_key), [""; 0]);
    assert_eq!(files(&empty, &certificate, &own_key), ["DB_TLS_CA_FILE"]);
    assert_eq!(files("/none", &certificate, &own_key), ["DB_TLS_CA_FILE"]);
    assert_eq!(files(&ca, &empty, &own_key), ["DB_TLS_CERT_FILE"]);
    assert_eq!(files(&ca, &certificate, &other_key), ["DB_TLS_KEY_FILE"]);
    assert_eq!(files(&ca, &certificate, &locked), ["DB_TLS_KEY_FILE"]);
    assert_eq!(files(&ca, &certificate, ""), ["DB_TLS_KEY_FILE"]);
    assert_eq!(files(&ca, "", &own_key), ["DB_TLS_CERT_FILE"]);
    assert!(Path::new(&ca).exists());
}
