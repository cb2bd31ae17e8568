//! Takes messages from the queue: stores each one as a job, mostly that of the
//! role it is for, then acknowledges it (spec/messaging-and-crypto.md 2).
//!
//! The service hands each message to every subscriber, and drops what nobody
//! takes: it comes again when its sender repeats it, after a minute. So every
//! process of a node has an inbox for as long as it runs, whatever it is to its
//! node meanwhile ([`Duty`]): the master stores at once; the others keep what
//! came for a moment, ask the store whether it is known, and store what is not.
//! A message's source makes one job of it, whoever stores it.
//!
//! - [`subscription`]: keeps the subscription open;
//! - [`kept`]: what came and is not known to be stored;
//! - [`storing`]: takes it from there to the store, and acknowledges it.
//!
//! A message is acknowledged only when it is safely stored, and a repeated one
//! is acknowledged again, because its sender repeats itself for as long as it
//! has no acknowledgement.

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
/// How long a stopping inbox may store and acknowledge what it has.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// Where the inbox stands with its service, for readiness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboxState {
    /// Nothing is received, with the reason of the last failure.
    Connecting {
        /// Why the last try ended; empty at first.
        reason: String,
    },
    /// The service belongs to another node; nothing is received.
    NodeIdMismatch {
        /// The service's node id.
        found: String,
    },
    /// Messages are received.
    Ready,
    /// Stopped.
    Stopped,
}

/// Hands accepted jobs to the dispatcher.
pub type OnAccepted = Arc<dyn Fn(Vec<Job>) + Send + Sync>;

/// What this process does with a message.
#[derive(Clone)]
pub enum Duty {
    /// Stores it at once, and tells this dispatcher: it is the master.
    First(OnAccepted),
    /// Looks a moment later whether it was stored, and stores it if not.
    Second,
    /// The same at once: it sees no master.
    Alone,
}

/// A duty, and since when it is so.
#[derive(Clone)]
struct DutySince {
    duty: Duty,
    since: Millis,
}

/// What the inbox works with.
#[derive(Clone)]
pub struct Options {
    /// This node's id.
    pub node_id: String,
    /// This node's role, whose `error_url` hears of errors of the queue.
    pub role: Role,
    /// `MQ_BINDING_PORT`, compared with the service's; `None` where this process
    /// is not told it.
    pub binding_port: Option<u16>,
    /// Where jobs go.
    pub store: SharedStore,
    /// The message queue service.
    pub client: MqClient,
    /// Messages wait while it has no room.
    pub queue: Arc<QueueLimit>,
    /// Who hears of accepted jobs while this process is not the master.
    pub on_accepted: OnAccepted,
    /// Opens messages before they are stored; without it they are stored as they
    /// came.
    pub opener: Option<Opener>,
}

/// What the reader and the storer of one inbox share.
struct Shared {
    options: Options,
    state: watch::Sender<InboxState>,
    standing: watch::Receiver<DutySince>,
    kept: Mutex<KeptMessages>,
    /// Something has come.
    came: Notify,
    /// Something was settled.
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
    /// Gives it another duty; it begins with [`Duty::Second`].
    pub fn take(&self, duty: Duty) {
        let since = monotonic_now();
        self.standing.send_replace(DutySince { duty, since });
    }

    /// Stores at once for as long as the guard lives.
    pub fn lead(&self, on_accepted: OnAccepted) -> Lead {
        self.take(Duty::First(on_accepted));
        Lead(self.clone())
    }

    /// Where it stands with its service; changes are announced.
    pub fn state(&self) -> watch::Receiver<InboxState> {
        self.state.clone()
    }

    /// Receives nothing more, and stores and acknowledges what it has, if that
    /// can be done at once.
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

/// Stops receiving. Answered when what came is stored and acknowledged, or
/// cannot be.
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

/// Receives and stores until asked to stop, also after a defect: a process that
/// takes no messages would look like one whose node has none.
async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let told = Told(shared.clone());
    loop {
        let reader = Reader::new(shared.clone(), stop.clone());
        let storer = Storer::new(shared.clone(), stop.clone());
        let both = async { tokio::join!(reader.run(), storer.run()) };
        // What it had is dropped below.
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

/// However it ends, whoever watches is told.
struct Told(Arc<Shared>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.state.send_replace(InboxState::Stopped);
    }
}

/// Completes when asked to stop, or when the actor is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopped| *stopped).await;
}
