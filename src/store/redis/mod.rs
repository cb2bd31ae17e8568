//! The store of a cluster: Redis (or Valkey), which every process of the node
//! reaches. Durability is that of Redis: `appendonly yes`, and `appendfsync
//! always` where not even the last second may be lost.
//!
//! All keys of a node start with `{erawan:<node id>}:`, so that they share a
//! hash slot:
//!
//! | key | type | content |
//! |---|---|---|
//! | `job:<id>` | string | record of an open job ([`super::record`]) |
//! | `open` | sorted set | ids of the open jobs by seq |
//! | `line:<key>` | sorted set | seqs of the key's open jobs that are in line |
//! | `seq` | integer | the last seq given |
//! | `source:<source>` | string | present while the source is remembered |
//! | `s:<table>:<row>` | hash | columns |
//! | `open_bytes` | integer | size of the records of open jobs |
//! | `parked` | sorted set | ids of the parked jobs by seq |
//! | `errors` | hash | last error of the jobs whose head says that there is one |
//! | `failed`, `failed_seq` | sorted set, integer | ids of failed jobs by the order in which they failed |
//! | `failures`, `failed_bytes` | hash, integer | reason and record of each, and their size |
//! | `ping` | string | written for nothing but to see whether that can be done; expires |
//! | `audit` | list | what operators did, oldest first |
//! | `lease` | hash | `holder`, `until` (ms by Redis' clock), `epoch` |
//! | `mark` | string | written for nothing but to wait until replicas have it; expires |
//! | `run` | string | a run of the server, and `seq` at its beginning |
//!
//! Ids are the 16 raw bytes.

mod access;
mod answers;
mod arguments;
mod commands;
mod connect;
mod connection;
mod durations;
mod history;
mod lease;
mod limits;
mod link;
mod locate;
mod operate;
mod options;
mod reads;
mod replicas;
mod scripts;
mod settings;
mod size;
mod tables;
mod target;
mod tls;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;

use self::answers::{
    DONE, FENCED, REFUSED, ScriptReply, first, job_id, last, refusal, seqs, signed, stored_jobs,
};
use self::durations::Reads;
use self::history::ServerHistory;
use self::link::{CommandLane, RedisConnections};
pub use self::options::{Options, RedisTarget};
use self::replicas::Replicas;
use self::scripts::Scripts;
use self::size::Measured;
use super::operation::outcome_unknown;
use super::record;
use crate::job::{Attempt, Commit, Epoch, Job, JobId, JobOutcome, Millis};
use crate::store::{
    Accept, Accepted, Audited, Committed, Counts, FailedJob, FailedLimits, LastError, Lease,
    MAX_STRIKES, Operated, Operation, PAGE_BYTES, Release, Released, Store, StoreError, Struck,
};

pub struct RedisStore {
    link: RedisConnections,
    scripts: Scripts,
    reads: Reads,
    prefix: String,
    replicas: Option<Replicas>,
    failed_limits: FailedLimits,
    history: Arc<ServerHistory>,
    /// The server's interruptions when this process last became or stayed the
    /// master.
    term: AtomicU64,
    /// When a lease was last granted, unless a script has failed since.
    granted: Mutex<Option<Instant>>,
}

/// A granted lease shows for this long that Redis accepts writes, because the
/// script writes like a ping.
const SHOWS: Duration = Duration::from_millis(700);
/// How long the key of a ping is kept.
const PING_KEPT: Duration = Duration::from_secs(10);

#[async_trait]
impl Store for RedisStore {
    async fn accept(&self, accept: Accept) -> Result<Accepted, StoreError> {
        let script = &self.scripts.accept;
        let now = Millis::now();
        let mut command = script.call(&self.prefix);
        match accept.epoch {
            Some(Epoch(epoch)) => command.arg(epoch),
            None => command.arg(""),
        };
        arguments::guards(&mut command, &accept.guards);
        arguments::apply(&mut command, &accept.writes, &[], &accept.jobs, now);
        let before = self.history.seq();
        match self.write::<ScriptReply>(script, &command).await? {
            (DONE, numbers, _) => {
                self.history.given(before, seqs(&numbers));
                let (jobs, duplicates) = stored_jobs(accept.jobs, now, &numbers)?;
                Ok(Accepted::Stored { jobs, duplicates })
            }
            (REFUSED, numbers, _) => Ok(Accepted::Refused {
                guard: first(&numbers)? as usize,
            }),
            answer => Err(refusal(answer)),
        }
    }

    async fn commit(&self, attempt: Attempt, commit: Arc<Commit>) -> Result<Committed, StoreError> {
        let script = &self.scripts.commit;
        let now = Millis::now();
        let mut command = self.attempt_call(script, attempt);
        match &commit.outcome {
            JobOutcome::Done => command.arg(""),
            JobOutcome::Failed { reason } => command.arg(record::failure(reason, now)),
        };
        command
            .arg(self.failed_limits.jobs)
            .arg(self.failed_limits.bytes);
        arguments::apply(
            &mut command,
            &commit.writes,
            &commit.cancel,
            &commit.jobs,
            now,
        );
        let before = self.history.seq();
        match self.write::<ScriptReply>(script, &command).await? {
            (DONE, mut numbers, ids) => {
                super::note_dropped(numbers.pop().unwrap_or(0));
                self.history.given(before, seqs(&numbers));
                let (jobs, _) = stored_jobs(commit.jobs.clone(), now, &numbers)?;
                let cancelled = ids.iter().map(|id| job_id(id)).collect::<Result<_, _>>()?;
                Ok(Committed::Applied { jobs, cancelled })
            }
            (FENCED, _, _) => Ok(Committed::Fenced),
            answer => Err(refusal(answer)),
        }
    }

    async fn reschedule(
        &self,
        attempt: Attempt,
        not_before: Millis,
        reason: &str,
    ) -> Result<bool, StoreError> {
        let script = &self.scripts.reschedule;
        let mut command = self.attempt_call(script, attempt);
        command.arg(&record::held_bytes(Some(not_before))[..]);
        command.arg(record::error_note(reason, Millis::now()));
        self.write(script, &command).await
    }

    async fn strike(
        &self,
        attempt: Attempt,
        not_before: Millis,
        reason: &str,
    ) -> Result<Struck, StoreError> {
        let script = &self.scripts.strike;
        let now = Millis::now();
        let mut command = self.attempt_call(script, attempt);
        command.arg(&record::held_bytes(Some(not_before))[..]);
        command.arg(record::error_note(reason, now));
        command.arg(record::error_note(&outcome_unknown(Some(reason)), now));
        command.arg(MAX_STRIKES);
        match self.write::<ScriptReply>(script, &command).await? {
            (DONE, numbers, _) => Ok(Struck::Rescheduled {
                tries: first(&numbers)? as u32,
                strikes: last(&numbers)? as u32,
            }),
            (REFUSED, _, _) => Ok(Struck::Parked),
            (FENCED, _, _) => Ok(Struck::Fenced),
            answer => Err(refusal(answer)),
        }
    }

    async fn park(&self, attempt: Attempt, reason: &str) -> Result<bool, StoreError> {
        let script = &self.scripts.park;
        let mut command = self.attempt_call(script, attempt);
        command.arg(record::error_note(reason, Millis::now()));
        self.write(script, &command).await
    }

    async fn release(&self, epoch: Epoch, jobs: &[Release]) -> Result<Vec<Released>, StoreError> {
        let script = &self.scripts.release;
        let now = Millis::now();
        let mut command = script.call(&self.prefix);
        command.arg(epoch.0).arg(MAX_STRIKES).arg(jobs.len());
        for Release { job, strike } in jobs {
            let strike = strike.as_deref();
            command.arg(&job.as_bytes()[..]);
            command.arg(strike.map_or_else(Vec::new, |why| record::error_note(why, now)));
            command.arg(record::error_note(&outcome_unknown(strike), now));
        }
        match self.write::<ScriptReply>(script, &command).await? {
            (DONE, attempts, _) => Ok(attempts
                .into_iter()
                .map(|attempt| match attempt {
                    0 => Released::Ended,
                    attempt => Released::Open {
                        attempt: attempt as u32,
                    },
                })
                .collect()),
            answer => Err(refusal(answer)),
        }
    }

    async fn claim(&self, attempt: Attempt) -> Result<bool, StoreError> {
        let script = &self.scripts.claim;
        self.write(script, &self.attempt_call(script, attempt))
            .await
    }

    async fn operate(&self, operation: Operation) -> Result<Operated, StoreError> {
        self.operate_on_what_is_seen(operation).await
    }

    async fn audit(&self, limit: usize) -> Result<Vec<Audited>, StoreError> {
        self.read_audit(limit).await
    }

    async fn last_errors(&self, ids: &[JobId]) -> Result<Vec<Option<LastError>>, StoreError> {
        self.read_last_errors(ids).await
    }

    async fn parked_ids(&self, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let mut command = redis::cmd("ZRANGEBYSCORE");
        command.arg(self.key("parked")).arg("-inf").arg("+inf");
        command.arg("LIMIT").arg(0).arg(signed(limit));
        let ids: Vec<Vec<u8>> = self.read(&self.reads.parked_ids, &command).await?;
        ids.iter().map(|id| job_id(id)).collect()
    }

    async fn open_jobs(&self, after: u64, limit: usize) -> Result<Vec<Job>, StoreError> {
        let script = &self.scripts.open_jobs;
        let mut command = script.call(&self.prefix);
        command.arg(after).arg(signed(limit)).arg(PAGE_BYTES);
        let found: Vec<(u64, Vec<u8>, Vec<u8>)> = self.run(script, &command).await?;
        found
            .iter()
            .map(|(seq, id, bytes)| Ok(record::read_at(*seq, job_id(id)?, bytes)))
            .collect()
    }

    async fn open_ids(&self, after: u64, limit: usize) -> Result<Vec<(u64, JobId)>, StoreError> {
        let mut command = redis::cmd("ZRANGEBYSCORE");
        command.arg(self.key("open"));
        command.arg(format!("({after}")).arg("+inf");
        command.arg("WITHSCORES");
        command.arg("LIMIT").arg(0).arg(signed(limit));
        let found: Vec<(Vec<u8>, u64)> = self.read(&self.reads.open_ids, &command).await?;
        found
            .into_iter()
            .map(|(id, seq)| Ok((seq, job_id(&id)?)))
            .collect()
    }

    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<Job>>, StoreError> {
        self.read_jobs(ids).await
    }

    async fn failed_jobs(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, FailedJob)>, StoreError> {
        let script = &self.scripts.failed_jobs;
        let mut command = script.call(&self.prefix);
        command.arg(after).arg(signed(limit)).arg(PAGE_BYTES);
        let found: Vec<(u64, Vec<u8>, Vec<u8>)> = self.run(script, &command).await?;
        found
            .iter()
            .map(|(place, id, entry)| Ok((*place, record::read_failed(job_id(id)?, entry))))
            .collect()
    }

    async fn failed_job(&self, id: JobId) -> Result<Option<FailedJob>, StoreError> {
        let mut command = redis::cmd("HGET");
        command.arg(self.key("failures")).arg(&id.as_bytes()[..]);
        let entry: Option<Vec<u8>> = self.read(&self.reads.failed_job, &command).await?;
        Ok(entry.map(|entry| record::read_failed(id, &entry)))
    }

    async fn known_sources(&self, sources: &[String]) -> Result<Vec<bool>, StoreError> {
        self.look_for_sources(sources).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.count().await
    }

    async fn acquire_lease(
        &self,
        holder: &str,
        ttl: Duration,
        above: Epoch,
    ) -> Result<Lease, StoreError> {
        loop {
            let interruptions = self.interruptions();
            let asked = self.ask_for_lease(holder, ttl, above, interruptions);
            let lease = asked.await?;
            // This very answer may have shown a loss.
            if self.interruptions() == interruptions {
                return Ok(lease);
            }
        }
    }

    async fn release_lease(&self, holder: &str) -> Result<(), StoreError> {
        let script = &self.scripts.release_lease;
        let mut command = script.call(&self.prefix);
        command.arg(holder);
        let released =
            self.run_over::<u64>(CommandLane::Mastership, script, Measured::new(&command));
        released.await.map(|_| ())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        if let Some(replicas) = &self.replicas {
            replicas.check(&self.link).await?;
        }
        let granted = *self.granted.lock();
        if granted.is_some_and(|at| at.elapsed() < SHOWS) {
            return Ok(());
        }
        let mut command = redis::cmd("SET");
        command.arg(self.key("ping")).arg("");
        command.arg("PX").arg(PING_KEPT.as_millis() as u64);
        // Sent again if the connection broke, like a read, because it changes
        // nothing.
        let command = Measured::new(&command);
        let answer = self.read_over::<String>(CommandLane::Mastership, &self.reads.ping, command);
        answer.await.map(|_| ())
    }

    /// `erawan_store_setbacks_total`.
    fn setbacks(&self) -> u64 {
        self.history.setbacks()
    }
}
