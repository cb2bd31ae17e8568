//! Moves messages from [`KeptMessages`](super::kept) to the store, then
//! acknowledges them.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::kept::KeptMessage;
use super::{Duty, DutySince, OnAccepted, Shared, stopped};
use crate::actors::mastership::monotonic_now;
use crate::context::Role;
use crate::delivery::callback;
use crate::error::{Refusal, codes};
use crate::job::{NewJob, message_key};
use crate::messaging::inbound;
use crate::messaging::inbound::{RawMessage, Taken};
use crate::proto::wire::MqError;
use crate::store::{Accept, Accepted, StoreError};

/// How long a message is kept before the store is asked whether the master has
/// stored it. In a working node the master always has by then, so that normally
/// one short question a second is enough and no message is stored twice.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// Each process waits a little longer, by its own part of this, so that mostly
/// one stores a message and the others find it stored.
const SPREAD: Duration = Duration::from_millis(500);
/// The spread where no master is seen and nothing is waited for.
const SPREAD_ALONE: Duration = Duration::from_millis(100);

/// First and longest pause while the store is away; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// Time for one acknowledgement. A lost one only causes a repetition.
const ACK_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Storer {
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
    /// This process's part of the spread.
    part: f64,
    /// Why the store did not accept the last messages.
    trouble: Option<String>,
}

impl Storer {
    pub fn new(shared: Arc<Shared>, stop: watch::Receiver<bool>) -> Self {
        Self {
            shared,
            stop,
            part: rand::rng().random(),
            trouble: None,
        }
    }

    /// Stores until asked to stop, and then once more what is left.
    pub async fn run(mut self) {
        self.store_what_comes().await;
        // Messages that cannot be stored now will be repeated.
        let _ = self.look(Duration::ZERO).await;
    }

    async fn store_what_comes(&mut self) {
        let mut standing = self.shared.standing.clone();
        let mut stop = self.stop.clone();
        let mut pause = FIRST_PAUSE;
        while !*stop.borrow() {
            let now = standing.borrow_and_update().clone();
            let stored = self.round(&now).await;
            let wait = match &stored {
                Ok(()) => {
                    pause = FIRST_PAUSE;
                    self.due_in(&now)
                }
                Err(_) => {
                    let wait = pause;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    Some(wait)
                }
            };
            self.tell(stored);
            let due = async {
                match wait {
                    Some(wait) => sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            let changed = async {
                if standing.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = due => {}
                // A message has come. It is not known yet when it is due.
                () = self.shared.came.notified(), if wait.is_none() => {}
                () = changed => {}
                () = stopped(&mut stop) => {}
            }
        }
    }

    /// Stores due messages. `Err`: the store is away.
    async fn round(&self, standing: &DutySince) -> Result<(), StoreError> {
        let too_old = self.shared.kept.lock().let_go_older(monotonic_now());
        self.shared
            .let_go(too_old, "they could not be stored in time");
        match &standing.duty {
            Duty::First(on_accepted) => {
                self.report_errors(on_accepted).await;
                self.store_all(on_accepted).await
            }
            Duty::Second | Duty::Alone => self.look(self.delay(&standing.duty)).await,
        }
    }

    /// How long a message is kept before it is due.
    fn delay(&self, duty: &Duty) -> Duration {
        match duty {
            Duty::First(_) => Duration::ZERO,
            Duty::Second => LOOK_AFTER + SPREAD.mul_f64(self.part),
            Duty::Alone => SPREAD_ALONE.mul_f64(self.part),
        }
    }

    fn due_in(&self, standing: &DutySince) -> Option<Duration> {
        let due_at = self.shared.kept.lock().due_at(self.delay(&standing.duty))?;
        Some(monotonic_now().until(due_at))
    }

    /// As the master: messages are new, so nothing is asked first.
    async fn store_all(&self, on_accepted: &OnAccepted) -> Result<(), StoreError> {
        loop {
            let batch = self.shared.kept.lock().first();
            if batch.is_empty() {
                return Ok(());
            }
            if !self.is_room().await {
                return Ok(());
            }
            self.store(batch, on_accepted).await?;
            // If this process was deposed meanwhile, another one stores the
            // rest.
            if !self.shared.is_first() {
                return Ok(());
            }
        }
    }

    /// As another process: asks which messages are known, and stores the
    /// others.
    async fn look(&self, delay: Duration) -> Result<(), StoreError> {
        loop {
            let asked = self.shared.kept.lock().due(monotonic_now(), delay);
            if asked.is_empty() {
                return Ok(());
            }
            let known = match self.shared.options.store.known_sources(&asked).await {
                // Nobody can say. Storing them one by one finds out.
                Err(StoreError::Corrupt(_) | StoreError::TooLarge(_)) => vec![false; asked.len()],
                known => known?,
            };
            let (known, new): (Vec<_>, Vec<_>) =
                asked.into_iter().zip(known).partition(|(_, known)| *known);
            self.pass(known.into_iter().map(|(source, _)| source)).await;
            let new: Vec<String> = new.into_iter().map(|(source, _)| source).collect();
            if !self.store_these(&new).await? {
                return Ok(());
            }
        }
    }

    /// Waits until the queue has room. False: the inbox is to stop.
    async fn is_room(&self) -> bool {
        let queue = &self.shared.options.queue;
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            () = queue.room_for_messages() => true,
            () = stopped(&mut stop) => false,
        }
    }

    /// Drops stored messages. The process that stored a message acknowledges it;
    /// this process does it if that process is gone or did not.
    async fn pass(&self, sources: impl Iterator<Item = String>) {
        let unacknowledged = {
            let standing = self.shared.standing.borrow().clone();
            let is_alone = !matches!(standing.duty, Duty::Second);
            let mut kept = self.shared.kept.lock();
            let passed = sources.filter_map(|source| kept.pass(&source));
            let doubtful = passed.filter(|(received, came_again)| {
                is_alone || *came_again || received.at <= standing.since
            });
            doubtful.map(|(received, _)| received).collect::<Vec<_>>()
        };
        self.shared.left.notify_one();
        self.acknowledge(&unacknowledged).await;
    }

    /// Stores messages that nobody had stored. False: the inbox is to stop, and
    /// there is no room.
    async fn store_these(&self, sources: &[String]) -> Result<bool, StoreError> {
        loop {
            let batch = self.shared.kept.lock().first_of(sources);
            if batch.is_empty() {
                return Ok(true);
            }
            if !self.is_room().await {
                return Ok(false);
            }
            let messages = batch.len();
            let on_accepted = &self.shared.options.on_accepted;
            let stored = self.store(batch, on_accepted).await?;
            if stored > 0 {
                metrics::counter!("erawan_messages_stood_in_total").increment(stored);
                tracing::info!(
                    messages,
                    stored,
                    "stored messages that no master had stored"
                );
            }
        }
    }

    /// Stores a batch, tells the dispatcher, and acknowledges. Returns how many
    /// were new. If the store refuses one for good, only that one is refused.
    async fn store(
        &self,
        batch: Vec<Arc<KeptMessage>>,
        on_accepted: &OnAccepted,
    ) -> Result<u64, StoreError> {
        let accept = self.accept_of(&batch).await;
        let accepted = match self.accept(accept, on_accepted).await {
            // Perhaps the consequences of one message cannot be stored.
            Err(StoreError::Corrupt(_) | StoreError::TooLarge(_)) if batch.len() == 1 => {
                let accept = as_they_came(&batch);
                self.accept(accept, on_accepted).await
            }
            accepted => accepted,
        };
        match accepted {
            Err(error @ (StoreError::Corrupt(_) | StoreError::TooLarge(_))) => {
                let [message] = batch.as_slice() else {
                    let mut stored = 0;
                    for message in batch {
                        stored += Box::pin(self.store(vec![message], on_accepted)).await?;
                    }
                    return Ok(stored);
                };
                self.refuse(message, &error);
                Ok(0)
            }
            stored => {
                let stored = stored?;
                self.settle(&batch);
                self.acknowledge(&batch).await;
                Ok(stored)
            }
        }
    }

    /// The jobs of the roles for messages that can be opened now, with their
    /// records; for the others, jobs that open them.
    async fn accept_of(&self, batch: &[Arc<KeptMessage>]) -> Accept {
        let Some(opener) = &self.shared.options.opener else {
            return as_they_came(batch);
        };
        let messages: Vec<RawMessage> = batch.iter().map(|received| raw(received)).collect();
        let opened = opener.open(&messages).await;
        let mut accept = Accept::default();
        for ((received, raw), opened) in batch.iter().zip(messages).zip(opened) {
            let job = match opened {
                Some(Taken { job, record }) => {
                    accept.writes.push(record);
                    job
                }
                None => receive_job(&raw),
            };
            // Every process makes the same job of a message, opened or not.
            accept.jobs.push(job.source(received.source.clone()));
        }
        accept
    }

    async fn accept(&self, accept: Accept, on_accepted: &OnAccepted) -> Result<u64, StoreError> {
        let options = &self.shared.options;
        match options.store.accept(accept).await? {
            Accepted::Stored { jobs, .. } => {
                let stored = jobs.len() as u64;
                metrics::counter!("erawan_messages_stored_total").increment(stored);
                options.queue.note_accepted(&jobs);
                if !jobs.is_empty() {
                    on_accepted(jobs);
                }
                Ok(stored)
            }
            // There are no guards.
            Accepted::Refused { guard } => {
                let reason = format!("the store refused guard {guard}");
                Err(StoreError::Unavailable(reason))
            }
        }
    }

    fn settle(&self, batch: &[Arc<KeptMessage>]) {
        let mut kept = self.shared.kept.lock();
        for received in batch {
            kept.settle(&received.source);
        }
        drop(kept);
        self.shared.left.notify_one();
    }

    /// Leaves a message unacknowledged. Its sender repeats it, and tells its
    /// own client if that does not help.
    fn refuse(&self, received: &Arc<KeptMessage>, error: &StoreError) {
        metrics::counter!("erawan_messages_refused_total").increment(1);
        tracing::error!(
            sender_id = received.sender_id,
            message_id = received.message_id,
            bytes = received.bytes.len(),
            %error,
            "a message cannot be stored and is not acknowledged; the others go on"
        );
        self.settle(std::slice::from_ref(received));
    }

    async fn acknowledge(&self, messages: &[Arc<KeptMessage>]) {
        let acks = messages.iter().map(|received| async move {
            let message_id = &received.message_id;
            let ack = self.shared.options.client.acknowledge(message_id);
            match timeout(ACK_TIMEOUT, ack).await {
                Ok(Ok(())) => {}
                Ok(Err(status))
                    if status.message() == codes::MQ_SEND_ACK_UNKNOWN_MESSAGE_ID.message =>
                {
                    // Another process of this node was faster, or the service
                    // was restarted and the message comes again.
                    tracing::debug!(message_id, "nobody waits for an acknowledgement");
                }
                Ok(Err(status)) => tracing::warn!(
                    message_id,
                    reason = status.message(),
                    "acknowledgement failed; the sender will repeat the message"
                ),
                Err(_) => tracing::warn!(message_id, "acknowledgement timed out"),
            }
        });
        futures_util::future::join_all(acks).await;
    }

    /// Reports errors of the queue to the role's `error_url`, if they can be
    /// stored now.
    async fn report_errors(&self, on_accepted: &OnAccepted) {
        let errors = self.shared.kept.lock().take_errors();
        if errors.is_empty() {
            return;
        }
        let role = self.shared.options.role;
        let accept = Accept {
            jobs: errors.iter().map(|error| error_job(role, error)).collect(),
            ..Accept::default()
        };
        match self.shared.options.store.accept(accept).await {
            Ok(Accepted::Stored { jobs, .. }) => on_accepted(jobs),
            Ok(Accepted::Refused { .. }) => {}
            Err(error) => tracing::warn!(%error, ?errors, "errors of the queue are not reported"),
        }
    }

    /// Reports once when the store accepts nothing, and once when it does
    /// again.
    fn tell(&mut self, stored: Result<(), StoreError>) {
        let before = self.trouble.take();
        self.trouble = stored.err().map(|error| error.to_string());
        match (before, &self.trouble) {
            (None, Some(reason)) => {
                tracing::warn!(reason, "messages cannot be stored and are not acknowledged");
            }
            (Some(_), None) => tracing::info!("messages are stored again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
    }
}

impl Shared {
    /// Reports messages that are dropped although they are not stored.
    pub(super) fn let_go(&self, messages: usize, reason: &str) {
        if messages > 0 {
            metrics::counter!("erawan_messages_let_go_total").increment(messages as u64);
            tracing::warn!(
                messages,
                reason,
                "messages are dropped before they were stored"
            );
        }
    }
}

fn as_they_came(batch: &[Arc<KeptMessage>]) -> Accept {
    let job = |received: &Arc<KeptMessage>| receive_job(&raw(received)).source(&received.source);
    Accept {
        jobs: batch.iter().map(job).collect(),
        ..Accept::default()
    }
}

fn raw(received: &KeptMessage) -> RawMessage {
    RawMessage {
        sender_id: received.sender_id.clone(),
        message_id: received.message_id.clone(),
        bytes: received.bytes.to_vec(),
        received_at: received.received_at,
    }
}

fn receive_job(raw: &RawMessage) -> NewJob {
    let key = message_key(&raw.sender_id, &raw.message_id);
    NewJob::new(inbound::RECEIVE, key, raw)
}

fn error_job(role: Role, error: &MqError) -> NewJob {
    let number = u32::try_from(error.code).unwrap_or_default();
    let code = codes::ALL.iter().find(|code| code.number == number);
    let error = match code {
        Some(code) => Refusal::from(*code),
        None => Refusal::with_message(codes::UNKNOWN_ERROR, error.message.clone()),
    };
    callback::error_job(role.as_str(), None, "onMessage", None, &error)
}
