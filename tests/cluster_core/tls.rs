//! The link, secured by certificates or by a shared secret.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use erawan::cluster::{Link, Master, MasterHandle};
use erawan::config::{GrpcTls, MasterAddress, TlsFiles};
use erawan::protocol::client::FoundMaster;
use erawan::tls::{Authority, LinkSecurity, Names, NodeCertificates, SharedSecret};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::memory_store::MemoryStore;
use super::support::*;

/// The certificate of a process, in files.
struct Node {
    directory: TempDir,
    authority: Arc<Authority>,
}

impl Node {
    /// Of this node, by an authority of its own.
    fn new(node_id: &str) -> Self {
        let authority = Arc::new(Authority::new("test", 1).expect("made"));
        let names = Names {
            node_id: Some(node_id.to_owned()),
            hosts: Vec::new(),
        };
        Self::by(&authority, &names)
    }

    fn by(authority: &Arc<Authority>, names: &Names) -> Self {
        let directory = tempfile::tempdir().expect("a folder");
        let node = Self {
            directory,
            authority: authority.clone(),
        };
        let root = authority.to_pem().expect("PEM").certificate;
        fs::write(node.file("root"), root).expect("written");
        node.renew(names);
        node
    }

    fn renew(&self, names: &Names) {
        let issued = self.authority.issue(names, 1).expect("issued");
        for (name, content) in [("key", issued.key), ("certificate", issued.certificate)] {
            fs::write(self.file("new"), content).expect("written");
            fs::rename(self.file("new"), self.file(name)).expect("replaced");
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// For a process of `NODE`.
    fn security(&self) -> LinkSecurity {
        let files = GrpcTls {
            root: self.file("root"),
            own: TlsFiles {
                key: self.file("key"),
                certificate: self.file("certificate"),
            },
        };
        let read = NodeCertificates::read(&files, NODE, &[]).expect("usable");
        LinkSecurity::Certificates(Arc::new(read))
    }
}

fn of_host(host: &str) -> Names {
    Names {
        node_id: None,
        hosts: vec![host.to_owned()],
    }
}

fn secret(directory: &TempDir, node_id: &str, lines: &str) -> LinkSecurity {
    let file = directory.path().join("token");
    fs::write(&file, lines).expect("written");
    let read = SharedSecret::read(&file, node_id).expect("usable");
    LinkSecurity::Secret(Arc::new(read))
}

async fn secured_master(store: &Arc<MemoryStore>, security: LinkSecurity) -> (MasterHandle, u16) {
    let any = "127.0.0.1:0".parse().expect("an address");
    let mut options = master_options(store, Some(any));
    options.security = security;
    let master = Master::start(options).await.expect("starts");
    let port = master.address().expect("it listens").port();
    (master, port)
}

fn link(security: LinkSecurity, port: u16) -> Link {
    Link::Grpc {
        masters: vec![MasterAddress::new("localhost", port)],
        security,
        found: FoundMaster::default(),
        thread: None,
    }
}

/// Lets a friend work and every stranger try and fail.
async fn only_friends_get_in(
    master: LinkSecurity,
    friend: LinkSecurity,
    strangers: Vec<LinkSecurity>,
) {
    let store = Arc::new(MemoryStore::default());
    let (master, port) = secured_master(&store, master).await;
    let recorder = Recorder::new(true);
    let mut tries = Vec::new();
    let mut refused = Vec::new();
    for (index, security) in strangers.into_iter().enumerate() {
        let (relayed, ended) = relay(port).await;
        let name = format!("stranger{index}");
        refused.push(worker(
            &name,
            &store,
            recorder.clone(),
            link(security, relayed),
        ));
        tries.push(ended);
    }
    let friend = worker("friend", &store, recorder.clone(), link(friend, port));
    connected(&friend).await;
    friend.submit(accept(&store, noops(10, 10)).await);
    all_ended(&store).await;
    let have_failed = || async { tries.iter().all(|ended| ended.load(Ordering::Relaxed) > 1) };
    until("all strangers have tried and failed twice", have_failed).await;
    for stranger in &refused {
        assert!(!stranger.link_state().borrow().connected);
    }
    for worker in refused.into_iter().chain([friend]) {
        worker.stop().await;
    }
    master.stop().await;
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
    let own = Node::new(NODE);
    let store = Arc::new(MemoryStore::default());
    let any = "127.0.0.1:0".parse().expect("an address");
    let mut options = master_options(&store, Some(any));
    options.security = own.security();
    let master = Master::start(options).await.expect("starts");
    let port = master.address().expect("it listens").port();
    let (worker_port, ended) = relay(port).await;
    let link = Link::Grpc {
        masters: vec![MasterAddress::new("localhost", worker_port)],
        security: own.security(),
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
async fn workers_of_the_node_are_accepted_by_their_certificates_and_nobody_else_is() {
    let ours = Node::new(NODE);
    let of_another_node = Names {
        node_id: Some("another".to_owned()),
        hosts: vec!["localhost".to_owned()],
    };
    let strangers = vec![
        LinkSecurity::Open,
        // Another authority.
        Node::new(NODE).security(),
        // The same authority, as in a company.
        Node::by(&ours.authority, &of_another_node).security(),
        Node::by(&ours.authority, &of_host("printer")).security(),
    ];
    only_friends_get_in(ours.security(), ours.security(), strangers).await;
}

#[actix::test]
async fn certificates_that_name_hosts_as_in_the_replaced_system_are_taken_from_each_other() {
    let authority = Arc::new(Authority::new("test", 1).expect("made"));
    let ours = Node::by(&authority, &of_host("localhost"));
    let strangers = vec![Node::by(&authority, &of_host("printer")).security()];
    only_friends_get_in(ours.security(), ours.security(), strangers).await;
}

#[actix::test]
async fn workers_that_know_the_secret_are_accepted_and_nobody_else_is() {
    let folder = || tempfile::tempdir().expect("a folder");
    let (ours, other, of_node, next) = (folder(), folder(), folder(), folder());
    let token = "0123456789abcdef0123456789abcdef";
    let newer = "fedcba9876543210fedcba9876543210";
    let strangers = vec![
        LinkSecurity::Open,
        secret(&other, NODE, &newer.to_uppercase()),
        secret(&of_node, "another", token),
        Node::new(NODE).security(),
    ];
    // Takes both, as while the token is changed.
    let master = secret(&ours, NODE, &format!("{newer}\n{token}\n"));
    only_friends_get_in(master, secret(&next, NODE, token), strangers).await;
}

#[actix::test]
async fn a_worker_trusts_no_master_that_proves_nothing() {
    let store = Arc::new(MemoryStore::default());
    let (master, port) = secured_master(&store, LinkSecurity::Open).await;
    let (folder, node) = (tempfile::tempdir().expect("a folder"), Node::new(NODE));
    let token = "0123456789abcdef0123456789abcdef";
    for security in [secret(&folder, NODE, token), node.security()] {
        let (relayed, tries) = relay(port).await;
        let worker = worker(
            "careful",
            &store,
            Recorder::new(true),
            link(security, relayed),
        );
        let has_failed = || async { tries.load(Ordering::Relaxed) > 1 };
        until("it has tried and failed twice", has_failed).await;
        assert!(!worker.link_state().borrow().connected);
        worker.stop().await;
    }
    master.stop().await;
}

#[actix::test]
async fn a_renewed_certificate_and_a_changed_token_count_without_a_restart() {
    let store = Arc::new(MemoryStore::default());
    // The master has a certificate of another node, until it is replaced.
    let node = Node::new("another");
    let (master, port) = secured_master(&store, node.security()).await;
    let names = Names {
        node_id: Some(NODE.to_owned()),
        hosts: Vec::new(),
    };
    let friend = Node::by(&node.authority, &names);
    let (relayed, tries) = relay(port).await;
    let worker = worker(
        "friend",
        &store,
        Recorder::new(true),
        link(friend.security(), relayed),
    );
    let has_failed = || async { tries.load(Ordering::Relaxed) > 1 };
    until("it has tried and failed twice", has_failed).await;
    assert!(!worker.link_state().borrow().connected);
    node.renew(&names);
    connected(&worker).await;
    worker.stop().await;
    master.stop().await;
}

#[actix::test]
async fn a_worker_finds_a_master_at_an_ipv6_address() {
    let store = Arc::new(MemoryStore::default());
    let any = "[::1]:0".parse().expect("an address");
    let options = master_options(&store, Some(any));
    let master = Master::start(options).await.expect("starts");
    let port = master.address().expect("it listens").port();
    let link = Link::Grpc {
        masters: vec![MasterAddress::new("::1", port)],
        security: LinkSecurity::Open,
        found: FoundMaster::default(),
        thread: None,
    };
    let worker = worker("worker", &store, Recorder::new(true), link);
    connected(&worker).await;
    worker.stop().await;
    master.stop().await;
}
