//! What each operation does to the tables. Conditions are looked at before
//! anything is written, so that a refused operation leaves nothing.

use std::time::Duration;

use redb::ReadableTable;

use super::Failure;
use super::tables::{self, Tables};
use crate::job::{Commit, Guard, Job, JobId, Millis, NewJob, Outcome, Write};
use crate::store::record::{self, Head};
use crate::store::{
    Accept, Accepted, Attempt, Committed, Epoch, FailedLimits, Lease, Released, SOURCE_RETENTION,
};

/// Sources forgotten at most by one [`forget_sources`].
const FORGET_AT_ONCE: usize = 10_000;

/// [`crate::store::Store::accept`].
pub(super) fn accept(tables: &mut Tables<'_>, accept: &Accept) -> Result<Accepted, Failure> {
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

/// [`crate::store::Store::commit`]. The number is that of failed jobs dropped.
pub(super) fn commit(
    tables: &mut Tables<'_>,
    attempt: Attempt,
    commit: &Commit,
    limits: FailedLimits,
) -> Result<(Committed, u64), Failure> {
    let Some((_, record)) = owned(tables, attempt)? else {
        return Ok((Committed::Fenced, 0));
    };
    let dropped = match &commit.outcome {
        Outcome::Done => 0,
        Outcome::Failed { reason } => keep_failed(tables, reason, &record, limits)?,
    };
    finish(tables, attempt.job, &record)?;
    apply_writes(tables, &commit.writes)?;
    let mut cancelled = Vec::new();
    for id in &commit.cancel {
        if let Some(record) = open_record(tables, *id)? {
            finish(tables, *id, &record)?;
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
) -> Result<bool, Failure> {
    let Some((mut head, mut record)) = owned(tables, attempt)? else {
        return Ok(false);
    };
    head.not_before = Some(not_before);
    head.tries = head.tries.saturating_add(1);
    head.patch(&mut record);
    tables.jobs.insert(attempt.job.as_bytes(), &record[..])?;
    Ok(true)
}

/// [`crate::store::Store::release`].
pub(super) fn release(
    tables: &mut Tables<'_>,
    epoch: Epoch,
    ids: &[JobId],
) -> Result<Vec<Released>, Failure> {
    check_epoch(tables, epoch)?;
    let mut released = Vec::with_capacity(ids.len());
    for id in ids {
        let Some(mut record) = open_record(tables, *id)? else {
            released.push(Released::Ended);
            continue;
        };
        let mut head = Head::read(&record)?;
        head.attempt = head.attempt.saturating_add(1);
        head.patch(&mut record);
        tables.jobs.insert(id.as_bytes(), &record[..])?;
        released.push(Released::Open {
            attempt: head.attempt,
        });
    }
    Ok(released)
}

/// [`crate::store::Store::claim`].
pub(super) fn claim(tables: &mut Tables<'_>, attempt: Attempt) -> Result<bool, Failure> {
    let Some((mut head, mut record)) = owned(tables, attempt)? else {
        return Ok(false);
    };
    if head.claimed {
        return Ok(false);
    }
    head.claimed = true;
    head.patch(&mut record);
    tables.jobs.insert(attempt.job.as_bytes(), &record[..])?;
    Ok(true)
}

/// [`crate::store::Store::acquire_lease`].
pub(super) fn acquire_lease(
    tables: &mut Tables<'_>,
    holder: &str,
    ttl: Duration,
) -> Result<Lease, Failure> {
    let now = Millis::now();
    let until = Millis(tables.number("lease_until")?);
    let current = tables
        .texts
        .get("lease_holder")?
        .map(|text| text.value().to_owned());
    let mut epoch = tables.number("epoch")?;
    match current {
        Some(current) if current == holder => {}
        Some(current) if until > now => {
            return Ok(Lease::HeldBy {
                holder: current,
                remaining: now.until(until),
            });
        }
        Some(_) | None => epoch += 1,
    }
    tables.texts.insert("lease_holder", holder)?;
    tables.set_number("lease_until", now.after(ttl).0)?;
    tables.set_number("epoch", epoch)?;
    Ok(Lease::Held {
        epoch: Epoch(epoch),
    })
}

/// [`crate::store::Store::release_lease`].
pub(super) fn release_lease(tables: &mut Tables<'_>, holder: &str) -> Result<(), Failure> {
    let held = tables
        .texts
        .get("lease_holder")?
        .is_some_and(|current| current.value() == holder);
    if held {
        end_lease(tables)?;
    }
    Ok(())
}

/// Ends the lease, whoever has it.
pub(super) fn end_lease(tables: &mut Tables<'_>) -> Result<(), Failure> {
    tables.texts.remove("lease_holder")?;
    tables.numbers.remove("lease_until")?;
    Ok(())
}

/// Forgets sources older than the retention, as many as fit one transaction.
pub(super) fn forget_sources(tables: &mut Tables<'_>, now: Millis) -> Result<(), Failure> {
    let oldest_kept = now.0.saturating_sub(SOURCE_RETENTION.as_millis() as u64);
    for _ in 0..FORGET_AT_ONCE {
        let source = match tables.sources_by_time.first()? {
            Some((key, _)) if key.value().0 < oldest_kept => key.value().1.to_owned(),
            _ => break,
        };
        tables.sources_by_time.pop_first()?;
        tables.sources.remove(source.as_str())?;
    }
    Ok(())
}

fn check_epoch(tables: &Tables<'_>, epoch: Epoch) -> Result<(), Failure> {
    let current = Epoch(tables.number("epoch")?);
    match epoch < current {
        true => Err(Failure::Deposed(current)),
        false => Ok(()),
    }
}

fn holds(tables: &Tables<'_>, guard: &Guard) -> Result<bool, Failure> {
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

fn apply_writes(tables: &mut Tables<'_>, writes: &[Write]) -> Result<(), Failure> {
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

/// Stores jobs; returns them, and the ids of those left out as duplicates.
fn store_jobs(tables: &mut Tables<'_>, jobs: &[NewJob]) -> Result<(Vec<Job>, Vec<JobId>), Failure> {
    let now = Millis::now();
    let (mut stored, mut duplicates) = (Vec::with_capacity(jobs.len()), Vec::new());
    for job in jobs {
        let is_open = tables.jobs.get(job.id.as_bytes())?.is_some();
        if is_open || !note_source(tables, job, now)? {
            duplicates.push(job.id);
            continue;
        }
        let seq = tables.number("seq")? + 1;
        tables.set_number("seq", seq)?;
        let mut prev = 0;
        if record::is_in_line(job) {
            let key = job.key.as_str();
            let last = tables.line.range((key, 0)..=(key, u64::MAX))?.next_back();
            prev = last.transpose()?.map_or(0, |(place, _)| place.value().1);
            tables.line.insert((key, seq), ())?;
        }
        let bytes = record::numbered(job, now, seq, prev);
        tables.jobs.insert(job.id.as_bytes(), &bytes[..])?;
        tables.open.insert(seq, job.id.as_bytes())?;
        stored.push(record::accepted(job.clone(), now, seq, prev));
    }
    Ok((stored, duplicates))
}

/// Remembers the source of a job; false if it is remembered already.
fn note_source(tables: &mut Tables<'_>, job: &NewJob, now: Millis) -> Result<bool, Failure> {
    let Some(source) = job.source.as_deref() else {
        return Ok(true);
    };
    let known = tables.sources.get(source)?.map(|at| Millis(at.value()));
    match known {
        Some(at) if at.after(SOURCE_RETENTION) >= now => return Ok(false),
        Some(at) => {
            tables.sources_by_time.remove((at.0, source))?;
        }
        None => {}
    }
    tables.sources.insert(source, now.0)?;
    tables.sources_by_time.insert((now.0, source), ())?;
    Ok(true)
}

fn open_record(tables: &Tables<'_>, id: JobId) -> Result<Option<Vec<u8>>, Failure> {
    let record = tables.jobs.get(id.as_bytes())?;
    Ok(record.map(|record| record.value().to_vec()))
}

/// The record of an open job, if this attempt owns it.
fn owned(tables: &Tables<'_>, attempt: Attempt) -> Result<Option<(Head, Vec<u8>)>, Failure> {
    let Some(record) = open_record(tables, attempt.job)? else {
        return Ok(None);
    };
    let head = Head::read(&record)?;
    Ok((attempt.number >= head.attempt).then_some((head, record)))
}

/// Ends an open job.
fn finish(tables: &mut Tables<'_>, id: JobId, record: &[u8]) -> Result<(), Failure> {
    let head = Head::read(record)?;
    if head.in_line {
        tables.line.remove((record::key(record)?, head.seq))?;
    }
    tables.jobs.remove(id.as_bytes())?;
    tables.open.remove(head.seq)?;
    Ok(())
}

/// Keeps a failed job for operators; returns how many older ones made room.
fn keep_failed(
    tables: &mut Tables<'_>,
    reason: &str,
    record: &[u8],
    limits: FailedLimits,
) -> Result<u64, Failure> {
    let mut entry = record::failure(reason, Millis::now());
    entry.extend(record);
    let place = tables.number("failed_seq")? + 1;
    tables.set_number("failed_seq", place)?;
    tables.failed.insert(place, &entry[..])?;
    let mut bytes = tables.number("failed_bytes")? + entry.len() as u64;
    let mut kept = tables::length(&tables.failed)?;
    let mut dropped = 0;
    while kept > 1 && (kept > limits.jobs || bytes > limits.bytes) {
        let Some((_, oldest)) = tables.failed.pop_first()? else {
            break;
        };
        bytes = bytes.saturating_sub(oldest.value().len() as u64);
        kept -= 1;
        dropped += 1;
    }
    tables.set_number("failed_bytes", bytes)?;
    Ok(dropped)
}
