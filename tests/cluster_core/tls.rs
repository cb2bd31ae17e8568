//! The link over TLS.

use std::sync::Arc;
use std::time::Duration;

use erawan::cluster::{Link, Master, Tls};
use erawan::config::MasterAddress;
use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};

use super::memory_store::MemoryStore;
use super::support::*;

fn new_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("a known curve");
    PKey::from_ec_key(EcKey::generate(&group).expect("a key")).expect("a key")
}

fn builder(name: &str, key: &PKey<Private>) -> X509Builder {
    let mut subject = X509NameBuilder::new().expect("memory");
    subject
        .append_entry_by_text("CN", name)
        .expect("a short name");
    let subject = subject.build();
    let mut builder = X509::builder().expect("memory");
    builder.set_version(2).expect("version 3");
    builder.set_subject_name(&subject).expect("a name");
    builder.set_pubkey(key).expect("a key");
    let (from, to) = (Asn1Time::days_from_now(0), Asn1Time::days_from_now(1));
    builder
        .set_not_before(&from.expect("a time"))
        .expect("a time");
    builder.set_not_after(&to.expect("a time")).expect("a time");
    builder
}

/// An authority, and a certificate for `localhost` that it signed.
fn certificates() -> Tls {
    let (root_key, key) = (new_key(), new_key());
    let mut root = builder("root", &root_key);
    let constraints = BasicConstraints::new().critical().ca().build();
    root.append_extension(constraints.expect("valid"))
        .expect("valid");
    let issuer = builder("root", &root_key).build();
    root.set_issuer_name(issuer.subject_name()).expect("a name");
    root.sign(&root_key, MessageDigest::sha256())
        .expect("signs");
    let root = root.build();

    let mut own = builder("localhost", &key);
    own.set_issuer_name(root.subject_name()).expect("a name");
    let context = own.x509v3_context(Some(&root), None);
    let names = SubjectAlternativeName::new()
        .dns("localhost")
        .build(&context);
    own.append_extension(names.expect("valid")).expect("valid");
    own.sign(&root_key, MessageDigest::sha256()).expect("signs");
    Tls {
        root: root.to_pem().expect("PEM"),
        certificate: own.build().to_pem().expect("PEM"),
        key: key.private_key_to_pem_pkcs8().expect("PEM"),
    }
}

#[actix::test]
async fn workers_connect_over_tls_and_trust_only_their_authority() {
    let (ours, theirs) = (certificates(), certificates());
    let store = Arc::new(MemoryStore::default());
    let any = "127.0.0.1:0".parse().expect("an address");
    let mut options = master_options(&store, Some(any));
    options.tls = Some(ours.clone());
    let master = Master::start(options).await.expect("starts");
    let port = master.address().expect("it listens").port();
    let link = |tls: Option<Tls>| Link::Grpc {
        masters: vec![MasterAddress::new("localhost", port)],
        tls,
        thread: None,
    };
    let recorder = Recorder::new(true);
    let stranger = worker("stranger", &store, recorder.clone(), link(Some(theirs)));
    let plain = worker("plain", &store, recorder.clone(), link(None));
    let friend = worker("friend", &store, recorder.clone(), link(Some(ours)));
    connected(&friend).await;
    friend.submit(accept(&store, noops(10, 10)).await);
    all_ended(&store).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!stranger.link_state().borrow().connected);
    assert!(!plain.link_state().borrow().connected);
    for worker in [friend, stranger, plain] {
        worker.stop().await;
    }
    master.stop().await;
}
