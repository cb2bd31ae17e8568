//! Operations of operators. The job is decoded first, because a script cannot
//! do that, and the script acts only if the job has not changed since.

use super::answers::{DONE, REFUSED as CHANGED, first, refusal, unexpected};
use super::{RedisStore, arguments};
use crate::job::{Job, JobId, Kind, codec};
use crate::store::operation::again;
use crate::store::record::{self, Numbering};
use crate::store::{
    AUDIT_KEPT, Audited, FailedJob, Operated, Operation, OperatorAction, Store, StoreError, Was,
};

/// Most tries while the job keeps changing.
const LOOKS: usize = 8;

/// Tells the script that the job is unreadable.
const UNREADABLE: &str = "unreadable";

/// A job as it was read.
enum Seen {
    Open(Job, String),
    Failed(FailedJob),
    Nothing,
}

impl RedisStore {
    /// [`Store::operate`].
    pub(super) async fn operate_on_what_is_seen(
        &self,
        operation: Operation,
    ) -> Result<Operated, StoreError> {
        for _ in 0..LOOKS {
            let done = match self.look(operation.job).await? {
                Seen::Nothing => return Ok(Operated::NotFound),
                Seen::Open(job, reason) => {
                    let Some(was) = operation.finds(&job) else {
                        return Ok(Operated::not_parked());
                    };
                    if job.kind() == Kind::UNREADABLE && operation.action == OperatorAction::Retry {
                        return Ok(Operated::unreadable());
                    }
                    let audited = Audited::new(operation.clone(), &job, was, &reason);
                    self.operate_open(&audited, job).await?
                }
                Seen::Failed(failed) => self.operate_failed(&operation, failed).await?,
            };
            if let Some(operated) = done {
                return Ok(operated);
            }
        }
        Err(StoreError::Unavailable("the job keeps changing".to_owned()))
    }

    async fn look(&self, id: JobId) -> Result<Seen, StoreError> {
        if let Some(job) = self.jobs(&[id]).await?.into_iter().next().flatten() {
            let error = self.last_errors(&[id]).await?.into_iter().next().flatten();
            return Ok(Seen::Open(
                job,
                error.map_or_else(String::new, |error| error.reason),
            ));
        }
        let failed = self.failed_job(id).await?;
        Ok(failed.map_or(Seen::Nothing, Seen::Failed))
    }

    /// `None`: the job has changed since it was read.
    async fn operate_open(
        &self,
        audited: &Audited,
        mut job: Job,
    ) -> Result<Option<Operated>, StoreError> {
        let (line, held) = (
            format!("line:{}", job.key()),
            record::held_bytes(job.new.not_before),
        );
        let is_unreadable = job.kind() == Kind::UNREADABLE;
        let (seen, line, held) = match (is_unreadable, audited.was) {
            (true, _) => (UNREADABLE, &line[..], &[][..]),
            (false, Was::Waiting) => ("waiting", "", &held[..]),
            _ => ("parked", "", &[][..]),
        };
        let mut command = self.operate_call(audited);
        command.arg(seen).arg(line).arg(0).arg(held);
        let Some(numbers) = self.operate_unless_changed(&command).await? else {
            return Ok(None);
        };
        if audited.operation.action != OperatorAction::Retry {
            return Ok(Some(Operated::Ended));
        }
        job.new.not_before = None;
        if audited.was == Was::Parked {
            job.attempt = first(&numbers)? as u32;
            (job.strikes, job.parked) = (0, false);
        }
        Ok(Some(Operated::Open(job)))
    }

    /// `None`: the job has changed since it was read.
    async fn operate_failed(
        &self,
        operation: &Operation,
        failed: FailedJob,
    ) -> Result<Option<Operated>, StoreError> {
        if failed.job.kind() == Kind::UNREADABLE && operation.action == OperatorAction::Retry {
            return Ok(Some(Operated::unreadable()));
        }
        let audited = Audited::new(operation.clone(), &failed.job, Was::Failed, &failed.reason);
        let (new, attempt) = again(&failed.job, operation.at);
        let mut command = self.operate_call(&audited);
        match failed.job.kind() == Kind::UNREADABLE {
            true => command.arg(UNREADABLE),
            false => command.arg(&failed.failed_at.0.to_be_bytes()[..]),
        };
        command.arg(arguments::line_name(&new)).arg(attempt.number);
        command.arg(record::unnumbered(&new, operation.at));
        let Some(numbers) = self.operate_unless_changed(&command).await? else {
            return Ok(None);
        };
        match (operation.action, &numbers[..]) {
            (OperatorAction::Retry, [seq, prev]) => {
                let place = Numbering {
                    seq: *seq,
                    prev: *prev,
                    attempt: attempt.number,
                };
                let job = record::accepted(new, operation.at, place);
                Ok(Some(Operated::Open(job)))
            }
            (OperatorAction::Retry, _) => Err(unexpected()),
            (OperatorAction::Resolve | OperatorAction::Drop, _) => Ok(Some(Operated::Ended)),
        }
    }

    fn operate_call(&self, audited: &Audited) -> redis::Cmd {
        let mut command = self.scripts.operate.call(&self.prefix);
        command.arg(&audited.operation.job.as_bytes()[..]);
        command.arg(audited.operation.action.name());
        command.arg(codec::encode(audited)).arg(AUDIT_KEPT);
        command
    }

    async fn operate_unless_changed(
        &self,
        command: &redis::Cmd,
    ) -> Result<Option<Vec<u64>>, StoreError> {
        match self.write(&self.scripts.operate, command).await? {
            (DONE, numbers, _) => Ok(Some(numbers)),
            (CHANGED, _, _) => Ok(None),
            answer => Err(refusal(answer)),
        }
    }
}
