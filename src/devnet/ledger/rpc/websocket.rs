//! One WebSocket: calls one after the other, new blocks for its subscriptions,
//! a ping every 27 s (spec/ledger.md 1.1, 1.5).
//!
//! A subscription remembers the height it wants next and reads the blocks from
//! the chain, so that a slow client delays only itself and misses nothing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::arguments::Arguments;
use super::methods::{self, Failure, Request};
use super::{MAX_REQUEST_BYTES, shapes};
use crate::devnet::ledger::Shared;

const PING_INTERVAL: Duration = Duration::from_secs(27);
/// Bytes read at once; the library fills so many with zeros before each read.
const READ_BUFFER: usize = 16 * 1024;
/// CometBFT's limit for one client.
const MAX_SUBSCRIPTIONS: usize = 5;
/// A client that takes nothing for so long is given up.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// Who wants new blocks.
struct Subscription {
    id: Value,
    query: String,
    next_height: i64,
}

struct Connection {
    shared: Arc<Shared>,
    socket: WebSocketStream<TokioIo<Upgraded>>,
    subscriptions: Vec<Subscription>,
}

/// Serves an upgraded connection until it ends.
pub async fn run(shared: Arc<Shared>, upgrade: OnUpgrade) {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            tracing::debug!(%error, "upgrade to WebSocket failed");
            return;
        }
    };
    let configuration = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(MAX_REQUEST_BYTES))
        .max_frame_size(Some(MAX_REQUEST_BYTES));
    let stream = TokioIo::new(upgraded);
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(configuration)).await;
    let heights = shared.height.subscribe();
    let mut connection = Connection {
        shared,
        socket,
        subscriptions: Vec::new(),
    };
    if let Err(error) = connection.serve(heights).await {
        tracing::debug!(%error, "WebSocket ended");
    }
}

impl Connection {
    async fn serve(&mut self, mut heights: watch::Receiver<i64>) -> Result<(), Error> {
        let mut pings = tokio::time::interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = self.socket.next() => match message {
                    None => return Ok(()),
                    Some(message) => self.receive(message?).await?,
                },
                changed = heights.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    self.send_new_blocks().await?;
                }
                _ = pings.tick() => self.send(Message::Ping(Bytes::new())).await?,
            }
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Error> {
        match tokio::time::timeout(SEND_TIMEOUT, self.socket.send(message)).await {
            Ok(sent) => sent,
            Err(_) => Err(Error::ConnectionClosed),
        }
    }

    async fn receive(&mut self, message: Message) -> Result<(), Error> {
        let text = match &message {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes.as_ref(),
            // The library answers pings and closes.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {
                return Ok(());
            }
        };
        let reply = match Request::read(text) {
            Ok(request) => self.answer(request),
            Err(failure) => Some(methods::failed(&Value::Null, &failure)),
        };
        match reply {
            Some(reply) => self.send(Message::text(reply.to_string())).await,
            None => Ok(()),
        }
    }

    fn answer(&mut self, request: Request) -> Option<Value> {
        let result = match request.method.as_str() {
            "subscribe" => self.subscribe(&request),
            "unsubscribe" => self.unsubscribe(&request),
            "unsubscribe_all" => {
                self.subscriptions.clear();
                Ok(())
            }
            _ => return methods::answer(&self.shared, request),
        };
        let id = request.id?;
        Some(match result {
            Ok(()) => methods::success(&id, json!({})),
            Err(failure) => methods::failed(&id, &failure),
        })
    }

    fn subscribe(&mut self, request: &Request) -> Result<(), Failure> {
        let query = query_of(request)?;
        if self.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            let reason = format!("max_subscriptions_per_client {MAX_SUBSCRIPTIONS} reached");
            return Err(Failure::internal(reason));
        }
        if self.subscriptions.iter().any(|known| known.query == query) {
            return Err(Failure::internal("already subscribed"));
        }
        let next_height = self.shared.chain.read().height() + 1;
        self.subscriptions.push(Subscription {
            id: request.id.clone().unwrap_or_default(),
            query,
            next_height,
        });
        Ok(())
    }

    fn unsubscribe(&mut self, request: &Request) -> Result<(), Failure> {
        let query = query_of(request)?;
        let before = self.subscriptions.len();
        self.subscriptions.retain(|known| known.query != query);
        if self.subscriptions.len() == before {
            return Err(Failure::internal("subscription not found"));
        }
        Ok(())
    }

    async fn send_new_blocks(&mut self) -> Result<(), Error> {
        for index in 0..self.subscriptions.len() {
            while let Some(event) = self.next_event(index) {
                self.send(Message::text(event)).await?;
            }
        }
        Ok(())
    }

    fn next_event(&mut self, index: usize) -> Option<String> {
        let subscription = self.subscriptions.get_mut(index)?;
        let data = event_data(&self.shared, subscription.next_height)?;
        subscription.next_height += 1;
        Some(shapes::event(&subscription.id, &subscription.query, &data))
    }
}

/// What the event of a block says; of the newest block it is written once for
/// all subscriptions.
fn event_data(shared: &Shared, height: i64) -> Option<Arc<str>> {
    let mut newest = shared.newest_event.lock();
    if let Some((of, data)) = newest.as_ref()
        && *of == height
    {
        return Some(data.clone());
    }
    let chain = shared.chain.read();
    let block = chain.block(height)?;
    let data: Arc<str> = shapes::new_block(&chain, block).to_string().into();
    if newest.as_ref().is_none_or(|(of, _)| *of < height) {
        *newest = Some((height, data.clone()));
    }
    Some(data)
}

/// The query of a subscription: only that for new blocks is known.
fn query_of(request: &Request) -> Result<String, Failure> {
    let arguments = Arguments::from_json(request.params.clone())?;
    let query = arguments.text(0, "query")?;
    let without_blanks: String = query.split_whitespace().collect();
    if without_blanks == "tm.event='NewBlock'" {
        return Ok(query);
    }
    Err(Failure::internal(
        "only tm.event = 'NewBlock' can be subscribed to",
    ))
}
