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
//!
//! Ids are the 16 raw bytes.

mod answers;
mod arguments;
mod connection;
mod durations;
mod history;
mod limits;
mod link;
mod operate;
mod scripts;
mod size;
mod tables;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use metrics::Histogram;
use parking_lot::Mutex;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind};
use secrecy::SecretString;
use tokio::runtime::Handle;

use self::answers::{
    DONE, FENCED, REFUSED, ScriptReply, first, job_id, last, refusal, seqs, signed, store_error,
    stored_jobs, typed,
};
use self::arguments::row_name;
use self::durations::Reads;
use self::history::ServerHistory;
use self::link::{CommandError, CommandLane, RedisConnections};
use self::scripts::{LuaScript, Scripts};
use self::size::Measured;
use super::operation::outcome_unknown;
use super::record;
use crate::job::{Attempt, Commit, Epoch, Job, JobId, JobOutcome, Millis, Table, codec};
use crate::store::{
    Accept, Accepted, Audited, Committed, Counts, FailedJob, FailedLimits, LARGEST_WRITE,
    LastError, Lease, MAX_STRIKES, Operated, Operation, PAGE_BYTES, Release, Released, Store,
    StoreError, Struck,
};

/// Where Redis is and whose data is meant.
#[derive(Debug, Clone)]
pub struct Options {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// For `AUTH`.
    pub password: Option<SecretString>,
    /// The node; each has keys of its own.
    pub node_id: String,
}

/// See the module.
pub struct RedisStore {
    link: RedisConnections,
    scripts: Scripts,
    reads: Reads,
    prefix: String,
    failed_limits: FailedLimits,
    history: ServerHistory,
    /// The server's interruptions when this process last became or stayed the
    /// master.
    term: AtomicU64,
    /// When a lease was last granted, if no script has failed since.
    granted: Mutex<Option<Instant>>,
}

/// A lease that was granted shows for this long that Redis takes writes: the
/// script writes, as a ping does.
const SHOWS: Duration = Duration::from_millis(700);
/// How long what a ping writes is kept.
const PING_KEPT: Duration = Duration::from_secs(10);

/// How often a script is loaded for one call.
const SCRIPT_LOADS: usize = 3;

impl RedisStore {
    /// Connects, and warns if Redis is set up so that it could forget.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Redis cannot be reached now. Once
    /// connected, the store reconnects by itself for ever, and operations fail
    /// with that error at once or within 5 s (a read that met a broken
    /// connection and was sent again: 10 s). What is large takes as long as its
    /// bytes move; a large command that Redis does not answer fails a second
    /// later for every 4 MiB of those on their way.
    pub async fn connect(options: Options) -> Result<Self, StoreError> {
        Self::connect_apart(options, Handle::current()).await
    }

    /// The same; the connection for large commands lives on the runtime `large`,
    /// the others on that of the caller, whoever sends commands by them.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_apart(options: Options, large: Handle) -> Result<Self, StoreError> {
        let store = Self {
            link: RedisConnections::new(&options, large),
            scripts: Scripts::assemble(),
            reads: Reads::new(),
            prefix: format!("{{erawan:{}}}:", options.node_id),
            failed_limits: FailedLimits::default(),
            history: ServerHistory::default(),
            term: AtomicU64::new(0),
            granted: Mutex::default(),
        };
        store.ping().await?;
        store.warn_of_volatility().await;
        store.warn_of_limits().await;
        Ok(store)
    }

    /// Keeps another number of failed jobs than by default.
    pub fn with_failed_limits(mut self, limits: FailedLimits) -> Self {
        self.failed_limits = limits;
        self
    }

    /// How often Redis was found to know less than it had acknowledged to this
    /// process (`erawan_store_setbacks_total`).
    pub fn setbacks(&self) -> u64 {
        self.history.setbacks()
    }

    /// Restarts of the server, and losses that were noticed. After either, what
    /// a master knows of the queue may be wrong.
    fn interruptions(&self) -> u64 {
        self.link.restarts() + self.history.setbacks()
    }

    async fn check_history(&self) -> Result<(), StoreError> {
        let before = self.history.seq();
        let mut command = redis::cmd("GET");
        command.arg(self.key("seq"));
        let seq: Option<u64> = self.read(&self.reads.counts, &command).await?;
        self.history.last(before, seq.unwrap_or(0));
        Ok(())
    }

    async fn ask_for_lease(
        &self,
        holder: &str,
        ttl: Duration,
        above: Epoch,
        interruptions: u64,
    ) -> Result<Lease, StoreError> {
        let script = &self.scripts.acquire_lease;
        let mut command = script.call(&self.prefix);
        let before = self.history.seq();
        let anew = self.term.load(Ordering::Acquire) != interruptions;
        command.arg(holder).arg(ttl.as_millis() as u64);
        command.arg(above.0).arg(u8::from(anew));
        let asked =
            self.run_over::<ScriptReply>(CommandLane::Mastership, script, Measured::new(&command));
        match asked.await? {
            (DONE, numbers, _) => {
                self.term.store(interruptions, Ordering::Release);
                *self.granted.lock() = Some(Instant::now());
                self.history.last(before, last(&numbers)?);
                Ok(Lease::Held {
                    epoch: Epoch(first(&numbers)?),
                })
            }
            (REFUSED, numbers, holders) => Ok(Lease::HeldBy {
                holder: String::from_utf8_lossy(&holders.concat()).into_owned(),
                remaining: Duration::from_millis(first(&numbers)?),
            }),
            answer => Err(refusal(answer)),
        }
    }

    async fn warn_of_limits(&self) {
        let mut command = redis::cmd("CONFIG");
        command.arg("GET").arg(limits::VALUE);
        // Where that is not allowed, a value that is refused tells.
        let settings = self.read::<Vec<(String, usize)>>(&self.reads.info, &command);
        if let Ok(settings) = settings.await
            && let Some((setting, bytes)) = settings.first()
            && *bytes < LARGEST_WRITE
        {
            tracing::warn!(
                setting,
                bytes,
                "Redis takes no larger values: jobs that have one are parked, and calls refused"
            );
        }
    }

    async fn warn_of_volatility(&self) {
        let mut command = redis::cmd("INFO");
        command.arg("everything");
        // Some hosted servers refuse INFO; the warning is only a help.
        let Ok(info) = self.read::<String>(&self.reads.info, &command).await else {
            return;
        };
        if info.lines().any(|line| line == "aof_enabled:0") {
            tracing::warn!("Redis runs without appendonly: a restart of Redis can lose jobs");
        }
        let policy = info
            .lines()
            .find_map(|line| line.strip_prefix("maxmemory_policy:"));
        if policy.is_some_and(|policy| policy != "noeviction") {
            tracing::warn!(
                policy,
                "Redis evicts keys when it is full: it can lose jobs"
            );
        }
    }

    /// Runs a command that only reads; sent again if the connection broke.
    async fn read<T: FromRedisValue>(
        &self,
        duration: &Histogram,
        command: &Cmd,
    ) -> Result<T, StoreError> {
        let command = Measured::new(command);
        self.read_over(CommandLane::of(command.size), duration, command)
            .await
    }

    async fn read_over<T: FromRedisValue>(
        &self,
        lane: CommandLane,
        duration: &Histogram,
        command: Measured<'_>,
    ) -> Result<T, StoreError> {
        let began = Instant::now();
        let mut result = self.link.send(lane, command).await;
        if result.as_ref().is_err_and(|error| {
            error
                .of_redis()
                .is_some_and(RedisError::is_connection_dropped)
        }) {
            result = self.link.send(lane, command).await;
        }
        durations::note(duration, began);
        typed(result?).map_err(store_error)
    }

    /// Runs a script, which is loaded first if Redis does not know it. (A
    /// script that Redis does not know has not run, so sending it again is
    /// safe; nothing else is sent twice.)
    async fn run<T: FromRedisValue>(
        &self,
        script: &LuaScript,
        command: &Cmd,
    ) -> Result<T, StoreError> {
        let command = Measured::new(command);
        self.run_over(CommandLane::of(command.size), script, command)
            .await
    }

    async fn run_over<T: FromRedisValue>(
        &self,
        lane: CommandLane,
        script: &LuaScript,
        command: Measured<'_>,
    ) -> Result<T, StoreError> {
        let began = Instant::now();
        let unknown = ErrorKind::Server(ServerErrorKind::NoScript);
        let mut result = self.link.send(lane, command).await;
        // Again, if somebody flushes the scripts in between.
        for _ in 0..SCRIPT_LOADS {
            let error = result.as_ref().err().and_then(CommandError::of_redis);
            if error.map(RedisError::kind) != Some(unknown) {
                break;
            }
            self.link.send(lane, Measured::new(&script.load())).await?;
            result = self.link.send(lane, command).await;
        }
        if result.is_err() {
            *self.granted.lock() = None;
        }
        durations::note(&script.duration, began);
        typed(result?).map_err(store_error)
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn row_key(&self, table: Table, row: &str) -> String {
        format!("{}s:{}", self.prefix, row_name(table, row))
    }

    fn attempt_call(&self, script: &LuaScript, attempt: Attempt) -> Cmd {
        let mut command = script.call(&self.prefix);
        command.arg(&attempt.job.as_bytes()[..]).arg(attempt.number);
        command
    }
}

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
        match self.run::<ScriptReply>(script, &command).await? {
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
        match self.run::<ScriptReply>(script, &command).await? {
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
        self.run(script, &command).await
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
        match self.run::<ScriptReply>(script, &command).await? {
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
        self.run(script, &command).await
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
        match self.run::<ScriptReply>(script, &command).await? {
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
        self.run(script, &self.attempt_call(script, attempt)).await
    }

    async fn operate(&self, operation: Operation) -> Result<Operated, StoreError> {
        self.operate_on_what_is_seen(operation).await
    }

    async fn audit(&self, limit: usize) -> Result<Vec<Audited>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("LRANGE");
        command.arg(self.key("audit")).arg(-signed(limit)).arg(-1);
        let entries: Vec<Vec<u8>> = self.read(&self.reads.audit, &command).await?;
        entries
            .iter()
            .map(|bytes| {
                codec::decode(bytes).map_err(|error| StoreError::Corrupt(error.to_string()))
            })
            .collect()
    }

    async fn last_errors(&self, ids: &[JobId]) -> Result<Vec<Option<LastError>>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("HMGET");
        command.arg(self.key("errors"));
        for id in ids {
            command.arg(&id.as_bytes()[..]);
        }
        let errors: Vec<Option<Vec<u8>>> = self.read(&self.reads.last_errors, &command).await?;
        errors
            .into_iter()
            .map(|bytes| bytes.map(|bytes| record::read_error(&bytes)).transpose())
            .collect()
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
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let script = &self.scripts.jobs;
        let mut command = script.call(&self.prefix);
        command.arg(PAGE_BYTES);
        for id in ids {
            command.arg(&id.as_bytes()[..]);
        }
        let found: Vec<(u64, Vec<u8>)> = self.run(script, &command).await?;
        let job = |(id, (seq, bytes)): (&JobId, (u64, Vec<u8>))| match record::read(*id, &bytes) {
            Ok(job) => Some(job),
            Err(_) => (seq > 0).then(|| record::lost(seq, *id, &bytes)),
        };
        Ok(ids.iter().zip(found).map(job).collect())
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
        if sources.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("MGET");
        for source in sources {
            command.arg(self.key(&arguments::source_name(source)));
        }
        let found: Vec<Option<Vec<u8>>> = self.read(&self.reads.known_sources, &command).await?;
        Ok(found.iter().map(Option::is_some).collect())
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        let of = |command: &str, key: &str| {
            let mut command = redis::cmd(command);
            command.arg(self.key(key));
            command
        };
        let (open, open_bytes) = (of("ZCARD", "open"), of("GET", "open_bytes"));
        let (parked, failed) = (of("ZCARD", "parked"), of("ZCARD", "failed"));
        let ((), open, open_bytes, parked, failed) = tokio::try_join!(
            self.check_history(),
            self.read(&self.reads.counts, &open),
            self.read::<Option<i64>>(&self.reads.counts, &open_bytes),
            self.read(&self.reads.counts, &parked),
            self.read(&self.reads.counts, &failed)
        )?;
        Ok(Counts {
            open,
            // A counter that was lost goes on from nothing, and below it.
            open_bytes: open_bytes.unwrap_or(0).try_into().unwrap_or(0),
            parked,
            failed,
        })
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
            // Its very answer may have shown that something was lost.
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
        let granted = *self.granted.lock();
        if granted.is_some_and(|at| at.elapsed() < SHOWS) {
            return Ok(());
        }
        let mut command = redis::cmd("SET");
        command.arg(self.key("ping")).arg("");
        command.arg("PX").arg(PING_KEPT.as_millis() as u64);
        // Sent again if the connection broke, as a read is: it does nothing.
        let command = Measured::new(&command);
        let answer = self.read_over::<String>(CommandLane::Mastership, &self.reads.ping, command);
        answer.await.map(|_| ())
    }
}
