//! Takes messages from the queue: stores each as a job, mostly that of its
//! role, then acknowledges it (spec/messaging-and-crypto.md 2).
//!
//! The service hands each message to every subscriber and drops it if nobody takes
//! it; its sender repeats it after a minute. So every process of a node has an inbox
//! while it runs, in every [`Duty`]: the master stores messages at once; the others
//! keep them for a moment, ask the store whether it has them, and store those it
//! does not have. The source makes one job of a message, however many processes
//! store it.
//!
//! - [`subscription`] keeps the subscription open.
//! - [`kept`] holds messages that are not known to be stored.
//! - [`storing`] stores and acknowledges them.
//!
//! A message is acknowledged only when it is safely stored. A repeated one is
//! acknowledged again, because its sender repeats it until it gets an
//! acknowledgement.

mod kept;
mod storing;
mod subscription;
#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use self::kept::KeptMessages;
use self::storing::Storer;
use self::subscription::Reader;
use crate::actors::mastership::monotonic_now;
use crate::admission::QueueLimit;
use crate::context::Role;
use crate::job::{Job, Millis};
use crate::messaging::opener::Opener;
use crate::mq::client::MqClient;
use crate::store::SharedStore;

/// Pause after a panic.
const AFTER_DEFECT: Duration = Duration::from_secs(1);
/// How long a stopping inbox may store and acknowledge its messages.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// The inbox's relation to its service, for readiness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboxState {
    /// Nothing is received.
    Connecting {
        /// Why the last try failed; empty at first.
        reason: String,
    },
    /// The service belongs to another node; nothing is received.
    NodeIdMismatch {
        found: String,
    },
    /// Messages are received.
    Ready,
    Stopped,
}

/// Hands accepted jobs to the dispatcher.
pub type OnAccepted = Arc<dyn Fn(Vec<Job>) + Send + Sync>;

/// What this process does with messages.
#[derive(Clone)]
pub enum Duty {
    /// As the master, stores them at once and tells this dispatcher.
    First(OnAccepted),
    /// Checks a moment later whether they were stored, and stores those that
    /// were not.
    Second,
    /// The same at once, because it sees no master.
    Alone,
}

/// A duty, and since when.
#[derive(Clone)]
struct DutySince {
    duty: Duty,
    since: Millis,
}

#[derive(Clone)]
pub struct Options {
    /// This node's id.
    pub node_id: String,
    /// Its `error_url` hears of errors of the queue.
    pub role: Role,
    /// `MQ_BINDING_PORT`, to compare with the service's; `None` if this process
    /// does not have it.
    pub binding_port: Option<u16>,
    pub store: SharedStore,
    pub client: MqClient,
    /// Messages wait while this has no room.
    pub queue: Arc<QueueLimit>,
    /// Hears of accepted jobs while this process is not the master.
    pub on_accepted: OnAccepted,
    /// Opens messages before they are stored. Without it they are stored as
    /// they came.
    pub opener: Option<Opener>,
}

/// What the reader and the storer of one inbox share.
struct Shared {
    options: Options,
    state: watch::Sender<InboxState>,
    standing: watch::Receiver<DutySince>,
    kept: Mutex<KeptMessages>,
    /// A message has come.
    came: Notify,
    /// A message was settled.
    left: Notify,
}

impl Shared {
    fn is_first(&self) -> bool {
        matches!(self.standing.borrow().duty, Duty::First(_))
    }
}

/// The actor: runs reader and storer, and stops them.
pub struct MqInbox {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

/// A handle on a process' inbox.
#[derive(Clone)]
pub struct Inbox {
    actor: Addr<MqInbox>,
    standing: Arc<watch::Sender<DutySince>>,
    state: watch::Receiver<InboxState>,
    #[cfg(test)]
    shared: Arc<Shared>,
}

impl Inbox {
    /// Sets its duty. It begins with [`Duty::Second`].
    pub fn take(&self, duty: Duty) {
        let since = monotonic_now();
        self.standing.send_replace(DutySince { duty, since });
    }

    /// Stores messages at once while the guard lives.
    pub fn lead(&self, on_accepted: OnAccepted) -> Lead {
        self.take(Duty::First(on_accepted));
        Lead(self.clone())
    }

    /// The current state and its changes.
    pub fn state(&self) -> watch::Receiver<InboxState> {
        self.state.clone()
    }

    /// Stops receiving, and stores and acknowledges the remaining messages if
    /// that can be done at once.
    pub async fn stop(&self) {
        // An error means that it has stopped already.
        let _ = tokio::time::timeout(STOP_PATIENCE, self.actor.send(Stop)).await;
    }
}

/// Makes the inbox second again when dropped.
pub struct Lead(Inbox);

impl Drop for Lead {
    fn drop(&mut self) {
        self.0.take(Duty::Second);
    }
}

impl MqInbox {
    /// Starts it in the current arbiter.
    pub fn launch(options: Options) -> Inbox {
        let (state, told) = watch::channel(InboxState::Connecting {
            reason: String::new(),
        });
        let (standing, duty) = watch::channel(DutySince {
            duty: Duty::Second,
            since: monotonic_now(),
        });
        let shared = Shared {
            options,
            state,
            standing: duty,
            kept: Mutex::default(),
            came: Notify::new(),
            left: Notify::new(),
        };
        let inbox = Self {
            shared: Arc::new(shared),
            stop: watch::Sender::new(false),
            task: None,
        };
        Inbox {
            #[cfg(test)]
            shared: inbox.shared.clone(),
            actor: inbox.start(),
            standing: Arc::new(standing),
            state: told,
        }
    }
}

impl Actor for MqInbox {
    type Context = actix::Context<Self>;

    fn started(&mut self, _context: &mut Self::Context) {
        let running = run(self.shared.clone(), self.stop.subscribe());
        self.task = Some(tokio::spawn(running));
    }

    fn stopping(&mut self, _context: &mut Self::Context) -> Running {
        self.stop.send_replace(true);
        Running::Stop
    }
}

/// Stops receiving. Answered when the remaining messages are stored and
/// acknowledged, or cannot be.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Stop;

impl Handler<Stop> for MqInbox {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _stop: Stop, _context: &mut Self::Context) -> Self::Result {
        self.stop.send_replace(true);
        let task = self.task.take();
        let ended = async move {
            if let Some(Err(error)) = futures_util::future::OptionFuture::from(task).await {
                tracing::error!(%error, "the message queue inbox ended unexpectedly");
            }
        };
        Box::pin(ended.into_actor(self).map(|(), _, context| context.stop()))
    }
}

/// Receives and stores until asked to stop, also after a defect: the process
/// would otherwise look like one whose node gets no messages.
async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let told = Told(shared.clone());
    loop {
        let reader = Reader::new(shared.clone(), stop.clone());
        let storer = Storer::new(shared.clone(), stop.clone());
        let both = async { tokio::join!(reader.run(), storer.run()) };
        // Its messages are dropped below.
        if AssertUnwindSafe(both).catch_unwind().await.is_ok() {
            break;
        }
        tracing::error!("the message queue inbox panicked; messages it had come again");
        *shared.kept.lock() = KeptMessages::default();
        shared.state.send_replace(InboxState::Connecting {
            reason: "a defect".to_owned(),
        });
        tokio::select! {
            () = tokio::time::sleep(AFTER_DEFECT) => {}
            () = stopped(&mut stop) => break,
        }
    }
    drop(told);
}

/// Tells watchers however it ends.
struct Told(Arc<Shared>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.state.send_replace(InboxState::Stopped);
    }
}

/// Resolves when asked to stop, or when the actor is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopped| *stopped).await;
}
