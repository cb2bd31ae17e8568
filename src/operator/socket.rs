//! The Unix socket of a standalone node, for `erawan jobs` on the same machine.
//! Only the node's own user may use it (mode 0600). A question and its answer
//! are each four bytes of length and the codec's bytes. A client has some
//! seconds to ask, and to take the answer.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::desk::Desk;
use crate::descriptors;
use crate::listener::{Trouble, keep_trying};
use crate::protocol::MESSAGE_LIMIT;

/// Longest time to receive a question, and to send its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The socket in `DATA_DIRECTORY_PATH`.
pub(super) const SOCKET_FILE: &str = "erawan.sock";

/// A socket that serves until it is dropped.
#[derive(Debug)]
pub struct OperatorSocket {
    serving: JoinHandle<()>,
    path: PathBuf,
    inode: u64,
}

impl OperatorSocket {
    /// Serves a desk.
    /// # Errors
    /// When the directory is not writable. [`check`] reports that before.
    pub fn serve(desk: Desk, directory: &Path) -> io::Result<Self> {
        Self::serve_with(desk, directory, PATIENCE)
    }

    fn serve_with(desk: Desk, directory: &Path, patience: Duration) -> io::Result<Self> {
        let path = directory.join(SOCKET_FILE);
        let (listener, unnamed) = listen(directory)?;
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

/// Tries what [`OperatorSocket::serve`] will do, so that a node does not start
/// if operators cannot reach it.
/// # Errors
/// What is wrong with `DATA_DIRECTORY_PATH`, and how to mend it.
pub fn check(directory: &Path) -> io::Result<()> {
    let made = listen(directory).and_then(|(_, path)| fs::remove_file(path));
    made.map_err(|error| {
        let text = format!(
            "DATA_DIRECTORY_PATH={}: the socket of `erawan jobs` cannot be made there ({error}): \
             set it to a directory that this process can make files in",
            directory.display()
        );
        io::Error::new(error.kind(), text)
    })
}

/// Listens under a temporary name. The socket gets its real name once no other
/// user can use it.
fn listen(directory: &Path) -> io::Result<(UnixListener, PathBuf)> {
    fs::create_dir_all(directory)?;
    let path = directory.join(format!("{SOCKET_FILE}.{}", std::process::id()));
    let _ = fs::remove_file(&path);
    let listener = Reachable::new(&path).and_then(|short| UnixListener::bind(short.path()))?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok((listener, path))
}

/// A path short enough for a socket: systems take 108 bytes or fewer. A longer
/// directory is named by its descriptor, while this lives.
struct Reachable {
    path: PathBuf,
    _directory: Option<File>,
}

impl Reachable {
    fn new(path: &Path) -> io::Result<Self> {
        if SocketAddr::from_pathname(path).is_ok() {
            return Ok(Self {
                path: path.to_owned(),
                _directory: None,
            });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let directory = File::open(parent)?;
        let path = Path::new("/proc/self/fd")
            .join(directory.as_raw_fd().to_string())
            .join(name);
        Ok(Self {
            path,
            _directory: Some(directory),
        })
    }

    fn path(&self) -> &Path {
        &self.path
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
    let answer = desk.answer_bytes(question).await;
    timeout(patience, send(&mut stream, &answer)).await?
}

/// Asks the node that this socket belongs to.
/// # Errors
/// When nobody listens, or the connection breaks.
pub(super) async fn ask(path: &Path, question: &[u8]) -> io::Result<Vec<u8>> {
    let short = Reachable::new(path)?;
    let mut stream = UnixStream::connect(short.path()).await?;
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
    use crate::job::codec;
    use crate::operator::{OperatorRequest, OperatorResponse};
    use crate::store::embedded::{self, EmbeddedStore};

    /// A directory whose path is too long for a socket, and so is every file in
    /// it.
    fn far_down() -> (tempfile::TempDir, PathBuf) {
        let top = tempfile::tempdir().unwrap();
        let mut directory = top.path().to_owned();
        for _ in 0..3 {
            directory.push("d".repeat(100));
        }
        (top, directory)
    }

    #[tokio::test]
    async fn operators_reach_a_node_however_long_the_path_of_its_directory_is() {
        let (_top, directory) = far_down();
        check(&directory).unwrap();
        let store = EmbeddedStore::open(embedded::Options {
            path: directory.join("store"),
            node_id: "rp1".to_owned(),
        });
        let desk = Desk::alone(std::sync::Arc::new(store.unwrap()));
        let socket = OperatorSocket::serve(desk, &directory).unwrap();
        let path = directory.join(SOCKET_FILE);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let question = codec::encode(&OperatorRequest::Audit { limit: 1 });
        let answer = ask(&path, &question).await.unwrap();
        let answer: OperatorResponse = codec::decode(&answer).unwrap();
        assert!(matches!(answer, OperatorResponse::Audit(audit) if audit.is_empty()));
        drop(socket);
        assert!(!path.exists());
        let left = fs::read_dir(&directory).unwrap();
        let left = left.filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with(SOCKET_FILE)
        });
        assert_eq!(left.count(), 0, "nothing is left behind");
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_is_named_with_its_variable() {
        let (_top, directory) = far_down();
        let file = directory.parent().unwrap();
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "in its place").unwrap();
        let refused = check(&directory).unwrap_err().to_string();
        let named = format!("DATA_DIRECTORY_PATH={}", directory.display());
        assert!(refused.starts_with(&named), "{refused}");
    }

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
        // Half a question is no question.
        silent[0].write_u32(1000).await.unwrap();
        let asked = timeout(Duration::from_secs(20), ask(&path, b"rubbish")).await;
        assert!(!asked.expect("it is answered").unwrap().is_empty());
    }
}
