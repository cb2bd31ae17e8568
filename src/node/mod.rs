//! Assembly of the processes: start, stop, and what every handler gets.

mod check;
mod context;
mod master_side;
mod mastership;
mod operations;
mod parts;
mod queue_limit;
mod readiness;
mod runner;
mod stop;
mod worker_side;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

pub use check::check;
pub use context::{Context, Role};
pub use queue_limit::{Full, QueueLimit};
pub use stop::Stop;

use crate::config::{self, Config, Mode};
use crate::http::ServerHandle;
use crate::http::admin::{self, AdminOptions};
use crate::logging;
use master_side::MasterSide;
use parts::Parts;
use readiness::ReadinessWatch;
use worker_side::{Link, WorkerSide};

/// Exit code for a wrong environment (`EX_USAGE`).
const WRONG_ENVIRONMENT: u8 = 64;
/// Part of the stop that is kept for what comes after the jobs have ended.
const LAST_STEPS: Duration = Duration::from_secs(3);

/// Runs a node as the environment says, until it is told to stop.
///
/// # Errors
/// When it cannot start, or cannot go on (deposed, a listener that fails).
pub async fn run() -> io::Result<ExitCode> {
    let config = match config::load() {
        Ok(config) => Arc::new(config),
        Err(mistakes) => {
            eprintln!("erawan cannot start with this environment:\n{mistakes}");
            return Ok(ExitCode::from(WRONG_ENVIRONMENT));
        }
    };
    logging::start(&config.log).map_err(io::Error::other)?;
    for (name, value) in config.summary() {
        tracing::debug!(name, value, "configuration");
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let stop = Stop::on_signals()?;
    let outcome = tokio::select! {
        outcome = serve(config, stop.clone()) => outcome,
        () = stop.requested_while_starting() => Ok(()),
    };
    match outcome {
        Ok(()) => {
            tracing::info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            tracing::error!(%error, "cannot go on");
            Err(error)
        }
    }
}

async fn serve(config: Arc<Config>, stop: Stop) -> io::Result<()> {
    tracing::info!(
        node_id = config.node_id,
        mode = ?config.mode,
        store = ?config.store,
        version = env!("CARGO_PKG_VERSION"),
        "starting"
    );
    let readiness = ReadinessWatch::new(config.queue);
    let admin = start_admin(&config, &readiness).await?;
    let parts = Parts::open(config.clone()).await?;
    readiness.follow(&parts);
    let master = match config.mode {
        Mode::Worker => None,
        Mode::Standalone | Mode::Master => Some(MasterSide::start(&parts, &readiness).await?),
    };
    let worker = match (config.mode, &master) {
        (Mode::Master, _) => None,
        (_, Some(master)) => {
            Some(WorkerSide::start(&parts, &readiness, Link::Local(master.port())).await?)
        }
        (_, None) => Some(WorkerSide::start(&parts, &readiness, Link::Grpc).await?),
    };
    tracing::info!("initialised");
    stop.has_started();
    let reason = tokio::select! {
        () = stop.requested() => Ok(()),
        problem = lost(master.as_ref()) => Err(problem),
    };
    tracing::info!("stopping");
    readiness.drain();
    let grace = config.shutdown_grace.saturating_sub(LAST_STEPS);
    if let Some(worker) = worker {
        worker.stop(grace).await;
    }
    if let Some(master) = master {
        master.stop().await;
    }
    if let Some(admin) = admin {
        admin.stop().await;
    }
    reason
}

/// Resolves when this process is no longer the master.
async fn lost(master: Option<&MasterSide>) -> io::Error {
    match master {
        Some(master) => master.lost().await,
        None => std::future::pending().await,
    }
}

async fn start_admin(
    config: &Config,
    readiness: &ReadinessWatch,
) -> io::Result<Option<ServerHandle>> {
    let Some(prometheus) = &config.prometheus else {
        return Ok(None);
    };
    let (readiness, noticed) = (readiness.clone(), readiness.clone());
    let options = AdminOptions {
        metrics: admin::install_recorder().map_err(io::Error::other)?,
        reasons: Arc::new(move || readiness.reasons()),
        notices: Arc::new(move || noticed.notices()),
        address: ([0, 0, 0, 0], prometheus.port).into(),
        https: prometheus.https.clone(),
    };
    admin::serve(options).await.map(Some)
}
