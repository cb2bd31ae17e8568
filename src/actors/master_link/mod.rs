//! A worker's side of the connection to its master. As the core decides, it
//! hands jobs to request handlers and messages to the connection. It outlives
//! every connection.

pub mod core;
#[cfg(test)]
mod core_tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;
use tokio::sync::{mpsc, watch};

use crate::invariants::{self, Epochs};
use crate::job::{Attempt, Epoch, Job, JobId, Pool};
use crate::protocol::Backlog;
use crate::protocol::message::{
    AttemptOutcome, Chain, FromMaster, FromWorker, Hello, light_together,
};
use crate::pulse;

pub use self::core::WorkerIdentity;
use self::core::{Action, Core, Event};
use super::request_handler::{Handle, RequestHandler, Ticket};

/// Most messages that wait for the link; request handlers wait when it is full.
const MAILBOX: usize = 1024;

/// The connection to the master, as the rest of the worker sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkState {
    /// A master has accepted this worker.
    pub connected: bool,
    /// Empty before the first master.
    pub master_id: String,
    pub epoch: Epoch,
    /// Why the last master refused this worker.
    pub refused: Option<String>,
    /// Since when there has been no master.
    pub alone_since: Option<Instant>,
    /// Where masters were looked for, and why none was found.
    pub not_found: Option<String>,
    /// The last news of the ledger.
    pub chain: Chain,
}

/// Shows whether this process has a master.
fn note_known(is_known: bool) {
    metrics::gauge!("erawan_master_known").set(f64::from(u8::from(is_known)));
}

/// Hears news of the ledger, in order, before any job that depends on it runs.
/// It must be quick, because jobs wait for it.
pub trait ChainHook: Send + Sync {
    fn chain_changed(&self, chain: &Chain);

    /// The master tells how much of the node's work is open.
    fn backlog_told(&self, _: Backlog) {}

    /// Calls of this process have been answered.
    fn calls_answered(&self, _: &[JobId]) {}
}

/// Does nothing.
impl ChainHook for () {
    fn chain_changed(&self, _: &Chain) {}
}

/// A connection begins. The answer is [`Core::greet`].
#[derive(Debug, Message)]
#[rtype(result = "Hello")]
pub struct Greet;

/// The master has accepted this worker. The answer is false if this worker has
/// seen a later master: the connection must end then.
#[derive(Debug, Message)]
#[rtype(result = "bool")]
pub struct Connected {
    pub sender: mpsc::Sender<FromWorker>,
    pub master_id: String,
    pub epoch: Epoch,
    /// What the master knows of the ledger.
    pub chain: Chain,
}

/// Why the master has refused this worker.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Refused(pub String);

/// Where masters were looked for, and why none was found.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct NotFound(pub String);

#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct MessageFromMaster(pub FromMaster);

/// The connection is lost.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Disconnected;

/// A request handler has finished an attempt.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Finished(pub AttemptOutcome);

/// Why a request handler cannot say how an attempt ended: whatever runs jobs is
/// broken, not the job.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Broken(pub String);

/// Jobs this worker accepted into the store.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Announce(pub Vec<Job>);

/// Stops taking jobs and hands back those that have not begun.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct DrainWorker;

/// All handlers were stopped.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct HandlersStopped;

/// Sends what waits. The link sends this to itself, behind everything in the
/// mailbox, so that outcomes that arrive together are reported together.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Flush;

#[derive(Debug, Message)]
#[rtype(result = "Rest")]
pub struct GetRest;

/// What is left to do before the worker can stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, MessageResponse)]
pub struct Rest {
    /// Attempts that run.
    pub running: usize,
    /// Ended attempts and messages that have not been sent.
    pub unsent: usize,
    pub is_connected: bool,
}

impl Rest {
    /// Whether nothing is left to report, or nobody to report it to. The store
    /// knows everything, and the next master asks the store.
    pub fn is_reported(self) -> bool {
        self.unsent == 0 || !self.is_connected
    }
}

/// The handlers of one pool and their jobs.
struct Handlers {
    handlers: Vec<(Addr<RequestHandler>, usize)>,
    /// By key: the handler that has its jobs, and how many.
    keys: HashMap<String, (usize, usize)>,
}

impl Handlers {
    fn new(handlers: Vec<Addr<RequestHandler>>) -> Self {
        Self {
            handlers: handlers.into_iter().map(|address| (address, 0)).collect(),
            keys: HashMap::new(),
        }
    }

    /// Gives a job to the handler that has its key, otherwise to the one with
    /// the fewest jobs. `None` if that handler is full.
    fn give(&mut self, job: Arc<Job>) -> Option<Ticket> {
        let idle = || (0..self.handlers.len()).min_by_key(|index| self.handlers[*index].1);
        let with_key = self.keys.get(job.key()).map(|(index, _)| *index);
        let index = with_key.or_else(idle)?;
        let key = job.key().to_owned();
        let (address, count) = &mut self.handlers[index];
        let ticket = Ticket::default();
        let handle = Handle {
            job,
            ticket: ticket.clone(),
        };
        address.try_send(handle).ok()?;
        *count += 1;
        self.keys.entry(key).or_insert((index, 0)).1 += 1;
        Some(ticket)
    }

    fn done(&mut self, key: &str) {
        if let Some((index, count)) = self.keys.get_mut(key) {
            self.handlers[*index].1 -= 1;
            *count -= 1;
            if *count == 0 {
                self.keys.remove(key);
            }
        }
    }
}

/// A job and the handler that has it.
struct Given {
    job: Arc<Job>,
    ticket: Ticket,
}

pub struct MasterLink {
    core: Core,
    /// The masters that this worker has followed.
    seen: Epochs,
    run: Handlers,
    delivery: Handlers,
    given: HashMap<(JobId, u32), Given>,
    sender: Option<mpsc::Sender<FromWorker>>,
    is_waiting: bool,
    is_flush_planned: bool,
    /// Which connection `is_waiting` belongs to.
    connection: u64,
    state: watch::Sender<LinkState>,
    hook: Arc<dyn ChainHook>,
}

impl MasterLink {
    pub fn new(
        identity: WorkerIdentity,
        run: Vec<Addr<RequestHandler>>,
        delivery: Vec<Addr<RequestHandler>>,
        state: watch::Sender<LinkState>,
        hook: Arc<dyn ChainHook>,
    ) -> Self {
        state.send_modify(|state| state.alone_since = Some(Instant::now()));
        note_known(false);
        Self {
            core: Core::new(identity),
            seen: Epochs::default(),
            run: Handlers::new(run),
            delivery: Handlers::new(delivery),
            given: HashMap::new(),
            sender: None,
            is_waiting: false,
            is_flush_planned: false,
            connection: 0,
            state,
            hook,
        }
    }

    fn handlers(&mut self, pool: Pool) -> &mut Handlers {
        match pool {
            Pool::Run => &mut self.run,
            Pool::Delivery => &mut self.delivery,
        }
    }

    /// Returns false if the worker must leave the master.
    fn happen(&mut self, event: Event) -> bool {
        let mut is_welcome = true;
        for action in self.core.handle(event) {
            match action {
                Action::Run(job) => self.give(job),
                Action::News(chain) => self.news(chain),
                Action::Refuse { seen } => {
                    tracing::warn!(
                        seen = seen.0,
                        "this master was deposed; looking for the other"
                    );
                    is_welcome = false;
                }
            }
        }
        is_welcome
    }

    fn give(&mut self, job: Arc<Job>) {
        let attempt = Attempt {
            job: job.id(),
            number: job.attempt,
        };
        match self.handlers(job.kind().pool()).give(job.clone()) {
            Some(ticket) => {
                let run = (attempt.job, attempt.number);
                self.given.insert(run, Given { job, ticket });
            }
            None => {
                self.happen(Event::NotBegun(attempt));
            }
        }
    }

    /// Takes back jobs that no handler has begun.
    fn take_back(&mut self) {
        let unbegun = self.given.iter().filter(|(_, given)| given.ticket.take());
        let unbegun: Vec<(JobId, u32)> = unbegun.map(|(run, _)| *run).collect();
        for (job, number) in unbegun {
            self.forget((job, number));
            self.happen(Event::NotBegun(Attempt { job, number }));
        }
    }

    fn forget(&mut self, run: (JobId, u32)) {
        if let Some(given) = self.given.remove(&run) {
            self.handlers(given.job.kind().pool()).done(given.job.key());
        }
    }

    fn news(&mut self, chain: Chain) {
        self.hook.chain_changed(&chain);
        self.state.send_modify(|state| state.chain = chain);
    }

    /// Sends what waits, as far as the channel has room.
    fn flush(&mut self, ctx: &mut Context<Self>) {
        while !self.is_waiting
            && self.core.has_message()
            && let Some(sender) = self.sender.clone()
        {
            match sender.try_reserve_owned() {
                Ok(permit) => self.send(permit),
                Err(mpsc::error::TrySendError::Full(sender)) => self.wait(sender, ctx),
                // `Disconnected` follows.
                Err(mpsc::error::TrySendError::Closed(_)) => return,
            }
        }
    }

    fn send(&mut self, permit: mpsc::OwnedPermit<FromWorker>) {
        if let Some(message) = self.core.next_message() {
            permit.send(message);
        }
    }

    fn wait(&mut self, sender: mpsc::Sender<FromWorker>, ctx: &mut Context<Self>) {
        self.is_waiting = true;
        let connection = self.connection;
        let room = sender.reserve_owned();
        let resumed = room.into_actor(self).map(move |permit, link, ctx| {
            if link.connection != connection {
                return;
            }
            link.is_waiting = false;
            if let Ok(permit) = permit {
                link.send(permit);
                link.flush(ctx);
            }
        });
        ctx.spawn(resumed);
    }
}

impl Actor for MasterLink {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        pulse::begin();
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Greet> for MasterLink {
    type Result = MessageResult<Greet>;

    fn handle(&mut self, _: Greet, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.core.greet())
    }
}

impl Handler<Connected> for MasterLink {
    type Result = bool;

    fn handle(&mut self, connected: Connected, ctx: &mut Self::Context) -> bool {
        let epoch = connected.epoch;
        if !self.happen(Event::Connected { epoch }) {
            return false;
        }
        if let Some(violation) = self.seen.follows(epoch) {
            invariants::report(&violation);
        }
        self.connection += 1;
        self.is_waiting = false;
        self.sender = Some(connected.sender);
        self.news(connected.chain);
        self.state.send_modify(|state| {
            state.connected = true;
            state.master_id = connected.master_id;
            state.epoch = epoch;
            state.refused = None;
            state.alone_since = None;
            state.not_found = None;
        });
        note_known(true);
        self.flush(ctx);
        true
    }
}

impl Handler<Refused> for MasterLink {
    type Result = ();

    fn handle(&mut self, Refused(reason): Refused, _: &mut Self::Context) {
        self.state.send_modify(|state| state.refused = Some(reason));
    }
}

impl Handler<NotFound> for MasterLink {
    type Result = ();

    fn handle(&mut self, NotFound(why): NotFound, _: &mut Self::Context) {
        self.state.send_modify(|state| state.not_found = Some(why));
    }
}

impl Handler<Disconnected> for MasterLink {
    type Result = ();

    fn handle(&mut self, _: Disconnected, _: &mut Self::Context) {
        self.happen(Event::Disconnected);
        self.connection += 1;
        self.is_waiting = false;
        self.sender = None;
        self.state.send_modify(|state| {
            state.connected = false;
            state.alone_since = Some(Instant::now());
        });
        note_known(false);
    }
}

impl Handler<MessageFromMaster> for MasterLink {
    type Result = ();

    fn handle(&mut self, MessageFromMaster(message): MessageFromMaster, ctx: &mut Self::Context) {
        match message {
            FromMaster::Heartbeat(Some(backlog)) => return self.hook.backlog_told(backlog),
            FromMaster::Answered(calls) => return self.hook.calls_answered(&calls),
            _ => {}
        }
        self.happen(Event::Received(message));
        self.flush(ctx);
    }
}

impl Handler<Finished> for MasterLink {
    type Result = ();

    fn handle(&mut self, Finished(outcome): Finished, ctx: &mut Self::Context) {
        self.forget((outcome.attempt.job, outcome.attempt.number));
        self.happen(Event::Finished(outcome));
        if !std::mem::replace(&mut self.is_flush_planned, true) {
            ctx.notify(Flush);
        }
    }
}

impl Handler<Broken> for MasterLink {
    type Result = ();

    /// Ends the worker, so that its jobs run elsewhere.
    fn handle(&mut self, Broken(message): Broken, ctx: &mut Self::Context) {
        tracing::error!(
            cause = message,
            "a job ended in an unexpected way; this worker stops"
        );
        ctx.stop();
    }
}

impl Handler<Flush> for MasterLink {
    type Result = ();

    fn handle(&mut self, _: Flush, ctx: &mut Self::Context) {
        self.is_flush_planned = false;
        self.flush(ctx);
    }
}

impl Handler<Announce> for MasterLink {
    type Result = ();

    fn handle(&mut self, Announce(jobs): Announce, _: &mut Self::Context) {
        if let Some(sender) = &self.sender {
            let jobs = light_together(jobs);
            // If there is no room, the master's scan finds them.
            let _ = sender.try_send(FromWorker::Submitted(jobs));
        }
    }
}

impl Handler<DrainWorker> for MasterLink {
    type Result = ();

    fn handle(&mut self, _: DrainWorker, ctx: &mut Self::Context) {
        self.happen(Event::Drain);
        self.take_back();
        self.flush(ctx);
    }
}

impl Handler<HandlersStopped> for MasterLink {
    type Result = ();

    fn handle(&mut self, _: HandlersStopped, ctx: &mut Self::Context) {
        self.happen(Event::Abandoned);
        self.flush(ctx);
    }
}

impl Handler<GetRest> for MasterLink {
    type Result = Rest;

    fn handle(&mut self, _: GetRest, _: &mut Self::Context) -> Rest {
        let on_the_way = self
            .sender
            .as_ref()
            .map_or(0, |sender| sender.max_capacity() - sender.capacity());
        Rest {
            running: self.core.running(),
            unsent: self.core.unsent() + on_the_way,
            is_connected: self.core.is_connected(),
        }
    }
}
