use std::collections::BTreeSet;

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use openssl::x509::{X509, X509NameBuilder};
use tokio::io::duplex;

use super::certificates::Certificates;
use super::context::{self, Ends};
use super::handshake::{self, Check, NodeCheck};
use super::*;

/// A certificate as old scripts make it: RSA, version 1, its only name the
/// common name, signed by `issuer` or by itself.
fn version_1(name: &str, issuer: Option<&(X509, PKey<Private>)>) -> (X509, PKey<Private>) {
    let tomorrow = Asn1Time::days_from_now(1).unwrap();
    until(name, issuer, &tomorrow)
}

/// The same, until this end.
fn until(
    name: &str,
    issuer: Option<&(X509, PKey<Private>)>,
    end: &Asn1Time,
) -> (X509, PKey<Private>) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut builder = X509::builder().unwrap();
    // Counted from zero.
    builder.set_version(0).unwrap();
    builder.set_subject_name(&subject).unwrap();
    let issued_by = issuer.map_or(&*subject, |(issuer, _)| issuer.subject_name());
    builder.set_issuer_name(issued_by).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder
        .set_not_before(&Asn1Time::from_unix(0).unwrap())
        .unwrap();
    builder.set_not_after(end).unwrap();
    let signer = issuer.map_or(&key, |(_, key)| key);
    builder.sign(signer, MessageDigest::sha256()).unwrap();
    (builder.build(), key)
}

/// By `authority`, for this node or these hosts.
fn certificates(authority: &Authority, node_id: Option<&str>, hosts: &[&str]) -> Certificates {
    let names = Names {
        node_id: node_id.map(str::to_owned),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
    };
    let issued = authority.issue(&names, 1).unwrap();
    let root = authority.to_pem().unwrap().certificate;
    Certificates {
        chain: X509::stack_from_pem(&issued.certificate).unwrap(),
        key: PKey::private_key_from_pem(&issued.key).unwrap(),
        roots: X509::stack_from_pem(&root).unwrap(),
    }
}

fn ends(own: &Certificates) -> Ends {
    context::of_certificates(own).unwrap()
}

fn of_node(node_id: &str, host: Option<&str>) -> Check {
    Check::Node(NodeCheck {
        node_id: node_id.into(),
        accepted: BTreeSet::new().into(),
        host: host.map(str::to_owned),
    })
}

/// What client and server say of a handshake.
async fn agree(
    client: (&Ends, Check),
    server: (&Ends, Check),
) -> (Result<(), String>, Result<(), String>) {
    let (one, other) = duplex(64 * 1024);
    let accepting = async {
        let accepted = handshake::accept(&server.0.server, server.1, other).await;
        // Kept open, so that the client hears why it is refused.
        accepted.map(drop)
    };
    let connecting = handshake::connect(&client.0.client, client.1, one);
    let (connected, accepted) = tokio::join!(connecting, accepting);
    (connected.map(drop), accepted)
}

#[tokio::test]
async fn certificates_of_version_1_with_the_name_in_the_common_name_are_taken() {
    let authority = version_1("authority", None);
    let (certificate, key) = version_1("localhost", Some(&authority));
    let own = Certificates {
        chain: vec![certificate],
        key,
        roots: vec![authority.0.clone()],
    };
    let own = ends(&own);
    let mut node = NodeCheck {
        node_id: "rp1".into(),
        accepted: BTreeSet::from(["localhost".to_owned()]).into(),
        host: None,
    };
    let server = Check::Node(node.clone());
    node.host = Some("localhost".to_owned());
    let agreed = agree((&own, Check::Node(node)), (&own, server)).await;
    assert_eq!(agreed, (Ok(()), Ok(())));
    let host = Check::Host("elsewhere".to_owned());
    let (connected, _) = agree((&own, host), (&own, Check::Nothing)).await;
    let reason = connected.unwrap_err();
    assert!(reason.contains("CN=localhost"), "{reason}");
    assert!(
        reason.to_lowercase().contains("hostname mismatch"),
        "{reason}"
    );
}

#[tokio::test]
async fn the_name_of_the_node_stands_for_every_host() {
    let authority = Authority::new("test", 1).unwrap();
    let own = ends(&certificates(&authority, Some("โหนด 1"), &[]));
    for host in ["10.0.0.7", "master.example"] {
        let client = of_node("โหนด 1", Some(host));
        let agreed = agree((&own, client), (&own, of_node("โหนด 1", None))).await;
        assert_eq!(agreed, (Ok(()), Ok(())), "{host}");
    }
}

#[tokio::test]
async fn a_refusal_names_the_certificate_and_the_reason() {
    let (ours, theirs) = (
        Authority::new("ours", 1).unwrap(),
        Authority::new("theirs", 1).unwrap(),
    );
    let own = ends(&certificates(&ours, Some("rp1"), &["master"]));
    for (other, words) in [
        (
            certificates(&ours, Some("idp1"), &[]),
            ["CN=idp1", "of node idp1, not rp1"],
        ),
        (
            certificates(&ours, None, &["printer"]),
            ["CN=printer", "CLUSTER_PEER_NAMES"],
        ),
        (
            certificates(&theirs, Some("rp1"), &[]),
            ["CN=rp1", "unable to get local issuer certificate"],
        ),
    ] {
        let other = ends(&other);
        let server = (&own, of_node("rp1", None));
        let (_, accepted) = agree_without_verifying(&other, server).await;
        let reason = accepted.unwrap_err();
        assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
    }
}

#[tokio::test]
async fn an_expired_certificate_is_named() {
    let authority = version_1("authority", None);
    let long_ago = Asn1Time::from_unix(1_000_000_000).unwrap();
    let (certificate, key) = until("master", Some(&authority), &long_ago);
    let roots = vec![authority.0.clone()];
    let expired = ends(&Certificates {
        chain: vec![certificate],
        key,
        roots: roots.clone(),
    });
    let (certificate, key) = version_1("worker", Some(&authority));
    let own = ends(&Certificates {
        chain: vec![certificate],
        key,
        roots,
    });
    let client = of_node("rp1", Some("master"));
    let (connected, _) = agree((&own, client), (&expired, Check::Nothing)).await;
    let reason = connected.unwrap_err();
    assert!(reason.contains("certificate has expired"), "{reason}");
    assert!(reason.contains("CN=master"), "{reason}");
    assert!(reason.contains("2001"), "{reason}");
}

#[tokio::test]
async fn a_client_that_exchanges_keys_by_rsa_is_served() {
    let (certificate, key) = version_1("localhost", None);
    let own = Certificates {
        chain: vec![certificate],
        key,
        roots: Vec::new(),
    };
    let server = context::of_listener(&own).unwrap();
    let mut client = SslConnector::builder(SslMethod::tls_client()).unwrap();
    client
        .set_max_proto_version(Some(openssl::ssl::SslVersion::TLS1_2))
        .unwrap();
    client.set_cipher_list("AES256-GCM-SHA384").unwrap();
    client.set_verify(SslVerifyMode::NONE);
    let client = Ends {
        client: client.build().into_context(),
        server: server.clone(),
    };
    let server = (&client, Check::Nothing);
    let (connected, accepted) = agree_without_verifying(&client, server).await;
    assert_eq!((connected, accepted), (Ok(()), Ok(())));
}

/// As a client that verifies nothing.
async fn agree_without_verifying(
    client: &Ends,
    server: (&Ends, Check),
) -> (Result<(), String>, Result<(), String>) {
    let (one, other) = duplex(64 * 1024);
    let ssl = openssl::ssl::Ssl::new(&client.client).unwrap();
    let mut client = tokio_openssl::SslStream::new(ssl, one).unwrap();
    let connecting = std::pin::Pin::new(&mut client).connect();
    let accepting = handshake::accept(&server.0.server, server.1, other);
    let (connected, accepted) = tokio::join!(connecting, accepting);
    (
        connected.map_err(|error| error.to_string()),
        accepted.map(drop),
    )
}
