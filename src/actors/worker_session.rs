//! The master's side of one connected worker: owns the channel to it, so that
//! one slow worker holds up nobody.

use std::collections::VecDeque;

use actix::prelude::*;
use tokio::sync::mpsc;

use crate::cluster::message::FromMaster;

use super::mastership::Term;

/// Most messages that wait for the worker's channel; more, and the session is
/// given up. Jobs are bounded by the worker's credit, so what piles up here is
/// news of the ledger.
const OUTBOX: usize = 1024;

/// Sends a message to the worker, after those before it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ToWorker(pub FromMaster);

/// Ends the session.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Close;

/// The actor; it ends when the channel is closed, or by [`Close`].
pub struct WorkerSession {
    channel: mpsc::Sender<FromMaster>,
    term: Term,
    outbox: VecDeque<FromMaster>,
    is_waiting: bool,
}

impl WorkerSession {
    /// A session that writes to `channel`. It ends in place of assigning
    /// anything after `term`.
    pub fn new(channel: mpsc::Sender<FromMaster>, term: Term) -> Self {
        Self {
            channel,
            term,
            outbox: VecDeque::new(),
            is_waiting: false,
        }
    }

    /// Assignments that wait behind each other become one message.
    fn put(&mut self, message: FromMaster) {
        match (self.outbox.back_mut(), message) {
            (Some(FromMaster::Assign(waiting)), FromMaster::Assign(jobs)) => waiting.extend(jobs),
            // Whatever is waiting shows life as well.
            (Some(_), FromMaster::Heartbeat(_)) => {}
            (_, message) => self.outbox.push_back(message),
        }
    }

    fn flush(&mut self, ctx: &mut Context<Self>) {
        while !self.is_waiting
            && let Some(message) = self.outbox.pop_front()
        {
            if matches!(message, FromMaster::Assign(_)) && !self.term.holds() {
                ctx.stop();
                return;
            }
            match self.channel.try_send(message) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(message)) => {
                    self.outbox.push_front(message);
                    self.wait(ctx);
                }
                Err(mpsc::error::TrySendError::Closed(_)) => ctx.stop(),
            }
        }
    }

    fn wait(&mut self, ctx: &mut Context<Self>) {
        self.is_waiting = true;
        let room = self.channel.clone().reserve_owned();
        let resumed = room.into_actor(self).map(|permit, session, ctx| {
            session.is_waiting = false;
            match permit {
                Ok(permit) => {
                    drop(permit);
                    session.flush(ctx);
                }
                Err(_) => ctx.stop(),
            }
        });
        ctx.spawn(resumed);
    }
}

impl Actor for WorkerSession {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(OUTBOX);
    }
}

impl Handler<ToWorker> for WorkerSession {
    type Result = ();

    fn handle(&mut self, ToWorker(message): ToWorker, ctx: &mut Self::Context) {
        self.put(message);
        self.flush(ctx);
        if self.outbox.len() > OUTBOX {
            ctx.stop();
        }
    }
}

impl Handler<Close> for WorkerSession {
    type Result = ();

    fn handle(&mut self, _: Close, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
