//! Waits for jobs to start, by the workers' records.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::bench::node::JobStart;

const POLL: Duration = Duration::from_millis(1);
/// Far longer than anything measured.
const PATIENCE: Duration = Duration::from_secs(120);

/// Reads the recorded starts from where it was opened.
pub(super) struct Starts {
    path: PathBuf,
    offset: u64,
    torn: String,
}

impl Starts {
    pub fn from_now(path: &Path) -> Self {
        let length = std::fs::metadata(path).map(|metadata| metadata.len());
        Self {
            path: path.to_owned(),
            // A missing file counts as empty.
            offset: length.unwrap_or(0),
            torn: String::new(),
        }
    }

    /// The next wanted start.
    /// # Errors
    /// When it does not come, or the file cannot be read.
    pub async fn next(&mut self, is_wanted: impl Fn(&JobStart) -> bool) -> io::Result<JobStart> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(start) = self.read()?.into_iter().find(&is_wanted) {
                return Ok(start);
            }
            if Instant::now() > deadline {
                return Err(io::Error::other("a job did not start"));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn read(&mut self) -> io::Result<Vec<JobStart>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(self.offset))?;
        let mut text = std::mem::take(&mut self.torn);
        self.offset += file.read_to_string(&mut text)? as u64;
        let end = text.rfind('\n').map_or(0, |index| index + 1);
        self.torn = text.split_off(end);
        Ok(text.lines().filter_map(JobStart::parse).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn starts_are_read_from_now_on_and_torn_lines_later() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("starts");
        std::fs::write(&path, "1 10 old\n").unwrap();
        let mut starts = Starts::from_now(&path);
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(b"2 20 a\n3 3").unwrap();
        assert_eq!(starts.read().unwrap().len(), 1);
        file.write_all(b"0 b\n").unwrap();
        let start = starts.next(|start| start.key == "b").await.unwrap();
        assert_eq!((start.pid, start.at), (3, 30));
    }
}
