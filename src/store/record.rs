//! How an open job is stored, the same in every engine: a head of fixed size
//! with all that changes, then the ordering key, then all that never changes.
//! A script in Redis reads and patches the head without knowing the rest.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 1 | version of this layout |
//! | 1 | 8 | seq |
//! | 9 | 8 | prev |
//! | 17 | 4 | attempt |
//! | 21 | 4 | tries |
//! | 25 | 4 | strikes |
//! | 29 | 8 | not_before (0 unless [`HELD`]) |
//! | 37 | 1 | flags |
//! | 38 | 4 | length of the key |
//! | 42 | | key |
//! | | 4 | length of the description |
//! | | | description (codec) |
//! | | | payload, to the end |
//!
//! Numbers are big-endian. A later layout keeps the version and the key where
//! they are, so that an earlier release parks such a job in its key's order.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{FailedJob, LastError, StoreError};
use crate::job::{Job, JobId, Kind, Millis, NewJob, TraceContext, codec};

crate::job::stored! {
    "job_description": Description = 2,
}

const VERSION: u8 = 2;
const PATCH_OFFSET: usize = 17;
const HELD_OFFSET: usize = 29;
const KEY_OFFSET: usize = 42;

/// Flag: `not_before` is set.
const HELD: u8 = 1;
/// Flag: an attempt has claimed the job.
const CLAIMED: u8 = 2;
/// Flag: nobody runs the job until an operator decides.
const PARKED: u8 = 4;
/// Flag: a last error is kept for the job.
const NOTED: u8 = 8;
/// Flag: the job takes part in its key's order.
const IN_LINE: u8 = 16;

/// The part of a stored job that can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordHead {
    pub seq: u64,
    pub prev: u64,
    pub attempt: u32,
    pub tries: u32,
    pub strikes: u32,
    pub not_before: Option<Millis>,
    pub claimed: bool,
    pub parked: bool,
    pub noted: bool,
    pub in_line: bool,
}

#[derive(Serialize, Deserialize)]
struct Description {
    id: JobId,
    kind: Kind,
    source: Option<String>,
    after_height: Option<u64>,
    era: u64,
    deadline: Option<Millis>,
    accepted_at: Millis,
    trace: Option<TraceContext>,
}

/// Whether a job stands in its key's line from its acceptance.
pub(super) fn is_in_line(job: &NewJob) -> bool {
    job.not_before.is_none() && job.after_height.is_none()
}

impl RecordHead {
    fn flags(&self) -> u8 {
        [
            (self.not_before.is_some(), HELD),
            (self.claimed, CLAIMED),
            (self.parked, PARKED),
            (self.noted, NOTED),
            (self.in_line, IN_LINE),
        ]
        .into_iter()
        .filter_map(|(is_set, flag)| is_set.then_some(flag))
        .sum()
    }

    /// Reads the head of a record.
    pub fn read(record: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader(record);
        let version = reader.byte()?;
        if version != VERSION {
            return Err(StoreError::Corrupt(format!(
                "job stored with layout {version}, this release reads {VERSION}"
            )));
        }
        let (seq, prev) = (reader.u64()?, reader.u64()?);
        let (attempt, tries, strikes) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let not_before = Millis(reader.u64()?);
        let flags = reader.byte()?;
        Ok(Self {
            seq,
            prev,
            attempt,
            tries,
            strikes,
            not_before: (flags & HELD != 0).then_some(not_before),
            claimed: flags & CLAIMED != 0,
            parked: flags & PARKED != 0,
            noted: flags & NOTED != 0,
            in_line: flags & IN_LINE != 0,
        })
    }

    /// Overwrites the changeable part (attempt to flags) of a record that
    /// [`RecordHead::read`] has accepted.
    pub fn patch(&self, record: &mut [u8]) {
        let mut changeable = Vec::with_capacity(KEY_OFFSET - PATCH_OFFSET);
        changeable.extend(self.attempt.to_be_bytes());
        changeable.extend(self.tries.to_be_bytes());
        changeable.extend(self.strikes.to_be_bytes());
        changeable.extend(held_bytes(self.not_before));
        changeable.push(self.flags());
        record[PATCH_OFFSET..PATCH_OFFSET + changeable.len()].copy_from_slice(&changeable);
    }
}

/// The eight bytes of `not_before`.
pub(super) fn held_bytes(not_before: Option<Millis>) -> [u8; 8] {
    not_before.unwrap_or_default().0.to_be_bytes()
}

/// A new record from `not_before` on. Before it come version, seq, prev,
/// attempt, tries and strikes, which the engine knows only when it stores the
/// job.
pub(super) fn unnumbered(job: &NewJob, accepted_at: Millis) -> Vec<u8> {
    let description = codec::encode(&Description {
        id: job.id,
        kind: job.kind,
        source: job.source.clone(),
        after_height: job.after_height,
        era: job.era,
        deadline: job.deadline,
        accepted_at,
        trace: job.trace,
    });
    let head = RecordHead {
        seq: 0,
        prev: 0,
        attempt: 1,
        tries: 0,
        strikes: 0,
        not_before: job.not_before,
        claimed: false,
        parked: false,
        noted: false,
        in_line: is_in_line(job),
    };
    let mut bytes = Vec::with_capacity(
        KEY_OFFSET - HELD_OFFSET + job.key.len() + 4 + description.len() + job.payload.len(),
    );
    bytes.extend(held_bytes(job.not_before));
    bytes.push(head.flags());
    bytes.extend((job.key.len() as u32).to_be_bytes());
    bytes.extend(job.key.as_bytes());
    bytes.extend((description.len() as u32).to_be_bytes());
    bytes.extend(&description);
    bytes.extend(&job.payload);
    bytes
}

/// The numbers that a job gets when it is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbering {
    pub seq: u64,
    pub prev: u64,
    pub attempt: u32,
}

/// A complete new record.
pub(super) fn numbered(job: &NewJob, accepted_at: Millis, place: Numbering) -> Vec<u8> {
    let rest = unnumbered(job, accepted_at);
    let mut record = Vec::with_capacity(HELD_OFFSET + rest.len());
    record.push(VERSION);
    record.extend(place.seq.to_be_bytes());
    record.extend(place.prev.to_be_bytes());
    record.extend(place.attempt.to_be_bytes());
    record.extend(0u32.to_be_bytes());
    record.extend(0u32.to_be_bytes());
    record.extend(rest);
    record
}

/// The job as its acceptance returns it.
pub(super) fn accepted(new: NewJob, accepted_at: Millis, place: Numbering) -> Job {
    Job {
        new,
        seq: place.seq,
        prev: place.prev,
        attempt: place.attempt,
        tries: 0,
        strikes: 0,
        parked: false,
        accepted_at,
    }
}

pub(super) fn key(record: &[u8]) -> Result<&str, StoreError> {
    let mut reader = Reader(record);
    reader.take(KEY_OFFSET - 4)?;
    reader.text()
}

/// Reads the record of the job with this id. If the head is readable but not
/// what follows, the job is a parked one of [`Kind::UNREADABLE`], so that it
/// blocks its own key and nothing else, and an operator sees it.
pub(super) fn read(id: JobId, record: &[u8]) -> Result<Job, StoreError> {
    let head = RecordHead::read(record)?;
    match description(record) {
        Ok((new, accepted_at)) if new.id == id => Ok(job(head, new, accepted_at)),
        _ => Ok(unreadable(id, head, record)),
    }
}

fn job(head: RecordHead, new: NewJob, accepted_at: Millis) -> Job {
    Job {
        new: NewJob {
            not_before: head.not_before,
            ..new
        },
        seq: head.seq,
        prev: head.prev,
        attempt: head.attempt,
        tries: head.tries,
        strikes: head.strikes,
        parked: head.parked,
        accepted_at,
    }
}

/// Reads the record of the open job with this id and `seq`, whatever its
/// content: see [`read`] and [`lost`].
pub(super) fn read_at(seq: u64, id: JobId, record: &[u8]) -> Job {
    match read(id, record) {
        Ok(job) => Job { seq, ..job },
        Err(_) => lost(seq, id, record),
    }
}

/// The open job with this id and `seq`, whose record has no readable head or is
/// missing.
pub(super) fn lost(seq: u64, id: JobId, record: &[u8]) -> Job {
    let head = RecordHead {
        seq,
        prev: 0,
        attempt: 1,
        tries: 0,
        strikes: 0,
        not_before: None,
        claimed: false,
        parked: true,
        noted: false,
        in_line: false,
    };
    unreadable(id, head, record)
}

fn unreadable(id: JobId, head: RecordHead, record: &[u8]) -> Job {
    let key = key(record).ok().filter(|key| !key.is_empty());
    let new = NewJob {
        id,
        kind: Kind::UNREADABLE,
        key: key.map_or_else(|| format!("unreadable:{id}").into(), Arc::from),
        payload: record.get(KEY_OFFSET..).unwrap_or_default().to_vec(),
        source: None,
        not_before: None,
        after_height: None,
        era: 0,
        deadline: None,
        trace: None,
    };
    Job {
        parked: true,
        ..job(head, new, Millis::default())
    }
}

/// The part that never changes.
fn description(record: &[u8]) -> Result<(NewJob, Millis), StoreError> {
    let mut reader = Reader(record);
    reader.take(KEY_OFFSET - 4)?;
    let key = Arc::from(reader.text()?);
    let description: Description = {
        let length = reader.u32()? as usize;
        codec::decode(reader.take(length)?).map_err(corrupt)?
    };
    let new = NewJob {
        id: description.id,
        kind: description.kind,
        key,
        payload: reader.0.to_vec(),
        source: description.source,
        not_before: None,
        after_height: description.after_height,
        era: description.era,
        deadline: description.deadline,
        trace: description.trace,
    };
    Ok((new, description.accepted_at))
}

/// The stored form of a last error.
pub(super) fn error_note(reason: &str, at: Millis) -> Vec<u8> {
    failure(reason, at)
}

/// Reads an [`error_note`].
pub(super) fn read_error(bytes: &[u8]) -> Result<LastError, StoreError> {
    let mut reader = Reader(bytes);
    let at = Millis(reader.u64()?);
    let reason = reader.text()?.to_owned();
    Ok(LastError { reason, at })
}

/// The bytes before the record of a failed job.
pub(super) fn failure(reason: &str, failed_at: Millis) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(12 + reason.len());
    bytes.extend(failed_at.0.to_be_bytes());
    bytes.extend((reason.len() as u32).to_be_bytes());
    bytes.extend(reason.as_bytes());
    bytes
}

/// Reads a [`failure`] and the record of the job with this id behind it,
/// whatever their content.
pub(super) fn read_failed(id: JobId, bytes: &[u8]) -> FailedJob {
    let mut reader = Reader(bytes);
    let failed_at = reader.u64().map_or_else(|_| Millis::default(), Millis);
    let (reason, record) = match reader.text() {
        Ok(reason) => (reason.to_owned(), reader.0),
        Err(error) => (error.to_string(), &[][..]),
    };
    FailedJob {
        job: read(id, record).unwrap_or_else(|_| lost(0, id, record)),
        reason,
        failed_at,
    }
}

fn corrupt(error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("job record: {error}"))
}

/// Takes fields off the front of a record.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], StoreError> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or_else(|| corrupt("too short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, StoreError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, StoreError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, StoreError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn text(&mut self) -> Result<&'a str, StoreError> {
        let length = self.u32()? as usize;
        std::str::from_utf8(self.take(length)?).map_err(corrupt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::noop;

    fn new_job() -> NewJob {
        let mut job = NewJob::new(noop::NOOP, "key", &7u32)
            .source("somewhere")
            .deadline(Millis(9));
        job.after_height = Some(5);
        job
    }

    const PLACE: Numbering = Numbering {
        seq: 11,
        prev: 10,
        attempt: 1,
    };

    #[test]
    fn a_record_is_read_back_as_the_job_it_was_made_of() {
        let job = new_job();
        let record = numbered(&job, Millis(3), PLACE);
        let read = read(job.id, &record).unwrap();
        assert_eq!(read, accepted(job, Millis(3), PLACE));
        assert_eq!(key(&record).unwrap(), "key");
    }

    #[test]
    fn a_patched_head_leaves_the_rest_as_it_was() {
        let job = new_job();
        let mut record = numbered(&job, Millis(3), PLACE);
        let mut head = RecordHead::read(&record).unwrap();
        head.attempt = 4;
        head.tries = 2;
        head.strikes = 3;
        head.not_before = Some(Millis(u64::MAX));
        (head.claimed, head.parked, head.noted) = (true, true, true);
        head.patch(&mut record);
        assert_eq!(RecordHead::read(&record).unwrap(), head);
        let patched = read(job.id, &record).unwrap();
        assert_eq!((patched.attempt, patched.tries, patched.strikes), (4, 2, 3));
        assert!(patched.parked);
        assert_eq!(patched.new.not_before, Some(Millis(u64::MAX)));
        assert_eq!(patched.new.payload, job.payload);
    }

    #[test]
    fn only_jobs_that_need_not_wait_are_in_line() {
        let record = |job: &NewJob| numbered(job, Millis(0), PLACE);
        let immediate = NewJob::new(noop::NOOP, "key", &());
        let held = immediate.clone().not_before(Millis(1));
        assert!(RecordHead::read(&record(&immediate)).unwrap().in_line);
        assert!(!RecordHead::read(&record(&held)).unwrap().in_line);
        assert!(!RecordHead::read(&record(&new_job())).unwrap().in_line);
    }

    #[test]
    fn a_truncated_head_is_corrupt_whatever_its_length() {
        let job = new_job();
        let record = numbered(&job, Millis(3), PLACE);
        for length in 0..KEY_OFFSET - 4 {
            let read = read(job.id, &record[..length]);
            assert!(matches!(read, Err(StoreError::Corrupt(_))), "{length}");
        }
    }

    #[test]
    fn another_layout_is_corrupt_and_says_so() {
        let job = new_job();
        let mut record = numbered(&job, Millis(3), PLACE);
        record[0] = 1;
        let refused = read(job.id, &record).unwrap_err().to_string();
        assert!(refused.contains("layout 1"), "{refused}");
    }

    #[test]
    fn what_cannot_be_read_behind_the_head_makes_a_parked_job_that_keeps_its_place() {
        let job = new_job();
        let record = numbered(&job, Millis(3), PLACE);
        let payload = codec::encode(&7u32).len();
        for length in KEY_OFFSET - 4..record.len() - payload {
            let read = read(job.id, &record[..length]).unwrap();
            assert_eq!(read.kind(), Kind::UNREADABLE);
            assert!(read.parked);
            assert_eq!((read.id(), read.seq, read.prev), (job.id, 11, 10));
        }
        let other = JobId::generate();
        let read = read(other, &record).unwrap();
        assert_eq!((read.id(), read.key()), (other, "key"));
        assert!(read.parked, "the record is another job's");
    }

    #[test]
    fn whatever_is_stored_for_an_open_job_is_a_job_at_its_place() {
        let job = new_job();
        let record = numbered(&job, Millis(3), PLACE);
        let whole = read_at(PLACE.seq, job.id, &record);
        assert_eq!(whole, accepted(job.clone(), Millis(3), PLACE));
        let mut later = record.clone();
        later[0] = VERSION + 1;
        let own_key = format!("unreadable:{}", job.id);
        let cases = [
            (&b""[..], own_key.as_str()),
            (b"rubbish", own_key.as_str()),
            (&record[..KEY_OFFSET - 5], own_key.as_str()),
            (&later, "key"),
        ];
        for (record, key) in cases {
            let read = read_at(8, job.id, record);
            assert_eq!((read.seq, read.prev, read.id()), (8, 0, job.id));
            assert_eq!((read.kind(), read.key()), (Kind::UNREADABLE, key));
            assert!(read.parked);
        }
    }

    #[test]
    fn whatever_is_stored_for_a_failed_job_is_a_failed_job() {
        let job = new_job();
        let mut whole = failure("no luck", Millis(8));
        whole.extend(numbered(&job, Millis(3), PLACE));
        for length in 0..whole.len() {
            let read = read_failed(job.id, &whole[..length]);
            assert_eq!(read.job.id(), job.id, "{length}");
        }
        let read = read_failed(job.id, b"rubbish, but longer than its head");
        assert_eq!(read.job.kind(), Kind::UNREADABLE);
    }

    #[test]
    fn a_failed_job_is_read_back_with_its_reason() {
        let job = new_job();
        let record = numbered(&job, Millis(3), PLACE);
        let mut bytes = failure("no luck", Millis(8));
        bytes.extend(&record);
        let failed = read_failed(job.id, &bytes);
        assert_eq!(failed.reason, "no luck");
        assert_eq!(failed.failed_at, Millis(8));
        assert_eq!(failed.job, read(job.id, &record).unwrap());
    }

    #[test]
    fn a_last_error_is_read_back() {
        let error = read_error(&error_note("why", Millis(4))).unwrap();
        assert_eq!((error.reason.as_str(), error.at), ("why", Millis(4)));
    }
}
