//! The processes of the example, and what they deliver to.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use erawan::devnet::ports;
use erawan::devnet::process::{Process, ProcessSpec};
use parking_lot::Mutex;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(60);
/// Has the test binary be the example.
const PROCESS: [&str; 4] = ["--ignored", "--exact", "--nocapture", "process"];
const CUSTOMERS: usize = 5;

/// In the environment of a process of the example.
pub const ARGUMENTS: &str = "WEBHOOK_ARGUMENTS";

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A master and two workers.
pub struct Shop {
    _master: Process,
    workers: Vec<(Process, u16)>,
    client: reqwest::Client,
    _logs: tempfile::TempDir,
}

impl Shop {
    pub async fn start(store: &str) -> Self {
        let logs = tempfile::tempdir().expect("a directory");
        let link = ports::free().expect("a port");
        let start = |name: &str, more: Vec<String>| -> io::Result<Process> {
            let mut arguments = vec![name.to_owned(), link.to_string(), store.to_owned()];
            arguments.extend(more);
            let log = match arguments.get(3) {
                Some(port) => logs.path().join(format!("{name}-{port}.log")),
                None => logs.path().join(format!("{name}.log")),
            };
            Process::start(ProcessSpec {
                name: name.to_owned(),
                binary: None,
                arguments: PROCESS.map(str::to_owned).to_vec(),
                environment: vec![(ARGUMENTS.to_owned(), arguments.join(" "))],
                log,
            })
        };
        let master = start("master", Vec::new()).expect("a master");
        let worker = |_| {
            let port = ports::free().expect("a port");
            (
                start("worker", vec![port.to_string()]).expect("a worker"),
                port,
            )
        };
        let workers = (0..2).map(worker).collect();
        Self {
            _master: master,
            workers,
            client: reqwest::Client::new(),
            _logs: logs,
        }
    }

    /// SIGKILL, whatever it is doing.
    pub async fn kill_a_worker(&mut self) {
        let (mut worker, _) = self.workers.remove(0);
        worker.kill().await;
    }

    /// Posts an order to one of the workers until it is accepted.
    pub async fn order(&self, number: usize, webhooks: &[String]) {
        let order = json!({
            "id": number.to_string(),
            "customer": format!("c{}", number % CUSTOMERS),
            "webhooks": webhooks,
        });
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (_, port) = &self.workers[number % self.workers.len()];
            let url = format!("http://127.0.0.1:{port}/orders");
            let why = match self.client.post(url).json(&order).send().await {
                Ok(answer) if answer.status() == 202 => return,
                Ok(answer) => answer.status().to_string(),
                // It starts.
                Err(error) => error.to_string(),
            };
            assert!(Instant::now() < deadline, "order {number}: {why}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// What a webhook's server has seen.
#[derive(Default)]
struct Seen {
    /// By id of the delivery.
    tries: BTreeMap<String, usize>,
    /// Orders as they were taken, by the id of the delivery.
    taken: Vec<(String, usize)>,
}

/// A webhook's server: it takes the first try of no delivery.
pub struct Receiver {
    port: u16,
    seen: Arc<Mutex<Seen>>,
}

async fn receive(request: HttpRequest, body: String, seen: web::Data<Mutex<Seen>>) -> HttpResponse {
    let id = request.headers().get("Idempotency-Key");
    let Some(id) = id.and_then(|id| id.to_str().ok()) else {
        return HttpResponse::BadRequest().finish();
    };
    let mut seen = seen.lock();
    let tries = seen.tries.entry(id.to_owned()).or_default();
    *tries += 1;
    if *tries == 1 {
        return HttpResponse::ServiceUnavailable().finish();
    }
    let Ok(order) = body.parse() else {
        return HttpResponse::BadRequest().finish();
    };
    if !seen.taken.iter().any(|(known, _)| known == id) {
        seen.taken.push((id.to_owned(), order));
    }
    HttpResponse::NoContent().finish()
}

impl Receiver {
    pub async fn start(number: usize) -> Self {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let state = web::Data::from(seen.clone());
        let app = move || {
            App::new()
                .app_data(state.clone())
                .default_service(web::to(receive))
        };
        let server = HttpServer::new(app).workers(1).disable_signals();
        let server = server.bind(("127.0.0.1", 0)).expect("a port");
        let port = server.addrs()[0].port();
        actix_rt::spawn(server.run());
        println!("webhook {number} at port {port}");
        Self { port, seen }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    pub async fn until_tried(&self, count: usize) {
        until("deliveries are tried", || {
            self.seen.lock().tries.len() >= count
        })
        .await;
    }

    pub async fn until_taken(&self, count: usize) {
        until("all orders are delivered", || {
            self.seen.lock().taken.len() >= count
        })
        .await;
    }

    /// Deliveries that are not repetitions.
    pub fn deliveries(&self) -> usize {
        self.seen.lock().taken.len()
    }

    /// Orders of one customer have come as they were made.
    pub fn check_order(&self) {
        let seen = self.seen.lock();
        for customer in 0..CUSTOMERS {
            let of_customer = seen.taken.iter().map(|(_, order)| order);
            let came: Vec<_> = of_customer
                .filter(|order| *order % CUSTOMERS == customer)
                .collect();
            assert!(came.is_sorted(), "customer {customer}: {came:?}");
        }
    }
}
