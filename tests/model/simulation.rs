//! A master's core, a store and workers, driven by a list of random steps:
//! announcements late, twice or never; messages lost with their connection;
//! store answers delayed; handlers that panic; workers and masters killed;
//! operators who decide about parked and failed jobs. After every step the
//! guarantees of docs/architecture.md must hold; in the end, when the faults
//! stop, every job must end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use erawan::actors::dispatcher::{Action, Core, Event, Options, SessionId};
use erawan::cluster::message::{End, Outcome, Running};
use erawan::job::{Class, Commit, Job, JobId, Kind, Millis, NewJob, Pool};
use erawan::store::semantics::StoreState;
use erawan::store::{
    Accept, Accepted, Action as Decision, Attempt, Committed, Epoch, MAX_STRIKES, Operated,
    Operation, Struck,
};
use proptest::prelude::*;

const WORKERS: usize = 3;
const RUN_CAPACITY: u32 = 2;
const DELIVERY_CAPACITY: u32 = 3;
const KEYS: u16 = 4;

/// A step of the world; the numbers choose among what is possible.
#[derive(Debug, Clone)]
enum Step {
    Accept {
        key: u16,
        kind: u16,
        held: u16,
        announce: u16,
    },
    Announce {
        which: u16,
    },
    Connect {
        worker: u16,
    },
    Cut {
        worker: u16,
    },
    /// The connection is cut, and only the worker notices for now.
    HalfCut {
        worker: u16,
    },
    Kill {
        worker: u16,
    },
    DrainWorker {
        worker: u16,
    },
    ToMaster {
        worker: u16,
    },
    ToWorker {
        worker: u16,
    },
    Finish {
        worker: u16,
        which: u16,
        how: u16,
    },
    StoreWorks {
        which: u16,
    },
    StoreAnswers {
        which: u16,
        fails: bool,
    },
    Pass {
        millis: u16,
    },
    Height,
    RestartMaster,
    /// An operator decides about a parked or failed job; the master hears of
    /// it, or does not.
    Operate {
        which: u16,
        how: u16,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let n = || any::<u16>();
    prop_oneof![
        8 => (n(), n(), n(), n()).prop_map(|(key, kind, held, announce)| Step::Accept { key, kind, held, announce }),
        6 => n().prop_map(|which| Step::Announce { which }),
        4 => n().prop_map(|worker| Step::Connect { worker }),
        2 => n().prop_map(|worker| Step::Cut { worker }),
        1 => n().prop_map(|worker| Step::HalfCut { worker }),
        1 => n().prop_map(|worker| Step::Kill { worker }),
        1 => n().prop_map(|worker| Step::DrainWorker { worker }),
        10 => n().prop_map(|worker| Step::ToMaster { worker }),
        10 => n().prop_map(|worker| Step::ToWorker { worker }),
        10 => (n(), n(), n()).prop_map(|(worker, which, how)| Step::Finish { worker, which, how }),
        8 => n().prop_map(|which| Step::StoreWorks { which }),
        8 => (n(), prop::bool::weighted(0.1)).prop_map(|(which, fails)| Step::StoreAnswers { which, fails }),
        6 => n().prop_map(|millis| Step::Pass { millis }),
        1 => Just(Step::Height),
        1 => Just(Step::RestartMaster),
        2 => (n(), n()).prop_map(|(which, how)| Step::Operate { which, how }),
    ]
}

#[derive(Debug)]
enum Up {
    Outcome(Outcome),
    Draining,
}

/// One connection: what is under way in both directions.
#[derive(Debug, Default)]
struct Link {
    up: VecDeque<Up>,
    down: VecDeque<Arc<Job>>,
}

#[derive(Debug, Default)]
struct Worker {
    life: u32,
    session: Option<SessionId>,
    running: BTreeMap<(JobId, u32), Arc<Job>>,
    unsent: VecDeque<Outcome>,
    draining: bool,
}

/// A store call: asked, then done, then answered; each at its own time.
#[derive(Debug)]
struct Call {
    action: Action,
    answer: Option<Event>,
}

struct World {
    now: Millis,
    core: Core,
    store: StoreState,
    calls: Vec<Call>,
    unannounced: Vec<Job>,
    announced: Vec<Job>,
    workers: Vec<Worker>,
    links: BTreeMap<SessionId, (usize, Link)>,
    next_session: u64,
    next_id: u64,
    height: u64,
    wake_at: Option<Millis>,
    accepted: BTreeSet<JobId>,
    cancelled: BTreeSet<JobId>,
    /// Ended by an operator.
    ended: BTreeSet<JobId>,
    /// How often each job was committed, beside once for each time an operator
    /// had it accepted again.
    commits: BTreeMap<JobId, i64>,
    panics: usize,
    parkings: usize,
    assigned: usize,
    /// The last place given out when a held job was first assigned: it had come
    /// due by then, so jobs accepted later stand behind it.
    timer_started: BTreeMap<JobId, u64>,
    /// Calm: no follow-up jobs any more.
    calm: bool,
}

fn options() -> Options {
    Options {
        adoption_window: Duration::from_millis(500),
        page: 5,
        release_batch: 4,
        parked_interval: Duration::from_secs(2),
        ..Options::default()
    }
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            now: Millis(1_000_000),
            core: Core::new(options()),
            store: StoreState::default(),
            calls: Vec::new(),
            unannounced: Vec::new(),
            announced: Vec::new(),
            workers: (0..WORKERS).map(|_| Worker::default()).collect(),
            links: BTreeMap::new(),
            next_session: 0,
            next_id: 0,
            height: 10,
            wake_at: None,
            accepted: BTreeSet::new(),
            cancelled: BTreeSet::new(),
            ended: BTreeSet::new(),
            commits: BTreeMap::new(),
            panics: 0,
            parkings: 0,
            assigned: 0,
            timer_started: BTreeMap::new(),
            calm: false,
        };
        world.happen(Event::Start);
        world
    }

    fn happen(&mut self, event: Event) {
        let actions = self.core.handle(self.now, event);
        for action in actions {
            match action {
                Action::Assign { session, jobs } => {
                    for job in jobs {
                        self.assign(session, job);
                    }
                }
                Action::Close(session) => {
                    self.links.remove(&session);
                }
                Action::WakeAt(instant) => self.wake_at = Some(instant),
                action => self.calls.push(Call {
                    action,
                    answer: None,
                }),
            }
        }
    }

    fn assign(&mut self, session: SessionId, job: Arc<Job>) {
        self.check_attempt(&job);
        self.check_order(&job);
        self.assigned += 1;
        let (worker, link) = self
            .links
            .get_mut(&session)
            .expect("jobs go to sessions that are up");
        link.down.push_back(job.clone());
        let pool = job.kind().pool();
        // A connection that is dead, though the master does not know it yet, has
        // nothing running behind it.
        let worker = &self.workers[*worker];
        let is_alive = worker.session == Some(session);
        let running = worker.running.values().filter(|_| is_alive);
        let under_way = link.down.iter().chain(running);
        let of_pool = under_way.filter(|job| job.kind().pool() == pool).count() as u32;
        assert!(of_pool <= capacity(pool), "credit exceeded");
    }

    /// Every run that exists: on a worker, or on its way to one.
    fn runs(&self) -> impl Iterator<Item = &Arc<Job>> {
        let running = self
            .workers
            .iter()
            .flat_map(|worker| worker.running.values());
        let on_the_way = self.links.iter().filter_map(|(session, (worker, link))| {
            (self.workers[*worker].session == Some(*session)).then_some(&link.down)
        });
        running.chain(on_the_way.flatten())
    }

    fn check_attempt(&self, job: &Job) {
        let Some(stored) = self.store.job(job.id()) else {
            return;
        };
        for run in self.runs().filter(|run| run.id() == job.id()) {
            assert!(
                run.attempt < stored.attempt,
                "attempt {} of seq {} still runs unfenced",
                run.attempt,
                job.seq
            );
        }
    }

    fn check_order(&mut self, job: &Job) {
        if self.store.job(job.id()).is_none() {
            return;
        }
        for run in self.runs().filter(|run| run.key() == job.key()) {
            let stored = self.store.job(run.id());
            assert!(
                stored.is_none_or(|stored| run.attempt < stored.attempt),
                "seq {} starts while seq {} of its key runs",
                job.seq,
                run.seq
            );
        }
        let is_timer = |job: &Job| self.store.is_held(job.id());
        if is_timer(job) {
            let last = self.store.last_seq();
            self.timer_started.entry(job.id()).or_insert(last);
            return;
        }
        if job.tries > 0 {
            return;
        }
        let earlier = self.store.open().filter(|other| other.seq < job.seq);
        for other in earlier.filter(|other| other.key() == job.key()) {
            let started = self.timer_started.get(&other.id());
            let stands_behind = is_timer(other) && started.is_none_or(|last| job.seq <= *last);
            let left_the_line = other.tries > 0 && other.kind().class() == Class::Delivery;
            assert!(
                stands_behind || left_the_line,
                "seq {} overtakes {}",
                job.seq,
                other.seq
            );
        }
    }

    fn new_job(&mut self, key: u16, kind: u16, held: u16) -> NewJob {
        self.next_id += 1;
        let mut id = [0; 16];
        id[8..].copy_from_slice(&self.next_id.to_be_bytes());
        let kind = match kind % 3 {
            0 => Kind::DeliverMessage,
            _ => Kind::Noop,
        };
        let mut job = NewJob::new(kind, format!("key{}", key % KEYS), &());
        job.id = JobId::from_slice(&id).expect("16 bytes");
        match held % 8 {
            0 => job.not_before(
                self.now
                    .after(Duration::from_millis(u64::from(held) % 3000)),
            ),
            1 => job.after_height(self.height + u64::from(held) % 3),
            _ => job,
        }
    }

    fn run(&mut self, step: &Step) {
        self.now.0 += 1;
        match *step {
            Step::Accept {
                key,
                kind,
                held,
                announce,
            } => {
                let job = self.new_job(key, kind, held);
                let accept = Accept {
                    jobs: vec![job],
                    ..Accept::default()
                };
                let accepted = self.store.accept(self.now, accept);
                let Ok(Accepted::Stored { jobs, .. }) = accepted else {
                    panic!("nothing refuses it");
                };
                self.accepted.extend(jobs.iter().map(Job::id));
                let jobs = match held % 5 {
                    0 => self.wound(jobs),
                    _ => jobs,
                };
                match announce % 4 {
                    0 => {}
                    1 => self.unannounced.extend(jobs),
                    _ => {
                        self.announced.extend(jobs.clone());
                        self.happen(Event::Announced(jobs));
                    }
                }
            }
            Step::Announce { which } => {
                if let Some(index) = pick(which, self.unannounced.len()) {
                    let job = self.unannounced.remove(index);
                    self.announced.push(job.clone());
                    self.happen(Event::Announced(vec![job]));
                } else if let Some(index) = pick(which, self.announced.len()) {
                    // Again, however old it is; a job that ended must have
                    // ended before the core's eyes for this to be possible.
                    let job = self.announced[index].clone();
                    if self.store.job(job.id()).is_some() {
                        self.happen(Event::Announced(vec![job]));
                    }
                }
            }
            Step::Connect { worker } => self.connect(usize::from(worker) % WORKERS),
            Step::Cut { worker } => {
                if let Some(session) = self.cut(usize::from(worker) % WORKERS)
                    && self.links.remove(&session).is_some()
                {
                    self.happen(Event::SessionDown(session));
                }
            }
            Step::HalfCut { worker } => {
                self.cut(usize::from(worker) % WORKERS);
            }
            Step::Kill { worker } => {
                let index = usize::from(worker) % WORKERS;
                let session = self.cut(index);
                let life = self.workers[index].life + 1;
                self.workers[index] = Worker {
                    life,
                    ..Worker::default()
                };
                if let Some(session) = session
                    && self.links.remove(&session).is_some()
                {
                    self.happen(Event::SessionDown(session));
                }
            }
            Step::DrainWorker { worker } => {
                let worker = &mut self.workers[usize::from(worker) % WORKERS];
                if let Some(session) = worker.session
                    && !worker.draining
                {
                    worker.draining = true;
                    if let Some((_, link)) = self.links.get_mut(&session) {
                        link.up.push_back(Up::Draining);
                    }
                }
            }
            Step::ToMaster { worker } => self.deliver_up(usize::from(worker) % WORKERS),
            Step::ToWorker { worker } => self.deliver_down(usize::from(worker) % WORKERS),
            Step::Finish { worker, which, how } => {
                self.finish(usize::from(worker) % WORKERS, which, how);
            }
            Step::StoreWorks { which } => {
                let waiting = |call: &&mut Call| call.answer.is_none();
                let count = self.calls.iter_mut().filter(waiting).count();
                if let Some(index) = pick(which, count) {
                    let call = self.calls.iter_mut().filter(waiting).nth(index);
                    let call = call.expect("counted before");
                    call.answer = Some(perform(&mut self.store, self.now, &call.action));
                }
            }
            Step::StoreAnswers { which, fails } => self.answer(which, fails),
            Step::Pass { millis } => self.pass(u64::from(millis) % 400),
            Step::Height => {
                self.height += 1;
                self.happen(Event::Height(self.height));
            }
            Step::RestartMaster => self.restart_master(),
            Step::Operate { which, how } => self.operate(which, how),
        }
    }

    /// Jobs that have one strike left, from a time before this one.
    fn wound(&mut self, jobs: Vec<Job>) -> Vec<Job> {
        for job in &jobs {
            let attempt = Attempt {
                job: job.id(),
                number: job.attempt,
            };
            for _ in 1..MAX_STRIKES {
                self.store.strike(self.now, attempt, self.now, "before");
            }
        }
        let stored = jobs.iter().filter_map(|job| self.store.job(job.id()));
        stored.cloned().collect()
    }

    fn operate(&mut self, which: u16, how: u16) {
        let parked = self.store.parked_ids(usize::MAX);
        let failed = self.store.failed_jobs(usize::MAX);
        let failed = failed.into_iter().map(|failed| failed.job.id());
        let all: Vec<JobId> = parked.into_iter().chain(failed).collect();
        let Some(index) = pick(which, all.len()) else {
            return;
        };
        let decision = [Decision::Retry, Decision::Resolve, Decision::Drop][usize::from(how) % 3];
        self.decide(all[index], decision, !how.is_multiple_of(5));
    }

    fn decide(&mut self, job: JobId, action: Decision, is_told: bool) {
        let was_failed = self.store.job(job).is_none();
        let operated = self.store.operate(Operation {
            job,
            action,
            who: "operator".to_owned(),
            why: "to see what happens".to_owned(),
            at: self.now,
        });
        if was_failed && action == Decision::Retry {
            *self.commits.entry(job).or_default() -= 1;
        }
        let news = match operated {
            Operated::Open(job) => Event::Changed(job),
            Operated::Ended => {
                if !was_failed {
                    self.ended.insert(job);
                }
                Event::Gone(job)
            }
            operated => panic!("{operated:?}"),
        };
        if is_told {
            self.happen(news);
        }
    }

    fn restart_master(&mut self) {
        for worker in 0..WORKERS {
            self.cut(worker);
        }
        self.links.clear();
        self.calls.clear();
        self.unannounced.clear();
        self.announced.clear();
        self.wake_at = None;
        self.core = Core::new(options());
        self.happen(Event::Start);
        self.happen(Event::Height(self.height));
    }

    fn connect(&mut self, index: usize) {
        if self.workers[index].session.is_some() {
            return;
        }
        self.next_session += 1;
        let session = SessionId(self.next_session);
        self.links.insert(session, (index, Link::default()));
        let worker = &mut self.workers[index];
        worker.session = Some(session);
        let running = worker
            .running
            .values()
            .map(|job| (job.id(), job.attempt, job.kind()));
        let unsent = worker
            .unsent
            .iter()
            .map(|outcome| (outcome.attempt.job, outcome.attempt.number, Kind::Noop));
        let running: Vec<Running> = running
            .chain(unsent)
            .map(|(job, number, kind)| Running {
                attempt: Attempt { job, number },
                pool: kind.pool(),
            })
            .collect();
        let name = format!("worker{index}.{}", worker.life);
        let (_, link) = self.links.get_mut(&session).expect("just inserted");
        link.up.extend(worker.unsent.drain(..).map(Up::Outcome));
        if worker.draining {
            link.up.push_back(Up::Draining);
        }
        self.happen(Event::SessionUp {
            session,
            worker: name,
            run_capacity: RUN_CAPACITY,
            delivery_capacity: DELIVERY_CAPACITY,
            running,
        });
    }

    /// The worker's end of the connection is gone, with what was under way.
    fn cut(&mut self, index: usize) -> Option<SessionId> {
        let session = self.workers[index].session.take()?;
        if let Some((_, link)) = self.links.get_mut(&session) {
            link.down.clear();
            link.up.clear();
        }
        Some(session)
    }

    fn deliver_up(&mut self, index: usize) {
        let Some(session) = self.workers[index].session else {
            return;
        };
        let Some((_, link)) = self.links.get_mut(&session) else {
            return;
        };
        match link.up.pop_front() {
            Some(Up::Outcome(outcome)) => self.happen(Event::Outcomes {
                session,
                outcomes: vec![outcome],
            }),
            Some(Up::Draining) => self.happen(Event::SessionDraining(session)),
            None => {}
        }
    }

    fn deliver_down(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        let Some((_, link)) = worker
            .session
            .and_then(|session| self.links.get_mut(&session))
        else {
            return;
        };
        let Some(job) = link.down.pop_front() else {
            return;
        };
        if worker.draining {
            let attempt = Attempt {
                job: job.id(),
                number: job.attempt,
            };
            link.up.push_back(Up::Outcome(Outcome {
                attempt,
                end: End::HandedBack,
            }));
        } else {
            worker.running.insert((job.id(), job.attempt), job);
        }
    }

    fn finish(&mut self, index: usize, which: u16, how: u16) {
        let worker = &mut self.workers[index];
        let Some(chosen) = pick(which, worker.running.len()) else {
            return;
        };
        let key = *worker.running.keys().nth(chosen).expect("in range");
        let job = worker.running.remove(&key).expect("just found");
        let attempt = Attempt {
            job: job.id(),
            number: job.attempt,
        };
        let not_before = self.now.after(Duration::from_millis(u64::from(how) % 700));
        let end = if self.calm {
            self.commit(attempt, how)
        } else if how.is_multiple_of(5) {
            self.reschedule(attempt, not_before, job.tries)
        } else if how % 5 < 3 {
            self.panic(attempt, not_before)
        } else {
            self.commit(attempt, how)
        };
        // Sometimes the store's answer is lost, and the commit repeated.
        let end = match end {
            End::Committed { .. } if how.is_multiple_of(11) => End::Fenced,
            end => end,
        };
        let outcome = Outcome { attempt, end };
        let worker = &mut self.workers[index];
        match worker
            .session
            .and_then(|session| self.links.get_mut(&session))
        {
            Some((_, link)) => link.up.push_back(Up::Outcome(outcome)),
            None => worker.unsent.push_back(outcome),
        }
    }

    fn reschedule(&mut self, attempt: Attempt, not_before: Millis, tries: u32) -> End {
        let kept = self
            .store
            .reschedule(self.now, attempt, not_before, "later");
        match kept {
            true => End::Rescheduled {
                not_before,
                tries: tries + 1,
            },
            false => End::Fenced,
        }
    }

    fn panic(&mut self, attempt: Attempt, not_before: Millis) -> End {
        self.panics += 1;
        match self.store.strike(self.now, attempt, not_before, "panic") {
            Struck::Rescheduled { tries } => End::Rescheduled { not_before, tries },
            Struck::Parked => {
                self.parkings += 1;
                End::Parked
            }
            Struck::Fenced => End::Fenced,
        }
    }

    fn commit(&mut self, attempt: Attempt, how: u16) -> End {
        let mut commit = match how % 13 {
            0 if !self.calm => Commit::failed("refused for good"),
            _ => Commit::nothing(),
        };
        if !self.calm {
            for n in 0..how % 3 {
                let job = self.new_job(how / 7 + n, how / 5, how / 3 + n);
                commit.job(job);
            }
            if how.is_multiple_of(7)
                && let Some(timer) = self
                    .store
                    .open()
                    .map(Job::id)
                    .find(|id| self.store.is_held(*id) && *id != attempt.job)
            {
                commit.cancel(timer);
            }
        }
        match self.store.commit(self.now, attempt, commit) {
            Committed::Applied { jobs, cancelled } => {
                *self.commits.entry(attempt.job).or_default() += 1;
                self.accepted.extend(jobs.iter().map(Job::id));
                self.cancelled.extend(cancelled.iter().copied());
                End::Committed {
                    failed: false,
                    jobs,
                    cancelled,
                }
            }
            Committed::Fenced => End::Fenced,
        }
    }

    fn answer(&mut self, which: u16, fails: bool) {
        let ready: Vec<usize> = (0..self.calls.len())
            .filter(|index| self.calls[*index].answer.is_some())
            .collect();
        let Some(index) = pick(which, ready.len()) else {
            return;
        };
        let call = self.calls.remove(ready[index]);
        let event = match call.action {
            Action::Load { .. } if fails => Event::LoadFailed,
            Action::Scan { .. } if fails => Event::ScanFailed,
            _ => call.answer.expect("chosen because it has one"),
        };
        self.happen(event);
    }

    fn pass(&mut self, millis: u64) {
        self.now.0 += millis;
        if self.wake_at.is_some_and(|instant| instant <= self.now) {
            self.wake_at = None;
            self.happen(Event::Wake);
        }
    }

    /// The faults stop. Runs until nothing is left that can end.
    fn calm_down(&mut self) {
        self.calm = true;
        for round in 0.. {
            assert!(round < 2000, "stuck: {:?}", self.core.snapshot(self.now));
            self.notice_silence();
            for index in 0..WORKERS {
                if self.workers[index].draining && self.workers[index].running.is_empty() {
                    self.run(&Step::Kill {
                        worker: index as u16,
                    });
                }
                self.connect(index);
                for _ in 0..20 {
                    self.deliver_down(index);
                    self.deliver_up(index);
                }
                self.finish(index, 0, 1);
            }
            while !self.calls.is_empty() {
                self.run(&Step::StoreWorks { which: 0 });
                self.answer(0, false);
            }
            if round % 10 == 0 {
                self.run(&Step::Height);
            }
            self.pass(100);
            // Operators have everything that is parked run again; not every
            // time is the master told.
            for id in self.store.parked_ids(usize::MAX) {
                self.decide(id, Decision::Retry, round % 2 == 0);
            }
            if self.store.counts().open == 0
                && self.workers.iter().all(|worker| worker.running.is_empty())
            {
                break;
            }
        }
    }

    /// Both ends give up connections whose other end is gone.
    fn notice_silence(&mut self) {
        let workers = &self.workers;
        let gone = |(session, (index, _)): (&SessionId, &(usize, Link))| {
            (workers[*index].session != Some(*session)).then_some(*session)
        };
        let gone: Vec<SessionId> = self.links.iter().filter_map(gone).collect();
        for session in gone {
            self.links.remove(&session);
            self.happen(Event::SessionDown(session));
        }
        for worker in &mut self.workers {
            let is_up = |session: &SessionId| self.links.contains_key(session);
            worker.session = worker.session.filter(is_up);
        }
    }

    fn check_end(&self) {
        for (id, times) in &self.commits {
            assert!((0..=1).contains(times), "{id} was committed {times} times");
        }
        for id in &self.accepted {
            let ways = self.commits.get(id).copied().unwrap_or(0)
                + i64::from(self.cancelled.contains(id))
                + i64::from(self.ended.contains(id));
            assert_eq!(ways, 1, "{id} came to {ways} ends");
        }
        assert_eq!(self.core.snapshot(self.now).jobs.parked, 0);
    }
}

fn capacity(pool: Pool) -> u32 {
    match pool {
        Pool::Run => RUN_CAPACITY,
        Pool::Delivery => DELIVERY_CAPACITY,
    }
}

fn pick(which: u16, count: usize) -> Option<usize> {
    (count > 0).then(|| usize::from(which) % count)
}

fn perform(store: &mut StoreState, now: Millis, action: &Action) -> Event {
    match action {
        Action::Load { after, limit } => {
            let jobs = store.open_jobs(*after, *limit);
            Event::Loaded {
                full: jobs.len() == *limit,
                jobs,
            }
        }
        Action::Scan { after, limit } => {
            let ids = store.open_ids(*after, *limit);
            Event::Scanned {
                full: ids.len() == *limit,
                ids,
            }
        }
        Action::Fetch(ids) => Event::Fetched(ids.iter().copied().zip(store.jobs(ids)).collect()),
        Action::Release(jobs) => {
            let released = store.release(now, Epoch(1), jobs).expect("the only master");
            let ids = jobs.iter().map(|release| release.job);
            Event::Released(ids.zip(released).collect())
        }
        other => panic!("not a store call: {other:?}"),
    }
}

fn run(steps: &[Step]) -> World {
    let mut world = World::new();
    for step in steps {
        world.run(step);
    }
    world.calm_down();
    world.check_end();
    world
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn guarantees_hold_whatever_is_lost_and_every_job_ends(
        steps in prop::collection::vec(step(), 1..300)
    ) {
        run(&steps);
    }
}

#[test]
fn the_simulation_does_what_it_claims() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut accepted, mut committed, mut rerun) = (0, 0, 0);
    let (mut panics, mut parkings, mut decisions) = (0, 0, 0);
    for _ in 0..50 {
        let steps = prop::collection::vec(step(), 300).new_tree(&mut runner);
        let world = run(&steps.expect("always generates").current());
        accepted += world.accepted.len();
        committed += world.commits.len();
        rerun += usize::from(world.assigned > world.commits.len());
        panics += world.panics;
        parkings += world.parkings;
        decisions += world.store.audit(usize::MAX).len();
    }
    let told = format!("{accepted} accepted, {committed} committed");
    assert!(committed * 10 > accepted * 8, "most jobs end well: {told}");
    assert!(committed > 1000, "{told}");
    assert!(rerun > 25, "attempts were given up in {rerun} of 50 worlds");
    let told = format!("{panics} panics, {parkings} parked, {decisions} decisions");
    println!("{told}");
    assert!(panics > 10 && parkings > 0 && decisions > 5, "{told}");
}
