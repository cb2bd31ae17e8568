//! The terms of mastership of a process: it stands by, is the master, stops
//! being it, and stands by again.

use std::io;
use std::time::Duration;

use tokio::sync::watch;

use super::master_side::{Lost, MasterSide};
use super::parts::ProcessParts;
use super::readiness::ReadinessWatch;
use super::standing::StandingWatch;
use crate::actors::mastership::{EXCLUSIVE, Mastership, OPTIONS};
use crate::config::StoreChoice;
use crate::ingest::mq_inbox::Inbox;
use crate::invariants::{self, Epochs};
use crate::job::Epoch;
use crate::protocol::local::MeetingPoint;

/// Pause before a process that failed as a master stands again, so that a
/// standby gets its turn.
const AFTER_FAILURE: Duration = Duration::from_secs(3);

enum TermEnd {
    /// This process was told to stop.
    Stopping,
    /// It is no longer the master.
    Lost(String),
    /// It cannot work as a master.
    Failed(String),
}

/// What one term leaves to the next.
struct Past {
    /// No master has been seen since this process started.
    is_new: bool,
    /// Checks that each term is later than the previous one.
    seen: Epochs,
    /// The highest epoch that deposed this process. It is remembered here
    /// because the store may have forgotten it while workers have not.
    refused: Epoch,
}

/// Is master or standby until `stopping` turns true.
/// # Errors
/// When the first master since the start of the process cannot work: somebody
/// has to change a setting. Later masters wait and stand again, because the
/// obstacle may go away by itself (a port that is still held, a certificate
/// that is being replaced).
pub async fn serve(
    parts: &ProcessParts,
    readiness: &ReadinessWatch,
    inbox: &Option<Inbox>,
    place: Option<MeetingPoint>,
    standing: StandingWatch,
    mut stopping: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut past = Past {
        is_new: true,
        seen: Epochs::default(),
        refused: Epoch::default(),
    };
    loop {
        let ended = term(
            parts,
            readiness,
            inbox,
            place.clone(),
            &standing,
            &mut past,
            &mut stopping,
        );
        let ended = ended.await?;
        past.is_new = false;
        match ended {
            TermEnd::Stopping => return Ok(()),
            TermEnd::Lost(reason) => {
                tracing::warn!(reason, "no longer the master: standing by");
            }
            TermEnd::Failed(reason) => {
                tracing::error!(reason, "no longer the master: standing by");
                tokio::select! {
                    () = tokio::time::sleep(AFTER_FAILURE) => {}
                    () = told(&mut stopping) => return Ok(()),
                }
            }
        }
    }
}

async fn told(stopping: &mut watch::Receiver<bool>) {
    // A closed channel means a stop too.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// From standby to the end of the term that follows.
async fn term(
    parts: &ProcessParts,
    readiness: &ReadinessWatch,
    inbox: &Option<Inbox>,
    place: Option<MeetingPoint>,
    standing: &StandingWatch,
    past: &mut Past,
    stopping: &mut watch::Receiver<bool>,
) -> io::Result<TermEnd> {
    let master_id = format!("{}-{}", parts.config.node_id, uuid::Uuid::new_v4());
    let options = match parts.config.store {
        StoreChoice::Embedded => EXCLUSIVE,
        StoreChoice::Redis => OPTIONS,
    };
    let store = parts.store.clone();
    let mastership = Mastership::stand(store, master_id.clone(), options, past.refused);
    standing.follow(mastership.standing());
    let election = async {
        past.is_new &= !mastership.has_rival().await;
        mastership.elected().await
    };
    let elected = tokio::select! {
        elected = election => elected,
        () = told(stopping) => {
            mastership.end().await;
            return Ok(TermEnd::Stopping);
        }
    };
    let Some(term) = elected else {
        return Ok(TermEnd::Lost(mastership.lost().await));
    };
    if let Some(violation) = past.seen.begins(term.epoch()) {
        invariants::report(&violation);
    }
    let started = MasterSide::start(parts, readiness, inbox, &term, master_id, place);
    let mut side = match started.await {
        Ok(side) => side,
        Err(error) => {
            mastership.end().await;
            return match past.is_new {
                true => Err(error),
                false => Ok(TermEnd::Failed(error.to_string())),
            };
        }
    };
    let end = tokio::select! {
        reason = mastership.lost() => TermEnd::Lost(reason),
        lost = side.lost() => match lost {
            Lost::Deposed(epoch) => {
                mastership.refused(epoch);
                past.refused = past.refused.max(epoch);
                TermEnd::Lost(format!("a later master exists (epoch {})", epoch.0))
            }
            Lost::Refused => TermEnd::Lost("a later master exists".to_owned()),
            Lost::Failed(reason) => TermEnd::Failed(reason),
        },
        () = told(stopping) => TermEnd::Stopping,
    };
    if !matches!(end, TermEnd::Stopping) {
        term.end();
    }
    side.hand_over().await;
    mastership.end().await;
    side.stop().await;
    Ok(end)
}
