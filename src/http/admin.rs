//! The server for operators: metrics and health
//! (spec/process-model-and-config.md 11).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use serde_json::json;

use super::answer::PlainResponse;
use super::listening::{self, Listening, ServerHandle};
use super::{own_metrics, process_metrics, replaced_metrics};
use crate::config::TlsFiles;

/// Upper limits of the buckets of every histogram, in milliseconds: those of the
/// replaced system, then some for the time of a block.
const BUCKETS: [f64; 13] = [
    0.1, 5.0, 15.0, 50.0, 100.0, 200.0, 300.0, 400.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0,
];

/// Idle connections are kept this long, and a client has this long to send the head
/// of a request: probes and scrapers send it at once.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const HEAD_TIME_LIMIT: Duration = Duration::from_secs(5);

/// How often the recorder moves measurements into its buckets.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Makes the process record its metrics. To be called once per process.
///
/// # Errors
/// Another recorder is installed.
pub fn install_recorder() -> Result<PrometheusHandle, BuildError> {
    process_metrics::note_start();
    let handle = PrometheusBuilder::new()
        .set_buckets(&BUCKETS)?
        .install_recorder()?;
    replaced_metrics::announce();
    own_metrics::announce();
    Ok(handle)
}

/// What the server needs.
pub struct AdminOptions {
    /// The recorder of [`install_recorder`].
    pub metrics: PrometheusHandle,
    /// Why the process is not ready; empty: it is.
    pub reasons: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// The part of the process: `master`, `standby`, `worker` or `standalone`.
    pub role: Arc<dyn Fn() -> &'static str + Send + Sync>,
    /// Notices for operators although the process is ready.
    pub notices: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// Where to listen; port 0 takes a free one.
    pub addresses: Vec<SocketAddr>,
    /// `PROMETHEUS_HTTPS`
    pub https: Option<TlsFiles>,
    /// Most connections at one time. With more, the longest idle ones are closed.
    pub most_connections: usize,
}

/// Starts the server inside an actix system.
///
/// # Errors
/// The address is taken, or the TLS files cannot be used.
pub async fn serve(options: AdminOptions) -> io::Result<ServerHandle> {
    let listening = Listening {
        name: "admin",
        addresses: options.addresses.clone(),
        https: options.https.clone(),
        threads: 1,
        most_connections: options.most_connections,
        keep_alive: KEEP_ALIVE,
        head_time_limit: HEAD_TIME_LIMIT,
    };
    let metrics = options.metrics.clone();
    let server = listening::serve(listening, Data::new(options), handle)?;
    actix_web::rt::spawn(keep_up(metrics));
    Ok(server)
}

async fn keep_up(metrics: PrometheusHandle) {
    loop {
        tokio::time::sleep(UPKEEP_INTERVAL).await;
        metrics.run_upkeep();
    }
}

async fn handle(request: HttpRequest, options: Data<AdminOptions>) -> HttpResponse {
    let reads = request.method() == Method::GET || request.method() == Method::HEAD;
    let answer = match request.path() {
        _ if !reads => PlainResponse::empty(404),
        "/metrics" => {
            let text = options.metrics.render() + &process_metrics::render();
            PlainResponse::text("text/plain; version=0.0.4", text)
        }
        "/health" => PlainResponse::json(200, &json!({"live": true, "role": (options.role)()})),
        "/ready" => {
            let reasons = (options.reasons)();
            let ready = reasons.is_empty();
            let status = if ready { 200 } else { 503 };
            let (role, notices) = ((options.role)(), (options.notices)());
            let body =
                json!({"ready": ready, "reasons": reasons, "role": role, "notices": notices});
            PlainResponse::json(status, &body)
        }
        _ => PlainResponse::empty(404),
    };
    answer.into_response()
}
