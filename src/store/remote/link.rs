//! The worker's end of the stream: kept open by a task, and opened again for
//! ever when it breaks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use super::MESSAGE_BYTES;
use crate::proto::cluster::cluster_client::ClusterClient;
use crate::proto::cluster::{StoreCall, StoreReply};

/// Calls that wait to be written to the stream.
const QUEUED_CALLS: usize = 64;
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);
/// A stream on which calls are open and nothing arrives for so long is dead.
const SILENCE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// An open stream.
#[derive(Clone)]
pub(super) struct Link {
    /// To the master.
    pub calls: mpsc::Sender<StoreCall>,
    /// Who waits for which answer.
    pub waiting: Arc<Waiting>,
}

/// The calls without an answer; `None` once the stream has ended.
pub(super) struct Waiting(Mutex<Option<HashMap<u64, oneshot::Sender<StoreReply>>>>);

impl Waiting {
    /// Registers a call. The receiver fails when the stream ends, at once if
    /// it has.
    pub fn register(&self, id: u64) -> oneshot::Receiver<StoreReply> {
        let (caller, answer) = oneshot::channel();
        if let Some(waiting) = self.0.lock().as_mut() {
            waiting.insert(id, caller);
        }
        answer
    }

    /// Forgets a call whose caller has given up.
    pub fn forget(&self, id: u64) {
        if let Some(waiting) = self.0.lock().as_mut() {
            waiting.remove(&id);
        }
    }

    fn deliver(&self, reply: StoreReply) {
        let caller = self.0.lock().as_mut().and_then(|map| map.remove(&reply.id));
        if let Some(caller) = caller {
            // A caller that has gone away does not want the answer.
            let _ = caller.send(reply);
        }
    }

    fn is_empty(&self) -> bool {
        self.0.lock().as_ref().is_none_or(HashMap::is_empty)
    }

    fn end(&self) {
        *self.0.lock() = None;
    }
}

/// Keeps a stream open until nobody looks at `current` any more.
pub(super) async fn keep_open(channel: Channel, current: watch::Sender<Option<Link>>) {
    let client = ClusterClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    let mut pause = FIRST_PAUSE;
    loop {
        let opened = tokio::select! {
            opened = timeout(OPEN_TIMEOUT, open(client.clone())) => opened,
            () = current.closed() => return,
        };
        match opened {
            Ok(Ok((link, replies))) => {
                pause = FIRST_PAUSE;
                let waiting = Arc::clone(&link.waiting);
                current.send_replace(Some(link));
                let why = tokio::select! {
                    why = receive(replies, &waiting) => why,
                    () = current.closed() => return,
                };
                current.send_replace(None);
                waiting.end();
                tracing::warn!(why, "lost the master's store");
            }
            Ok(Err(status)) => tracing::debug!(%status, "the master's store is not there"),
            Err(_) => tracing::debug!("the master's store does not answer"),
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = current.closed() => return,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn open(
    mut client: ClusterClient<Channel>,
) -> Result<(Link, Streaming<StoreReply>), tonic::Status> {
    let (calls, outgoing) = mpsc::channel(QUEUED_CALLS);
    let replies = client.store(ReceiverStream::new(outgoing)).await?;
    let waiting = Arc::new(Waiting(Mutex::new(Some(HashMap::new()))));
    Ok((Link { calls, waiting }, replies.into_inner()))
}

/// Delivers answers until the stream ends; returns why it did.
async fn receive(mut replies: Streaming<StoreReply>, waiting: &Waiting) -> String {
    loop {
        let idle = waiting.is_empty();
        match timeout(SILENCE, replies.message()).await {
            Ok(Ok(Some(reply))) => waiting.deliver(reply),
            Ok(Ok(None)) => return "the master ended the stream".to_owned(),
            Ok(Err(status)) => return status.to_string(),
            Err(_) if idle => {}
            Err(_) => return "no answer any more".to_owned(),
        }
    }
}
