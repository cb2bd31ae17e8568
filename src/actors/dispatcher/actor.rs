//! The actor around the core: asks the store what the core wants to know, hands
//! assignments to the worker sessions, and keeps the one timer.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::{Notify, watch};
use tracing::{error, info, warn};

use crate::actors::mastership::Term;
use crate::actors::worker_session::{CloseSession, ToWorker, WorkerSession};
use crate::invariants::{self, Assignments};
use crate::job::{Epoch, Job, JobId, Millis};
use crate::protocol::BacklogBoard;
use crate::protocol::message::{AttemptOutcome, Chain, End, FromMaster, FromWorker};
use crate::store::SharedStore;
use crate::tick;

use super::messages::{
    ChainNews, DrainDispatcher, FromSession, GetOverview, GetParked, GetSnapshot, JobChanged,
    JobGone, LaterMaster, PauseReceivers, SessionDown, SessionUp, StopDispatcher, Submit,
    TellOfEnds, TellOfLosses,
};
use super::meter::Meter;
use super::questions::{Deposed, fetch, load, release, scan};
use crate::dispatch::{Action, Core, Event, Options, SessionId};

/// Most messages that wait for the dispatcher; senders wait when it is full.
const MAILBOX: usize = 1024;

/// How often the oldest jobs are looked at.
const OLDEST: Duration = Duration::from_secs(10);

pub struct Dispatcher {
    core: Core,
    /// Checks the invariants of assignment.
    seen: Assignments,
    store: SharedStore,
    master_id: String,
    term: Term,
    sessions: BTreeMap<SessionId, Addr<WorkerSession>>,
    /// Which session each worker has.
    workers: BTreeMap<String, SessionId>,
    next_session: u64,
    chain: Chain,
    wake: Option<SpawnHandle>,
    deposed: watch::Sender<Option<Epoch>>,
    assigned: metrics::Counter,
    meter: Meter,
    /// Notified when a worker is lost.
    losses: Vec<Arc<Notify>>,
}

impl Dispatcher {
    /// A dispatcher for one term of a master. `deposed` is told the epoch of a
    /// later master when the store or a worker knows one; `backlog` shows what
    /// is open.
    pub fn new(
        options: Options,
        store: SharedStore,
        master_id: String,
        term: Term,
        deposed: watch::Sender<Option<Epoch>>,
        backlog: Arc<BacklogBoard>,
    ) -> Self {
        Self {
            meter: Meter::new(backlog, options.hidden_gauge),
            core: Core::new(options),
            seen: Assignments::default(),
            store,
            master_id,
            term,
            sessions: BTreeMap::new(),
            workers: BTreeMap::new(),
            next_session: 0,
            chain: Chain::default(),
            wake: None,
            deposed,
            assigned: metrics::counter!("erawan_jobs_assigned_total"),
            losses: Vec::new(),
        }
    }

    fn happen(&mut self, event: Event, ctx: &mut Context<Self>) {
        let told = self.seen.told(&event);
        match &event {
            Event::Outcomes { outcomes, .. } => {
                self.meter.ended(outcomes);
                self.meter.show_ends(outcomes, |id| self.core.job(id));
            }
            Event::SessionDown(_) => self.losses.iter().for_each(|waiting| waiting.notify_one()),
            _ => {}
        }
        let actions = self.core.handle(Millis::now(), event);
        self.meter.show(self.core.tally(), self.core.dormant());
        let wanted = actions.iter().filter_map(|action| self.seen.wants(action));
        for violation in told.into_iter().chain(wanted) {
            invariants::report(&violation);
        }
        for action in actions {
            self.act(action, ctx);
        }
    }

    fn act(&mut self, action: Action, ctx: &mut Context<Self>) {
        let store = self.store.clone();
        match action {
            Action::Load { after, limit } => self.ask(ctx, load(store, after, limit)),
            Action::Scan { after, limit } => self.ask(ctx, scan(store, after, limit)),
            Action::Fetch(ids) => self.ask(ctx, fetch(store, ids)),
            Action::Release(jobs) => {
                self.meter.gives_up(&jobs);
                self.ask(ctx, release(store, self.term.epoch(), jobs));
            }
            Action::Assign { session, jobs } => self.assign(session, jobs, ctx),
            Action::Close(session) => self.close(session),
            Action::WakeAt(instant) => self.wake_at(instant, ctx),
        }
    }

    /// Asks the store and gives the core its answer.
    fn ask<F>(&mut self, ctx: &mut Context<Self>, question: F)
    where
        F: Future<Output = Result<Event, Deposed>> + 'static,
    {
        let answered = question
            .into_actor(self)
            .map(|answer, actor, ctx| match answer {
                Ok(event) => {
                    actor.note_parked(&event);
                    actor.happen(event, ctx);
                }
                Err(Deposed(later)) => actor.depose(later, ctx),
            });
        ctx.spawn(answered);
    }

    /// Sends nothing after the end of the term, whatever the core believes: the
    /// process may have been suspended since it was master.
    fn assign(&mut self, session: SessionId, jobs: Vec<Arc<Job>>, ctx: &mut Context<Self>) {
        if self.term.holds() {
            self.assigned.increment(jobs.len() as u64);
            self.meter.assigns(&jobs);
            self.tell(session, FromMaster::Assign(jobs), ctx);
            return;
        }
        warn!("the lease has run out: nothing is assigned any more");
        ctx.notify(DrainDispatcher);
        self.close(session);
    }

    /// Tells operators that a job was parked.
    fn note_parked(&self, event: &Event) {
        let jobs: Vec<&Job> = match event {
            Event::Loaded { jobs, .. } => jobs.iter().collect(),
            Event::Fetched(found) => found.iter().filter_map(|(_, job)| job.as_ref()).collect(),
            _ => return,
        };
        let parked = jobs.into_iter().filter(|job| job.parked);
        for job in parked.filter(|job| !self.core.is_parked(job.id())) {
            error!(
                job = %job.id(),
                kind = job.kind().name(),
                key = job.key(),
                strikes = job.strikes,
                "job parked: an operator has to decide (erawan jobs show)"
            );
        }
    }

    /// Stops assigning because a later master exists.
    fn depose(&mut self, later: Epoch, ctx: &mut Context<Self>) {
        error!(
            epoch = self.term.epoch().0,
            later = later.0,
            "a later master exists; this one stops"
        );
        self.term.end();
        self.deposed.send_replace(Some(later));
        self.happen(Event::Drain, ctx);
    }

    /// Gives up a session that cannot take a message. Its jobs run elsewhere,
    /// and its worker reconnects.
    fn tell(&mut self, session: SessionId, message: FromMaster, ctx: &mut Context<Self>) {
        let Some(address) = self.sessions.get(&session) else {
            return;
        };
        if address.try_send(ToWorker(message)).is_err() {
            warn!(
                session = session.0,
                "the worker accepts no more messages; giving it up"
            );
            self.close(session);
            // Sent as a message to itself, because the core may be busy.
            ctx.notify(SessionDown(session));
        }
    }

    /// Tells the workers whose clients wait. If this message is lost, a worker
    /// finds the answer in the store.
    fn tell_callers(&mut self, outcomes: &[AttemptOutcome], ctx: &mut Context<Self>) {
        let mut answered: BTreeMap<SessionId, Vec<JobId>> = BTreeMap::new();
        for outcome in outcomes {
            let End::Committed { callers, .. } = &outcome.end else {
                continue;
            };
            for caller in callers {
                if let Some(session) = self.workers.get(&caller.process) {
                    answered.entry(*session).or_default().push(caller.call);
                }
            }
        }
        for (session, calls) in answered {
            self.tell(session, FromMaster::Answered(calls), ctx);
        }
    }

    fn close(&mut self, session: SessionId) {
        self.workers.retain(|_, known| *known != session);
        if let Some(address) = self.sessions.remove(&session) {
            self.meter.show_workers(self.sessions.len());
            // A session with a full or closed mailbox notices later that its
            // worker is silent or gone.
            let _ = address.try_send(CloseSession);
        }
    }

    fn wake_at(&mut self, instant: Millis, ctx: &mut Context<Self>) {
        if let Some(handle) = self.wake.take() {
            ctx.cancel_future(handle);
        }
        let pause = tick::stretch(Millis::now().until(instant));
        self.wake = Some(ctx.run_later(pause, |actor, ctx| {
            actor.wake = None;
            actor.happen(Event::Wake, ctx);
        }));
    }
}

impl Actor for Dispatcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.run_interval(OLDEST, |actor, _| {
            actor.meter.show_oldest(&actor.core.oldest_by_kind());
        });
        self.happen(Event::Start, ctx);
    }
}

impl Handler<Submit> for Dispatcher {
    type Result = ();

    fn handle(&mut self, Submit(jobs): Submit, ctx: &mut Self::Context) {
        self.happen(Event::Announced(jobs), ctx);
    }
}

impl Handler<JobChanged> for Dispatcher {
    type Result = ();

    fn handle(&mut self, JobChanged(job): JobChanged, ctx: &mut Self::Context) {
        self.happen(Event::Changed(job), ctx);
    }
}

impl Handler<JobGone> for Dispatcher {
    type Result = ();

    fn handle(&mut self, JobGone(id): JobGone, ctx: &mut Self::Context) {
        self.happen(Event::Gone(id), ctx);
    }
}

impl Handler<ChainNews> for Dispatcher {
    type Result = ();

    fn handle(&mut self, ChainNews(chain): ChainNews, ctx: &mut Self::Context) {
        // Workers must hear of a block before they run a job that waited for
        // it.
        let sessions: Vec<SessionId> = self.sessions.keys().copied().collect();
        for session in sessions {
            self.tell(session, FromMaster::Chain(chain.clone()), ctx);
        }
        if chain.height != self.chain.height {
            self.meter.saw_block();
        }
        self.chain = chain;
        self.happen(Event::Era(self.chain.era), ctx);
        self.happen(Event::Height(self.chain.height), ctx);
    }
}

impl Handler<SessionUp> for Dispatcher {
    type Result = MessageResult<SessionUp>;

    fn handle(&mut self, up: SessionUp, ctx: &mut Self::Context) -> Self::Result {
        self.next_session += 1;
        let session = SessionId(self.next_session);
        let hello = up.hello;
        info!(
            session = session.0,
            worker = hello.worker_id,
            running = hello.running.len(),
            "worker connected"
        );
        self.sessions.insert(session, up.address);
        self.workers.insert(hello.worker_id.clone(), session);
        self.meter.show_workers(self.sessions.len());
        let welcome = FromMaster::Welcome {
            master_id: self.master_id.clone(),
            epoch: self.term.epoch(),
            // The worker may have missed blocks.
            chain: Chain {
                reset: true,
                ..self.chain.clone()
            },
        };
        self.tell(session, welcome, ctx);
        let event = Event::SessionUp {
            session,
            worker: hello.worker_id,
            run_capacity: hello.run_capacity,
            delivery_capacity: hello.delivery_capacity,
            running: hello.running,
        };
        self.happen(event, ctx);
        MessageResult(session)
    }
}

impl Handler<FromSession> for Dispatcher {
    type Result = ();

    fn handle(&mut self, from: FromSession, ctx: &mut Self::Context) {
        let session = from.session;
        match from.message {
            FromWorker::Outcomes(outcomes) => {
                self.tell_callers(&outcomes, ctx);
                self.happen(Event::Outcomes { session, outcomes }, ctx);
            }
            FromWorker::Submitted(jobs) => self.happen(Event::Announced(jobs), ctx),
            FromWorker::Draining => self.happen(Event::SessionDraining(session), ctx),
            FromWorker::Heartbeat => {}
            FromWorker::Hello(_) => {
                warn!(session = session.0, "the worker introduced itself twice");
                self.close(session);
                self.happen(Event::SessionDown(session), ctx);
            }
        }
    }
}

impl Handler<SessionDown> for Dispatcher {
    type Result = ();

    fn handle(&mut self, SessionDown(session): SessionDown, ctx: &mut Self::Context) {
        info!(session = session.0, "worker disconnected");
        self.close(session);
        self.happen(Event::SessionDown(session), ctx);
    }
}

impl Handler<TellOfLosses> for Dispatcher {
    type Result = ();

    fn handle(&mut self, TellOfLosses(waiting): TellOfLosses, _: &mut Self::Context) {
        self.losses.push(waiting);
    }
}

impl Handler<TellOfEnds> for Dispatcher {
    type Result = ();

    fn handle(&mut self, TellOfEnds(board): TellOfEnds, _: &mut Self::Context) {
        self.meter.watched_by(board);
    }
}

impl Handler<PauseReceivers> for Dispatcher {
    type Result = ();

    fn handle(&mut self, PauseReceivers(names): PauseReceivers, ctx: &mut Self::Context) {
        self.happen(Event::Paused(names), ctx);
    }
}

impl Handler<GetOverview> for Dispatcher {
    type Result = MessageResult<GetOverview>;

    fn handle(&mut self, _: GetOverview, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.core.overview(Millis::now()))
    }
}

impl Handler<GetParked> for Dispatcher {
    type Result = MessageResult<GetParked>;

    fn handle(&mut self, asked: GetParked, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.core.parked(asked.after, asked.limit))
    }
}

impl Handler<GetSnapshot> for Dispatcher {
    type Result = MessageResult<GetSnapshot>;

    fn handle(&mut self, _: GetSnapshot, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.core.snapshot(Millis::now()))
    }
}

impl Handler<DrainDispatcher> for Dispatcher {
    type Result = ();

    fn handle(&mut self, _: DrainDispatcher, ctx: &mut Self::Context) {
        self.happen(Event::Drain, ctx);
    }
}

impl Handler<StopDispatcher> for Dispatcher {
    type Result = ();

    fn handle(&mut self, _: StopDispatcher, ctx: &mut Self::Context) {
        self.happen(Event::Drain, ctx);
        for (_, session) in std::mem::take(&mut self.sessions) {
            // A session with a full or closed mailbox ends when its worker
            // leaves or falls silent.
            let _ = session.try_send(ToWorker(FromMaster::Stopping));
            let _ = session.try_send(CloseSession);
        }
        ctx.stop();
    }
}

impl Handler<LaterMaster> for Dispatcher {
    type Result = ();

    fn handle(&mut self, LaterMaster(epoch): LaterMaster, ctx: &mut Self::Context) {
        self.depose(epoch, ctx);
    }
}
