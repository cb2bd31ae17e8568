//! Decides who is the master. A pure state machine: events in, actions out; no
//! clock, no I/O, so that it can be model-checked and simulated.
//!
//! All instants come from one monotonic clock that runs on while the process is
//! suspended. A master trusts its lease until `asked_at + trust` and not a
//! moment longer. `asked_at` is when it asked, not when it was answered:
//! whatever delays the answer, the store's lease began later and so ends later.
//! No clock value is compared with one of another process; the two clocks only
//! have to run about equally fast.

use std::time::Duration;

use crate::job::{Epoch, Millis};
use crate::mistake::{self, Mistake};
use crate::store::{Lease, StoreError};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Options {
    /// How long a master trusts a lease after it has asked for it: a little
    /// less than the lease, by as much as clocks may differ in rate.
    pub trust: Duration,
    /// How long after its last question a master asks again.
    pub renewal: Duration,
    /// A standby asks at least this often, so that it soon finds a lease that
    /// was given up.
    pub poll: Duration,
    /// Pause after a question that the store did not answer.
    pub retry: Duration,
    /// The store admits one process only (an embedded store with a locked
    /// file), so a lease that cannot be renewed is not lost.
    pub exclusive: bool,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Stand for mastership. After [`Action::StepDown`], only when everything
    /// that the master did has stopped.
    Start,
    /// The store's answer to [`Action::Ask`].
    Answered {
        asked_at: Millis,
        answer: Result<Lease, StoreError>,
    },
    Wake,
    /// The store or a worker knows a later master.
    Refused(Epoch),
    /// Stop being, or wanting to be, the master.
    Stop,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `Store::acquire_lease`, one at a time.
    Ask,
    /// This process is the master from now on.
    Lead {
        /// Every write carries it.
        epoch: Epoch,
    },
    /// This process is no longer the master and must do nothing as master.
    StepDown {
        /// For operators.
        reason: String,
    },
    /// `Store::release_lease`: another process may have it at once.
    GiveUp,
    /// Call again with [`Event::Wake`] at this instant. Replaces the previous
    /// one.
    WakeAt(Millis),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    /// Not standing for mastership.
    Idle,
    /// Waits to become the master.
    Standby,
    /// Is the master and trusts its lease until then.
    Leading { epoch: Epoch, until: Millis },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Core {
    options: Options,
    stage: Stage,
    /// When the open question was asked.
    asked_at: Option<Millis>,
    ask_at: Millis,
}

impl Core {
    /// Neither master nor standby; give it [`Event::Start`].
    pub fn new(options: Options) -> Self {
        Self {
            options,
            stage: Stage::Idle,
            asked_at: None,
            ask_at: Millis(0),
        }
    }

    /// Takes an event and returns what to do. A master whose lease has run out
    /// steps down, whatever the event is.
    pub fn handle(&mut self, now: Millis, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        if let Stage::Leading { until, .. } = self.stage
            && until <= now
        {
            let reason = "the lease was not renewed in time".to_owned();
            self.step_down(&mut actions, reason, true);
        }
        self.take(&mut actions, now, event);
        self.go_on(&mut actions, now);
        actions
    }

    /// The epoch, if this process is the master now.
    pub fn leads(&self, now: Millis) -> Option<Epoch> {
        match self.stage {
            Stage::Leading { epoch, until } if now < until => Some(epoch),
            _ => None,
        }
    }

    /// Until when this process may believe that it is the master, unless it
    /// hears otherwise.
    pub fn trusted_until(&self) -> Option<Millis> {
        match self.stage {
            Stage::Leading { until, .. } => Some(until),
            Stage::Idle | Stage::Standby => None,
        }
    }

    fn take(&mut self, actions: &mut Vec<Action>, now: Millis, event: Event) {
        match event {
            Event::Start => {
                if self.stage == Stage::Idle {
                    self.stage = Stage::Standby;
                    self.ask_at = now;
                }
            }
            Event::Answered { asked_at, answer } => {
                if self.asked_at == Some(asked_at) {
                    self.asked_at = None;
                    self.answered(actions, now, asked_at, answer);
                }
            }
            Event::Wake => {}
            Event::Refused(current) => {
                if let Stage::Leading { epoch, .. } = self.stage
                    && epoch < current
                {
                    let reason = format!("a later master exists (epoch {})", current.0);
                    // The store may still hold our lease: a worker's memory can
                    // be newer than a store that was restored.
                    self.step_down(actions, reason, true);
                }
            }
            Event::Stop => {
                if let Stage::Leading { .. } = self.stage {
                    self.step_down(actions, "told to stop".to_owned(), true);
                }
                self.stage = Stage::Idle;
            }
        }
    }

    fn answered(
        &mut self,
        actions: &mut Vec<Action>,
        now: Millis,
        asked_at: Millis,
        answer: Result<Lease, StoreError>,
    ) {
        match (self.stage, answer) {
            (Stage::Idle, Ok(Lease::Held { .. })) => actions.push(Action::GiveUp),
            (Stage::Idle, _) => {}
            (Stage::Standby, Ok(Lease::Held { epoch })) => {
                let until = self.trusted_from(asked_at);
                self.ask_at = asked_at.after(self.options.renewal);
                // An answer that comes too late is no lease. The next one is.
                if now < until {
                    self.stage = Stage::Leading { epoch, until };
                    actions.push(Action::Lead { epoch });
                }
            }
            (Stage::Standby, Ok(Lease::HeldBy { remaining, .. })) => {
                self.ask_at = now.after(remaining.min(self.options.poll));
            }
            (Stage::Leading { epoch, .. }, Ok(Lease::Held { epoch: held })) if epoch == held => {
                let until = self.trusted_from(asked_at);
                self.stage = Stage::Leading { epoch, until };
                self.ask_at = asked_at.after(self.options.renewal);
            }
            (Stage::Leading { .. }, Ok(Lease::Held { .. })) => {
                let reason = "the store has begun a new epoch: it was restarted, or another \
                              process was the master in between"
                    .to_owned();
                self.step_down(actions, reason, true);
            }
            (Stage::Leading { .. }, Ok(Lease::HeldBy { holder, .. })) => {
                self.step_down(actions, format!("{holder} is the master"), false);
            }
            (Stage::Leading { .. }, Err(StoreError::Deposed { current })) => {
                let reason = format!("a later master exists (epoch {})", current.0);
                self.step_down(actions, reason, false);
            }
            (Stage::Standby | Stage::Leading { .. }, Err(_)) => {
                self.ask_at = now.after(self.options.retry);
            }
        }
    }

    fn trusted_from(&self, asked_at: Millis) -> Millis {
        if self.options.exclusive || mistake::made(Mistake::LeaseTrustedForEver) {
            return Millis(u64::MAX);
        }
        asked_at.after(self.options.trust)
    }

    fn step_down(&mut self, actions: &mut Vec<Action>, reason: String, give_up: bool) {
        self.stage = Stage::Idle;
        actions.push(Action::StepDown { reason });
        if give_up {
            actions.push(Action::GiveUp);
        }
    }

    /// Asks if it is time to, and says when to call again.
    fn go_on(&mut self, actions: &mut Vec<Action>, now: Millis) {
        let until = match self.stage {
            Stage::Idle => return,
            Stage::Standby => None,
            Stage::Leading { until, .. } => Some(until),
        };
        if self.asked_at.is_none() && self.ask_at <= now {
            self.asked_at = Some(now);
            actions.push(Action::Ask);
        }
        let ask_at = self.asked_at.is_none().then_some(self.ask_at);
        if let Some(instant) = [until, ask_at].into_iter().flatten().min()
            && instant < Millis(u64::MAX)
        {
            actions.push(Action::WakeAt(instant));
        }
    }
}
