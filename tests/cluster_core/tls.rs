//! The link over TLS.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use erawan::cluster::{Link, Master};
use erawan::config::MasterAddress;
use erawan::protocol::Tls;
use erawan::protocol::client::FoundMaster;
use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

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

/// A port that leads to `port`, and how many connections through it have ended.
async fn relay(port: u16) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("any port");
    let own = listener.local_addr().expect("bound").port();
    let ended = Arc::new(AtomicUsize::new(0));
    let counter = ended.clone();
    tokio::spawn(async move {
        while let Ok((mut worker, _)) = listener.accept().await {
            let counter = counter.clone();
            tokio::spawn(async move {
                if let Ok(mut master) = TcpStream::connect(("127.0.0.1", port)).await {
                    // However it ends.
                    let _ = copy_bidirectional(&mut worker, &mut master).await;
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    (own, ended)
}

#[actix::test]
async fn a_tls_link_that_is_never_agreed_on_ends_and_a_workers_does_not() {
    let tls = certificates();
    let store = Arc::new(MemoryStore::default());
    let any = "127.0.0.1:0".parse().expect("an address");
    let mut options = master_options(&store, Some(any));
    options.tls = Some(tls.clone());
    let master = Master::start(options).await.expect("starts");
    let port = master.address().expect("it listens").port();
    let (worker_port, ended) = relay(port).await;
    let link = Link::Grpc {
        masters: vec![MasterAddress::new("localhost", worker_port)],
        tls: Some(tls),
        found: FoundMaster::default(),
        thread: None,
    };
    let worker = worker("idle", &store, Recorder::new(true), link);
    connected(&worker).await;
    let mut stranger = TcpStream::connect(("127.0.0.1", port)).await.expect("open");
    // The head of a handshake whose rest never comes.
    stranger.write_all(&[22, 3, 1, 1, 0]).await.expect("sent");
    let closed = async { while matches!(stranger.read(&mut [0; 64]).await, Ok(1..)) {} };
    tokio::time::timeout(Duration::from_secs(60), closed)
        .await
        .expect("it is closed");
    assert!(worker.link_state().borrow().connected);
    assert_eq!(ended.load(Ordering::Relaxed), 0, "the worker's link, too");
    worker.stop().await;
    master.stop().await;
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
    let link = |tls: Option<Tls>, port: u16| Link::Grpc {
        masters: vec![MasterAddress::new("localhost", port)],
        tls,
        found: FoundMaster::default(),
        thread: None,
    };
    let recorder = Recorder::new(true);
    let (stranger_port, stranger_tries) = relay(port).await;
    let (plain_port, plain_tries) = relay(port).await;
    let strange = link(Some(theirs), stranger_port);
    let stranger = worker("stranger", &store, recorder.clone(), strange);
    let plain = worker("plain", &store, recorder.clone(), link(None, plain_port));
    let friend = worker("friend", &store, recorder.clone(), link(Some(ours), port));
    connected(&friend).await;
    friend.submit(accept(&store, noops(10, 10)).await);
    all_ended(&store).await;
    let have_failed = || async {
        let tries = [&stranger_tries, &plain_tries];
        tries.iter().all(|ended| ended.load(Ordering::Relaxed) > 1)
    };
    until("both strangers have tried and failed twice", have_failed).await;
    assert!(!stranger.link_state().borrow().connected);
    assert!(!plain.link_state().borrow().connected);
    for worker in [friend, stranger, plain] {
        worker.stop().await;
    }
    master.stop().await;
}
