//! The socket on which the ledger announces new blocks (spec/ledger.md 1.5).
//! A task of its own reads it, so that pings are answered however long the
//! receiver works on a block; of several blocks only the newest is kept, since
//! blocks are fetched by height anyway.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::Message;

use super::answers::{BlockBody, block_body};
use super::socket::{self, Socket};
use super::{RpcError, RpcOptions, envelope};

const ID: &str = "newBlock_event";
const QUERY: &str = "tm.event = 'NewBlock'";

/// What a subscription has shown so far.
#[derive(Debug, Clone, Default)]
pub struct Sighting {
    /// The newest block announced.
    pub newest: Option<Arc<BlockBody>>,
    /// Why it ended, if it has.
    pub ended: Option<String>,
}

/// A live subscription to new blocks. Its socket closes when it is dropped.
pub struct Subscription {
    sightings: watch::Receiver<Sighting>,
    task: JoinHandle<()>,
}

impl Subscription {
    /// Connects, subscribes and waits for the acknowledgement.
    ///
    /// # Errors
    /// When the ledger cannot be reached or refuses.
    pub async fn open(options: &RpcOptions) -> Result<Self, RpcError> {
        let deadline = Instant::now() + options.call_timeout;
        let mut socket = socket::open(options).await?;
        let text = envelope::request(ID, "subscribe", &json!([QUERY]));
        match timeout_at(deadline, socket.send(Message::text(text))).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(RpcError::Closed(error.to_string())),
            Err(_) => return Err(RpcError::Timeout(options.call_timeout)),
        }
        loop {
            match next_answer(&mut socket, deadline).await? {
                Some(Ok(_)) => break,
                Some(Err(failure)) => return Err(("subscribe", failure).into()),
                None => {}
            }
        }
        let (sender, sightings) = watch::channel(Sighting::default());
        let task = tokio::spawn(read(socket, sender, options.clone()));
        Ok(Self { sightings, task })
    }

    /// Waits for something not seen before.
    pub async fn changed(&mut self) -> Sighting {
        if self.sightings.changed().await.is_err() {
            let ended = Some("the reader of the subscription ended".to_owned());
            return Sighting {
                newest: None,
                ended,
            };
        }
        self.sightings.borrow_and_update().clone()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(mut socket: Socket, sightings: watch::Sender<Sighting>, options: RpcOptions) {
    let reason = loop {
        let deadline = Instant::now() + options.silence_limit;
        let event = match next_answer(&mut socket, deadline).await {
            Ok(Some(Ok(event))) => event,
            Ok(Some(Err(failure))) => break format!("{}: {}", failure.message, failure.data),
            Ok(None) => continue,
            Err(error) => break error.to_string(),
        };
        match new_block(&event) {
            Ok(block) => {
                sightings.send_modify(|sighting| sighting.newest = Some(Arc::new(block)));
            }
            Err(error) => break error.to_string(),
        }
    };
    sightings.send_modify(|sighting| sighting.ended = Some(reason));
}

/// The next frame if it answers the subscription; `None` for any other frame
/// (a ping shows that the ledger lives).
async fn next_answer(
    socket: &mut Socket,
    deadline: Instant,
) -> Result<Option<Result<Value, envelope::Failure>>, RpcError> {
    let message = match timeout_at(deadline, socket.next()).await {
        Ok(Some(Ok(message))) => message,
        Ok(Some(Err(error))) => return Err(RpcError::Closed(error.to_string())),
        Ok(None) => return Err(RpcError::Closed("by the ledger".to_owned())),
        Err(_) => return Err(RpcError::Closed("silent for too long".to_owned())),
    };
    let Message::Text(text) = message else {
        return Ok(None);
    };
    let answer = envelope::answer(text.as_str())
        .ok_or_else(|| RpcError::malformed("subscribe", "not JSON-RPC"))?;
    // Versions before 0.33 add `#event` to the id.
    let ours = answer.id == ID || answer.id.strip_suffix("#event") == Some(ID);
    Ok(ours.then_some(answer.outcome))
}

fn new_block(event: &Value) -> Result<BlockBody, RpcError> {
    block_body("subscribe", &event["data"]["value"]["block"])
}
