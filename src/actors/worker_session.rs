//! The master's side of one connected worker. It owns the channel to it, so
//! that a slow worker holds up no other.

use std::collections::VecDeque;
use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::mpsc;

use crate::job::Job;
use crate::protocol::message;
use crate::protocol::message::{FromMaster, MESSAGE_JOBS};

use super::mastership::Term;

/// Most messages that wait for the worker's channel; one more ends the session.
/// The worker's credit bounds jobs, so only news of the ledger can pile up
/// here.
const OUTBOX: usize = 1024;

/// Sends a message to the worker, in order.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ToWorker(pub FromMaster);

#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct CloseSession;

/// The actor. It ends when the channel is closed, or by [`CloseSession`].
pub struct WorkerSession {
    channel: mpsc::Sender<FromMaster>,
    term: Term,
    outbox: VecDeque<FromMaster>,
    /// Size of the jobs in the last message of the outbox.
    bytes: usize,
    is_waiting: bool,
}

impl WorkerSession {
    /// Writes to `channel`. It ends instead of assigning anything after `term`.
    pub fn new(channel: mpsc::Sender<FromMaster>, term: Term) -> Self {
        Self {
            channel,
            term,
            outbox: VecDeque::new(),
            bytes: 0,
            is_waiting: false,
        }
    }

    fn put(&mut self, message: FromMaster) {
        match (self.outbox.back(), message) {
            (_, FromMaster::Assign(jobs)) => self.put_jobs(jobs),
            // Any waiting message shows life too.
            (Some(_), FromMaster::Heartbeat(_)) => {}
            (_, message) => self.outbox.push_back(message),
        }
    }

    /// Joins assignments that wait in a row into one message, as long as it
    /// does not grow too large.
    fn put_jobs(&mut self, jobs: Vec<Arc<Job>>) {
        for job in jobs {
            let size = message::size(&job);
            match self.outbox.back_mut() {
                Some(FromMaster::Assign(waiting)) if self.bytes + size <= MESSAGE_JOBS => {
                    waiting.push(job);
                    self.bytes += size;
                }
                _ => {
                    self.outbox.push_back(FromMaster::Assign(vec![job]));
                    self.bytes = size;
                }
            }
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

impl Handler<CloseSession> for WorkerSession {
    type Result = ();

    fn handle(&mut self, _: CloseSession, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Epoch, Millis, NewJob, noop};

    fn jobs(count: u64, bytes: usize) -> Vec<Arc<Job>> {
        let job = |seq| {
            let payload = vec![7u8; bytes];
            Arc::new(Job {
                new: NewJob::new(noop::DELIVERY, format!("key{seq}"), &payload),
                seq,
                prev: 0,
                attempt: 1,
                tries: 0,
                strikes: 0,
                parked: false,
                accepted_at: Millis(1),
            })
        };
        (1..=count).map(job).collect()
    }

    fn sent(session: &WorkerSession) -> Vec<Vec<u64>> {
        let jobs = session.outbox.iter().map(|message| match message {
            FromMaster::Assign(jobs) => jobs.iter().map(|job| job.seq).collect(),
            _ => Vec::new(),
        });
        jobs.collect()
    }

    #[test]
    fn however_much_credit_there_is_no_message_is_too_large() {
        let (channel, _receiver) = mpsc::channel(1);
        let term = Term::without_end(Epoch(1));
        let mut session = WorkerSession::new(channel, term);
        let all = jobs(4096, 20_000);
        let (first, second) = all.split_at(1000);
        session.put(FromMaster::Assign(first.to_vec()));
        session.put(FromMaster::Assign(second.to_vec()));
        for message in &session.outbox {
            let encoded = crate::proto::cluster::FromMaster::from(message.clone());
            let length = prost::Message::encoded_len(&encoded);
            assert!(length < crate::protocol::MESSAGE_LIMIT / 8, "{length}");
        }
        let sent = sent(&session);
        assert!(sent.len() > 10 && sent.len() < 30, "{}", sent.len());
        let order: Vec<u64> = sent.concat();
        assert_eq!(order, (1..=4096).collect::<Vec<_>>());
    }

    #[test]
    fn small_assignments_that_wait_become_one_message() {
        let (channel, _receiver) = mpsc::channel(1);
        let mut session = WorkerSession::new(channel, Term::without_end(Epoch(1)));
        let all = jobs(3, 10);
        session.put(FromMaster::Assign(all[..1].to_vec()));
        session.put(FromMaster::Heartbeat(None));
        session.put(FromMaster::Assign(all[1..2].to_vec()));
        session.put(FromMaster::Stopping);
        session.put(FromMaster::Assign(all[2..].to_vec()));
        assert_eq!(sent(&session), [vec![1, 2], vec![], vec![3]]);
    }
}
