//! A second application on erawan's core (docs/runtime.md): takes orders over
//! HTTP and tells webhooks of them, through one master and any number of
//! workers. An order that was answered with 202 reaches its webhook, whichever
//! process dies on the way, and under the same id however often it is sent.
//!
//! ```text
//! webhook master <link port> <store>
//! webhook worker <link port> <store> <HTTP port>
//! ```
//! `<store>` is `redis:<port>`, or `file:<path>`, which only the master opens.

mod orders;

use std::io;
use std::sync::Arc;

use actix_web::{App, HttpServer, web};
use erawan::actors::mastership::{EXCLUSIVE, Mastership, OPTIONS};
use erawan::cluster::{Link, Master, MasterOptions, Worker, WorkerOptions};
use erawan::config::MasterAddress;
use erawan::dispatch;
use erawan::job::Epoch;
use erawan::protocol::client::{FoundMaster, MasterTarget};
use erawan::store::SharedStore;
use erawan::store::embedded::{self, EmbeddedStore};
use erawan::store::redis::{self, RedisStore};
use erawan::store::remote::{self, RemoteStore};
use erawan::tls::LinkSecurity;

use orders::Means;

const NODE: &str = "webhooks";

async fn run_master(link: u16, store: SharedStore, is_file: bool) -> io::Result<()> {
    let master_id = format!("master-{}", std::process::id());
    let options = if is_file { EXCLUSIVE } else { OPTIONS };
    let mastership = Mastership::stand(store.clone(), master_id.clone(), options, Epoch::default());
    // Until then it stands by; a second master takes over when the first is gone.
    let Some(term) = mastership.elected().await else {
        return Ok(());
    };
    let served = store.clone();
    let master = Master::start(MasterOptions {
        node_id: NODE.to_owned(),
        master_id,
        term,
        listen: Some(vec![([127, 0, 0, 1], link).into()]),
        most_links: 64,
        security: LinkSecurity::Open,
        store,
        // For workers that cannot open the file.
        store_service: Some(Arc::new(move |calls| {
            Box::pin(remote::serve_stream(served.clone(), calls))
        })),
        place: None,
        dispatcher: dispatch::Options::default(),
        backlog: Arc::default(),
    });
    let master = master.await.map_err(io::Error::other)?;
    mastership.lost().await;
    master.stop().await;
    Ok(())
}

async fn run_worker(
    target: MasterTarget,
    found: FoundMaster,
    store: SharedStore,
    http: u16,
) -> io::Result<()> {
    let worker = Worker::start(WorkerOptions {
        node_id: NODE.to_owned(),
        worker_id: format!("worker-{}", std::process::id()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        run_capacity: 16,
        delivery_capacity: 64,
        store: store.clone(),
        runner: Arc::new(Means::default()),
        link: Link::Grpc {
            masters: target.masters,
            security: target.security,
            found,
            thread: None,
        },
        chain_hook: Arc::new(()),
    });
    let process = web::Data::new((store, worker));
    let app = move || {
        let orders = web::post().to(orders::post);
        App::new()
            .app_data(process.clone())
            .route("/orders", orders)
    };
    HttpServer::new(app)
        .workers(1)
        .bind(("127.0.0.1", http))?
        .run()
        .await
}

async fn run(arguments: &[String]) -> io::Result<()> {
    let wrong = || io::Error::other("webhook (master|worker) <link port> <store> [<HTTP port>]");
    let [role, link, store, http @ ..] = arguments else {
        return Err(wrong());
    };
    let link: u16 = link.parse().map_err(io::Error::other)?;
    let (engine, place) = store.split_once(':').ok_or_else(wrong)?;
    let (is_master, is_file) = (role == "master", engine == "file");
    let found = FoundMaster::default();
    let target = MasterTarget {
        masters: vec![MasterAddress::new("127.0.0.1", link)],
        security: LinkSecurity::Open,
    };
    let store: SharedStore = if !is_file {
        let options = redis::Options {
            host: "127.0.0.1".to_owned(),
            port: place.parse().map_err(io::Error::other)?,
            password: None,
            node_id: NODE.to_owned(),
        };
        Arc::new(
            RedisStore::connect(options)
                .await
                .map_err(io::Error::other)?,
        )
    } else if is_master {
        let options = embedded::Options {
            path: place.into(),
            node_id: NODE.to_owned(),
        };
        Arc::new(EmbeddedStore::open(options).map_err(io::Error::other)?)
    } else {
        Arc::new(RemoteStore::follow(target.clone(), found.subscribe(), NODE))
    };
    match http {
        [http] if !is_master => {
            let http = http.parse().map_err(io::Error::other)?;
            run_worker(target, found, store, http).await
        }
        [] if is_master => run_master(link, store, is_file).await,
        _ => Err(wrong()),
    }
}

/// Runs a process until it is killed.
pub fn start(arguments: &[String]) -> io::Result<()> {
    orders::give_kinds().map_err(io::Error::other)?;
    actix_rt::System::new().block_on(run(arguments))
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    start(&arguments)
}
