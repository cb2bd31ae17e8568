//! Answers operators from a store, and tells the dispatcher, if one runs, what
//! they decided.

use std::sync::Arc;

use actix::Addr;

use super::listing;
use super::message::{
    ANSWER_BYTES, Filter, JobState, OperationOutcome, OperationResult, OperatorRequest,
    OperatorResponse, Shown, too_large,
};
use super::page::{self, JobPage, PageStart};
use super::pauses::{self, ReceiverDecision};
use super::receivers::{self, ReceiverShown};
use super::record::DecisionRecord;
use super::shown::{shown_failed, shown_open, state_of};
use super::story::{self, RequestStory};
use crate::actors::dispatcher::{
    Dispatcher, GetOverview, GetParked, JobChanged, JobGone, LiveBoard, TellOfEnds,
};
use crate::dispatch::Overview;
use crate::heavy::{self, Whose};
use crate::job::{Job, JobId, Millis, codec};
use crate::pulse;
use crate::store::{Counts, Operated, Operation, PAGE_BYTES, SharedStore, StoreError};

/// Memory for an answer as it is collected and sent, and for its source.
const MOST_MEMORY: usize = 2 * ANSWER_BYTES + PAGE_BYTES as usize;

#[derive(Clone)]
pub struct Desk {
    store: SharedStore,
    dispatcher: Option<Addr<Dispatcher>>,
    /// What the operator has proved to be, beside the name that it gives.
    proved: Option<String>,
}

impl Desk {
    /// For an operator who has proved this. The audit has it with the name.
    pub fn of(&self, proved: Option<String>) -> Self {
        Self {
            proved,
            ..self.clone()
        }
    }

    /// For a running master.
    pub fn of_master(store: SharedStore, dispatcher: Addr<Dispatcher>) -> Self {
        Self {
            store,
            dispatcher: Some(dispatcher),
            proved: None,
        }
    }

    /// For a store without a running dispatcher. A master elsewhere finds out
    /// by itself.
    pub fn alone(store: SharedStore) -> Self {
        Self {
            store,
            dispatcher: None,
            proved: None,
        }
    }

    /// Answers an encoded question within the size of a message. Both can be
    /// large, so they are decoded and encoded as heavy work.
    pub async fn answer_bytes(&self, question: impl Into<Vec<u8>>) -> Vec<u8> {
        let (desk, question) = (self.clone(), question.into());
        heavy::run(Whose::Operators, MOST_MEMORY, async move {
            let answer = match codec::decode(&question) {
                Ok(question) => desk.answer(question).await,
                Err(error) => {
                    OperatorResponse::Failed(format!("the question cannot be read: {error}"))
                }
            };
            let bytes = codec::encode(&answer);
            match bytes.len() > ANSWER_BYTES {
                true => codec::encode(&OperatorResponse::Failed(too_large())),
                false => bytes,
            }
        })
        .await
    }

    pub async fn answer(&self, question: OperatorRequest) -> OperatorResponse {
        pulse::keep_off("answering an operator");
        let answer = match question {
            OperatorRequest::List(filter) => {
                let listed = listing::list(&*self.store, &filter).await;
                return listed.map_or_else(
                    |why| OperatorResponse::Failed(why.to_string()),
                    OperatorResponse::List,
                );
            }
            OperatorRequest::Show(id) => self.show(id).await.map(OperatorResponse::Show),
            OperatorRequest::Operate(operations) => {
                Ok(OperatorResponse::Operate(self.operate(operations).await))
            }
            OperatorRequest::Audit { limit } => {
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                self.store.audit(limit).await.map(OperatorResponse::Audit)
            }
            OperatorRequest::Story {
                request_id,
                node_ids,
            } => {
                let told = story::gather(&*self.store, &node_ids, &request_id).await;
                told.map(|story| OperatorResponse::Story(Box::new(story)))
            }
        };
        answer.unwrap_or_else(|error| OperatorResponse::Failed(error.to_string()))
    }

    /// Whether this is the desk of a running master.
    pub fn is_of_master(&self) -> bool {
        self.dispatcher.is_some()
    }

    /// A page of the matching jobs, which reads a limited number of them.
    /// # Errors
    /// When the store fails.
    pub async fn page(
        &self,
        filter: &Filter,
        start: Option<PageStart>,
    ) -> Result<JobPage, StoreError> {
        pulse::keep_off("listing jobs");
        if filter.state != Some(JobState::Parked) {
            return page::page(&*self.store, filter, start).await;
        }
        let after = match start {
            Some(PageStart::Open(after)) => after,
            Some(PageStart::Failed(_)) | None => 0,
        };
        let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        let wanted = limit.saturating_add(1);
        let mut parked = self.parked(after, wanted).await?;
        let more = parked.len() > limit;
        parked.truncate(limit);
        page::page_of_parked(&*self.store, filter, parked, more).await
    }

    async fn parked(&self, after: u64, limit: usize) -> Result<Vec<(u64, JobId)>, StoreError> {
        if let Some(dispatcher) = &self.dispatcher
            && let Ok(parked) = dispatcher.send(GetParked { after, limit }).await
        {
            return Ok(parked);
        }
        page::parked_by_store(&*self.store, after, limit).await
    }

    /// The queue as the dispatcher sees it; `None` at a store's desk.
    pub async fn overview(&self) -> Option<Overview> {
        // An error means that the master stops.
        self.dispatcher.as_ref()?.send(GetOverview).await.ok()
    }

    /// How many jobs are open, parked and failed.
    /// # Errors
    /// When the store fails.
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        self.store.counts().await
    }

    /// The latest decisions about jobs and receivers, newest first.
    /// # Errors
    /// When the store fails.
    pub async fn records(&self, limit: usize) -> Result<Vec<DecisionRecord>, StoreError> {
        let (of_jobs, of_receivers) =
            tokio::try_join!(self.store.audit(limit), pauses::decisions(&*self.store))?;
        let of_jobs = of_jobs.iter().map(DecisionRecord::from);
        let of_receivers = of_receivers.iter().map(DecisionRecord::from);
        let mut records: Vec<DecisionRecord> = of_jobs.chain(of_receivers).collect();
        records.sort_by_key(|record| std::cmp::Reverse(record.at));
        records.truncate(limit);
        Ok(records)
    }

    /// The story of a request, as these nodes know it. It looks through all
    /// jobs, so it is told to one operator at a time and as work of low priority.
    /// # Errors
    /// When the store fails.
    pub async fn story(
        &self,
        request_id: String,
        node_ids: Vec<String>,
    ) -> Result<RequestStory, StoreError> {
        let store = self.store.clone();
        heavy::run(Whose::Operators, MOST_MEMORY, async move {
            story::gather(&*store, &node_ids, &request_id).await
        })
        .await
    }

    /// The pauses of receivers that are in force.
    /// # Errors
    /// When the store fails.
    pub async fn pauses(&self) -> Result<Vec<ReceiverDecision>, StoreError> {
        pauses::in_force(&*self.store).await
    }

    /// The receivers of deliveries: paused and failing ones first.
    /// # Errors
    /// When the store fails.
    pub async fn receivers(&self) -> Result<Vec<ReceiverShown>, StoreError> {
        let pauses = self.pauses().await?;
        let known = self.overview().await.map(|overview| overview.receivers);
        Ok(receivers::shown(&known.unwrap_or_default(), &pauses))
    }

    /// Pauses the deliveries to a receiver, or lets them go on.
    /// # Errors
    /// When the store fails.
    pub async fn decide_about_receiver(
        &self,
        decision: ReceiverDecision,
    ) -> Result<(), StoreError> {
        tracing::info!(
            receiver = decision.receiver,
            is_pause = decision.is_pause,
            who = decision.who,
            why = decision.why,
            "an operator has decided about deliveries"
        );
        pauses::decide(&*self.store, &decision).await?;
        if let Some(dispatcher) = &self.dispatcher {
            // If it cannot be told now, it looks for itself.
            pauses::tell(&*self.store, dispatcher).await;
        }
        Ok(())
    }

    /// Lets the dispatcher note what ends.
    pub(super) fn show_ends(&self, board: Arc<LiveBoard>) {
        if let Some(dispatcher) = &self.dispatcher {
            let told = dispatcher.send(TellOfEnds(board));
            tokio::spawn(async move {
                // A dispatcher that has stopped has nothing to show.
                let _ = told.await;
            });
        }
    }

    /// An open or failed job.
    /// # Errors
    /// When the store fails.
    pub async fn show(&self, id: JobId) -> Result<Option<Box<Shown>>, StoreError> {
        if let Some(job) = self.store.jobs(&[id]).await?.into_iter().flatten().next() {
            let errors = self.store.last_errors(&[id]).await?;
            let shown = shown_open(&job, errors.into_iter().flatten().next());
            return Ok(Some(Box::new(shown)));
        }
        let failed = self.store.failed_job(id).await?;
        Ok(failed.map(|failed| Box::new(shown_failed(&failed))))
    }

    /// Does these, in order. Returns the results in the order asked. Once the store is away, the remaining
    /// operations are not tried: the operator would wait for each in vain.
    pub async fn operate(&self, operations: Vec<Operation>) -> Vec<OperationResult> {
        let mut all = Vec::with_capacity(operations.len());
        let mut operations = operations.into_iter();
        for mut operation in operations.by_ref() {
            let id = operation.job;
            if let Some(proved) = &self.proved {
                operation.who = format!("{} ({proved})", operation.who);
            }
            tracing::info!(
                job = %id,
                action = operation.action.name(),
                who = operation.who,
                why = operation.why,
                "an operator has decided about a job"
            );
            match self.store.operate(operation).await {
                Ok(operated) => all.push(self.done(id, operated).await),
                Err(error) => {
                    all.push(self.not_known(id, &error).await);
                    if matches!(error, StoreError::Unavailable(_)) {
                        break;
                    }
                }
            }
        }
        all.extend(
            operations.map(|operation| told(operation.job, OperationOutcome::NotTried, None)),
        );
        all
    }

    async fn done(&self, id: JobId, operated: Operated) -> OperationResult {
        match operated {
            Operated::Open(job) => {
                self.tell_changed(job).await;
                told(id, OperationOutcome::Open, None)
            }
            Operated::Ended => {
                self.tell_gone(id).await;
                told(id, OperationOutcome::Ended, None)
            }
            Operated::NotFound => told(id, OperationOutcome::NotFound, None),
            Operated::Refused(reason) => told(id, OperationOutcome::Refused, Some(reason)),
        }
    }

    /// The store did not say whether the operation was done. The dispatcher
    /// must hear of it if it was, and the operator sees the job as it is now.
    async fn not_known(&self, id: JobId, error: &StoreError) -> OperationResult {
        let found = self.store.jobs(&[id]).await;
        let now = match found.map(|jobs| jobs.into_iter().flatten().next()) {
            Ok(Some(job)) => {
                let state = state_of(&job, Millis::now());
                self.tell_changed(job).await;
                match state {
                    JobState::Waiting => "; the job is open now, and waits",
                    JobState::Parked => "; the job is parked now",
                    JobState::Open | JobState::Failed => "; the job is open now",
                }
            }
            Ok(None) => {
                self.tell_gone(id).await;
                "; the job is not open now"
            }
            Err(_) => "",
        };
        told(id, OperationOutcome::Unknown, Some(format!("{error}{now}")))
    }

    async fn tell_changed(&self, job: Job) {
        if let Some(dispatcher) = &self.dispatcher {
            // An error means that the master stops; the next one finds the job.
            let _ = dispatcher.send(JobChanged(job)).await;
        }
    }

    async fn tell_gone(&self, id: JobId) {
        if let Some(dispatcher) = &self.dispatcher {
            // As above.
            let _ = dispatcher.send(JobGone(id)).await;
        }
    }
}

fn told(id: JobId, result: OperationOutcome, reason: Option<String>) -> OperationResult {
    OperationResult {
        id: id.to_string(),
        result,
        reason,
    }
}
