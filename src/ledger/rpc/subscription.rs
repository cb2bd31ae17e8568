//! The socket on which the ledger announces new blocks (spec/ledger.md 1.5). A task
//! of its own reads it, so that pings are answered while the receiver works on a
//! block. It keeps the last few blocks that come meanwhile; the others are fetched
//! by height.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::Message;

use super::answers::{self, Announced};
use super::socket::{self, Socket};
use super::{RpcError, RpcOptions, envelope};

const ID: &str = "newBlock_event";
const QUERY: &str = "tm.event = 'NewBlock'";

/// Most announced blocks that are kept, and the bytes of their transactions
/// together. The newest is always kept.
const KEPT_BLOCKS: usize = 16;
const KEPT_BYTES: usize = 16 << 20;

/// What a subscription has shown so far.
#[derive(Debug, Clone, Default)]
pub struct Sighting {
    /// The last blocks announced, oldest first.
    pub blocks: VecDeque<Arc<Announced>>,
    /// Why it ended, if it has.
    pub ended: Option<String>,
}

impl Sighting {
    /// The newest block announced.
    pub fn newest(&self) -> Option<&Announced> {
        self.blocks.back().map(Arc::as_ref)
    }

    /// The block of this height, if it is kept.
    pub fn block(&self, height: u64) -> Option<&Announced> {
        let mut blocks = self.blocks.iter();
        let found = blocks.find(|block| block.body.height == height);
        found.map(Arc::as_ref)
    }

    fn add(&mut self, block: Announced) {
        self.blocks.push_back(Arc::new(block));
        let mut bytes: usize = self.blocks.iter().map(|block| size(block)).sum();
        while self.blocks.len() > 1 && (self.blocks.len() > KEPT_BLOCKS || bytes > KEPT_BYTES) {
            bytes -= self.blocks.pop_front().map_or(0, |oldest| size(&oldest));
        }
    }
}

fn size(block: &Announced) -> usize {
    block.body.transactions.iter().map(Vec::len).sum()
}

/// A subscription to new blocks. Dropping it closes its socket.
pub struct BlockSubscription {
    sightings: watch::Receiver<Sighting>,
    task: JoinHandle<()>,
}

impl BlockSubscription {
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

    /// News since the last call, if there is any.
    pub fn newest(&mut self) -> Option<Sighting> {
        let is_new = self.sightings.has_changed().unwrap_or_default();
        is_new.then(|| self.sightings.borrow_and_update().clone())
    }

    /// Waits for news.
    pub async fn changed(&mut self) -> Sighting {
        if self.sightings.changed().await.is_err() {
            let ended = Some("the reader of the subscription ended".to_owned());
            return Sighting {
                ended,
                ..Sighting::default()
            };
        }
        self.sightings.borrow_and_update().clone()
    }
}

impl Drop for BlockSubscription {
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
        match answers::announced(&event["data"]["value"]) {
            Ok(block) => sightings.send_modify(|sighting| sighting.add(block)),
            Err(error) => break error.to_string(),
        }
    };
    sightings.send_modify(|sighting| sighting.ended = Some(reason));
}

/// The next frame, if it answers the subscription; `None` for any other frame
/// (a ping shows that the ledger lives).
async fn next_answer(
    socket: &mut Socket,
    deadline: Instant,
) -> Result<Option<Result<Value, envelope::CallError>>, RpcError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::rpc::answers::BlockBody;

    fn block(height: u64, bytes: usize) -> Announced {
        let body = BlockBody {
            chain_id: "chain-a".to_owned(),
            height,
            mark: crate::ledger::Mark::default(),
            transactions: vec![vec![0; bytes]],
        };
        let results = None;
        Announced { body, results }
    }

    #[test]
    fn the_last_blocks_are_kept_within_their_limits() {
        let mut sighting = Sighting::default();
        let kept = |sighting: &Sighting| {
            let heights = sighting.blocks.iter().map(|block| block.body.height);
            heights.collect::<Vec<_>>()
        };
        for height in 1..=20 {
            sighting.add(block(height, 1));
        }
        assert_eq!(kept(&sighting), (5..=20).collect::<Vec<_>>());
        sighting.add(block(21, KEPT_BYTES - 2));
        assert_eq!(kept(&sighting), [19, 20, 21]);
        sighting.add(block(22, KEPT_BYTES + 1));
        assert_eq!(kept(&sighting), [22]);
    }
}
