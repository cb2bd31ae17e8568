//! One term of mastership after the other: standing by, being the master,
//! stopping that, and standing by again in the same process.

use std::io;
use std::time::Duration;

use tokio::sync::watch;

use super::master_side::{Lost, MasterSide};
use super::parts::Parts;
use super::readiness::ReadinessWatch;
use super::standing::StandingWatch;
use crate::actors::mastership::{Mastership, OPTIONS, core};
use crate::cluster::local::Place;
use crate::config::StoreChoice;
use crate::invariants::{self, Epochs};

/// Pause before a process that failed as a master stands again: whoever stands
/// by is to have its turn.
const AFTER_FAILURE: Duration = Duration::from_secs(3);

/// How a term ended.
enum End {
    /// This process is told to stop.
    Stopping,
    /// It is the master no more.
    Lost(String),
    /// It cannot work as a master.
    Failed(String),
}

/// Is master or standby until `stopping` turns true.
///
/// # Errors
/// When it is the master and cannot start to work as one.
pub async fn serve(
    parts: &Parts,
    readiness: &ReadinessWatch,
    place: Option<Place>,
    standing: StandingWatch,
    mut stopping: watch::Receiver<bool>,
) -> io::Result<()> {
    // Looks on, and tells if a term is not later than the one before.
    let mut seen = Epochs::default();
    loop {
        let ended = term(
            parts,
            readiness,
            place.clone(),
            &standing,
            &mut seen,
            &mut stopping,
        );
        match ended.await? {
            End::Stopping => return Ok(()),
            End::Lost(reason) => {
                tracing::warn!(reason, "no longer the master: standing by");
            }
            End::Failed(reason) => {
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
    // Whoever could tell is gone: that is a stop as well.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// From standing by to the end of the term that follows.
async fn term(
    parts: &Parts,
    readiness: &ReadinessWatch,
    place: Option<Place>,
    standing: &StandingWatch,
    seen: &mut Epochs,
    stopping: &mut watch::Receiver<bool>,
) -> io::Result<End> {
    let master_id = format!("{}-{}", parts.config.node_id, uuid::Uuid::new_v4());
    let options = core::Options {
        exclusive: parts.config.store == StoreChoice::Embedded,
        ..OPTIONS
    };
    let mastership = Mastership::stand(parts.store.clone(), master_id.clone(), options);
    standing.follow(mastership.standing());
    let elected = tokio::select! {
        elected = mastership.elected() => elected,
        () = told(stopping) => {
            mastership.end().await;
            return Ok(End::Stopping);
        }
    };
    let Some(term) = elected else {
        return Ok(End::Lost(mastership.lost().await));
    };
    if let Some(violation) = seen.begins(term.epoch()) {
        invariants::report(&violation);
    }
    let mut side = match MasterSide::start(parts, readiness, &term, master_id, place).await {
        Ok(side) => side,
        Err(error) => {
            mastership.end().await;
            return Err(error);
        }
    };
    let end = tokio::select! {
        reason = mastership.lost() => End::Lost(reason),
        lost = side.lost() => match lost {
            Lost::Deposed(epoch) => {
                mastership.refused(epoch);
                End::Lost(format!("a later master exists (epoch {})", epoch.0))
            }
            Lost::Failed(reason) => End::Failed(reason),
        },
        () = told(stopping) => End::Stopping,
    };
    if !matches!(end, End::Stopping) {
        term.end();
    }
    side.hand_over().await;
    mastership.end().await;
    side.stop().await;
    Ok(end)
}
