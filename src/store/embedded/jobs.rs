//! Open and failed jobs, and the tables that must agree about them.

use std::collections::{BTreeMap, HashSet};

use redb::{ReadTransaction, ReadableTable};

use super::OperationFailure;
use super::tables::{self, Tables};
use crate::job::{Attempt, Job, JobId, Millis, NewJob};
use crate::store::record::{self, Numbering, RecordHead};
use crate::store::{FailedLimits, PAGE_BYTES};

/// [`crate::store::Store::jobs`], as a read of a few values. `None` if one of
/// them is lost or unreadable, or may be; use [`first_with_lost`] then.
pub(super) fn first_if_readable(
    transaction: &ReadTransaction,
    ids: &[JobId],
) -> Result<Option<Vec<Option<Job>>>, OperationFailure> {
    let mut are_readable = true;
    let found = first_of(transaction, ids, |_| {
        are_readable = false;
        None
    })?;
    Ok(are_readable.then_some(found))
}

/// [`crate::store::Store::jobs`], whatever the state of their records. Slow,
/// because it walks through all open jobs.
pub(super) fn first_with_lost(
    transaction: &ReadTransaction,
    ids: &[JobId],
) -> Result<Vec<Option<Job>>, OperationFailure> {
    let places = places_of(&transaction.open_table(tables::OPEN)?, ids)?;
    first_of(transaction, ids, |id| places.get(id).copied())
}

/// `seq_of_lost` returns the `seq` of an open job whose record is lost or
/// unreadable, and nothing for jobs that are not open.
fn first_of(
    transaction: &ReadTransaction,
    ids: &[JobId],
    mut seq_of_lost: impl FnMut(&JobId) -> Option<u64>,
) -> Result<Vec<Option<Job>>, OperationFailure> {
    let records = transaction.open_table(tables::JOBS)?;
    let open = transaction.open_table(tables::OPEN)?;
    let are_all_there = tables::length(&open)? == tables::length(&records)?;
    let (mut found, mut bytes) = (Vec::with_capacity(ids.len()), 0);
    for id in ids {
        let record = records.get(id.as_bytes())?;
        let record = record.as_ref().map(|record| record.value());
        bytes += record.map_or(0, |record| record.len() as u64);
        if bytes > PAGE_BYTES && !found.is_empty() {
            break;
        }
        if record.is_none() && are_all_there {
            found.push(None);
            continue;
        }
        let record = record.unwrap_or_default();
        if let Ok(job) = record::read(*id, record) {
            found.push(Some(job));
            continue;
        }
        let seq = seq_of_lost(id);
        found.push(seq.map(|seq| record::lost(seq, *id, record)));
    }
    Ok(found)
}

/// The `seq` of each of these jobs that is open. It walks through all open
/// jobs, which only a store with lost or unreadable records needs.
fn places_of(
    open: &impl ReadableTable<u64, &'static [u8; 16]>,
    ids: &[JobId],
) -> Result<BTreeMap<JobId, u64>, OperationFailure> {
    let ids: HashSet<&JobId> = ids.iter().collect();
    let mut places = BTreeMap::new();
    for entry in open.range(0..)? {
        let (seq, id) = entry?;
        let id = tables::job_id(id.value())?;
        if ids.contains(&id) {
            places.insert(id, seq.value());
        }
    }
    Ok(places)
}

/// An open job whose record is lost or unreadable.
pub(super) struct LostJob {
    id: JobId,
    seq: u64,
    record: Vec<u8>,
}

impl LostJob {
    /// The job, if it is open. Do not ask for a readable one.
    pub fn find(tables: &Tables<'_>, id: JobId) -> Result<Option<Self>, OperationFailure> {
        let record = tables.jobs.get(id.as_bytes())?;
        let are_all_there = tables::length(&tables.open)? == tables::length(&tables.jobs)?;
        if record.is_none() && are_all_there {
            return Ok(None);
        }
        let record = record.map_or_else(Vec::new, |record| record.value().to_vec());
        let seq = places_of(&tables.open, &[id])?.remove(&id);
        Ok(seq.map(|seq| Self { id, seq, record }))
    }

    /// As operators see it.
    pub fn job(&self) -> Job {
        record::lost(self.seq, self.id, &self.record)
    }

    /// Ends it by id and `seq` alone.
    pub fn finish(self, tables: &mut Tables<'_>) -> Result<(), OperationFailure> {
        let id = self.id.as_bytes();
        tables.line.retain(|(_, seq), ()| seq != self.seq)?;
        tables.errors.remove(id)?;
        tables.parked.remove(self.seq)?;
        close(tables, self.id, self.seq, &self.record)
    }
}

/// An open job that is being changed.
pub(super) struct OpenJob {
    id: JobId,
    pub head: RecordHead,
    pub record: Vec<u8>,
}

impl OpenJob {
    /// An open job, whichever attempt owns it.
    pub fn find(tables: &Tables<'_>, id: JobId) -> Result<Option<Self>, OperationFailure> {
        let Some(record) = tables.jobs.get(id.as_bytes())? else {
            return Ok(None);
        };
        let record = record.value().to_vec();
        let head = RecordHead::read(&record)?;
        Ok(Some(Self { id, head, record }))
    }

    /// An open job, if this attempt owns it.
    pub fn owned(tables: &Tables<'_>, attempt: Attempt) -> Result<Option<Self>, OperationFailure> {
        let job = Self::find(tables, attempt.job)?;
        Ok(job.filter(|job| attempt.number >= job.head.attempt && !job.head.parked))
    }

    /// Writes the head back.
    pub fn save(&mut self, tables: &mut Tables<'_>) -> Result<(), OperationFailure> {
        self.head.patch(&mut self.record);
        tables.jobs.insert(self.id.as_bytes(), &self.record[..])?;
        Ok(())
    }

    /// Stores why it failed. Call [`Self::save`] afterwards.
    pub fn note(&mut self, tables: &mut Tables<'_>, reason: &str) -> Result<(), OperationFailure> {
        self.head.noted = true;
        let note = record::error_note(reason, Millis::now());
        tables.errors.insert(self.id.as_bytes(), &note[..])?;
        Ok(())
    }

    /// Parks it. Call [`Self::save`] afterwards.
    pub fn park(&mut self, tables: &mut Tables<'_>, reason: &str) -> Result<(), OperationFailure> {
        self.head.parked = true;
        tables.parked.insert(self.head.seq, self.id.as_bytes())?;
        self.note(tables, reason)
    }

    /// Ends it.
    pub fn finish(self, tables: &mut Tables<'_>) -> Result<(), OperationFailure> {
        let (id, head) = (self.id.as_bytes(), self.head);
        // A key that cannot be read is in no line.
        if head.in_line
            && let Ok(key) = record::key(&self.record)
        {
            tables.line.remove((key, head.seq))?;
        }
        if head.noted {
            tables.errors.remove(id)?;
        }
        if head.parked {
            tables.parked.remove(head.seq)?;
        }
        close(tables, self.id, head.seq, &self.record)
    }
}

/// Removes a job from the open ones.
fn close(
    tables: &mut Tables<'_>,
    id: JobId,
    seq: u64,
    record: &[u8],
) -> Result<(), OperationFailure> {
    tables.jobs.remove(id.as_bytes())?;
    tables.open.remove(seq)?;
    // The size of a lost or damaged record is unknown; once no job is open, the
    // sum is known again.
    let left = match tables::length(&tables.open)? {
        0 => 0,
        _ => tables
            .number("open_bytes")?
            .saturating_sub(record.len() as u64),
    };
    tables.set_number("open_bytes", left)
}

/// Opens a job.
pub(super) fn open(
    tables: &mut Tables<'_>,
    new: NewJob,
    now: Millis,
    attempt: u32,
) -> Result<Job, OperationFailure> {
    let seq = tables.number("seq")? + 1;
    tables.set_number("seq", seq)?;
    let mut prev = 0;
    if record::is_in_line(&new) {
        let key = &*new.key;
        let last = tables.line.range((key, 0)..=(key, u64::MAX))?.next_back();
        prev = last.transpose()?.map_or(0, |(place, _)| place.value().1);
        tables.line.insert((key, seq), ())?;
    }
    let place = Numbering { seq, prev, attempt };
    let bytes = record::numbered(&new, now, place);
    let open_bytes = tables.number("open_bytes")? + bytes.len() as u64;
    tables.set_number("open_bytes", open_bytes)?;
    tables.jobs.insert(new.id.as_bytes(), &bytes[..])?;
    tables.open.insert(seq, new.id.as_bytes())?;
    Ok(record::accepted(new, now, place))
}

/// Keeps a failed job for operators. Returns how many older ones were dropped.
pub(super) fn keep_failure(
    tables: &mut Tables<'_>,
    id: JobId,
    reason: &str,
    record: &[u8],
    limits: FailedLimits,
) -> Result<u64, OperationFailure> {
    let mut entry = record::failure(reason, Millis::now());
    entry.extend(record);
    let place = tables.number("failed_seq")? + 1;
    tables.set_number("failed_seq", place)?;
    tables.failed.insert(place, id.as_bytes())?;
    tables.failures.insert(id.as_bytes(), (place, &entry[..]))?;
    let bytes = tables.number("failed_bytes")? + entry.len() as u64;
    tables.set_number("failed_bytes", bytes)?;
    let mut kept = tables::length(&tables.failed)?;
    let mut dropped = 0;
    while kept > 1 && (kept > limits.jobs || tables.number("failed_bytes")? > limits.bytes) {
        let oldest = match tables.failed.first()? {
            Some((_, id)) => tables::job_id(id.value())?,
            None => break,
        };
        forget_failure(tables, oldest)?;
        kept -= 1;
        dropped += 1;
    }
    Ok(dropped)
}

/// The entry of a failed job: reason and record.
pub(super) fn failure(tables: &Tables<'_>, id: JobId) -> Result<Option<Vec<u8>>, OperationFailure> {
    let entry = tables.failures.get(id.as_bytes())?;
    Ok(entry.map(|entry| entry.value().1.to_vec()))
}

pub(super) fn forget_failure(tables: &mut Tables<'_>, id: JobId) -> Result<(), OperationFailure> {
    let (place, size) = match tables.failures.remove(id.as_bytes())? {
        Some(entry) => (entry.value().0, entry.value().1.len() as u64),
        None => return Ok(()),
    };
    tables.failed.remove(place)?;
    let bytes = tables.number("failed_bytes")?.saturating_sub(size);
    tables.set_number("failed_bytes", bytes)
}
