//! One connection to Redis, which watches its bytes. A large command or answer
//! may take as long as it needs while its bytes move; a connection on which
//! nothing moves is noticed soon.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, FromRedisValue, RedisConnectionInfo, RedisError, RedisResult, Value,
};
use tokio::io::{self, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::access::Access;
use super::size::Measured;
use super::tls;

/// For each step from a name to a connection that is logged in.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest silence while an answer is due.
pub(super) const SILENCE: Duration = Duration::from_secs(4);
/// Bytes on the way that add a second to that: systems in between hold some
/// bytes back, and Redis takes time to write them.
const BYTES_A_SECOND: usize = 4 * 1024 * 1024;
/// Most commands that wait to be written to the socket.
const QUEUED_COMMANDS: usize = 1024;

/// What counts as a sign that a connection lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignsOfLife {
    /// Incoming bytes. Small commands can be written for a while although
    /// nobody reads them.
    Answers,
    /// Bytes in either direction. Those of a large command leave only as fast
    /// as they are read.
    Both,
}

/// An open connection. Dropping the last handle closes it.
pub(super) struct Connection {
    commands: MultiplexedConnection,
    traffic: Arc<Traffic>,
    /// Bytes of the commands that have no answer yet.
    owed: AtomicUsize,
    driver: JoinHandle<()>,
}

impl Connection {
    /// Encrypts if that is wanted, and logs in. `host`: the name that the
    /// server's certificate must have.
    pub async fn open(
        stream: TcpStream,
        host: &str,
        access: &Access,
        signs: SignsOfLife,
    ) -> RedisResult<Self> {
        stream.set_nodelay(true)?;
        let traffic = Arc::new(Traffic::new());
        let watched = Watched {
            stream,
            traffic: Arc::clone(&traffic),
            signs,
        };
        let connection = match &access.tls {
            None => Self::speak(watched, traffic).await?,
            Some(tls) => {
                let encrypted = tls::encrypt(watched, host, tls).await?;
                Self::speak(encrypted, traffic).await?
            }
        };
        access.log_in(&connection).await?;
        Ok(connection)
    }

    async fn speak<S>(stream: S, traffic: Arc<Traffic>) -> RedisResult<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUED_COMMANDS);
        // `Access` logs in: the library would swallow what the server says.
        let nothing = RedisConnectionInfo::default().set_skip_set_lib_name();
        let opened = MultiplexedConnection::new_with_config(&nothing, stream, config).await?;
        let (commands, driver) = opened;
        Ok(Self {
            commands,
            traffic,
            owed: AtomicUsize::new(0),
            driver: tokio::spawn(driver),
        })
    }

    /// The answer to a small question at the beginning of a connection.
    pub async fn question<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        let answer = self.ask(Measured::new(command), CONNECT_TIMEOUT).await;
        let answer = answer.and_then(Value::extract_error)?;
        Ok(redis::from_redis_value(answer)?)
    }

    /// Sends a command and waits for its answer until nothing has moved for
    /// `silence`, or longer for large commands.
    pub async fn ask(&self, command: Measured<'_>, silence: Duration) -> RedisResult<Value> {
        let asked = Instant::now();
        let _owed = Owed::add(&self.owed, command.size.whole);
        self.traffic.question(asked);
        let mut commands = self.commands.clone();
        let mut answer = pin!(commands.send_packed_command(command.command));
        loop {
            let until = self.traffic.last_sign().max(asked) + silence + self.extra();
            match timeout_at(until, &mut answer).await {
                Ok(answer) => return answer,
                // Something has moved meanwhile.
                Err(_) if self.traffic.last_sign() + silence + self.extra() > until => {}
                Err(_) => return Err(too_late("no answer")),
            }
        }
    }

    /// Whether it is closed, or has owed an answer for too long to a caller
    /// that may have gone without saying so.
    pub fn is_dead(&self) -> bool {
        self.traffic.is_silent(SILENCE + self.extra())
    }

    fn extra(&self) -> Duration {
        let owed = self.owed.load(Ordering::Relaxed);
        Duration::from_secs((owed / BYTES_A_SECOND) as u64)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Counts bytes as owed until it is dropped.
struct Owed<'a>(&'a AtomicUsize, usize);

impl<'a> Owed<'a> {
    fn add(owed: &'a AtomicUsize, size: usize) -> Self {
        owed.fetch_add(size, Ordering::Relaxed);
        Self(owed, size)
    }
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

pub(super) fn too_late(what: &str) -> RedisError {
    io::Error::new(io::ErrorKind::TimedOut, format!("{what} in time")).into()
}

/// The movement of bytes on a connection.
struct Traffic(Mutex<Moves>);

struct Moves {
    last_sign: Instant,
    /// The first question since the last incoming byte.
    asked: Option<Instant>,
    has_ended: bool,
}

impl Traffic {
    fn new() -> Self {
        Self(Mutex::new(Moves {
            last_sign: Instant::now(),
            asked: None,
            has_ended: false,
        }))
    }

    fn last_sign(&self) -> Instant {
        self.0.lock().last_sign
    }

    fn question(&self, asked: Instant) {
        self.0.lock().asked.get_or_insert(asked);
    }

    fn came(&self) {
        let mut moves = self.0.lock();
        moves.last_sign = Instant::now();
        moves.asked = None;
    }

    fn went(&self) {
        self.0.lock().last_sign = Instant::now();
    }

    fn end(&self) {
        self.0.lock().has_ended = true;
    }

    fn is_silent(&self, longest: Duration) -> bool {
        let moves = self.0.lock();
        let too_long = |asked: Instant| asked.max(moves.last_sign).elapsed() > longest;
        moves.has_ended || moves.asked.is_some_and(too_long)
    }
}

/// A socket that records the movement of bytes.
struct Watched {
    stream: TcpStream,
    traffic: Arc<Traffic>,
    signs: SignsOfLife,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        match read.is_ok() && buffer.filled().len() > before {
            true => self.traffic.came(),
            false => self.traffic.end(),
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        if self.signs == SignsOfLife::Both && written.is_ok() {
            self.traffic.went();
        }
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.traffic.end();
    }
}
