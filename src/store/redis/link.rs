//! The connection to Redis: one, shared by all operations (so they are
//! pipelined), made anew by the operation that finds it broken.
//!
//! Not `redis::aio::ConnectionManager`: that one keeps a failed attempt for ever
//! if the failure was an answer (`LOADING`, a wrong password), and keeps a
//! connection on which answers have stopped coming.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    Arg, AsyncConnectionConfig, Client, Cmd, ErrorKind, IntoConnectionInfo, RedisError,
    RedisResult, ServerErrorKind, Value,
};
use secrecy::ExposeSecret;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::Options;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(4);
/// Longest an operation takes, connecting included.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(5);
/// A large command has a second more for so many bytes. Without it, one that
/// takes longer on its way would be begun again for ever.
const BYTES_A_SECOND: usize = 4 * 1024 * 1024;
/// Commands that wait for their turn to be written to the socket.
const QUEUED_COMMANDS: usize = 1024;

/// The shared connection.
pub(super) struct Link {
    client: Client,
    config: AsyncConnectionConfig,
    current: Mutex<Current>,
    restarts: AtomicU64,
}

#[derive(Default)]
struct Current {
    connection: Option<MultiplexedConnection>,
    /// Counts connections, so that a failure gives up only the one it was met on.
    generation: u64,
    last_failure: Option<(Instant, RedisError)>,
    /// Which run of the server the last connection led to, if it says.
    run: Option<String>,
}

impl Link {
    pub fn new(options: &Options) -> RedisResult<Self> {
        let mut info = (options.host.as_str(), options.port).into_connection_info()?;
        if let Some(password) = &options.password {
            let settings = info.redis_settings().clone();
            info = info.set_redis_settings(settings.set_password(password.expose_secret()));
        }
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        Ok(Self {
            client: Client::open(info)?,
            config: AsyncConnectionConfig::new()
                .set_connection_timeout(Some(CONNECT_TIMEOUT))
                .set_response_timeout(Some(RESPONSE_TIMEOUT))
                .set_pipeline_buffer_size(QUEUED_COMMANDS),
            current: Mutex::default(),
            restarts: AtomicU64::new(0),
        })
    }

    /// How often a new connection has led to a server that was started anew, or
    /// to another one, as far as it says.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Acquire)
    }

    /// Sends a command once. When it fails for want of an answer, Redis may or
    /// may not have run it.
    pub async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        let started = Instant::now();
        let (mut connection, generation) = timeout(OPERATION_TIMEOUT, self.connection(started))
            .await
            .map_err(|_| too_late("no connection"))??;
        let extra = Duration::from_secs((size_of(command) / BYTES_A_SECOND) as u64);
        connection.set_response_timeout(RESPONSE_TIMEOUT + extra);
        let left = (OPERATION_TIMEOUT + extra).saturating_sub(started.elapsed());
        let result = timeout(left, connection.send_packed_command(command))
            .await
            .unwrap_or_else(|_| Err(too_late("no answer")))
            .and_then(Value::extract_error);
        if let Err(error) = &result
            && is_of_no_more_use(error)
        {
            self.give_up(generation).await;
        }
        result
    }

    /// The connection, made by the first operation that needs it. Those that
    /// waited for a failed attempt share its failure.
    async fn connection(&self, asked: Instant) -> RedisResult<(MultiplexedConnection, u64)> {
        let mut current = self.current.lock().await;
        if let Some(connection) = &current.connection {
            return Ok((connection.clone(), current.generation));
        }
        if let Some((at, error)) = &current.last_failure
            && *at > asked
        {
            return Err(error.clone());
        }
        let attempt = self
            .client
            .get_multiplexed_async_connection_with_config(&self.config);
        let attempt = timeout(CONNECT_TIMEOUT, attempt)
            .await
            .unwrap_or_else(|_| Err(too_late("cannot connect")));
        match attempt {
            Ok(mut connection) => {
                let run = run_of(&mut connection).await;
                // One that does not say is taken for another: a master that reads
                // everything anew does so once too often rather than never.
                let is_the_same = run.is_some() && run == current.run;
                if current.generation > 0 && !is_the_same {
                    self.restarts.fetch_add(1, Ordering::AcqRel);
                    tracing::warn!("Redis was restarted, or is another server now");
                }
                current.run = run;
                current.generation += 1;
                current.connection = Some(connection.clone());
                Ok((connection, current.generation))
            }
            Err(error) => {
                current.last_failure = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn give_up(&self, generation: u64) {
        let mut current = self.current.lock().await;
        if current.generation == generation {
            current.connection = None;
        }
    }
}

/// Bytes of a command's arguments.
fn size_of(command: &Cmd) -> usize {
    let size = |argument: Arg<&[u8]>| match argument {
        Arg::Simple(bytes) => bytes.len(),
        // Only in scans: a number.
        _ => 0,
    };
    command.args_iter().map(size).sum()
}

/// Which run of the server this is; `None` if it does not say (some hosted
/// servers refuse INFO).
async fn run_of(connection: &mut MultiplexedConnection) -> Option<String> {
    let mut command = redis::cmd("INFO");
    command.arg("server");
    let asked = timeout(CONNECT_TIMEOUT, command.query_async::<String>(connection));
    let info = asked.await.ok()?.ok()?;
    let run = info.lines().find_map(|line| line.strip_prefix("run_id:"))?;
    Some(run.to_owned())
}

fn too_late(what: &str) -> RedisError {
    std::io::Error::new(std::io::ErrorKind::TimedOut, format!("{what} in time")).into()
}

/// A connection is replaced when it is broken or silent, and when the server
/// behind it has become a replica: its name may lead to another one by now.
fn is_of_no_more_use(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || matches!(
            error.kind(),
            ErrorKind::Io
                | ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
        )
}
