//! Reads the answers of Redis.

use redis::{ErrorKind, FromRedisValue, RedisError, RedisResult, Value};

use super::link::CommandError;
use crate::job::{Epoch, Job, JobId, Millis, NewJob};
use crate::store::StoreError;
use crate::store::record::{self, Numbering};

/// The answer of most scripts: what happened, with the numbers and ids that
/// belong to it.
pub(super) type ScriptReply = (u8, Vec<u64>, Vec<Vec<u8>>);

pub(super) const DONE: u8 = 0;
pub(super) const REFUSED: u8 = 1;
pub(super) const DEPOSED: u8 = 2;
pub(super) const FENCED: u8 = 3;

/// The accepted jobs and the ids of those left out, from `seq, prev` of each.
pub(super) fn stored_jobs(
    jobs: Vec<NewJob>,
    accepted_at: Millis,
    numbers: &[u64],
) -> Result<(Vec<Job>, Vec<JobId>), StoreError> {
    if numbers.len() != 2 * jobs.len() {
        return Err(unexpected());
    }
    let (mut stored, mut duplicates) = (Vec::with_capacity(jobs.len()), Vec::new());
    for (job, place) in jobs.into_iter().zip(numbers.chunks_exact(2)) {
        match place {
            [0, _] => duplicates.push(job.id),
            [seq, prev] => {
                let place = Numbering {
                    seq: *seq,
                    prev: *prev,
                    attempt: 1,
                };
                stored.push(record::accepted(job, accepted_at, place));
            }
            _ => return Err(unexpected()),
        }
    }
    Ok((stored, duplicates))
}

pub(super) fn first(numbers: &[u64]) -> Result<u64, StoreError> {
    numbers.first().copied().ok_or_else(unexpected)
}

/// The first number of each stored job's pair.
pub(super) fn seqs(numbers: &[u64]) -> impl Iterator<Item = u64> {
    numbers.iter().step_by(2).copied()
}

pub(super) fn last(numbers: &[u64]) -> Result<u64, StoreError> {
    numbers.last().copied().ok_or_else(unexpected)
}

pub(super) fn refusal(answer: ScriptReply) -> StoreError {
    match answer {
        (DEPOSED, numbers, _) => match first(&numbers) {
            Ok(epoch) => StoreError::Deposed {
                current: Epoch(epoch),
            },
            Err(error) => error,
        },
        _ => unexpected(),
    }
}

pub(super) fn unexpected() -> StoreError {
    StoreError::Corrupt("unexpected answer of a script".to_owned())
}

pub(super) fn job_id(bytes: &[u8]) -> Result<JobId, StoreError> {
    JobId::from_slice(bytes).ok_or_else(|| StoreError::Corrupt("job id".to_owned()))
}

/// Redis reads counts as signed.
pub(super) fn signed(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn typed<T: FromRedisValue>(value: Value) -> RedisResult<T> {
    redis::from_redis_value(value).map_err(RedisError::from)
}

impl From<CommandError> for StoreError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Redis(error) => store_error(error),
            CommandError::TooLarge(why) => StoreError::TooLarge(why),
        }
    }
}

/// Classifies an error. Whatever keeps Redis from answering anything (down,
/// LOADING, OOM, READONLY, MISCONF, NOPERM, a renamed command, ...) may pass.
/// An answer of the wrong form, or a script that fails on stored bytes, is
/// corrupt.
pub(super) fn store_error(error: RedisError) -> StoreError {
    let wrong_type = error.code() == Some("WRONGTYPE");
    let in_script = error.code() == Some("ERR") && error.to_string().contains("user_script");
    match error.kind() {
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => {
            StoreError::Corrupt(error.to_string())
        }
        _ if error.to_string().contains("unreadable job record") => {
            StoreError::Corrupt(error.to_string())
        }
        _ if error.code() == Some("MOVED") => StoreError::Unavailable(format!(
            "another node of the cluster has the keys (DB_CLUSTER_NODES): {error}"
        )),
        _ if error.code() == Some("ASK") => StoreError::Unavailable(format!(
            "the keys are on their way to another node of the cluster: {error}"
        )),
        _ if wrong_type || in_script => StoreError::Corrupt(error.to_string()),
        _ => StoreError::Unavailable(error.to_string()),
    }
}
