//! Starts the message queue inbox of this process, whatever its mode.

use std::io;
use std::sync::Arc;

use tokio::sync::watch;

use super::notices;
use super::parts::ProcessParts;
use super::readiness::ReadinessWatch;
use super::worker_side::WorkerSide;
use crate::actors::master_link::LinkState;
use crate::config::Mode;
use crate::context::Role;
use crate::ingest::mq_inbox;
use crate::ingest::mq_inbox::{Duty, Inbox, MqInbox, OnAccepted};
use crate::messaging::opener::Opener;
use crate::mq::client::MqClient;

/// Starts the inbox beside the master's; `None` for NDID's node, which
/// gets no messages.
/// # Errors
/// When the certificates for the service are unusable, or the intake thread has
/// ended.
pub async fn start(
    parts: &ProcessParts,
    readiness: &ReadinessWatch,
    worker: Option<&WorkerSide>,
) -> io::Result<Option<Inbox>> {
    if parts.context.role == Role::Ndid {
        return Ok(None);
    }
    let of_client = parts.config.clone();
    let client = parts.intake.make(move || MqClient::new(&of_client)).await?;
    let config = &parts.config;
    let on_accepted: OnAccepted = match worker {
        Some(worker) => worker.announcer(),
        // A standby knows no dispatcher. The next master's dispatcher finds the
        // jobs.
        None => Arc::new(|_| {}),
    };
    let options = mq_inbox::Options {
        node_id: config.node_id.clone(),
        role: parts.context.role,
        binding_port: config.has_mq_address().then_some(config.mq.binding_port),
        store: parts.store.clone(),
        client: client.map_err(io::Error::other)?,
        queue: readiness.queue().clone(),
        on_accepted,
        opener: Opener::new(parts.context.clone()),
    };
    // Messages are foreign.
    let inbox = parts.intake.make(|| MqInbox::launch(options)).await?;
    let state = inbox.state();
    readiness.watch("messages", move || notices::of_inbox(&state));
    if let Some(worker) = worker
        && config.mode == Mode::Worker
    {
        tokio::spawn(follow_master(inbox.clone(), worker.link_state()));
    }
    Ok(Some(inbox))
}

/// Tells a worker's inbox whether a master is there to store messages.
async fn follow_master(inbox: Inbox, mut link: watch::Receiver<LinkState>) {
    let mut was_connected = None;
    loop {
        let is_connected = link.borrow_and_update().connected;
        if was_connected.replace(is_connected) != Some(is_connected) {
            inbox.take(match is_connected {
                true => Duty::Second,
                false => Duty::Alone,
            });
        }
        if link.changed().await.is_err() {
            break;
        }
    }
}
