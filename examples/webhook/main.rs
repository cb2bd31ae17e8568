//! A second application on erawan's core (docs/runtime.md): takes orders over
//! HTTP and tells webhooks of them, through one master and any number of
//! workers. An order that was answered with 202 reaches its webhook, whichever
//! process dies on the way, and under the same id however often it is sent.

mod orders;

use std::io;

use actix_web::{App, HttpServer, web};
use erawan::cluster::{Application, Engine};

const USAGE: &str = "webhook (master|worker) <link port> (redis:<port>|file:<path>) [<HTTP port>]";

async fn run(arguments: &[String]) -> io::Result<()> {
    let usage = || io::Error::other(USAGE);
    let port = |text: &str| text.parse::<u16>().map_err(|_| usage());
    let [role, link, store, http @ ..] = arguments else {
        return Err(usage());
    };
    let engine = match store.split_once(':') {
        Some(("redis", server)) => Engine::Redis {
            host: "127.0.0.1".to_owned(),
            port: port(server)?,
            password: None,
        },
        Some(("file", path)) => Engine::File(path.into()),
        _ => return Err(usage()),
    };
    let application = Application {
        name: "webhooks",
        handlers: &orders::HANDLERS,
        engine,
        link: ([127, 0, 0, 1], port(link)?).into(),
    };
    match (role.as_str(), http) {
        ("master", []) => application.run_master().await,
        ("worker", [http]) => {
            let worker = web::Data::new(application.start_worker(reqwest::Client::new()).await?);
            let routes = move || {
                let worker = worker.clone();
                App::new().app_data(worker).service(orders::post)
            };
            let server = HttpServer::new(routes).workers(1);
            server.bind(("127.0.0.1", port(http)?))?.run().await
        }
        _ => Err(usage()),
    }
}

/// Runs a process until it is killed.
pub fn start(arguments: &[String]) -> io::Result<()> {
    actix_rt::System::new().block_on(run(arguments))
}

fn main() -> io::Result<()> {
    start(&std::env::args().skip(1).collect::<Vec<_>>())
}
