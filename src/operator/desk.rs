//! Answers operators' questions from a store, and tells the dispatcher, where
//! one runs, what they decided.

use actix::Addr;

use super::message::{Answer, Done, Filter, Outcome, Question, Shown, State};
use super::summary;
use crate::actors::dispatcher::{Dispatcher, JobChanged, JobGone};
use crate::job::{Job, JobId, Kind, Millis, codec};
use crate::store::{FailedJob, LastError, Operated, Operation, SharedStore, StoreError};

/// Jobs read from the store at once.
const PAGE: usize = 500;

/// Why a job is parked that nobody parked.
const UNREADABLE: &str = "its record is lost or cannot be read: it was damaged, or stored by \
                          another release";

/// See the module.
#[derive(Clone)]
pub struct Desk {
    store: SharedStore,
    dispatcher: Option<Addr<Dispatcher>>,
}

impl Desk {
    /// The desk of a running master.
    pub fn of_master(store: SharedStore, dispatcher: Addr<Dispatcher>) -> Self {
        Self {
            store,
            dispatcher: Some(dispatcher),
        }
    }

    /// A desk where nothing runs. A master elsewhere finds out by itself.
    pub fn alone(store: SharedStore) -> Self {
        Self {
            store,
            dispatcher: None,
        }
    }

    /// Answers a question that came in the form of [`codec`].
    pub async fn answer_bytes(&self, question: &[u8]) -> Vec<u8> {
        let answer = match codec::decode(question) {
            Ok(question) => self.answer(question).await,
            Err(error) => Answer::Failed(format!("the question cannot be read: {error}")),
        };
        codec::encode(&answer)
    }

    /// Answers a question.
    pub async fn answer(&self, question: Question) -> Answer {
        let answer = match question {
            Question::List(filter) => self.list(&filter).await.map(Answer::List),
            Question::Show(id) => self.show(id).await.map(Answer::Show),
            Question::Operate(operations) => self.operate(operations).await.map(Answer::Operate),
            Question::Audit { limit } => {
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                self.store.audit(limit).await.map(Answer::Audit)
            }
        };
        answer.unwrap_or_else(|error| Answer::Failed(error.to_string()))
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<Shown>, StoreError> {
        let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        if filter.state != Some(State::Failed) {
            self.list_open(filter, limit, &mut found).await?;
        }
        if matches!(filter.state, None | Some(State::Failed)) {
            let failed = self.store.failed_jobs(usize::MAX).await?;
            let failed = failed.iter().filter(|failed| fits(filter, &failed.job));
            found.extend(failed.map(shown_failed));
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Parked ones too are looked for among all: the index of them does not have
    /// those that cannot be read.
    async fn list_open(
        &self,
        filter: &Filter,
        limit: usize,
        found: &mut Vec<Shown>,
    ) -> Result<(), StoreError> {
        let (mut after, now) = (0, Millis::now());
        while found.len() < limit {
            let page = self.store.open_jobs(after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.seq;
            let is_asked_for = |job: &Job| {
                let state = state_of(job, now);
                let fits_state = match filter.state {
                    Some(wanted @ (State::Waiting | State::Parked)) => state == wanted,
                    _ => true,
                };
                fits_state && fits(filter, job)
            };
            let page = page.into_iter().filter(is_asked_for).collect();
            self.add(page, found).await?;
        }
        Ok(())
    }

    async fn add(&self, jobs: Vec<Job>, found: &mut Vec<Shown>) -> Result<(), StoreError> {
        let ids: Vec<JobId> = jobs.iter().map(Job::id).collect();
        let errors = self.store.last_errors(&ids).await?;
        let shown = jobs.iter().zip(errors);
        found.extend(shown.map(|(job, error)| shown_open(job, error)));
        Ok(())
    }

    async fn show(&self, id: JobId) -> Result<Option<Box<Shown>>, StoreError> {
        if let Some(job) = self.store.jobs(&[id]).await?.into_iter().flatten().next() {
            let errors = self.store.last_errors(&[id]).await?;
            let shown = shown_open(&job, errors.into_iter().flatten().next());
            return Ok(Some(Box::new(shown)));
        }
        let failed = self.store.failed_job(id).await?;
        Ok(failed.map(|failed| Box::new(shown_failed(&failed))))
    }

    async fn operate(&self, operations: Vec<Operation>) -> Result<Vec<Done>, StoreError> {
        let mut done = Vec::with_capacity(operations.len());
        for operation in operations {
            let id = operation.job;
            tracing::info!(
                job = %id,
                action = operation.action.name(),
                who = operation.who,
                why = operation.why,
                "an operator decides about a job"
            );
            let operated = self.store.operate(operation).await?;
            done.push(self.done(id, operated).await);
        }
        Ok(done)
    }

    async fn done(&self, id: JobId, operated: Operated) -> Done {
        let (result, reason) = match operated {
            Operated::Open(job) => {
                if let Some(dispatcher) = &self.dispatcher {
                    // An error means that the master stops; the next one finds it.
                    let _ = dispatcher.send(JobChanged(job)).await;
                }
                (Outcome::Open, None)
            }
            Operated::Ended => {
                if let Some(dispatcher) = &self.dispatcher {
                    let _ = dispatcher.send(JobGone(id)).await;
                }
                (Outcome::Ended, None)
            }
            Operated::NotFound => (Outcome::NotFound, None),
            Operated::Refused(reason) => (Outcome::Refused, Some(reason)),
        };
        Done {
            id: id.to_string(),
            result,
            reason,
        }
    }
}

fn fits(filter: &Filter, job: &Job) -> bool {
    let key = filter.key.as_deref();
    filter.kind.is_none_or(|kind| job.kind() == kind)
        && key.is_none_or(|key| job.key().contains(key))
        && filter.before.is_none_or(|before| job.accepted_at < before)
}

fn state_of(job: &Job, now: Millis) -> State {
    let later = job.new.not_before.is_some_and(|instant| instant > now);
    let above = job.new.after_height.is_some() && job.tries == 0 && job.strikes == 0;
    match job.parked {
        true => State::Parked,
        false if later || above => State::Waiting,
        false => State::Open,
    }
}

fn shown_open(job: &Job, error: Option<LastError>) -> Shown {
    let state = state_of(job, Millis::now());
    let (reason, at) = error.map(|error| (error.reason, error.at.0)).unzip();
    let is_unreadable = job.kind() == Kind::Unreadable;
    let reason = reason.or_else(|| is_unreadable.then(|| UNREADABLE.to_owned()));
    shown(job, state, reason, at)
}

fn shown_failed(failed: &FailedJob) -> Shown {
    let (reason, at) = (failed.reason.clone(), failed.failed_at.0);
    shown(&failed.job, State::Failed, Some(reason), Some(at))
}

fn shown(job: &Job, state: State, last_error: Option<String>, failed_at: Option<u64>) -> Shown {
    Shown {
        id: job.id().to_string(),
        kind: job.kind().name().to_owned(),
        key: job.key().to_owned(),
        state,
        attempt: job.attempt,
        tries: job.tries,
        strikes: job.strikes,
        seq: job.seq,
        accepted_at: job.accepted_at.0,
        not_before: job.new.not_before.map(|instant| instant.0),
        after_height: job.new.after_height,
        deadline: job.new.deadline.map(|instant| instant.0),
        source: job.new.source.clone(),
        payload_bytes: job.new.payload.len() as u64,
        payload: summary::fields(job),
        last_error,
        failed_at,
    }
}
