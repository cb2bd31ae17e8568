//! The connections to Redis: one for each [`CommandLane`], shared by all its
//! operations (so they are pipelined). The operation that finds a connection
//! broken replaces it.
//!
//! `redis::aio::ConnectionManager` does not do: it keeps a failed attempt for
//! ever if the failure was an answer (`LOADING`, a wrong password), and keeps a
//! connection on which answers have stopped coming.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::{ErrorKind, RedisConnectionInfo, RedisError, RedisResult, ServerErrorKind, Value};
use secrecy::ExposeSecret;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::Options;
use super::connection::{Connection, SILENCE, SignsOfLife, too_late};
use super::limits::{self, Limits};
use super::size::{Measured, Size};

pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest time for a small operation, connecting included, when Redis is
/// silent.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(5);
/// Smallest command that must not hold up others.
const LARGE: usize = 256 * 1024;

/// Groups of commands with a connection each, so that they do not wait for one
/// another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommandLane {
    /// Questions of mastership and pings, so that no large commit or answer
    /// ends a term.
    Mastership,
    /// Small commands, with answers of any size.
    Ordinary,
    /// Large commands.
    Large,
}

impl CommandLane {
    /// The lane for a command of this size.
    pub fn of(size: Size) -> Self {
        match size.whole > LARGE {
            true => Self::Large,
            false => Self::Ordinary,
        }
    }

    fn signs(self) -> SignsOfLife {
        match self {
            Self::Mastership | Self::Ordinary => SignsOfLife::Answers,
            Self::Large => SignsOfLife::Both,
        }
    }
}

/// Why a command has no answer.
#[derive(Debug)]
pub(super) enum CommandError {
    /// Redis, or the way to it, has failed, perhaps temporarily.
    Redis(RedisError),
    /// Redis refuses a command of this size, now and later; why.
    TooLarge(String),
}

impl CommandError {
    /// The error of Redis, unless the command itself was the cause.
    pub fn of_redis(&self) -> Option<&RedisError> {
        match self {
            Self::Redis(error) => Some(error),
            Self::TooLarge(_) => None,
        }
    }
}

impl From<RedisError> for CommandError {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

pub(super) struct RedisConnections {
    server: Server,
    mastership: LaneConnection,
    ordinary: LaneConnection,
    large: LaneConnection,
}

impl RedisConnections {
    /// Connections live on the caller's runtime, the one for large commands on
    /// `large`.
    pub fn new(options: &Options, large: Handle) -> Self {
        let home = Handle::current();
        let mut login = RedisConnectionInfo::default();
        if let Some(password) = &options.password {
            login = login.set_password(password.expose_secret());
        }
        Self {
            server: Server {
                host: options.host.clone(),
                port: options.port,
                login,
                seen: parking_lot::Mutex::default(),
                age: AtomicU64::new(0),
                restarts: AtomicU64::new(0),
            },
            mastership: LaneConnection::new(CommandLane::Mastership, home.clone()),
            ordinary: LaneConnection::new(CommandLane::Ordinary, home),
            large: LaneConnection::new(CommandLane::Large, large),
        }
    }

    /// How often a new connection has led to a restarted or another server, as
    /// far as the server says.
    pub fn restarts(&self) -> u64 {
        self.server.restarts.load(Ordering::Acquire)
    }

    /// Sends a command once. If its answer is missing, Redis may have run it.
    pub async fn send(
        &self,
        lane: CommandLane,
        command: Measured<'_>,
    ) -> Result<Value, CommandError> {
        let line = match lane {
            CommandLane::Mastership => &self.mastership,
            CommandLane::Ordinary => &self.ordinary,
            CommandLane::Large => &self.large,
        };
        line.send(&self.server, command).await
    }
}

/// The address of Redis and what is known of it.
pub(super) struct Server {
    host: String,
    port: u16,
    login: RedisConnectionInfo,
    seen: parking_lot::Mutex<Seen>,
    /// Connections of an earlier age may lead to a server that is gone or has
    /// become a replica.
    age: AtomicU64,
    restarts: AtomicU64,
}

#[derive(Default)]
struct Seen {
    /// Whether there was a connection before.
    is_known: bool,
    /// The run id of the server behind the last connection, if it has told one.
    run: Option<String>,
}

impl Server {
    /// A connection that nobody else uses.
    pub async fn open(&self) -> RedisResult<Connection> {
        let opened = Connection::open(&self.host, self.port, &self.login, SignsOfLife::Both);
        timeout(CONNECT_TIMEOUT, opened)
            .await
            .unwrap_or_else(|_| Err(too_late("cannot connect")))
    }

    /// Notes the run that a new connection leads to. `replaces`: the lane had a
    /// connection before.
    fn note_run(&self, run: Option<String>, lane: CommandLane, replaces: bool) {
        let mut seen = self.seen.lock();
        // A server that does not tell counts as another one: a master that
        // reads everything again does so once too often rather than never.
        // (Once for all lanes: a restart breaks each connection.)
        let is_another = match &run {
            None => replaces && lane == CommandLane::Mastership,
            Some(_) => seen.is_known && seen.run != run,
        };
        seen.is_known = true;
        seen.run = run.or_else(|| seen.run.take());
        if is_another {
            self.restarts.fetch_add(1, Ordering::AcqRel);
            self.age.fetch_add(1, Ordering::AcqRel);
            tracing::warn!("Redis was restarted, or is another server now");
        }
    }

    /// A connection of this age led to a replica, so all of them are replaced.
    fn became_replica(&self, age: u64) {
        // Those of a later age have been replaced already.
        let _ = self
            .age
            .compare_exchange(age, age + 1, Ordering::AcqRel, Ordering::Acquire);
    }
}

struct LaneConnection {
    lane: CommandLane,
    /// Where the connection's tasks run, whichever thread opens it.
    home: Handle,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    connection: Option<(Arc<Connection>, u64)>,
    /// Of the server behind the connection; only read for large commands.
    limits: Limits,
    has_been_open: bool,
    last_failure: Option<(Instant, RedisError)>,
}

impl LaneConnection {
    fn new(lane: CommandLane, home: Handle) -> Self {
        Self {
            lane,
            home,
            current: Mutex::default(),
        }
    }

    async fn send(&self, server: &Server, command: Measured<'_>) -> Result<Value, CommandError> {
        let started = Instant::now();
        let (connection, age, limits) =
            timeout(OPERATION_TIMEOUT, self.connection(server, started))
                .await
                .map_err(|_| too_late("no connection"))??;
        if let Some(why) = limits.refuse(command.size) {
            return Err(CommandError::TooLarge(why));
        }
        let left = OPERATION_TIMEOUT.saturating_sub(started.elapsed());
        let result = connection
            .ask(command, SILENCE.min(left))
            .await
            .and_then(Value::extract_error);
        let error = match result {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if leads_to_a_replica(&error) {
            server.became_replica(age);
        }
        if is_broken(&error) {
            self.give_up(&connection).await;
        }
        let cause = limits::cause(server, &connection, limits, command, &error);
        Err(match cause.await {
            Some(why) => CommandError::TooLarge(why),
            None => error.into(),
        })
    }

    /// The connection, its age and its limits. The first operation that needs
    /// it connects; those that wait for it share its failure.
    async fn connection(
        &self,
        server: &Server,
        asked: Instant,
    ) -> RedisResult<(Arc<Connection>, u64, Limits)> {
        let mut current = self.current.lock().await;
        if let Some((connection, age)) = &current.connection {
            if *age == server.age.load(Ordering::Acquire) && !connection.is_dead() {
                return Ok((Arc::clone(connection), *age, current.limits));
            }
            current.connection = None;
        }
        if let Some((at, error)) = &current.last_failure
            && *at > asked
        {
            return Err(error.clone());
        }
        let signs = self.lane.signs();
        let (host, port, login) = (server.host.clone(), server.port, server.login.clone());
        // It ends in time by itself, even when nobody waits for it any more.
        let attempt = self.home.spawn(async move {
            let attempt = Connection::open(&host, port, &login, signs);
            let attempt = timeout(CONNECT_TIMEOUT, attempt).await;
            attempt.unwrap_or_else(|_| Err(too_late("cannot connect")))
        });
        let attempt = attempt.await.unwrap_or_else(|ended| {
            let ended = std::io::Error::other(ended);
            Err(ended.into())
        });
        match attempt {
            Ok(connection) => {
                let run = run_of(&connection).await;
                server.note_run(run, self.lane, current.has_been_open);
                current.has_been_open = true;
                let age = server.age.load(Ordering::Acquire);
                if self.lane == CommandLane::Large {
                    current.limits = Limits::of(&connection).await;
                }
                let connection = Arc::new(connection);
                current.connection = Some((Arc::clone(&connection), age));
                Ok((connection, age, current.limits))
            }
            Err(error) => {
                current.last_failure = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// Makes the next operation reconnect, unless one has done so already.
    async fn give_up(&self, broken: &Arc<Connection>) {
        let mut current = self.current.lock().await;
        let is_current = |(connection, _): &(Arc<Connection>, u64)| Arc::ptr_eq(connection, broken);
        if current.connection.as_ref().is_some_and(is_current) {
            current.connection = None;
        }
    }
}

/// The run id of the server; `None` if it does not tell (some hosted servers
/// refuse INFO).
async fn run_of(connection: &Connection) -> Option<String> {
    let mut command = redis::cmd("INFO");
    command.arg("server");
    let answer = connection
        .ask(Measured::new(&command), CONNECT_TIMEOUT)
        .await;
    let answer = answer.and_then(Value::extract_error).ok()?;
    let info: String = redis::from_redis_value(answer).ok()?;
    let run = info.lines().find_map(|line| line.strip_prefix("run_id:"))?;
    Some(run.to_owned())
}

/// A connection is replaced when it is broken or silent.
fn is_broken(error: &RedisError) -> bool {
    error.is_unrecoverable_error() || error.kind() == ErrorKind::Io
}

/// Whether the server behind the connection has become a replica. Its name may
/// lead to another server now.
fn leads_to_a_replica(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
    )
}
