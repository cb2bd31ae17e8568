//! The blocks on disk: one JSON line for each, after a line that names the
//! chain. The state is what follows from them, so nothing else is kept.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::bytes::Bytes;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

const FILE: &str = "blocks.jsonl";

#[derive(Serialize, Deserialize)]
struct Head {
    chain_id: String,
}

#[derive(Serialize, Deserialize)]
struct Line {
    height: i64,
    /// Nanoseconds since 1970.
    time: i64,
    txs: Vec<String>,
}

/// A block as it was written.
#[derive(Debug, PartialEq)]
pub struct Record {
    /// From 1, without a gap.
    pub height: i64,
    /// Time of the block.
    pub time: OffsetDateTime,
    pub transactions: Vec<Bytes>,
}

/// An open log, at its end.
pub struct BlockLog {
    file: File,
    fsync: bool,
}

impl BlockLog {
    /// Opens or creates the log in a directory, and gives every block in it to
    /// `replay`. A torn last line, left by a kill, is cut off.
    ///
    /// # Errors
    /// If the directory cannot be used, the log is of another chain, or it is
    /// broken elsewhere than at its end.
    pub fn open(
        directory: &Path,
        chain_id: &str,
        fsync: bool,
        mut replay: impl FnMut(Record),
    ) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join(FILE);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut lines = Lines::new(&file);
        match lines.next()? {
            Some(line) => check_chain(&line, chain_id)?,
            None => {
                let mut log = Self::at_end(file, 0, fsync)?;
                let chain_id = chain_id.to_owned();
                log.write(&Head { chain_id })?;
                return Ok(log);
            }
        }
        let mut next_height = 1;
        while let Some(line) = lines.next()? {
            let record = record(&line)?;
            if record.height != next_height {
                return Err(broken(format!(
                    "block {next_height} expected, {} found",
                    record.height
                )));
            }
            next_height += 1;
            replay(record);
        }
        let end = lines.complete_bytes;
        Self::at_end(file, end, fsync)
    }

    fn at_end(mut file: File, end: u64, fsync: bool) -> io::Result<Self> {
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        Ok(Self { file, fsync })
    }

    /// Appends a block.
    ///
    /// # Errors
    /// If it cannot be written; the block must then not be committed.
    pub fn append(&mut self, record: &Record) -> io::Result<()> {
        let nanoseconds = record.time.unix_timestamp_nanos();
        let time = i64::try_from(nanoseconds).map_err(|error| broken(error.to_string()))?;
        let txs = record.transactions.iter();
        self.write(&Line {
            height: record.height,
            time,
            txs: txs
                .map(|transaction| STANDARD.encode(transaction))
                .collect(),
        })
    }

    fn write(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        if self.fsync {
            self.file.sync_data()?;
        }
        Ok(())
    }
}

/// Complete lines of a file; the bytes after the last line break are torn.
struct Lines<'a> {
    reader: BufReader<&'a File>,
    complete_bytes: u64,
}

impl<'a> Lines<'a> {
    fn new(file: &'a File) -> Self {
        Self {
            reader: BufReader::new(file),
            complete_bytes: 0,
        }
    }

    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let read = self.reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Ok(None);
        }
        self.complete_bytes += read as u64;
        Ok(Some(line))
    }
}

fn broken(reason: impl Into<String>) -> io::Error {
    let reason: String = reason.into();
    io::Error::new(io::ErrorKind::InvalidData, format!("block log: {reason}"))
}

fn check_chain(line: &[u8], chain_id: &str) -> io::Result<()> {
    let head: Head = serde_json::from_slice(line)?;
    if head.chain_id == chain_id {
        return Ok(());
    }
    Err(broken(format!(
        "is of chain {}, not {chain_id}",
        head.chain_id
    )))
}

fn record(line: &[u8]) -> io::Result<Record> {
    let line: Line = serde_json::from_slice(line)?;
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(line.time));
    let time = time.map_err(|error| broken(error.to_string()))?;
    let decode = |text: String| match STANDARD.decode(text) {
        Ok(bytes) => Ok(Bytes::from(bytes)),
        Err(error) => Err(broken(error.to_string())),
    };
    Ok(Record {
        height: line.height,
        time,
        transactions: line
            .txs
            .into_iter()
            .map(decode)
            .collect::<io::Result<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(height: i64) -> Record {
        Record {
            height,
            time: OffsetDateTime::UNIX_EPOCH,
            transactions: vec![Bytes::from(vec![height as u8; 3])],
        }
    }

    fn read(directory: &Path) -> io::Result<(BlockLog, Vec<Record>)> {
        let mut records = Vec::new();
        let log = BlockLog::open(directory, "chain", false, |record| records.push(record))?;
        Ok((log, records))
    }

    #[test]
    fn blocks_written_are_read_back_and_a_torn_last_one_is_cut_off() {
        let directory = tempfile::tempdir().unwrap();
        let (mut log, records) = read(directory.path()).unwrap();
        assert_eq!(records, []);
        log.append(&sample(1)).unwrap();
        log.append(&sample(2)).unwrap();
        log.file.write_all(b"{\"height\":3,\"ti").unwrap();
        drop(log);
        let (mut log, records) = read(directory.path()).unwrap();
        assert_eq!(records, [sample(1), sample(2)]);
        log.append(&sample(3)).unwrap();
        let (_, records) = read(directory.path()).unwrap();
        assert_eq!(records, [sample(1), sample(2), sample(3)]);
    }

    #[test]
    fn a_log_that_is_broken_in_the_middle_or_of_another_chain_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (mut log, _) = read(directory.path()).unwrap();
        log.append(&sample(1)).unwrap();
        log.append(&sample(3)).unwrap();
        assert!(read(directory.path()).is_err());
        let other = BlockLog::open(directory.path(), "other", false, |_| {});
        assert!(other.is_err());
    }
}
