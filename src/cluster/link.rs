//! Keeps a worker connected to its master.

use std::time::Duration;

use actix::prelude::*;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{error, info, warn};

use crate::actors::master_link::{
    Connected, Disconnected, Greet, MasterLink, MessageFromMaster, NotFound, Refused,
};

use super::UNASKED;
use crate::protocol::SILENCE;
use crate::protocol::client::{FoundMaster, MasterTarget};
use crate::protocol::local::{Port, WorkerEnd};
use crate::protocol::message::{FromMaster, FromWorker};
use crate::protocol::search::{Search, pause};

/// Pause after the master has refused this worker: somebody has to change a
/// setting.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);

/// A worker that has no master for this long says so. A failover is over before.
const FIRST_WARNING: Duration = Duration::from_secs(4);
/// And again.
const WARNING: Duration = Duration::from_secs(60);

/// How a worker reaches its master.
pub(super) enum Connector {
    Grpc(MasterTarget, FoundMaster),
    Local(Port),
}

/// How an introduction ended.
enum Greeting {
    /// The master has accepted this worker.
    Met(WorkerEnd),
    /// The master went away or was deposed.
    NotMet,
    Refused(String),
    Stopped,
}

/// This worker has stopped.
struct Stopped;

/// Reconnects whenever the connection is lost, for ever.
pub(super) async fn keep_connected(connector: Connector, link: Addr<MasterLink>) {
    loop {
        let met = match &connector {
            Connector::Grpc(target, found) => find(target, found, &link).await,
            Connector::Local(port) => meet(port, &link).await,
        };
        let Ok(mut end) = met else {
            return;
        };
        listen(&mut end, &link).await;
        info!("connection to the master lost");
        drop(end);
        if let Connector::Grpc(_, found) = &connector {
            found.send_replace(None);
        }
        if link.send(Disconnected).await.is_err() {
            return;
        }
    }
}

/// Looks for a master that accepts this worker.
async fn find(
    target: &MasterTarget,
    found: &FoundMaster,
    link: &Addr<MasterLink>,
) -> Result<WorkerEnd, Stopped> {
    let mut search = Search::new(target);
    let mut tell_at = Instant::now() + FIRST_WARNING;
    loop {
        let (place, end) = tokio::select! {
            found = search.next() => found,
            () = sleep_until(tell_at) => {
                tell_at = Instant::now() + WARNING;
                warn_alone(target, &search, link).await;
                continue;
            }
        };
        match greet(end, link).await {
            Greeting::Met(end) => {
                found.send_replace(Some(place));
                return Ok(end);
            }
            Greeting::NotMet => sleep(pause()).await,
            Greeting::Refused(reason) => {
                search.note_refusal(&place, &reason);
                sleep(REFUSED_PAUSE).await;
            }
            Greeting::Stopped => return Err(Stopped),
        }
    }
}

/// Says that there is no master, where it was looked for, and why none was
/// found there.
async fn warn_alone(target: &MasterTarget, search: &Search<'_>, link: &Addr<MasterLink>) {
    let masters = target.masters.iter().map(ToString::to_string);
    let masters = masters.collect::<Vec<_>>().join(",");
    let reasons = search.failures();
    warn!(
        masters,
        reasons,
        "no master is found: accepted jobs wait. Start a master, or correct MASTER_SERVER_IP, \
         MASTER_SERVER_PORT and GRPC_SSL"
    );
    // If the worker has stopped, only the state shown to operators is missing.
    let _ = link.send(NotFound(reasons)).await;
}

/// Waits for a master of the same process.
async fn meet(port: &Port, link: &Addr<MasterLink>) -> Result<WorkerEnd, Stopped> {
    loop {
        if let Some(end) = port.connect().await {
            match greet(end, link).await {
                Greeting::Met(end) => return Ok(end),
                Greeting::NotMet | Greeting::Refused(_) => {}
                Greeting::Stopped => return Err(Stopped),
            }
        }
        if !link.connected() {
            return Err(Stopped);
        }
        sleep(pause()).await;
    }
}

async fn greet(mut end: WorkerEnd, link: &Addr<MasterLink>) -> Greeting {
    let Ok(hello) = link.send(Greet).await else {
        return Greeting::Stopped;
    };
    if end.sender.send(FromWorker::Hello(hello)).await.is_err() {
        return Greeting::NotMet;
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
                epoch,
                chain,
            };
            match link.send(connected).await {
                Ok(true) => Greeting::Met(end),
                Ok(false) => Greeting::NotMet,
                Err(_) => Greeting::Stopped,
            }
        }
        Ok(Some(FromMaster::Refused { reason })) => {
            error!(reason, "the master refuses this worker");
            // If the worker has stopped, only the state shown to operators is
            // missing.
            let _ = link.send(Refused(reason.clone())).await;
            Greeting::Refused(reason)
        }
        _ => Greeting::NotMet,
    }
}

async fn listen(end: &mut WorkerEnd, link: &Addr<MasterLink>) {
    let mut beat_at = Instant::now();
    let mut silent_at = Instant::now() + SILENCE;
    loop {
        tokio::select! {
            biased;
            message = end.receiver.recv() => {
                // Answered at once, because this thread and the master are
                // awake.
                if matches!(message, Some(FromMaster::Heartbeat(_))) {
                    beat_at = Instant::now();
                }
                match message {
                    None => return,
                    Some(FromMaster::Heartbeat(None)) => {}
                    Some(FromMaster::Stopping) => info!("the master stops"),
                    Some(message) => {
                        if link.send(MessageFromMaster(message)).await.is_err() {
                            return;
                        }
                    }
                }
                silent_at = Instant::now() + SILENCE;
            }
            () = sleep_until(beat_at) => {
                beat_at = Instant::now() + UNASKED;
                if !link.connected() {
                    return;
                }
                // A full channel holds messages that show life too.
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
