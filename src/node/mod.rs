//! Assembles the processes: start, stop, and the context of every handler.

mod activity;
mod certificates;
mod check;
mod env;
mod facts;
mod health;
mod inbox;
mod keys;
pub mod kinds;
mod master_side;
mod mq_service;
mod notices;
mod obstacle;
mod parts;
mod readiness;
mod registration;
mod runner;
mod standing;
mod stop;
mod surroundings;
mod terms;
mod threads;
mod worker_side;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix::Arbiter;
use tokio::sync::watch;

pub use check::check;
pub use env::{EnvArguments, env};
pub use health::{HealthArguments, health};
pub use stop::Stop;

use crate::access::Tokens;
use crate::admission::QueueLimit;
use crate::config::{self, Config, Mode, WrongSetting};
use crate::dashboard::{self, DashboardHandle, DashboardOptions};
use crate::descriptors::{Limit, Shares};
use crate::http::ServerHandle;
use crate::http::admin::{self, AdminOptions};
use crate::logging::Identity;
use crate::operator::OpenDesk;
use crate::protocol::local::MeetingPoint;
use crate::{logging, operator, pulse};
use certificates::CertificateWatch;
use keys::KeyWatch;
use parts::ProcessParts;
use readiness::ReadinessWatch;
use standing::StandingWatch;
use worker_side::{LinkTransport, WorkerSide};

/// Exit code for a wrong environment (`EX_USAGE`).
const WRONG_ENVIRONMENT: u8 = 64;
/// Longest wait for readers of metrics.
const ADMIN_STOP: Duration = Duration::from_secs(1);

/// Runs a node as the environment says, until it is told to stop.
/// # Errors
/// When it cannot start, or cannot listen when it becomes the master. A deposed
/// master becomes a standby again.
pub async fn run() -> io::Result<ExitCode> {
    let config = match config::load() {
        Ok(config) => Arc::new(config),
        Err(mistakes) => {
            let words = format!("erawan cannot start with this environment:\n{mistakes}");
            logging::last_words(words);
            return Ok(ExitCode::from(WRONG_ENVIRONMENT));
        }
    };
    logging::start(&config.log, &Identity::of_process(&config.node_id))?;
    logging::act_as(StandingWatch::new(config.mode).role());
    for (name, value) in config.summary() {
        tracing::debug!(name, value, "configuration");
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let shares = share_descriptors(&config)?;
    let stop = Stop::on_signals(config.stop.grace)?;
    let outcome = tokio::select! {
        outcome = serve(config, shares, stop.clone()) => outcome,
        () = stop.requested_while_starting() => Ok(()),
    };
    match outcome {
        Ok(()) => {
            tracing::info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            tracing::error!(%error, "the process cannot continue");
            if WrongSetting::is_cause_of(&error) {
                logging::last_words(format!("erawan: {error}"));
                return Ok(ExitCode::from(WRONG_ENVIRONMENT));
            }
            Err(error)
        }
    }
}

/// Why a process stops.
enum Why {
    Told,
    /// It no longer stands for mastership.
    NoMaster(io::Result<()>),
    /// It can run no more jobs.
    NoWorker,
}

async fn serve(config: Arc<Config>, shares: Shares, stop: Stop) -> io::Result<()> {
    tracing::info!(
        mode = ?config.mode,
        store = ?config.store,
        version = env!("CARGO_PKG_VERSION"),
        "starting"
    );
    if config.mode == Mode::Standalone {
        operator::check_socket(&config.data_directory)?;
    }
    let readiness = ReadinessWatch::new(config.queue, config.dormant);
    let standing = StandingWatch::new(config.mode);
    let admin = start_admin(&config, shares, &readiness, &standing).await?;
    let certificates = CertificateWatch::follow(&config);
    readiness.watch("certificates", move || certificates.notice());
    let (desk, dashboard) = start_dashboard(&config, shares, &readiness, &standing)?;
    let parts = ProcessParts::open(config.clone(), shares, desk).await?;
    let (watched, looked_after) = (readiness.clone(), parts.clone());
    parts
        .intake
        .make(move || watched.follow(&looked_after))
        .await?;
    let store = parts.store.clone();
    readiness.watch("store", move || notices::of_store(store.setbacks()));
    // Keys of the ledger are foreign.
    let of_keys = parts.clone();
    let keys = parts
        .intake
        .make(move || KeyWatch::follow(&of_keys))
        .await?;
    readiness.watch("keys", move || keys.notice());
    // Runs here, because a thread that is awake asks the store.
    QueueLimit::follow(
        readiness.queue(),
        parts.store.clone(),
        parts.backlog.clone(),
    );
    // From here on, this thread is the pulse. Master and worker of a standalone
    // node share it, so that their messages wake no other thread.
    pulse::begin();
    let place = (config.mode == Mode::Standalone).then(|| MeetingPoint::new(Arbiter::current()));
    let worker = match (config.mode, &place) {
        (Mode::Master, _) => None,
        (_, Some(place)) => {
            Some(WorkerSide::start(&parts, &readiness, LinkTransport::Local(place.port())).await?)
        }
        (_, None) => Some(WorkerSide::start(&parts, &readiness, LinkTransport::Grpc).await?),
    };
    let inbox = inbox::start(&parts, &readiness, worker.as_ref()).await?;
    let (stop_terms, stopping) = watch::channel(false);
    let mut terms = std::pin::pin!(async {
        match config.mode {
            Mode::Worker => std::future::pending().await,
            Mode::Standalone | Mode::Master => {
                terms::serve(&parts, &readiness, &inbox, place, standing, stopping).await
            }
        }
    });
    tracing::info!("initialised");
    stop.has_started();
    let worker_ended = async {
        match &worker {
            Some(worker) => worker.ended().await,
            None => std::future::pending().await,
        }
    };
    let why = tokio::select! {
        () = stop.requested() => Why::Told,
        ended = &mut terms => Why::NoMaster(ended),
        () = worker_ended => Why::NoWorker,
    };
    let is_broken = matches!(why, Why::NoWorker);
    tracing::info!("stopping");
    if matches!(why, Why::Told) && worker.is_some() && !config.stop.drain.is_zero() {
        readiness.leave();
        tokio::time::sleep(config.stop.drain).await;
    }
    readiness.drain();
    let grace = config.stop.of_jobs();
    let stop_worker = async {
        if let Some(worker) = worker {
            worker.stop(grace).await;
        }
        stop_terms.send_replace(true);
    };
    let outcome = match why {
        Why::NoMaster(ended) => {
            stop_worker.await;
            ended
        }
        Why::Told | Why::NoWorker if config.mode == Mode::Worker => {
            stop_worker.await;
            Ok(())
        }
        // A standalone worker finishes while its master is still there.
        Why::Told | Why::NoWorker => tokio::join!(stop_worker, terms).1,
    };
    if let Some(inbox) = &inbox {
        inbox.stop().await;
    }
    if let Some(dashboard) = dashboard
        && tokio::time::timeout(ADMIN_STOP, dashboard.stop())
            .await
            .is_err()
    {
        tracing::warn!("somebody is still looking at the dashboard");
    }
    if let Some(admin) = admin
        && tokio::time::timeout(ADMIN_STOP, admin.stop())
            .await
            .is_err()
    {
        tracing::warn!("somebody is still reading the metrics");
    }
    match is_broken {
        // Its supervisor restarts it.
        true => Err(io::Error::other("the link to the master has ended")),
        false => outcome,
    }
}

/// Raises the limit of open files as far as possible, and divides it.
fn share_descriptors(config: &Config) -> io::Result<Shares> {
    let limit = Limit::raise().or_else(|error| {
        tracing::warn!(%error, "the limit of open files cannot be raised");
        Limit::now()
    })?;
    let shares = Shares::of(limit, config);
    let (open_files, api, links) = (limit.soft, shares.api, shares.links);
    tracing::info!(open_files, api, links, "most open connections by port");
    if shares.is_scarce(config.mode) {
        tracing::warn!(
            open_files,
            "few connections are accepted: raise the hard limit of open files"
        );
    }
    Ok(shares)
}

async fn start_admin(
    config: &Config,
    shares: Shares,
    readiness: &ReadinessWatch,
    standing: &StandingWatch,
) -> io::Result<Option<ServerHandle>> {
    let Some(prometheus) = &config.prometheus else {
        return Ok(None);
    };
    let (readiness, standing) = (readiness.clone(), standing.clone());
    let noticed = readiness.clone();
    let stood = standing.clone();
    readiness.watch("mastership", move || stood.notice());
    let options = AdminOptions {
        metrics: admin::install_recorder().map_err(io::Error::other)?,
        reasons: Arc::new(move || readiness.reasons()),
        notices: Arc::new(move || noticed.notices()),
        role: Arc::new(move || standing.role()),
        addresses: config.listen.metrics.at(prometheus.port),
        https: prometheus.https.clone(),
        most_connections: shares.admin,
    };
    let addresses = options.addresses.clone();
    let served = admin::serve(options).await;
    let tls = "PROMETHEUS_HTTPS_KEY_PATH, PROMETHEUS_HTTPS_CERT_PATH";
    served
        .map(Some)
        .map_err(|error| obstacle::at_port("PROMETHEUS_SERVER_PORT", tls, &addresses, error))
}

/// Starts the dashboard, if there is one, before the store is open: it shows
/// what the process waits for.
fn start_dashboard(
    config: &Config,
    shares: Shares,
    readiness: &ReadinessWatch,
    standing: &StandingWatch,
) -> io::Result<(OpenDesk, Option<DashboardHandle>)> {
    let Some(settings) = &config.dashboard else {
        return Ok((OpenDesk::default(), None));
    };
    let tokens = settings.tokens.as_deref().map(Tokens::read).transpose();
    let tokens = tokens
        .map_err(|error| io::Error::new(error.kind(), format!("DASHBOARD_TOKENS_FILE: {error}")))?;
    let desk = OpenDesk::watched();
    let options = DashboardOptions {
        facts: facts::facts(config, readiness.clone(), standing.clone()),
        desk: desk.clone(),
        tokens,
        loopback_operator: settings.loopback_operator.clone(),
        port: settings.port,
        https: settings.https.clone(),
        most_connections: shares.dashboards,
    };
    let address = dashboard::address(settings.tokens.is_some(), settings.port);
    let tls = "DASHBOARD_HTTPS_KEY_PATH, DASHBOARD_HTTPS_CERT_PATH";
    let dashboard = dashboard::serve(options)
        .map_err(|error| obstacle::at_port("DASHBOARD_PORT", tls, &[address], error))?;
    tracing::info!(address = %dashboard.address(), "the dashboard is served");
    Ok((desk, Some(dashboard)))
}
