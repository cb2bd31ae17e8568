//! A worker's side of the connection to its master: knows what the worker runs,
//! keeps outcomes until they can be sent, and hands jobs to request handlers.
//! It outlives every connection.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::{mpsc, watch};
use tracing::warn;

use crate::cluster::message::{
    Chain, End, FromMaster, FromWorker, Hello, Outcome, PROTOCOL_VERSION, Running, light,
};
use crate::job::{Job, JobId, Pool};
use crate::store::Attempt;

use super::request_handler::{Handle, RequestHandler};

/// Most messages that wait for the link; request handlers wait when it is full.
const MAILBOX: usize = 1024;

/// Most outcomes in one message.
const OUTCOME_BATCH: usize = 64;

/// How the worker introduces itself.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The node it works for.
    pub node_id: String,
    /// Unique for the life of this process.
    pub worker_id: String,
    /// Release, for operators.
    pub version: String,
    /// Most jobs of `Pool::Run` at a time.
    pub run_capacity: u32,
    /// Most jobs of `Pool::Delivery` at a time.
    pub delivery_capacity: u32,
}

/// The connection to the master as the rest of the worker sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkState {
    /// There is a master that has taken this worker on.
    pub connected: bool,
    /// Which; empty before the first.
    pub master_id: String,
    /// Why the last one did not take it on.
    pub refused: Option<String>,
    /// The last news of the ledger.
    pub chain: Chain,
}

/// Told of news of the ledger, in order, before any job that depends on it is
/// run. Must be quick: jobs wait for it.
pub trait ChainHook: Send + Sync {
    /// A block was seen, or the ledger's state has changed.
    fn chain_changed(&self, chain: &Chain);
}

/// A hook that does nothing.
impl ChainHook for () {
    fn chain_changed(&self, _: &Chain) {}
}

/// A connection begins; answered with the introduction. Nothing of an earlier
/// connection may be delivered after this.
#[derive(Debug, Message)]
#[rtype(result = "Hello")]
pub struct Greet;

/// The master has taken us on.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Connected {
    /// To the master.
    pub sender: mpsc::Sender<FromWorker>,
    /// Which master.
    pub master_id: String,
    /// What it knows of the ledger.
    pub chain: Chain,
}

/// The master has not taken us on, because of this.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Refused(pub String);

/// A message from the master.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Received(pub FromMaster);

/// The connection is lost.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Disconnected;

/// A request handler is done with an attempt.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Finished(pub Outcome);

/// Jobs this worker accepted into the store.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Announce(pub Vec<Job>);

/// Take no more jobs.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Drain;

/// How many attempts run or are not reported yet, plus messages not yet sent.
#[derive(Debug, Message)]
#[rtype(result = "usize")]
pub struct Left;

/// The handlers of one pool, and what each has.
struct Handlers {
    handlers: Vec<(Addr<RequestHandler>, usize)>,
    /// Which handler has jobs of a key, and how many.
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
    /// the fewest. False if that one takes no more.
    fn give(&mut self, job: Arc<Job>) -> bool {
        let idle = || (0..self.handlers.len()).min_by_key(|index| self.handlers[*index].1);
        let with_key = self.keys.get(job.key()).map(|(index, _)| *index);
        let Some(index) = with_key.or_else(idle) else {
            return false;
        };
        let key = job.key().to_owned();
        let (address, count) = &mut self.handlers[index];
        if address.try_send(Handle(job)).is_err() {
            return false;
        }
        *count += 1;
        self.keys.entry(key).or_insert((index, 0)).1 += 1;
        true
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

/// The actor.
pub struct MasterLink {
    identity: Identity,
    run: Handlers,
    delivery: Handlers,
    /// What runs, with its pool and key.
    running: BTreeMap<(JobId, u32), (Pool, String)>,
    /// What has ended and is not reported; bounded by the credit.
    unsent: VecDeque<(Pool, Outcome)>,
    sender: Option<mpsc::Sender<FromWorker>>,
    is_waiting: bool,
    /// Which connection `is_waiting` is about.
    connection: u64,
    draining: bool,
    must_tell_draining: bool,
    state: watch::Sender<LinkState>,
    hook: Arc<dyn ChainHook>,
}

impl MasterLink {
    /// A link without a connection.
    pub fn new(
        identity: Identity,
        run: Vec<Addr<RequestHandler>>,
        delivery: Vec<Addr<RequestHandler>>,
        state: watch::Sender<LinkState>,
        hook: Arc<dyn ChainHook>,
    ) -> Self {
        Self {
            identity,
            run: Handlers::new(run),
            delivery: Handlers::new(delivery),
            running: BTreeMap::new(),
            unsent: VecDeque::new(),
            sender: None,
            is_waiting: false,
            connection: 0,
            draining: false,
            must_tell_draining: false,
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

    fn assigned(&mut self, job: Arc<Job>) {
        let attempt = Attempt {
            job: job.id(),
            number: job.attempt,
        };
        let is_unsent = |(_, outcome): &(Pool, Outcome)| outcome.attempt == attempt;
        let run = (attempt.job, attempt.number);
        if self.running.contains_key(&run) || self.unsent.iter().any(is_unsent) {
            warn!(job = %attempt.job, attempt = attempt.number, "assigned twice; runs once");
            return;
        }
        let (pool, key) = (job.kind().pool(), job.key().to_owned());
        if self.draining || !self.handlers(pool).give(job) {
            let end = End::HandedBack;
            self.unsent.push_back((pool, Outcome { attempt, end }));
            return;
        }
        self.running.insert(run, (pool, key));
    }

    fn news(&mut self, chain: Chain) {
        self.hook.chain_changed(&chain);
        self.state.send_modify(|state| state.chain = chain);
    }

    /// Sends what waits, as far as there is room.
    fn flush(&mut self, ctx: &mut Context<Self>) {
        while !self.is_waiting
            && (self.must_tell_draining || !self.unsent.is_empty())
            && let Some(sender) = self.sender.clone()
        {
            match sender.try_reserve_owned() {
                Ok(permit) => {
                    permit.send(self.next_message());
                }
                Err(mpsc::error::TrySendError::Full(sender)) => self.wait(sender, ctx),
                // `Disconnected` follows.
                Err(mpsc::error::TrySendError::Closed(_)) => return,
            }
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
                permit.send(link.next_message());
                link.flush(ctx);
            }
        });
        ctx.spawn(resumed);
    }

    fn next_message(&mut self) -> FromWorker {
        if std::mem::take(&mut self.must_tell_draining) {
            return FromWorker::Draining;
        }
        let count = self.unsent.len().min(OUTCOME_BATCH);
        let outcomes = self.unsent.drain(..count);
        FromWorker::Outcomes(outcomes.map(|(_, outcome)| outcome).collect())
    }
}

impl Actor for MasterLink {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Greet> for MasterLink {
    type Result = MessageResult<Greet>;

    fn handle(&mut self, _: Greet, _: &mut Self::Context) -> Self::Result {
        let running = self.running.iter().map(|((job, number), (pool, _))| {
            let (job, number) = (*job, *number);
            Running {
                attempt: Attempt { job, number },
                pool: *pool,
            }
        });
        let unsent = self.unsent.iter().map(|(pool, outcome)| Running {
            attempt: outcome.attempt,
            pool: *pool,
        });
        MessageResult(Hello {
            protocol_version: PROTOCOL_VERSION,
            node_id: self.identity.node_id.clone(),
            worker_id: self.identity.worker_id.clone(),
            version: self.identity.version.clone(),
            run_capacity: self.identity.run_capacity,
            delivery_capacity: self.identity.delivery_capacity,
            running: running.chain(unsent).collect(),
        })
    }
}

impl Handler<Connected> for MasterLink {
    type Result = ();

    fn handle(&mut self, connected: Connected, ctx: &mut Self::Context) {
        self.connection += 1;
        self.is_waiting = false;
        self.must_tell_draining = self.draining;
        self.sender = Some(connected.sender);
        self.news(connected.chain);
        self.state.send_modify(|state| {
            state.connected = true;
            state.master_id = connected.master_id;
            state.refused = None;
        });
        self.flush(ctx);
    }
}

impl Handler<Refused> for MasterLink {
    type Result = ();

    fn handle(&mut self, Refused(reason): Refused, _: &mut Self::Context) {
        self.state.send_modify(|state| state.refused = Some(reason));
    }
}

impl Handler<Disconnected> for MasterLink {
    type Result = ();

    fn handle(&mut self, _: Disconnected, _: &mut Self::Context) {
        self.connection += 1;
        self.is_waiting = false;
        self.sender = None;
        self.state.send_modify(|state| state.connected = false);
    }
}

impl Handler<Received> for MasterLink {
    type Result = ();

    fn handle(&mut self, Received(message): Received, ctx: &mut Self::Context) {
        match message {
            FromMaster::Assign(jobs) => {
                for job in jobs {
                    self.assigned(job);
                }
                self.flush(ctx);
            }
            FromMaster::Chain(chain) => self.news(chain),
            // Part of the greeting, or of no concern to running jobs.
            FromMaster::Welcome { .. }
            | FromMaster::Refused { .. }
            | FromMaster::Heartbeat
            | FromMaster::Stopping => {}
        }
    }
}

impl Handler<Finished> for MasterLink {
    type Result = ();

    fn handle(&mut self, Finished(mut outcome): Finished, ctx: &mut Self::Context) {
        let run = (outcome.attempt.job, outcome.attempt.number);
        let Some((pool, key)) = self.running.remove(&run) else {
            return;
        };
        self.handlers(pool).done(&key);
        if let End::Committed { jobs, .. } = &mut outcome.end {
            *jobs = std::mem::take(jobs).into_iter().map(light).collect();
        }
        self.unsent.push_back((pool, outcome));
        self.flush(ctx);
    }
}

impl Handler<Announce> for MasterLink {
    type Result = ();

    fn handle(&mut self, Announce(jobs): Announce, _: &mut Self::Context) {
        if let Some(sender) = &self.sender {
            let jobs = jobs.into_iter().map(light).collect();
            // If there is no room the master's scan finds them.
            let _ = sender.try_send(FromWorker::Submitted(jobs));
        }
    }
}

impl Handler<Drain> for MasterLink {
    type Result = ();

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) {
        if !self.draining {
            self.draining = true;
            self.must_tell_draining = self.sender.is_some();
            self.flush(ctx);
        }
    }
}

impl Handler<Left> for MasterLink {
    type Result = MessageResult<Left>;

    fn handle(&mut self, _: Left, _: &mut Self::Context) -> Self::Result {
        let on_the_way = self
            .sender
            .as_ref()
            .map_or(0, |sender| sender.max_capacity() - sender.capacity());
        MessageResult(self.running.len() + self.unsent.len() + on_the_way)
    }
}
