//! Runs jobs on a worker. A handler of `Pool::Run` runs one job at a time, in
//! the order of its mailbox. A handler of `Pool::Delivery` runs its share of
//! the worker's deliveries at once. A finished run is never lost: the handler
//! repeats its commit until the store has applied or refused it.
//!
//! The actors keep the order and live on the pulse with the link. The jobs run
//! as tasks on [`threads`] that share work, so a handler that does not yield
//! holds up its own key and nothing else.

pub mod threads;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use actix::prelude::*;
use futures_util::FutureExt;
use tokio::runtime::Handle as Threads;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{error, warn};

use crate::job::{Attempt, Class, Commit, Job, JobOutcome, Kind, Millis, Pool};
use crate::logging::LineLimit;
use crate::logging::spans::{self, Work};
use crate::protocol::message::{AttemptOutcome, End};
use crate::store::{Committed, SharedStore, StoreError, Struck};

use super::master_link::{Broken, Finished, MasterLink};
use crate::job::{Run, Runner};

/// Jobs that may wait in a mailbox beyond those that run.
const WAITING: usize = 16;

/// First and longest pause before the store is asked again.
const STORE_RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// First and longest pause before a job that panicked is run again.
const PANIC_RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Lines about failed jobs, by the number of their kind.
static FAILED: LazyLock<LineLimit<u16>> =
    LazyLock::new(|| LineLimit::new(100, Duration::from_secs(10)));

/// Lines about a store that does not answer, by what it was asked for.
static REPEATED: LazyLock<LineLimit<&'static str>> =
    LazyLock::new(|| LineLimit::new(3, Duration::from_secs(10)));

/// Runs a job.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Handle {
    pub job: Arc<Job>,
    /// The handler takes it when the job begins.
    pub ticket: Ticket,
}

/// The first to take it decides: the handler, that the job begins, or the
/// link, that it does not.
#[derive(Debug, Clone, Default)]
pub struct Ticket(Arc<AtomicBool>);

impl Ticket {
    /// True for the first caller.
    pub fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

pub struct RequestHandler {
    pool: Pool,
    share: usize,
    link: Addr<MasterLink>,
    execution: Arc<Execution>,
    halted: watch::Receiver<bool>,
    threads: Threads,
}

impl RequestHandler {
    /// Reports to `link` and runs at most `share` jobs at once, on `threads`.
    /// When `halted` turns true, it drops what it runs and reports nothing.
    pub fn new(
        pool: Pool,
        share: usize,
        link: Addr<MasterLink>,
        execution: Arc<Execution>,
        halted: watch::Receiver<bool>,
        threads: Threads,
    ) -> Self {
        Self {
            pool,
            share,
            link,
            execution,
            halted,
            threads,
        }
    }
}

impl Actor for RequestHandler {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(self.share + WAITING);
    }
}

impl Handler<Handle> for RequestHandler {
    type Result = ();

    fn handle(&mut self, Handle { job, ticket }: Handle, ctx: &mut Self::Context) {
        if !ticket.take() {
            return;
        }
        let (execution, link) = (self.execution.clone(), self.link.clone());
        let mut halted = self.halted.clone();
        let work = async move {
            tokio::select! {
                biased;
                () = told(&mut halted) => {}
                outcome = AssertUnwindSafe(execution.execute(&job)).catch_unwind() => {
                    match outcome {
                        Ok(outcome) => tell(&link, Finished(outcome)),
                        Err(panic) => tell(&link, Broken(message_of(panic.as_ref()).to_owned())),
                    }
                }
            }
        };
        let work = self.threads.spawn(work);
        if self.pool == Pool::Run {
            // Blocks the mailbox until the work is done. An error means that
            // the threads have ended.
            ctx.wait(work.map(drop).into_actor(self));
        }
    }
}

/// Sends without waiting: there is at most one message for each job that the
/// link has handed out.
#[expect(
    clippy::disallowed_methods,
    reason = "the credit of the worker bounds it"
)]
fn tell<M>(link: &Addr<MasterLink>, message: M)
where
    M: Message<Result = ()> + Send + 'static,
    MasterLink: Handler<M>,
{
    link.do_send(message);
}

/// Resolves when the handlers are told to stop. Never resolves once nobody can
/// tell them.
async fn told(halted: &mut watch::Receiver<bool>) {
    if halted.wait_for(|halted| *halted).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Runs jobs and records their ends.
pub struct Execution {
    store: SharedStore,
    runner: Arc<dyn Runner>,
}

impl Execution {
    pub fn new(store: SharedStore, runner: Arc<dyn Runner>) -> Self {
        Self { store, runner }
    }

    /// Runs an attempt to its end, whatever happens to the store meanwhile.
    pub async fn execute(&self, job: &Arc<Job>) -> AttemptOutcome {
        let attempt = Attempt {
            job: job.id(),
            number: job.attempt,
        };
        let end = match self.attempt(attempt, job).await {
            Ok(end) => end,
            Err(Unreadable(reason)) => self.park(attempt, job.kind(), reason).await,
        };
        AttemptOutcome { attempt, end }
    }

    async fn attempt(&self, attempt: Attempt, job: &Arc<Job>) -> Result<End, Unreadable> {
        let Some(job) = self.with_payload(job).await? else {
            return Ok(End::Fenced);
        };
        if job.kind().class() == Class::Once && !self.claim(attempt).await? {
            // An earlier run of it is lost. The store parks the job when the
            // dispatcher gives this attempt up.
            return Ok(End::Fenced);
        }
        let work = Work {
            name: job.kind().name(),
            is_outgoing: job.kind().pool() == Pool::Delivery,
            key: job.key(),
            id: &attempt.job,
            attempt: attempt.number,
            waited_ms: job.accepted_at.until(Millis::now()).as_millis() as u64,
        };
        let span = spans::of_work(work, job.new.trace);
        let ran = spans::within(&span, job.new.trace, self.run(&job)).await;
        note_outcome(&span, &ran);
        match ran {
            Ok(Run::Commit(commit)) => self.commit(attempt, job.kind(), commit).await,
            Ok(Run::Retry { after, reason }) => {
                self.reschedule(attempt, job.tries, after, reason).await
            }
            Ok(Run::Park { reason }) => Err(Unreadable(reason)),
            Err(panic) => self.strike(attempt, &job, &panic).await,
        }
    }

    /// Reads a job from the store if it came without its payload. `None` if it
    /// is no longer open or belongs to another attempt.
    async fn with_payload(&self, job: &Arc<Job>) -> Result<Option<Arc<Job>>, Unreadable> {
        if !job.new.payload.is_empty() {
            return Ok(Some(job.clone()));
        }
        let ids = [job.id()];
        let found = persist("read a job", || self.store.jobs(&ids)).await?;
        let found = found.into_iter().next().flatten();
        let own = found.filter(|found| found.attempt == job.attempt && !found.parked);
        Ok(own.map(Arc::new))
    }

    /// After this the job must not run again by itself.
    async fn claim(&self, attempt: Attempt) -> Result<bool, Unreadable> {
        persist("claim a job", || self.store.claim(attempt)).await
    }

    /// Parks a job that a retry cannot help. If even the reason cannot be
    /// stored, the job ends as failed.
    async fn park(&self, attempt: Attempt, kind: Kind, reason: String) -> End {
        error!(job = %attempt.job, kind = kind.name(), reason, "job parked");
        match persist("park a job", || self.store.park(attempt, &reason)).await {
            Ok(true) => End::Parked,
            Ok(false) => End::Fenced,
            Err(_) => {
                let failed = self.commit(attempt, kind, Commit::failed(reason)).await;
                failed.unwrap_or_else(|Unreadable(error)| {
                    error!(job = %attempt.job, error, "the job can be neither parked nor ended");
                    End::Fenced
                })
            }
        }
    }

    /// Runs the handler. `Err` holds the text of its panic.
    async fn run(&self, job: &Job) -> Result<Run, String> {
        let run = AssertUnwindSafe(self.runner.run(job)).catch_unwind().await;
        run.map_err(|panic| message_of(panic.as_ref()).to_owned())
    }

    /// Records a panic as a strike.
    async fn strike(&self, attempt: Attempt, job: &Job, message: &str) -> Result<End, Unreadable> {
        error!(job = %job.id(), kind = job.kind().name(), panic = message, "a handler panicked");
        let reason = format!("the handler panicked: {message}");
        let (first, longest) = PANIC_RETRY;
        let pause = longest.min(first * 2u32.saturating_pow(job.strikes));
        let not_before = Millis::now().after(pause);
        let struck = persist("strike a job", || {
            self.store.strike(attempt, not_before, &reason)
        });
        Ok(match struck.await? {
            Struck::Rescheduled { tries, strikes } => End::Rescheduled {
                not_before,
                tries,
                strikes,
            },
            Struck::Parked => {
                error!(job = %job.id(), kind = job.kind().name(), reason, "job parked");
                End::Parked
            }
            Struck::Fenced => End::Fenced,
        })
    }

    /// If the answer to a commit is lost, the store may have applied it. The
    /// repeated commit is then `Fenced`, and the dispatcher asks the store.
    async fn commit(
        &self,
        attempt: Attempt,
        kind: Kind,
        commit: Commit,
    ) -> Result<End, Unreadable> {
        let commit = Arc::new(commit);
        let failure = match &commit.outcome {
            JobOutcome::Done => None,
            JobOutcome::Failed { reason } => Some(reason.clone()),
        };
        let callers = commit.callers();
        let committed = persist("commit", || self.store.commit(attempt, Arc::clone(&commit)));
        Ok(match committed.await? {
            Committed::Applied { jobs, cancelled } => {
                if let Some(reason) = &failure {
                    note_failed(attempt, kind, reason);
                }
                End::Committed {
                    failed: failure.is_some(),
                    jobs,
                    cancelled,
                    callers,
                }
            }
            Committed::Fenced => {
                metrics::counter!("erawan_commits_fenced_total").increment(1);
                End::Fenced
            }
        })
    }

    async fn reschedule(
        &self,
        attempt: Attempt,
        tries: u32,
        after: Duration,
        reason: String,
    ) -> Result<End, Unreadable> {
        let not_before = Millis::now().after(after);
        let rescheduled = persist("reschedule", || {
            self.store.reschedule(attempt, not_before, &reason)
        });
        Ok(match rescheduled.await? {
            true => End::Rescheduled {
                not_before,
                tries: tries + 1,
                strikes: 0,
            },
            false => End::Fenced,
        })
    }
}

fn note_outcome(span: &tracing::Span, ran: &Result<Run, String>) {
    let (outcome, is_well) = match ran {
        Ok(Run::Commit(commit)) => match commit.outcome {
            JobOutcome::Done => ("done", true),
            JobOutcome::Failed { .. } => ("failed", false),
        },
        Ok(Run::Retry { .. }) => ("to be tried again", false),
        Ok(Run::Park { .. }) => ("parked", false),
        Err(_) => ("panicked", false),
    };
    span.record("erawan.outcome", outcome);
    if !is_well {
        span.record("otel.status_code", "ERROR");
    }
}

fn note_failed(attempt: Attempt, kind: Kind, reason: &str) {
    if let Some(left_out) = FAILED.admit(kind.number()) {
        let left_out = (left_out > 0).then_some(left_out);
        let kind = kind.name();
        warn!(job = %attempt.job, kind, reason, left_out, "job ended as failed");
    }
}

/// The stored bytes cannot be decoded, or are too large for the store. Asking
/// again does not help.
struct Unreadable(String);

/// Repeats a question until the store answers.
async fn persist<T, F>(what: &'static str, mut ask: impl FnMut() -> F) -> Result<T, Unreadable>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let (mut pause, longest) = STORE_RETRY;
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error @ (StoreError::Corrupt(_) | StoreError::TooLarge(_))) => {
                return Err(Unreadable(error.to_string()));
            }
            Err(error) => {
                if let Some(left_out) = REPEATED.admit(what) {
                    let left_out = (left_out > 0).then_some(left_out);
                    warn!(%error, left_out, "cannot {what}; trying again");
                }
            }
        }
        sleep(pause).await;
        pause = longest.min(pause * 2);
    }
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> &str {
    if let Some(message) = panic.downcast_ref::<String>() {
        return message;
    }
    panic
        .downcast_ref::<&str>()
        .copied()
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::io;

    use async_trait::async_trait;
    use parking_lot::Mutex;
    use tracing::instrument::WithSubscriber;

    use super::*;
    use crate::job::{NewJob, noop};
    use crate::store::embedded::{EmbeddedStore, Options};
    use crate::store::{Accept, Accepted};

    struct Fails;

    #[async_trait]
    impl Runner for Fails {
        async fn run(&self, _: &Job) -> Run {
            Run::Commit(Commit::failed("nobody answered"))
        }
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_log_tells_why_a_job_failed() {
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(Options {
            path: directory.path().join("store"),
            node_id: "rp1".to_owned(),
        });
        let store: SharedStore = Arc::new(store.unwrap());
        let accept = Accept {
            jobs: vec![NewJob::new(noop::DELIVERY, "key", &())],
            ..Accept::default()
        };
        let Ok(Accepted::Stored { jobs, .. }) = store.accept(accept).await else {
            panic!("not stored");
        };
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone());
        let execution = Execution::new(store, Arc::new(Fails));
        let job = Arc::new(jobs[0].clone());
        let running = execution.execute(&job);
        running.with_subscriber(subscriber.finish()).await;
        let text = String::from_utf8(log.0.lock().clone()).unwrap();
        assert!(text.contains("nobody answered"), "{text}");
        assert!(text.contains("bench.noop_delivery"), "{text}");
        assert!(text.contains(&job.id().to_string()), "{text}");
    }
}
