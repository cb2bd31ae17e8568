//! A Redis whose machine lost power, or that was restored from a backup: it
//! starts again with files of an earlier moment.

use std::path::{Path, PathBuf};

use erawan::devnet::redis_server::RedisServer;

/// The append-only files of a moment.
pub struct Files {
    copy: tempfile::TempDir,
    original: PathBuf,
}

impl Files {
    /// As they are now.
    pub fn of(server: &RedisServer) -> Self {
        let files = Self {
            copy: tempfile::tempdir().unwrap(),
            original: server.directory().join("appendonlydir"),
        };
        copy(&files.original, files.copy.path());
        files
    }

    /// What was written since is lost. The server must not run.
    pub fn put_back(&self) {
        std::fs::remove_dir_all(&self.original).unwrap();
        std::fs::create_dir(&self.original).unwrap();
        copy(self.copy.path(), &self.original);
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
