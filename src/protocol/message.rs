//! The messages between masters and workers, in domain types. The gRPC link
//! converts them to and from `proto/cluster.proto`; a standalone process passes
//! them through channels as they are.

use std::sync::Arc;

use crate::job::codec::{self, DecodeError};
use crate::job::{Attempt, Caller, Epoch, GAUGES, Job, JobId, Millis, Pool};
use crate::proto::cluster as proto;

use crate::protocol::backlog::{Backlog, Blocks, Dormant, OpenJobs};

crate::job::sent! {
    PROTOCOL_VERSION;
    "job": Job,
}

/// Version of the link, which must be the same on master and workers. It also
/// rises when all of them must start to keep something in the store that
/// earlier releases do not.
pub const PROTOCOL_VERSION: u32 = 6;

/// Largest payload that travels over the link and stays in the dispatcher's
/// memory. A job with a larger one goes without it, and the worker that runs it
/// reads it from the store.
pub const INLINE_PAYLOAD: usize = 32 * 1024;

/// About the largest size of the jobs in one message: far below the limit of
/// the link, so that no message is too large whatever workers grant or commit.
pub const MESSAGE_JOBS: usize = 4 * 1024 * 1024;

/// About how many bytes a [`light`] job takes in a message.
pub fn size(job: &Job) -> usize {
    job.new.payload.len() + job.new.key.len() + 128
}

/// The job as it travels: without a large payload, and without its source,
/// which only the store needs. The codec never writes an empty payload, so
/// empty always means "in the store".
pub fn light(mut job: Job) -> Job {
    if job.new.payload.len() > INLINE_PAYLOAD {
        job.new.payload = Vec::new();
    }
    job.new.source = None;
    job
}

/// The jobs of one message. Those that would make it too large lose their
/// payloads too.
pub fn light_together(jobs: Vec<Job>) -> Vec<Job> {
    let mut bytes = 0;
    let mut jobs: Vec<Job> = jobs.into_iter().map(light).collect();
    for job in &mut jobs {
        if bytes + size(job) > MESSAGE_JOBS {
            job.new.payload = Vec::new();
        }
        bytes += size(job);
    }
    jobs
}

/// An attempt that a worker is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunningAttempt {
    pub attempt: Attempt,
    /// The pool whose credit it uses.
    pub pool: Pool,
}

/// The first message of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`] of the worker.
    pub protocol_version: u32,
    pub node_id: String,
    /// Unique for the life of a worker process; the same on every reconnect.
    pub worker_id: String,
    /// For operators.
    pub version: String,
    /// Most jobs of `Pool::Run` at a time.
    pub run_capacity: u32,
    /// Most jobs of `Pool::Delivery` at a time.
    pub delivery_capacity: u32,
    /// What it still runs or has not reported yet.
    pub running: Vec<RunningAttempt>,
    /// The highest epoch it has seen; 0 before the first master.
    pub seen: Epoch,
}

/// How an attempt ended on its worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AttemptOutcome {
    pub attempt: Attempt,
    pub end: End,
}

/// The ways an attempt ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum End {
    /// The job is over.
    Committed {
        /// The job ended as failed.
        failed: bool,
        /// Follow-up jobs as stored.
        jobs: Vec<Job>,
        cancelled: Vec<JobId>,
        /// Waiting calls that were answered.
        callers: Vec<Caller>,
    },
    /// Still open, and to be run again at this instant.
    Rescheduled {
        not_before: Millis,
        /// How often it has been rescheduled.
        tries: u32,
        /// Its strikes in a row.
        strikes: u32,
    },
    /// Still open, and not to be run before an operator has decided.
    Parked,
    /// The store refused: the job has ended, or another attempt owns it.
    Fenced,
    /// Not begun, and to be assigned elsewhere at once.
    HandedBack,
    /// Begun and stopped half-way. Its effect outside is unknown, and it may
    /// continue for a moment. It is to run elsewhere under a higher attempt.
    Abandoned,
}

/// What a master knows of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Chain {
    /// Empty while unknown.
    pub chain_id: String,
    /// Height of the last block seen.
    pub height: u64,
    /// The ledger answers and is not catching up.
    pub ready: bool,
    /// Methods of the successful transactions in the block at `height`.
    pub methods: Vec<String>,
    /// Caches of query answers must be dropped entirely.
    pub reset: bool,
    /// The era of `height`.
    pub era: u64,
}

/// From a worker to its master.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FromWorker {
    /// Always first.
    Hello(Hello),
    /// Attempts that ended.
    Outcomes(Vec<AttemptOutcome>),
    /// Jobs this worker accepted into the store.
    Submitted(Vec<Job>),
    /// The worker takes no more jobs.
    Draining,
    Heartbeat,
}

/// From a master to its worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FromMaster {
    /// The master accepts the worker.
    Welcome {
        master_id: String,
        epoch: Epoch,
        /// What the master knows of the ledger.
        chain: Chain,
    },
    /// The master refuses the worker.
    Refused {
        /// What differs, for operators.
        reason: String,
    },
    /// Jobs to run. A worker reads a job with an empty payload from the store.
    Assign(Vec<Arc<Job>>),
    /// News of the ledger. It precedes the jobs that depend on it.
    Chain(Chain),
    /// Carries the node's open work.
    Heartbeat(Option<Backlog>),
    /// Calls of this worker that have been answered.
    Answered(Vec<JobId>),
    /// The master stops. The worker finishes what it runs and reconnects.
    Stopping,
}

/// A message that cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// An unknown variant, or none.
    #[error("message of unknown type")]
    Unknown,
    /// An id that is not 16 bytes.
    #[error("malformed job id")]
    JobId,
    /// A job that cannot be decoded.
    #[error("malformed job: {0}")]
    Job(#[from] DecodeError),
}

impl From<FromWorker> for proto::FromWorker {
    fn from(message: FromWorker) -> Self {
        use proto::from_worker::Message;
        let message = match message {
            FromWorker::Hello(hello) => Message::Hello(hello.into()),
            FromWorker::Outcomes(outcomes) => Message::Outcomes(proto::Outcomes {
                outcomes: outcomes.into_iter().map(proto::Outcome::from).collect(),
            }),
            FromWorker::Submitted(jobs) => Message::Submitted(proto::Submitted {
                jobs: encode_jobs(&jobs),
            }),
            FromWorker::Draining => Message::Draining(proto::Draining {}),
            FromWorker::Heartbeat => Message::Heartbeat(heartbeat(None)),
        };
        Self {
            message: Some(message),
        }
    }
}

impl TryFrom<proto::FromWorker> for FromWorker {
    type Error = MessageError;

    fn try_from(message: proto::FromWorker) -> Result<Self, MessageError> {
        use proto::from_worker::Message;
        Ok(match message.message.ok_or(MessageError::Unknown)? {
            Message::Hello(hello) => Self::Hello(hello.try_into()?),
            Message::Outcomes(outcomes) => Self::Outcomes(
                outcomes
                    .outcomes
                    .into_iter()
                    .map(AttemptOutcome::try_from)
                    .collect::<Result<_, _>>()?,
            ),
            Message::Submitted(submitted) => Self::Submitted(decode_jobs(&submitted.jobs)?),
            Message::Draining(_) => Self::Draining,
            Message::Heartbeat(_) => Self::Heartbeat,
        })
    }
}

impl From<FromMaster> for proto::FromMaster {
    fn from(message: FromMaster) -> Self {
        use proto::from_master::Message;
        let message = match message {
            FromMaster::Welcome {
                master_id,
                epoch,
                chain,
            } => Message::Welcome(proto::Welcome {
                master_id,
                epoch: epoch.0,
                chain: Some(chain.into()),
            }),
            FromMaster::Refused { reason } => Message::Refused(proto::Refused { reason }),
            FromMaster::Assign(jobs) => Message::Assign(proto::Assign {
                jobs: encode_jobs(jobs.iter().map(Arc::as_ref)),
            }),
            FromMaster::Chain(chain) => Message::Chain(chain.into()),
            FromMaster::Heartbeat(backlog) => Message::Heartbeat(heartbeat(backlog)),
            FromMaster::Answered(calls) => Message::Answered(proto::Answered {
                calls: calls.into_iter().map(encode_id).collect(),
            }),
            FromMaster::Stopping => Message::Stopping(proto::Stopping {}),
        };
        Self {
            message: Some(message),
        }
    }
}

impl TryFrom<proto::FromMaster> for FromMaster {
    type Error = MessageError;

    fn try_from(message: proto::FromMaster) -> Result<Self, MessageError> {
        use proto::from_master::Message;
        Ok(match message.message.ok_or(MessageError::Unknown)? {
            Message::Welcome(welcome) => Self::Welcome {
                master_id: welcome.master_id,
                epoch: Epoch(welcome.epoch),
                chain: welcome.chain.unwrap_or_default().into(),
            },
            Message::Refused(refused) => Self::Refused {
                reason: refused.reason,
            },
            Message::Assign(assign) => Self::Assign(
                decode_jobs(&assign.jobs)?
                    .into_iter()
                    .map(Arc::new)
                    .collect(),
            ),
            Message::Chain(chain) => Self::Chain(chain.into()),
            Message::Heartbeat(heartbeat) => Self::Heartbeat(heartbeat.backlog.map(Into::into)),
            Message::Answered(answered) => Self::Answered(decode_ids(&answered.calls)?),
            Message::Stopping(_) => Self::Stopping,
        })
    }
}

impl From<Hello> for proto::Hello {
    fn from(hello: Hello) -> Self {
        Self {
            protocol_version: hello.protocol_version,
            node_id: hello.node_id,
            worker_id: hello.worker_id,
            version: hello.version,
            run_capacity: hello.run_capacity,
            delivery_capacity: hello.delivery_capacity,
            running: hello
                .running
                .into_iter()
                .map(|run| proto::JobAttempt {
                    job_id: encode_id(run.attempt.job),
                    attempt: run.attempt.number,
                    delivery: run.pool == Pool::Delivery,
                })
                .collect(),
            seen_epoch: hello.seen.0,
        }
    }
}

impl TryFrom<proto::Hello> for Hello {
    type Error = MessageError;

    fn try_from(hello: proto::Hello) -> Result<Self, MessageError> {
        let running = |run: proto::JobAttempt| {
            Ok(RunningAttempt {
                attempt: Attempt {
                    job: decode_id(&run.job_id)?,
                    number: run.attempt,
                },
                pool: if run.delivery {
                    Pool::Delivery
                } else {
                    Pool::Run
                },
            })
        };
        Ok(Self {
            protocol_version: hello.protocol_version,
            node_id: hello.node_id,
            worker_id: hello.worker_id,
            version: hello.version,
            run_capacity: hello.run_capacity,
            delivery_capacity: hello.delivery_capacity,
            running: hello
                .running
                .into_iter()
                .map(running)
                .collect::<Result<_, MessageError>>()?,
            seen: Epoch(hello.seen_epoch),
        })
    }
}

impl From<AttemptOutcome> for proto::Outcome {
    fn from(outcome: AttemptOutcome) -> Self {
        let end = match outcome.end {
            End::Committed {
                failed,
                jobs,
                cancelled,
                callers,
            } => proto::outcome::End::Committed(proto::Committed {
                failed,
                jobs: encode_jobs(&jobs),
                cancelled: cancelled.into_iter().map(encode_id).collect(),
                callers: callers.into_iter().map(Into::into).collect(),
            }),
            End::Rescheduled {
                not_before,
                tries,
                strikes,
            } => proto::outcome::End::Rescheduled(proto::Rescheduled {
                not_before_ms: not_before.0,
                tries,
                strikes,
            }),
            End::Parked => proto::outcome::End::Parked(proto::Parked {}),
            End::Fenced => proto::outcome::End::Fenced(proto::Fenced {}),
            End::HandedBack => proto::outcome::End::HandedBack(proto::HandedBack {}),
            End::Abandoned => proto::outcome::End::Abandoned(proto::Abandoned {}),
        };
        Self {
            job_id: encode_id(outcome.attempt.job),
            attempt: outcome.attempt.number,
            end: Some(end),
        }
    }
}

impl TryFrom<proto::Outcome> for AttemptOutcome {
    type Error = MessageError;

    fn try_from(outcome: proto::Outcome) -> Result<Self, MessageError> {
        let end = match outcome.end.ok_or(MessageError::Unknown)? {
            proto::outcome::End::Committed(committed) => End::Committed {
                failed: committed.failed,
                jobs: decode_jobs(&committed.jobs)?,
                cancelled: decode_ids(&committed.cancelled)?,
                callers: committed
                    .callers
                    .into_iter()
                    .map(Caller::try_from)
                    .collect::<Result<_, _>>()?,
            },
            proto::outcome::End::Rescheduled(rescheduled) => End::Rescheduled {
                not_before: Millis(rescheduled.not_before_ms),
                tries: rescheduled.tries,
                strikes: rescheduled.strikes,
            },
            proto::outcome::End::Parked(_) => End::Parked,
            proto::outcome::End::Fenced(_) => End::Fenced,
            proto::outcome::End::HandedBack(_) => End::HandedBack,
            proto::outcome::End::Abandoned(_) => End::Abandoned,
        };
        Ok(Self {
            attempt: Attempt {
                job: decode_id(&outcome.job_id)?,
                number: outcome.attempt,
            },
            end,
        })
    }
}

impl From<Caller> for proto::Caller {
    fn from(caller: Caller) -> Self {
        Self {
            process: caller.process,
            call: encode_id(caller.call),
        }
    }
}

impl TryFrom<proto::Caller> for Caller {
    type Error = MessageError;

    fn try_from(caller: proto::Caller) -> Result<Self, MessageError> {
        Ok(Self {
            process: caller.process,
            call: decode_id(&caller.call)?,
        })
    }
}

impl From<Chain> for proto::Chain {
    fn from(chain: Chain) -> Self {
        Self {
            chain_id: chain.chain_id,
            height: chain.height,
            ready: chain.ready,
            methods: chain.methods,
            reset: chain.reset,
            era: chain.era,
        }
    }
}

impl From<proto::Chain> for Chain {
    fn from(chain: proto::Chain) -> Self {
        Self {
            chain_id: chain.chain_id,
            height: chain.height,
            ready: chain.ready,
            methods: chain.methods,
            reset: chain.reset,
            era: chain.era,
        }
    }
}

fn heartbeat(backlog: Option<Backlog>) -> proto::Heartbeat {
    proto::Heartbeat {
        sent_ms: Millis::now().0,
        backlog: backlog.map(Into::into),
    }
}

impl From<Backlog> for proto::Backlog {
    fn from(backlog: Backlog) -> Self {
        let Backlog {
            jobs,
            blocks,
            workers,
        } = backlog;
        Self {
            counts: jobs.counts.to_vec(),
            first_block: blocks.map_or(0, |blocks| blocks.first),
            last_block: blocks.map_or(0, |blocks| blocks.last),
            workers,
            dormant: jobs.dormant.map(|dormant| proto::Dormant {
                jobs: dormant.jobs,
                bytes: dormant.bytes,
                unsized_jobs: dormant.unsized_jobs,
                known_bytes: dormant.known_bytes,
                known_unsized_jobs: dormant.known_unsized_jobs,
            }),
        }
    }
}

impl From<proto::Backlog> for Backlog {
    fn from(backlog: proto::Backlog) -> Self {
        let blocks = Blocks {
            first: backlog.first_block,
            last: backlog.last_block,
        };
        let mut counts = [0; GAUGES];
        for (count, told) in counts.iter_mut().zip(backlog.counts) {
            *count = told;
        }
        Self {
            jobs: OpenJobs {
                counts,
                dormant: backlog.dormant.map(|dormant| Dormant {
                    jobs: dormant.jobs,
                    bytes: dormant.bytes,
                    unsized_jobs: dormant.unsized_jobs,
                    known_bytes: dormant.known_bytes,
                    known_unsized_jobs: dormant.known_unsized_jobs,
                }),
            },
            blocks: (blocks.first > 0).then_some(blocks),
            workers: backlog.workers,
        }
    }
}

fn encode_id(id: JobId) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(id.as_bytes())
}

fn decode_id(bytes: &[u8]) -> Result<JobId, MessageError> {
    JobId::from_slice(bytes).ok_or(MessageError::JobId)
}

fn decode_ids(ids: &[bytes::Bytes]) -> Result<Vec<JobId>, MessageError> {
    ids.iter().map(|id| decode_id(id)).collect()
}

fn encode_jobs<'a>(jobs: impl IntoIterator<Item = &'a Job>) -> Vec<bytes::Bytes> {
    jobs.into_iter()
        .map(|job| codec::encode(job).into())
        .collect()
}

fn decode_jobs(jobs: &[bytes::Bytes]) -> Result<Vec<Job>, MessageError> {
    jobs.iter().map(|job| Ok(codec::decode(job)?)).collect()
}
