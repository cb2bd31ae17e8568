//! The effect of each operation on the tables. Conditions are checked before
//! anything is written, so that a refused operation changes nothing.

use std::time::Duration;

use redb::ReadableTable;

use super::OperationFailure;
use super::jobs::{self, OpenJob};
use super::tables::{self, Tables};
use crate::job::{Attempt, Commit, Epoch, Guard, Job, JobId, JobOutcome, Millis, NewJob, Write};
use crate::store::operation::outcome_unknown;
use crate::store::{
    Accept, Accepted, Committed, FailedLimits, Lease, MAX_STRIKES, Release, Released,
    SOURCE_RETENTION, Struck,
};

/// Most sources that one [`forget_sources`] deletes.
const FORGET_AT_ONCE: usize = 10_000;

/// [`crate::store::Store::accept`].
pub(super) fn accept(
    tables: &mut Tables<'_>,
    accept: &Accept,
) -> Result<Accepted, OperationFailure> {
    if let Some(epoch) = accept.epoch {
        check_epoch(tables, epoch)?;
    }
    for (index, guard) in accept.guards.iter().enumerate() {
        if !holds(tables, guard)? {
            return Ok(Accepted::Refused { guard: index });
        }
    }
    apply_writes(tables, &accept.writes)?;
    let (jobs, duplicates) = store_jobs(tables, &accept.jobs)?;
    Ok(Accepted::Stored { jobs, duplicates })
}

/// [`crate::store::Store::commit`]. Also returns how many failed jobs were
/// dropped.
pub(super) fn commit(
    tables: &mut Tables<'_>,
    attempt: Attempt,
    commit: &Commit,
    limits: FailedLimits,
) -> Result<(Committed, u64), OperationFailure> {
    let Some(job) = OpenJob::owned(tables, attempt)? else {
        return Ok((Committed::Fenced, 0));
    };
    let dropped = match &commit.outcome {
        JobOutcome::Done => 0,
        JobOutcome::Failed { reason } => {
            jobs::keep_failure(tables, attempt.job, reason, &job.record, limits)?
        }
    };
    job.finish(tables)?;
    apply_writes(tables, &commit.writes)?;
    let mut cancelled = Vec::new();
    for id in &commit.cancel {
        // An unreadable one stays for an operator.
        if let Ok(Some(job)) = OpenJob::find(tables, *id) {
            job.finish(tables)?;
            cancelled.push(*id);
        }
    }
    let (jobs, _) = store_jobs(tables, &commit.jobs)?;
    Ok((Committed::Applied { jobs, cancelled }, dropped))
}

/// [`crate::store::Store::reschedule`].
pub(super) fn reschedule(
    tables: &mut Tables<'_>,
    attempt: Attempt,
    not_before: Millis,
    reason: &str,
) -> Result<bool, OperationFailure> {
    let Some(mut job) = OpenJob::owned(tables, attempt)? else {
        return Ok(false);
    };
    job.head.not_before = Some(not_before);
    job.head.tries = job.head.tries.saturating_add(1);
    job.head.strikes = 0;
    job.head.claimed = false;
    job.note(tables, reason)?;
    job.save(tables)?;
    Ok(true)
}

/// [`crate::store::Store::strike`].
pub(super) fn strike(
    tables: &mut Tables<'_>,
    attempt: Attempt,
    not_before: Millis,
    reason: &str,
) -> Result<Struck, OperationFailure> {
    let Some(mut job) = OpenJob::owned(tables, attempt)? else {
        return Ok(Struck::Fenced);
    };
    job.head.strikes = job.head.strikes.saturating_add(1);
    let struck = if job.head.claimed {
        job.park(tables, &outcome_unknown(Some(reason)))?;
        Struck::Parked
    } else if job.head.strikes >= MAX_STRIKES {
        job.park(tables, reason)?;
        Struck::Parked
    } else {
        job.head.not_before = Some(not_before);
        job.head.tries = job.head.tries.saturating_add(1);
        job.note(tables, reason)?;
        Struck::Rescheduled {
            tries: job.head.tries,
            strikes: job.head.strikes,
        }
    };
    job.save(tables)?;
    Ok(struck)
}

/// [`crate::store::Store::park`].
pub(super) fn park(
    tables: &mut Tables<'_>,
    attempt: Attempt,
    reason: &str,
) -> Result<bool, OperationFailure> {
    let Some(mut job) = OpenJob::owned(tables, attempt)? else {
        return Ok(false);
    };
    job.park(tables, reason)?;
    job.save(tables)?;
    Ok(true)
}

/// [`crate::store::Store::release`].
pub(super) fn release(
    tables: &mut Tables<'_>,
    epoch: Epoch,
    jobs: &[Release],
) -> Result<Vec<Released>, OperationFailure> {
    check_epoch(tables, epoch)?;
    jobs.iter()
        .map(|release| release_one(tables, release))
        .collect()
}

fn release_one(tables: &mut Tables<'_>, release: &Release) -> Result<Released, OperationFailure> {
    let Some(mut job) = OpenJob::find(tables, release.job)? else {
        return Ok(Released::Ended);
    };
    job.head.attempt = job.head.attempt.saturating_add(1);
    let strike = release.strike.as_deref();
    if !job.head.parked {
        if let Some(reason) = strike {
            job.head.strikes = job.head.strikes.saturating_add(1);
            job.note(tables, reason)?;
        }
        if job.head.claimed {
            job.park(tables, &outcome_unknown(strike))?;
        } else if job.head.strikes >= MAX_STRIKES {
            job.park(tables, strike.unwrap_or_default())?;
        }
    }
    job.save(tables)?;
    Ok(Released::Open {
        attempt: job.head.attempt,
    })
}

/// [`crate::store::Store::claim`].
pub(super) fn claim(tables: &mut Tables<'_>, attempt: Attempt) -> Result<bool, OperationFailure> {
    let Some(mut job) = OpenJob::owned(tables, attempt)? else {
        return Ok(false);
    };
    if job.head.claimed {
        return Ok(false);
    }
    job.head.claimed = true;
    job.save(tables)?;
    Ok(true)
}

/// [`crate::store::Store::acquire_lease`].
pub(super) fn acquire_lease(
    tables: &mut Tables<'_>,
    holder: &str,
    ttl: Duration,
    above: Epoch,
) -> Result<Lease, OperationFailure> {
    let now = Millis::now();
    let until = Millis(tables.number("lease_until")?);
    let current = tables
        .texts
        .get("lease_holder")?
        .map(|text| text.value().to_owned());
    let mut epoch = tables.number("epoch")?;
    match current {
        Some(current) if current == holder => {}
        Some(current) if !until.has_come(now, ttl) => {
            return Ok(Lease::HeldBy {
                holder: current,
                remaining: now.until(until),
            });
        }
        Some(_) | None => epoch = epoch.max(above.0).saturating_add(1),
    }
    tables.texts.insert("lease_holder", holder)?;
    tables.set_number("lease_until", now.after(ttl).0)?;
    tables.set_number("epoch", epoch)?;
    Ok(Lease::Held {
        epoch: Epoch(epoch),
    })
}

/// [`crate::store::Store::release_lease`].
pub(super) fn release_lease(tables: &mut Tables<'_>, holder: &str) -> Result<(), OperationFailure> {
    let held = tables
        .texts
        .get("lease_holder")?
        .is_some_and(|current| current.value() == holder);
    if held {
        end_lease(tables)?;
    }
    Ok(())
}

/// Ends the lease.
pub(super) fn end_lease(tables: &mut Tables<'_>) -> Result<(), OperationFailure> {
    tables.texts.remove("lease_holder")?;
    tables.numbers.remove("lease_until")?;
    Ok(())
}

/// Forgets sources older than the retention, as many as fit into one
/// transaction. True if there may be more.
pub(super) fn forget_sources(
    tables: &mut Tables<'_>,
    now: Millis,
) -> Result<bool, OperationFailure> {
    let oldest_kept = now.0.saturating_sub(SOURCE_RETENTION.as_millis() as u64);
    for _ in 0..FORGET_AT_ONCE {
        let source = match tables.sources_by_time.first()? {
            Some((key, _)) if key.value().0 < oldest_kept => key.value().1.to_owned(),
            _ => return Ok(false),
        };
        tables.sources_by_time.pop_first()?;
        tables.sources.remove(source.as_str())?;
    }
    Ok(true)
}

fn check_epoch(tables: &Tables<'_>, epoch: Epoch) -> Result<(), OperationFailure> {
    let current = Epoch(tables.number("epoch")?);
    match epoch < current {
        true => Err(OperationFailure::Deposed(current)),
        false => Ok(()),
    }
}

fn holds(tables: &Tables<'_>, guard: &Guard) -> Result<bool, OperationFailure> {
    match guard {
        Guard::Absent { table, row }
        | Guard::Equals {
            table,
            row,
            value: None,
        } => Ok(!tables::has_columns(&tables.state, table.name(), row)?),
        Guard::Equals {
            table,
            row,
            value: Some(expected),
        } => {
            let columns = tables.row(table.name(), row)?;
            Ok(matches!(&columns[..], [(column, value)]
                if column.is_empty() && value == expected))
        }
    }
}

fn apply_writes(tables: &mut Tables<'_>, writes: &[Write]) -> Result<(), OperationFailure> {
    for write in writes {
        match write {
            Write::Put {
                table,
                row,
                column,
                value,
            } => {
                let key = (table.name(), row.as_str(), column.as_str());
                tables.state.insert(key, &value[..])?;
            }
            Write::Delete { table, row } => {
                for (column, _) in tables.row(table.name(), row)? {
                    let key = (table.name(), row.as_str(), column.as_str());
                    tables.state.remove(key)?;
                }
            }
            Write::DeleteColumn { table, row, column } => {
                let key = (table.name(), row.as_str(), column.as_str());
                tables.state.remove(key)?;
            }
        }
    }
    Ok(())
}

/// Stores jobs. Returns them, and the ids of duplicates that were left out.
fn store_jobs(
    tables: &mut Tables<'_>,
    new: &[NewJob],
) -> Result<(Vec<Job>, Vec<JobId>), OperationFailure> {
    let now = Millis::now();
    let (mut stored, mut duplicates) = (Vec::with_capacity(new.len()), Vec::new());
    for job in new {
        let is_open = tables.jobs.get(job.id.as_bytes())?.is_some();
        if is_open || !note_source(tables, job, now)? {
            duplicates.push(job.id);
            continue;
        }
        stored.push(jobs::open(tables, job.clone(), now, 1)?);
    }
    Ok((stored, duplicates))
}

/// Whether a source accepted at that time is still remembered.
pub(super) fn remembers(accepted_at: Millis, now: Millis) -> bool {
    accepted_at.after(SOURCE_RETENTION) >= now
}

/// Remembers the source of a job. False if it is remembered already.
fn note_source(
    tables: &mut Tables<'_>,
    job: &NewJob,
    now: Millis,
) -> Result<bool, OperationFailure> {
    let Some(source) = job.source.as_deref() else {
        return Ok(true);
    };
    let known = tables.sources.get(source)?.map(|at| Millis(at.value()));
    match known {
        Some(at) if remembers(at, now) => return Ok(false),
        Some(at) => {
            tables.sources_by_time.remove((at.0, source))?;
        }
        None => {}
    }
    tables.sources.insert(source, now.0)?;
    tables.sources_by_time.insert((now.0, source), ())?;
    Ok(true)
}
