//! The Unix socket of a standalone node: questions of `erawan jobs` on the same
//! machine. Only the node's own user may use it (mode 0600). A question and its
//! answer are each four bytes of length and the codec's bytes. Whoever asks has
//! some seconds to do so, and to take the answer.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::desk::Desk;
use crate::cluster::MESSAGE_LIMIT;
use crate::descriptors;
use crate::listener::{Trouble, keep_trying};

/// Longest time for a question to come, and for its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(10);

/// The socket in `DATA_DIRECTORY_PATH`.
pub(super) const SOCKET_FILE: &str = "erawan.sock";

/// A socket that is served until this is dropped.
#[derive(Debug)]
pub struct OperatorSocket {
    serving: JoinHandle<()>,
    path: PathBuf,
    inode: u64,
}

impl OperatorSocket {
    /// Serves a desk.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn serve(desk: Desk, directory: &Path) -> io::Result<Self> {
        Self::serve_with(desk, directory, PATIENCE)
    }

    fn serve_with(desk: Desk, directory: &Path, patience: Duration) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let path = directory.join(SOCKET_FILE);
        // It gets its name when nobody else can use it any more.
        let unnamed = directory.join(format!("{SOCKET_FILE}.{}", std::process::id()));
        let _ = fs::remove_file(&unnamed);
        let listener = UnixListener::bind(&unnamed)?;
        fs::set_permissions(&unnamed, Permissions::from_mode(0o600))?;
        let inode = fs::metadata(&unnamed)?.ino();
        fs::rename(&unnamed, &path)?;
        let serving = tokio::spawn(async move {
            let places = Arc::new(Semaphore::new(descriptors::OPERATORS));
            let mut trouble = Trouble::at("operators");
            // It is never closed.
            while let Ok(place) = places.clone().acquire_owned().await {
                let (stream, _) = keep_trying(|| listener.accept(), &mut trouble).await;
                let desk = desk.clone();
                tokio::spawn(async move {
                    if let Err(error) = converse(desk, stream, patience).await {
                        tracing::debug!(%error, "an operator's connection broke");
                    }
                    drop(place);
                });
            }
        });
        Ok(Self {
            serving,
            path,
            inode,
        })
    }
}

impl Drop for OperatorSocket {
    fn drop(&mut self) {
        self.serving.abort();
        // A later master that shares the directory may have put its own there.
        if fs::metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            // Nobody listens any more, which is all that matters.
            let _ = fs::remove_file(&self.path);
        }
    }
}

async fn converse(desk: Desk, mut stream: UnixStream, patience: Duration) -> io::Result<()> {
    let question = timeout(patience, receive(&mut stream)).await??;
    let answer = desk.answer_bytes(&question).await;
    timeout(patience, send(&mut stream, &answer)).await?
}

/// Asks the node whose socket this is.
///
/// # Errors
/// When nobody listens, or the connection breaks.
pub(super) async fn ask(path: &Path, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(path).await?;
    send(&mut stream, question).await?;
    receive(&mut stream).await
}

async fn send(stream: &mut UnixStream, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_u32(length).await?;
    stream.write_all(bytes).await
}

async fn receive(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u32().await? as usize;
    if length > MESSAGE_LIMIT {
        return Err(io::Error::other("more than fits a message"));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::embedded::{self, EmbeddedStore};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whoever_asks_nothing_keeps_nobody_out() {
        let directory = tempfile::tempdir().unwrap();
        let options = embedded::Options {
            path: directory.path().join("store.redb"),
            node_id: "node".to_owned(),
        };
        let desk = Desk::alone(Arc::new(EmbeddedStore::open(options).unwrap()));
        let patience = Duration::from_millis(300);
        let _socket = OperatorSocket::serve_with(desk, directory.path(), patience).unwrap();
        let path = directory.path().join(SOCKET_FILE);
        let mut silent = Vec::new();
        for _ in 0..2 * descriptors::OPERATORS {
            silent.push(UnixStream::connect(&path).await.unwrap());
        }
        // Half a question is none.
        silent[0].write_u32(1000).await.unwrap();
        let asked = timeout(Duration::from_secs(20), ask(&path, b"rubbish")).await;
        assert!(!asked.expect("it is answered").unwrap().is_empty());
    }
}
