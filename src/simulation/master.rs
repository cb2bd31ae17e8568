//! A master process: the real mastership core and, while it leads, the real
//! dispatcher core. The code around them does what the actors do in production.

use std::collections::{BTreeMap, VecDeque};

use crate::actors::mastership::{OPTIONS, core as mastership};
use crate::dispatch::{self, Action, Core, Event, SessionId};
use crate::invariants::Assignments;
use crate::job::{Epoch, Job, JobId, Millis};
use crate::protocol::message::{Chain, FromMaster, FromWorker, Hello};
use crate::store;
use crate::store::{Accept, Accepted, Operated, Operation};

use super::calls::{Ask, StoreAnswer, StoreClient};
use super::choice::{JobPlan, LinkNo, Side, SimulatedProcess};
use super::fault::Fault;
use super::setting;
use super::world::World;

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct MasterProcess {
    pub(super) life: u64,
    pub(super) is_up: bool,
    pub(super) is_paused: bool,
    /// How far its wall clock is ahead.
    pub(super) ahead: i64,
    candidacy: u64,
    mastership: Option<mastership::Core>,
    /// The highest epoch that refused it.
    above: Epoch,
    tick_at: Option<Millis>,
    term: Option<LeadingTerm>,
}

/// The state of a leading master.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct LeadingTerm {
    epoch: Epoch,
    core: Core,
    seen: Assignments,
    wake_at: Option<Millis>,
    sessions: BTreeMap<SessionId, LinkNo>,
    next_session: u64,
    height: u64,
    /// Accepted by this process, and not yet announced to its dispatcher.
    unannounced: VecDeque<Vec<Job>>,
}

impl MasterProcess {
    pub(super) fn is_running(&self) -> bool {
        self.is_up && !self.is_paused
    }

    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.term.as_ref().map(|term| term.epoch)
    }

    pub(super) fn caller(&self) -> StoreClient {
        StoreClient {
            life: self.life,
            candidacy: self.candidacy,
            epoch: self.epoch(),
        }
    }

    pub(super) fn tick_at(&self) -> Option<Millis> {
        self.tick_at
    }

    pub(super) fn wake_at(&self) -> Option<Millis> {
        self.term.as_ref()?.wake_at
    }

    pub(super) fn unannounced(&self) -> usize {
        self.term.as_ref().map_or(0, |term| term.unannounced.len())
    }

    /// The height its dispatcher knows, while it leads.
    pub(super) fn height(&self) -> Option<u64> {
        self.term.as_ref().map(|term| term.height)
    }

    pub(super) fn lose_announcement(&mut self) {
        if let Some(term) = &mut self.term {
            term.unannounced.pop_front();
        }
    }
}

// The process.
impl World {
    pub(super) fn start_master(&mut self, index: usize) {
        let master = &mut self.masters[index];
        *master = MasterProcess {
            life: master.life + 1,
            is_up: true,
            ahead: master.ahead,
            ..MasterProcess::default()
        };
        self.stand(index);
    }

    /// A new candidacy for mastership.
    fn stand(&mut self, index: usize) {
        let master = &mut self.masters[index];
        master.candidacy += 1;
        master.tick_at = None;
        master.mastership = Some(mastership::Core::new(OPTIONS));
        self.candidate(index, mastership::Event::Start);
    }

    pub(super) fn kill_master(&mut self, index: usize) {
        let master = &mut self.masters[index];
        master.is_up = false;
        master.is_paused = false;
        master.life += 1;
        master.mastership = None;
        master.term = None;
        self.hang_up(index);
    }

    /// SIGTERM: stops being the master, gives the lease back, exits.
    pub(super) fn stop_master(&mut self, index: usize) {
        self.candidate(index, mastership::Event::Stop);
        let master = &mut self.masters[index];
        master.is_up = false;
        master.life += 1;
        master.mastership = None;
    }

    fn hang_up(&mut self, index: usize) {
        let links = self.network.links.iter();
        let of_master = links.filter(|(_, link)| link.master == index && link.master_open);
        let of_master: Vec<LinkNo> = of_master.map(|(no, _)| *no).collect();
        for no in of_master {
            self.network.close(no, Side::Master);
        }
    }
}

// Mastership.
impl World {
    pub(super) fn tick(&mut self, index: usize) {
        self.masters[index].tick_at = None;
        self.candidate(index, mastership::Event::Wake);
    }

    fn candidate(&mut self, index: usize, event: mastership::Event) {
        let now = self.now;
        let master = &mut self.masters[index];
        if let mastership::Event::Refused(later) = event {
            master.above = master.above.max(later);
        }
        let above = master.above;
        let Some(core) = &mut master.mastership else {
            return;
        };
        let mut is_over = false;
        for action in core.handle(now, event) {
            self.trace.effect(&action);
            match action {
                mastership::Action::Ask => {
                    self.ask(SimulatedProcess::Master(index), Ask::Lease(now, above));
                }
                mastership::Action::Lead { epoch } => self.begin_term(index, epoch),
                mastership::Action::StepDown { .. } => {
                    is_over = true;
                    self.masters[index].term = None;
                    self.hang_up(index);
                }
                mastership::Action::GiveUp => {
                    self.ask(SimulatedProcess::Master(index), Ask::GiveUp)
                }
                mastership::Action::WakeAt(instant) => {
                    self.masters[index].tick_at = Some(instant);
                }
            }
        }
        if is_over {
            self.stand(index);
        }
    }

    fn begin_term(&mut self, index: usize, epoch: Epoch) {
        self.figures.terms += 1;
        self.history.dues_forgotten();
        let seen = self.terms.begins(epoch);
        self.found(seen);
        self.masters[index].term = Some(LeadingTerm {
            epoch,
            core: Core::new(setting::dispatcher()),
            seen: Assignments::default(),
            wake_at: None,
            sessions: BTreeMap::new(),
            next_session: 0,
            height: 0,
            unannounced: VecDeque::new(),
        });
        self.dispatch(index, Event::Start);
    }

    /// Whether this process may act as the master now.
    pub fn leads(&self, index: usize) -> bool {
        let core = self.masters[index].mastership.as_ref();
        core.is_some_and(|core| core.leads(self.now).is_some())
    }
}

// The dispatcher.
impl World {
    pub(super) fn wake(&mut self, index: usize) {
        if let Some(term) = &mut self.masters[index].term {
            term.wake_at = None;
        }
        self.dispatch(index, Event::Wake);
    }

    fn dispatch(&mut self, index: usize, event: Event) {
        let wall = self.wall(self.masters[index].ahead);
        let may_assign = self.leads(index);
        let Some(term) = &mut self.masters[index].term else {
            return;
        };
        let mut seen = term.seen.told(&event);
        let actions = term.core.handle(wall, event);
        for action in &actions {
            seen = seen.or(term.seen.wants(action));
        }
        self.found(seen);
        let mut is_over = false;
        for action in actions {
            self.trace.effect(&action);
            if let Action::Assign { session, .. } = action
                && !may_assign
            {
                self.refrain(index, session);
                is_over = true;
                continue;
            }
            self.act(index, action, wall);
        }
        if is_over {
            self.dispatch(index, Event::Drain);
        }
    }

    /// As in production: nothing is sent after the end of the term, whatever
    /// the core believes, because the process may have been suspended since it
    /// was master.
    fn refrain(&mut self, index: usize, session: SessionId) {
        let term = self.masters[index].term.as_mut();
        if let Some(link) = term.and_then(|term| term.sessions.remove(&session)) {
            self.network.close(link, Side::Master);
        }
    }

    fn act(&mut self, index: usize, action: Action, wall: Millis) {
        let now = self.now;
        if let (Action::Assign { .. }, Some(epoch)) = (&action, self.masters[index].epoch()) {
            let seen = self.history.assigns(epoch, self.store.epoch());
            self.found(seen);
        }
        let Some(term) = &mut self.masters[index].term else {
            return;
        };
        match action {
            Action::Assign { session, jobs } => {
                let again = |job: &&std::sync::Arc<Job>| job.attempt > 1;
                self.figures.rerun += jobs.iter().filter(again).count() as u64;
                if let Some(link) = term.sessions.get(&session) {
                    self.network.send_down(*link, FromMaster::Assign(jobs));
                }
            }
            Action::Close(session) => {
                if let Some(link) = term.sessions.remove(&session) {
                    self.network.close(link, Side::Master);
                }
            }
            Action::WakeAt(instant) => term.wake_at = Some(now.after(wall.until(instant))),
            question => self.ask(SimulatedProcess::Master(index), Ask::Queue(question)),
        }
    }

    pub(super) fn see_block(&mut self, index: usize) {
        let height = self.height;
        if let Some(term) = &mut self.masters[index].term {
            term.height = height;
        }
        self.dispatch(index, Event::Height(height));
    }

    pub(super) fn announce(&mut self, index: usize) {
        let term = self.masters[index].term.as_mut();
        if let Some(jobs) = term.and_then(|term| term.unannounced.pop_front()) {
            self.keep_announced(&jobs);
            self.dispatch(index, Event::Announced(jobs));
        }
    }

    pub(super) fn announce_again(&mut self, which: usize, index: usize) {
        if let Some(job) = self.announced.get(which).cloned() {
            self.figures.count(Fault::AnnouncementRepeated);
            self.dispatch(index, Event::Announced(vec![job]));
        }
    }

    /// An operator decides, through the master.
    pub(super) fn operator_acts(&mut self, job: JobId, action: store::OperatorAction) {
        let Some(index) = (0..self.masters.len())
            .find(|index| self.leads(*index) && self.masters[*index].is_running())
        else {
            return;
        };
        let operation = Operation {
            job,
            action,
            who: "operator".to_owned(),
            why: "simulated".to_owned(),
            at: self.now,
        };
        self.ask(SimulatedProcess::Master(index), Ask::Operate(operation));
    }

    /// A master accepts a job: a message, or an effect of a block.
    pub(super) fn master_accepts(&mut self, index: usize, plan: &JobPlan) {
        let wall = self.wall(self.masters[index].ahead);
        let epoch = self.masters[index].epoch();
        let job = self.new_job(plan, wall);
        let accept = Accept {
            jobs: vec![job],
            epoch,
            ..Accept::default()
        };
        self.ask(
            SimulatedProcess::Master(index),
            Ask::Accept(accept, plan.clone()),
        );
    }
}

// Answers of the store.
impl World {
    pub(super) fn master_answered(
        &mut self,
        index: usize,
        by: StoreClient,
        ask: Ask,
        answer: StoreAnswer,
    ) {
        if let Ask::Lease(asked_at, _) = ask {
            let answer = match answer {
                StoreAnswer::Lease(lease) => Ok(lease),
                _ => Err(store::StoreError::Unavailable("simulated".to_owned())),
            };
            self.candidate(index, mastership::Event::Answered { asked_at, answer });
            return;
        }
        if by.epoch != self.masters[index].epoch() {
            return;
        }
        match (ask, answer) {
            (_, StoreAnswer::Deposed(current)) => {
                self.dispatch(index, Event::Drain);
                self.candidate(index, mastership::Event::Refused(current));
            }
            (Ask::Queue(Action::Load { .. }), StoreAnswer::Failed) => {
                self.dispatch(index, Event::LoadFailed);
            }
            (Ask::Queue(Action::Scan { .. }), StoreAnswer::Failed) => {
                self.dispatch(index, Event::ScanFailed);
            }
            (Ask::Queue(_), StoreAnswer::Queue(event)) => self.dispatch(index, event),
            (Ask::Accept(..), StoreAnswer::Accepted(Accepted::Stored { jobs, .. })) => {
                if let Some(term) = &mut self.masters[index].term {
                    term.unannounced.push_back(jobs);
                }
            }
            (Ask::Operate(_), StoreAnswer::Operated(Operated::Open(job))) => {
                self.dispatch(index, Event::Changed(job));
            }
            (Ask::Operate(operation), StoreAnswer::Operated(Operated::Ended)) => {
                self.dispatch(index, Event::Gone(operation.job));
            }
            // Repeated until it is answered. In production everything that a
            // master repeats has a source.
            (Ask::Accept(accept, plan), StoreAnswer::Failed) if plan.source.is_some() => {
                self.figures.count(Fault::AcceptRepeated);
                self.ask(SimulatedProcess::Master(index), Ask::Accept(accept, plan));
            }
            (ask @ Ask::Queue(_), StoreAnswer::Failed) => {
                self.ask(SimulatedProcess::Master(index), ask)
            }
            _ => {}
        }
    }
}

// Connections.
impl World {
    pub(super) fn deliver_up(&mut self, no: LinkNo) {
        let Some(link) = self.network.links.get_mut(&no) else {
            return;
        };
        let Some((sent, message)) = link.up.pop_front() else {
            return;
        };
        let (index, session) = (link.master, link.session);
        if self.network.overtakes(sent) {
            self.figures.count(Fault::MessagesReordered);
        }
        match (message, session) {
            (FromWorker::Hello(hello), None) => self.introduced(index, no, hello),
            (_, None) | (FromWorker::Hello(_), _) => self.network.close(no, Side::Master),
            (FromWorker::Outcomes(outcomes), Some(session)) => {
                self.dispatch(index, Event::Outcomes { session, outcomes });
            }
            (FromWorker::Submitted(jobs), Some(_)) => {
                self.keep_announced(&jobs);
                self.dispatch(index, Event::Announced(jobs));
            }
            (FromWorker::Draining, Some(session)) => {
                self.dispatch(index, Event::SessionDraining(session));
            }
            (FromWorker::Heartbeat, Some(_)) => {}
        }
    }

    /// A worker calls. Only a leading master accepts it. A master that hears of
    /// a later one leads no longer.
    fn introduced(&mut self, index: usize, no: LinkNo, hello: Hello) {
        let leads = self.leads(index);
        let epoch = self.masters[index].epoch();
        if let Some(epoch) = epoch.filter(|epoch| leads && *epoch < hello.seen) {
            self.trace.effect(&(epoch, hello.seen));
            self.candidate(index, mastership::Event::Refused(hello.seen));
        }
        let Some(term) = (self.masters[index].term.as_mut()).filter(|_| leads) else {
            self.network.close(no, Side::Master);
            return;
        };
        term.next_session += 1;
        let session = SessionId(term.next_session);
        term.sessions.insert(session, no);
        let welcome = FromMaster::Welcome {
            master_id: String::new(),
            epoch: term.epoch,
            chain: Chain::default(),
        };
        if let Some(link) = self.network.links.get_mut(&no) {
            link.session = Some(session);
        }
        self.network.send_down(no, welcome);
        let up = Event::SessionUp {
            session,
            worker: hello.worker_id,
            run_capacity: hello.run_capacity,
            delivery_capacity: hello.delivery_capacity,
            running: hello.running,
        };
        self.dispatch(index, up);
    }

    /// The master's end of a connection learns that it is gone.
    pub(super) fn master_notices(&mut self, no: LinkNo) {
        let Some(link) = self.network.links.get(&no) else {
            return;
        };
        let (index, session) = (link.master, link.session);
        self.network.close(no, Side::Master);
        if let Some(session) = session
            && let Some(term) = &mut self.masters[index].term
            && term.sessions.remove(&session).is_some()
        {
            self.dispatch(index, Event::SessionDown(session));
        }
    }
}

/// The dispatcher as seen from outside.
pub(super) type DispatcherView = dispatch::Snapshot;

impl MasterProcess {
    /// Whether its dispatcher waits for the store's answer to a scan.
    pub(super) fn is_scanning(&self) -> bool {
        let term = self.term.as_ref();
        term.is_some_and(|term| term.core.is_scanning())
    }

    /// The dispatcher's state, while it leads.
    pub(super) fn snapshot(&self, wall: Millis) -> Option<DispatcherView> {
        Some(self.term.as_ref()?.core.snapshot(wall))
    }
}
