//! Files that are read again while the process runs: certificates, keys,
//! tokens. Those who need the content ask for it; a change is found then, at
//! most once a second. Content that cannot be used changes nothing: what was
//! read before stays in use, and the log says why.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

/// Shortest time between two looks at the files.
const LOOK: Duration = Duration::from_secs(1);

/// Content of some files that belong together, such as a certificate and its
/// key.
pub struct Reread<T> {
    files: Vec<PathBuf>,
    read: Box<dyn Fn() -> io::Result<T> + Send + Sync>,
    pause: Duration,
    kept: Mutex<Kept<T>>,
}

struct Kept<T> {
    value: Arc<T>,
    stamps: Vec<Stamp>,
    looked: Instant,
}

/// What changes when a file is written, or replaced by another one. Follows
/// links, as Kubernetes swaps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Stamp {
    /// `None` while there is no such file.
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            inode: metadata.ino(),
        })
    }
}

impl<T> Reread<T> {
    /// Reads the files for the first time. `read` opens them itself.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn open(
        files: Vec<PathBuf>,
        read: impl Fn() -> io::Result<T> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        // Before reading, so that a change meanwhile is found later.
        let stamps = stamps(&files);
        let value = Arc::new(read()?);
        let kept = Kept {
            value,
            stamps: stamps.into_iter().flatten().collect(),
            looked: Instant::now(),
        };
        Ok(Self {
            files,
            read: Box::new(read),
            pause: LOOK,
            kept: Mutex::new(kept),
        })
    }

    /// Looks at the files at every call.
    #[cfg(test)]
    pub fn without_pause(self) -> Self {
        let pause = Duration::ZERO;
        Self { pause, ..self }
    }

    /// The content now.
    pub fn now(&self) -> Arc<T> {
        let mut kept = self.kept.lock();
        if kept.looked.elapsed() < self.pause {
            return kept.value.clone();
        }
        kept.looked = Instant::now();
        let found: Option<Vec<Stamp>> = stamps(&self.files).into_iter().collect();
        // Files are missing while they are being replaced.
        let Some(found) = found.filter(|found| *found != kept.stamps) else {
            return kept.value.clone();
        };
        kept.stamps = found;
        let names = self.names();
        match (self.read)() {
            Ok(value) => {
                kept.value = Arc::new(value);
                tracing::info!(files = names, "changed files are in use");
            }
            Err(error) => tracing::error!(
                %error,
                files = names,
                "changed files cannot be used; what was read before stays in use"
            ),
        }
        kept.value.clone()
    }

    fn names(&self) -> String {
        let names = self.files.iter().map(|path| path.display().to_string());
        names.collect::<Vec<_>>().join(", ")
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    files.iter().map(|path| Stamp::of(path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(path: &Path) -> Reread<u32> {
        let of = path.to_owned();
        let read = move || {
            let text = fs::read_to_string(&of)?;
            text.parse().map_err(io::Error::other)
        };
        let opened = Reread::open(vec![path.to_owned()], read).unwrap();
        opened.without_pause()
    }

    /// As `kubectl` and careful operators do it.
    fn replace(path: &Path, content: &str) {
        let new = path.with_extension("new");
        fs::write(&new, content).unwrap();
        fs::rename(&new, path).unwrap();
    }

    #[test]
    fn a_changed_file_counts_and_one_that_cannot_be_used_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("number");
        fs::write(&path, "1").unwrap();
        let number = number(&path);
        assert_eq!(*number.now(), 1);
        replace(&path, "2");
        assert_eq!(*number.now(), 2);
        replace(&path, "nothing that counts");
        assert_eq!(*number.now(), 2);
        fs::remove_file(&path).unwrap();
        assert_eq!(*number.now(), 2, "the file is gone");
        replace(&path, "3");
        assert_eq!(*number.now(), 3);
    }

    #[test]
    fn a_file_that_does_not_change_is_not_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "").unwrap();
        let reads = Arc::new(Mutex::new(0));
        let counted = reads.clone();
        let read = move || {
            *counted.lock() += 1;
            Ok(())
        };
        let file = Reread::open(vec![path], read).unwrap().without_pause();
        file.now();
        file.now();
        assert_eq!(*reads.lock(), 1);
    }
}
