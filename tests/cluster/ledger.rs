//! A ledger that talks rubbish for a while. (Rubbish *in* a block cannot be
//! made: the development ledger refuses such transactions as real ones do.
//! What a node does with unknown methods is tested in `tests/wire`.)

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use erawan::context::Role;
use erawan::devnet::process::Process;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::network::*;

/// Stands between a node and the ledger.
struct Proxy {
    port: u16,
    /// Whether connections get rubbish; a change ends all that are open.
    rubbish: watch::Sender<bool>,
    /// Connections that got rubbish.
    fooled: Arc<AtomicUsize>,
}

impl Proxy {
    async fn start(ledger: String) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (rubbish, told) = watch::channel(false);
        let fooled = Arc::new(AtomicUsize::new(0));
        let counter = fooled.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(
                    stream,
                    ledger.clone(),
                    told.clone(),
                    counter.clone(),
                ));
            }
        });
        Self {
            port,
            rubbish,
            fooled,
        }
    }
}

async fn connection(
    mut node: TcpStream,
    ledger: String,
    mut rubbish: watch::Receiver<bool>,
    fooled: Arc<AtomicUsize>,
) {
    if *rubbish.borrow_and_update() {
        fooled.fetch_add(1, Ordering::Relaxed);
        let mut request = [0; 4096];
        // Whatever becomes of the connection, the next one gets the same.
        let _ = node.read(&mut request).await;
        let _ = node
            .write_all(b"{\"result\":\"\xff rubbish\"}\r\n\r\n\x81\x7f")
            .await;
        return;
    }
    let Ok(mut ledger) = TcpStream::connect(ledger).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut node, &mut ledger) => {}
        _ = rubbish.changed() => {}
    }
}

#[actix_web::test]
async fn no_request_is_lost_when_the_ledger_talks_rubbish_for_a_while() {
    let mut net = Net::start(Store::Embedded, 0).await;
    let proxy = Proxy::start(net.network.ledger.clone()).await;
    let node = &mut net.processes(Role::Rp)[0];
    let mut plan = node.process.plan().clone();
    for (variable, value) in &mut plan.environment {
        if variable == "TENDERMINT_PORT" {
            *value = proxy.port.to_string();
        }
    }
    kill(node).await;
    node.process = Process::start(plan).unwrap();
    let apps = net.apps().await;
    let rubbish = async {
        verified(&apps, 3).await;
        proxy.rubbish.send_replace(true);
        let is_fooled = || async { proxy.fooled.load(Ordering::Relaxed) >= 5 };
        eventually("the node has heard rubbish", is_fooled).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        proxy.rubbish.send_replace(false);
    };
    under_load(&apps, rubbish).await;
    net.end(apps).await;
}
