//! Operations of operators.

use redb::{ReadableTable, ReadableTableMetadata};

use super::OperationFailure;
use super::jobs::{self, LostJob, OpenJob};
use super::tables::Tables;
use crate::job::{Kind, codec};
use crate::store::operation::again;
use crate::store::{AUDIT_KEPT, Audited, Operated, Operation, OperatorAction, Was, record};

/// [`crate::store::Store::operate`].
pub(super) fn operate(
    tables: &mut Tables<'_>,
    operation: &Operation,
) -> Result<Operated, OperationFailure> {
    match OpenJob::find(tables, operation.job) {
        Ok(Some(job)) => return operate_open(tables, operation, job),
        Ok(None) | Err(OperationFailure::Corrupt(_)) => {}
        Err(failure) => return Err(failure),
    }
    if let Some(job) = LostJob::find(tables, operation.job)? {
        return operate_lost(tables, operation, job);
    }
    match jobs::failure(tables, operation.job)? {
        Some(entry) => operate_failed(tables, operation, &entry),
        None => Ok(Operated::NotFound),
    }
}

fn operate_open(
    tables: &mut Tables<'_>,
    operation: &Operation,
    mut open: OpenJob,
) -> Result<Operated, OperationFailure> {
    let mut job = record::read(operation.job, &open.record)?;
    let Some(was) = operation.finds(&job) else {
        return Ok(Operated::not_parked());
    };
    let reason = match tables.errors.get(operation.job.as_bytes())? {
        Some(error) => record::read_error(error.value())?.reason,
        None => String::new(),
    };
    let audited = Audited::new(operation.clone(), &job, was, &reason);
    let operated = match operation.action {
        OperatorAction::Retry if job.kind() == Kind::UNREADABLE => {
            return Ok(Operated::unreadable());
        }
        OperatorAction::Retry if was == Was::Waiting => {
            open.head.not_before = None;
            job.new.not_before = None;
            open.save(tables)?;
            Operated::Open(job)
        }
        OperatorAction::Retry => {
            let head = &mut open.head;
            head.attempt = head.attempt.saturating_add(1);
            head.strikes = 0;
            head.not_before = None;
            (head.claimed, head.parked) = (false, false);
            tables.parked.remove(head.seq)?;
            job.attempt = head.attempt;
            (job.strikes, job.parked, job.new.not_before) = (0, false, None);
            open.save(tables)?;
            Operated::Open(job)
        }
        OperatorAction::Resolve | OperatorAction::Drop => {
            open.finish(tables)?;
            Operated::Ended
        }
    };
    keep_audited(tables, &audited)?;
    Ok(operated)
}

fn operate_lost(
    tables: &mut Tables<'_>,
    operation: &Operation,
    lost: LostJob,
) -> Result<Operated, OperationFailure> {
    if operation.action == OperatorAction::Retry {
        return Ok(Operated::unreadable());
    }
    let audited = Audited::new(operation.clone(), &lost.job(), Was::Parked, "");
    lost.finish(tables)?;
    keep_audited(tables, &audited)?;
    Ok(Operated::Ended)
}

fn operate_failed(
    tables: &mut Tables<'_>,
    operation: &Operation,
    entry: &[u8],
) -> Result<Operated, OperationFailure> {
    let failed = record::read_failed(operation.job, entry);
    let is_unreadable = failed.job.kind() == Kind::UNREADABLE;
    if is_unreadable && operation.action == OperatorAction::Retry {
        return Ok(Operated::unreadable());
    }
    jobs::forget_failure(tables, operation.job)?;
    let operated = match operation.action {
        OperatorAction::Retry => {
            let (new, attempt) = again(&failed.job, operation.at);
            Operated::Open(jobs::open(tables, new, operation.at, attempt.number)?)
        }
        OperatorAction::Resolve | OperatorAction::Drop => Operated::Ended,
    };
    let audited = Audited::new(operation.clone(), &failed.job, Was::Failed, &failed.reason);
    keep_audited(tables, &audited)?;
    Ok(operated)
}

fn keep_audited(tables: &mut Tables<'_>, audited: &Audited) -> Result<(), OperationFailure> {
    let place = tables.number("audit_seq")? + 1;
    tables.set_number("audit_seq", place)?;
    tables.audit.insert(place, &codec::encode(audited)[..])?;
    while tables.audit.len()? > AUDIT_KEPT as u64 {
        let oldest = tables.audit.first()?.map(|(place, _)| place.value());
        if let Some(oldest) = oldest {
            tables.audit.remove(oldest)?;
        }
    }
    Ok(())
}
