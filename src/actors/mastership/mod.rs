//! One master per node id: a process holds a lease in the store and renews it
//! while it lives. Every other process is a hot standby. This is the task
//! around the core: it asks the store, keeps the timer, and tells the rest of
//! the process.

pub mod core;
#[cfg(test)]
mod core_tests;
mod term;

use std::future::pending;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use self::core::{Action, Core, Event, Options};
use crate::job::{Epoch, Millis};
use crate::logging::Reminder;
use crate::store::{Lease, SharedStore, StoreError};
use crate::tick;
pub use term::{Term, monotonic_now};

/// How long the store keeps a lease that is not renewed.
pub const LEASE: Duration = Duration::from_secs(2);

/// For a store that several processes use. Clocks may differ in rate by 5 %.
pub const OPTIONS: Options = Options {
    trust: Duration::from_millis(1900),
    // With the beat: every half second.
    renewal: Duration::from_millis(420),
    poll: Duration::from_millis(125),
    retry: Duration::from_millis(100),
    exclusive: false,
};

/// For a store that admits one process: the lease does not run out, and each
/// question costs a sync of the disk.
pub const EXCLUSIVE: Options = Options {
    renewal: Duration::from_secs(30),
    retry: Duration::from_secs(1),
    exclusive: true,
    ..OPTIONS
};

/// Longest wait for the store to take a lease back.
const GIVE_UP: Duration = Duration::from_secs(1);

/// What a process is to its node.
#[derive(Debug, Clone)]
pub enum Standing {
    /// Waits until no other process is the master.
    Standby {
        /// Who the master is, if the store has said so.
        holder: Option<String>,
    },
    /// Is the master.
    Leading(Term),
    /// Was the master, or has stopped waiting to be.
    Over { reason: String },
}

/// One candidacy, from standby to the end of the term that may follow.
#[derive(Debug)]
pub struct Mastership {
    events: mpsc::UnboundedSender<Event>,
    standing: watch::Receiver<Standing>,
    task: JoinHandle<()>,
}

impl Mastership {
    /// Stands for mastership under a name that was never used before, so that
    /// its term has an epoch of its own. The epoch is above `above`, the
    /// highest that this process knows; the store may have forgotten it. Must
    /// be called within a tokio runtime.
    pub fn stand(store: SharedStore, holder: String, options: Options, above: Epoch) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "told by this process only, a few times a term"
        )]
        let (events, told) = mpsc::unbounded_channel();
        let (tell, standing) = watch::channel(Standing::Standby { holder: None });
        let keeper = Keeper {
            core: Core::new(options),
            store,
            holder,
            above,
            told,
            tell,
            question: None,
            reminder: Reminder::default(),
            wake_at: None,
        };
        Self {
            events,
            standing,
            task: tokio::spawn(keeper.run()),
        }
    }

    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Waits until the store has said who the master is. True if it is another
    /// process.
    pub async fn has_rival(&self) -> bool {
        let mut standing = self.standing.clone();
        let unknown = |standing: &Standing| matches!(standing, Standing::Standby { holder: None });
        let known = standing.wait_for(|standing| !unknown(standing));
        matches!(known.await.as_deref(), Ok(Standing::Standby { .. }))
    }

    /// Waits until this process is the master; `None` if it never will be.
    pub async fn elected(&self) -> Option<Term> {
        let mut standing = self.standing.clone();
        let decided = standing.wait_for(|standing| !matches!(standing, Standing::Standby { .. }));
        match &*decided.await.ok()? {
            Standing::Leading(term) => Some(term.clone()),
            Standing::Standby { .. } | Standing::Over { .. } => None,
        }
    }

    /// Waits until this process is no longer the master, and returns why.
    pub async fn lost(&self) -> String {
        let mut standing = self.standing.clone();
        let over = standing.wait_for(|standing| matches!(standing, Standing::Over { .. }));
        match over.await.as_deref() {
            Ok(Standing::Over { reason }) => reason.clone(),
            _ => "mastership is no longer kept".to_owned(),
        }
    }

    /// Somebody knows a master with this epoch.
    pub fn refused(&self, epoch: Epoch) {
        // If nobody listens, the candidacy has ended.
        let _ = self.events.send(Event::Refused(epoch));
    }

    /// Gives mastership up, so that a standby takes over at once. Returns when
    /// the store has taken the lease back, or after a second without an answer.
    pub async fn end(mut self) {
        let _ = self.events.send(Event::Stop);
        if timeout(GIVE_UP * 3, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

impl Drop for Mastership {
    fn drop(&mut self) {
        if let Standing::Leading(term) = &*self.standing.borrow() {
            term.end();
        }
        self.task.abort();
    }
}

type Question = BoxFuture<'static, Event>;

struct Keeper {
    core: Core,
    store: SharedStore,
    holder: String,
    above: Epoch,
    told: mpsc::UnboundedReceiver<Event>,
    tell: watch::Sender<Standing>,
    question: Option<Question>,
    /// About a store that does not answer it.
    reminder: Reminder,
    wake_at: Option<Millis>,
}

impl Keeper {
    async fn run(mut self) {
        self.happen(Event::Start).await;
        loop {
            let event = self.next().await;
            let is_last = event == Event::Stop;
            self.happen(event).await;
            if is_last {
                break;
            }
        }
        // A lease that is granted now would keep others waiting.
        if let Some(question) = self.question.take()
            && let Ok(answer) = timeout(GIVE_UP, question).await
        {
            self.happen(answer).await;
        }
    }

    async fn next(&mut self) -> Event {
        let wake_at = self.wake_at;
        let trusted_until = self.core.trusted_until();
        let wake = async {
            let Some(instant) = wake_at else {
                return pending().await;
            };
            let pause = monotonic_now().until(instant);
            let is_end = trusted_until.is_some_and(|end| end <= instant.after(tick::SLACK));
            sleep(if is_end { pause } else { tick::stretch(pause) }).await;
        };
        let answer = async {
            match self.question.as_mut() {
                Some(question) => question.await,
                None => pending().await,
            }
        };
        tokio::select! {
            told = self.told.recv() => told.unwrap_or(Event::Stop),
            answered = answer => {
                self.question = None;
                answered
            }
            () = wake => {
                self.wake_at = None;
                Event::Wake
            }
        }
    }

    async fn happen(&mut self, event: Event) {
        self.note_holder(&event);
        let now = monotonic_now();
        let actions = self.core.handle(now, event);
        if let (Some(until), Standing::Leading(term)) =
            (self.core.trusted_until(), &*self.tell.borrow())
        {
            term.extend(until);
        }
        for action in actions {
            self.act(action, now).await;
        }
    }

    async fn act(&mut self, action: Action, now: Millis) {
        match action {
            Action::Ask => {
                let (store, holder) = (self.store.clone(), self.holder.clone());
                self.question = Some(ask(store, holder, self.above, now));
            }
            Action::Lead { epoch } => {
                tracing::info!(epoch = epoch.0, "this process is the master");
                let until = self.core.trusted_until().unwrap_or_default();
                let term = Term::until(epoch, until);
                self.tell.send_replace(Standing::Leading(term));
            }
            Action::StepDown { reason } => {
                let over = Standing::Over { reason };
                if let Standing::Leading(term) = self.tell.send_replace(over) {
                    term.end();
                }
            }
            Action::GiveUp => {
                let given = self.store.release_lease(&self.holder);
                let problem = match timeout(GIVE_UP, given).await {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "no answer in time".to_owned(),
                };
                tracing::warn!(problem, "the lease was not given up; it ends in {LEASE:?}");
            }
            Action::WakeAt(instant) => self.wake_at = Some(instant),
        }
    }

    /// Tells operators whose standby this process is, and what prevents it from
    /// asking.
    fn note_holder(&mut self, event: &Event) {
        let Event::Answered { answer, .. } = event else {
            return;
        };
        if answer.is_ok() {
            self.reminder.over();
        }
        match answer {
            Ok(Lease::HeldBy { holder, .. }) => {
                self.tell.send_if_modified(|standing| {
                    let Standing::Standby { holder: known } = standing else {
                        return false;
                    };
                    if known.as_ref() == Some(holder) {
                        return false;
                    }
                    tracing::info!(holder, "another master is active: standing by");
                    *known = Some(holder.clone());
                    true
                });
            }
            Ok(Lease::Held { .. }) => {}
            Err(error) => {
                if self.reminder.is_due() {
                    tracing::warn!(%error, "asking for mastership");
                }
            }
        }
    }
}

/// An answer that takes longer than a lease is useless.
fn ask(store: SharedStore, holder: String, above: Epoch, asked_at: Millis) -> Question {
    async move {
        let answer = timeout(LEASE, store.acquire_lease(&holder, LEASE, above)).await;
        let answer =
            answer.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".to_owned())));
        Event::Answered { asked_at, answer }
    }
    .boxed()
}
