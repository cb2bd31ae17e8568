//! Keeps a worker connected to its master, for ever.

use std::time::Duration;

use actix::prelude::*;
use rand::Rng;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};
use tracing::{debug, error, info};

use crate::actors::master_link::{Connected, Disconnected, Greet, MasterLink, Received, Refused};

use super::client::Target;
use super::local::{Port, WorkerEnd};
use super::message::{FromMaster, FromWorker};
use super::{HEARTBEAT, SILENCE};

/// First and longest pause between two attempts to connect.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Pause after the master has refused us: somebody has to change something.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);

/// How a worker reaches its master.
pub(super) enum Connector {
    Grpc(Target),
    Local(Port),
}

impl Connector {
    async fn open(&self) -> Result<WorkerEnd, String> {
        match self {
            Self::Grpc(target) => target.open().await.map_err(|error| error.to_string()),
            Self::Local(port) => {
                let end = port.connect().await;
                end.ok_or_else(|| "the master has stopped".to_owned())
            }
        }
    }
}

/// How a session ended.
enum Ended {
    /// The master did not take us on.
    Refused,
    /// It never came about.
    NotMet,
    /// It was up, and was lost.
    Lost,
    /// This worker has stopped.
    Stopped,
}

/// Connects again whenever the connection is lost.
pub(super) async fn keep_connected(connector: Connector, link: Addr<MasterLink>) {
    let (first, longest) = BACKOFF;
    let mut pause = first;
    loop {
        let ended = match connector.open().await {
            Ok(end) => session(end, &link).await,
            Err(reason) => {
                debug!(reason, "cannot reach the master");
                Ended::NotMet
            }
        };
        match ended {
            Ended::Stopped => return,
            Ended::Lost => pause = first,
            Ended::NotMet => {}
            Ended::Refused => pause = REFUSED_PAUSE,
        }
        // So that workers do not all come at once.
        let jitter = rand::rng().random_range(0.75..1.25);
        sleep(pause.mul_f64(jitter)).await;
        pause = longest.min(pause * 2);
    }
}

async fn session(mut end: WorkerEnd, link: &Addr<MasterLink>) -> Ended {
    let Ok(hello) = link.send(Greet).await else {
        return Ended::Stopped;
    };
    if end.sender.send(FromWorker::Hello(hello)).await.is_err() {
        return Ended::NotMet;
    }
    let patience = SILENCE + Duration::from_secs(1);
    match timeout(patience, end.receiver.recv()).await {
        Ok(Some(FromMaster::Welcome {
            master_id,
            epoch,
            chain,
        })) => {
            info!(master_id, epoch = epoch.0, "connected to the master");
            let connected = Connected {
                sender: end.sender.clone(),
                master_id,
                chain,
            };
            if link.send(connected).await.is_err() {
                return Ended::Stopped;
            }
        }
        Ok(Some(FromMaster::Refused { reason })) => {
            error!(reason, "the master refuses this worker");
            // Only the state shown to operators is missing if the worker stops now.
            let _ = link.send(Refused(reason)).await;
            return Ended::Refused;
        }
        _ => return Ended::NotMet,
    }
    listen(&mut end, link).await;
    info!("connection to the master lost");
    match link.send(Disconnected).await {
        Ok(()) => Ended::Lost,
        Err(_) => Ended::Stopped,
    }
}

async fn listen(end: &mut WorkerEnd, link: &Addr<MasterLink>) {
    let mut heartbeat = interval(HEARTBEAT);
    let mut silent_at = Instant::now() + SILENCE;
    loop {
        tokio::select! {
            biased;
            message = end.receiver.recv() => {
                match message {
                    None => return,
                    Some(FromMaster::Heartbeat) => {}
                    Some(FromMaster::Stopping) => info!("the master stops"),
                    Some(message) => {
                        if link.send(Received(message)).await.is_err() {
                            return;
                        }
                    }
                }
                silent_at = Instant::now() + SILENCE;
            }
            _ = heartbeat.tick() => {
                // A full channel holds messages that show life as well.
                if let Err(tokio::sync::mpsc::error::TrySendError::Closed(_)) =
                    end.sender.try_send(FromWorker::Heartbeat)
                {
                    return;
                }
            }
            () = sleep_until(silent_at) => {
                info!("the master is silent");
                return;
            }
        }
    }
}
