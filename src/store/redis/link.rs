//! The connections to Redis: one for each [`CommandLane`], shared by all operations
//! of its kind (so they are pipelined), made anew by the operation that finds it
//! broken.
//!
//! Not `redis::aio::ConnectionManager`: that one keeps a failed attempt for ever
//! if the failure was an answer (`LOADING`, a wrong password), and keeps a
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
/// Longest a small operation takes, connecting included, when Redis is silent.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a command that is not to hold up others.
const LARGE: usize = 256 * 1024;

/// Commands with a connection of their own, so that those of another kind do
/// not wait for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommandLane {
    /// Questions of mastership and pings: no commit and no answer is so large
    /// that it ends a term.
    Mastership,
    /// Commands of little to write, and their answers of any size.
    Ordinary,
    /// Commands of much to write.
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
    /// Redis, or the way to it, has failed; perhaps not for ever.
    Redis(RedisError),
    /// Redis refuses a command of this size, now and later; why.
    TooLarge(String),
}

impl CommandError {
    /// What Redis said, unless the command was not its to judge.
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

/// All connections to one Redis.
pub(super) struct RedisConnections {
    server: Server,
    mastership: LaneConnection,
    ordinary: LaneConnection,
    large: LaneConnection,
}

impl RedisConnections {
    /// Connections live on the runtime of the caller, that for large commands on
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

    /// How often a new connection has led to a server that was started anew, or
    /// to another one, as far as it says.
    pub fn restarts(&self) -> u64 {
        self.server.restarts.load(Ordering::Acquire)
    }

    /// Sends a command once. When it fails for want of an answer, Redis may or
    /// may not have run it.
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

/// Where Redis is, and what is known of it.
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
    /// There was a connection before.
    is_known: bool,
    /// Which run of the server the last connection led to, if one has said so.
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

    /// Notes which run a new connection leads to. `replaces`: the lane had a
    /// connection before.
    fn note_run(&self, run: Option<String>, lane: CommandLane, replaces: bool) {
        let mut seen = self.seen.lock();
        // One that does not say is taken for another: a master that reads
        // everything anew does so once too often rather than never. (Once for
        // all lanes: a restart breaks each connection.)
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

    /// A connection of this age led to a replica: all of them are replaced.
    fn became_replica(&self, age: u64) {
        // Those of a later age have been replaced already.
        let _ = self
            .age
            .compare_exchange(age, age + 1, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// The connection of a lane.
struct LaneConnection {
    lane: CommandLane,
    /// Where the connection's tasks run, whoever sends the command that opens it.
    home: Handle,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    connection: Option<(Arc<Connection>, u64)>,
    /// Of the server that the connection leads to; only asked for where large
    /// commands go.
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

    /// The connection, its age, and what it takes at most, made by the first operation that needs it.
    /// Those that waited for a failed attempt share its failure.
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
        // It ends by itself in time, also when nobody waits for it any more.
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

    /// Has the next operation make another, unless one has done so already.
    async fn give_up(&self, broken: &Arc<Connection>) {
        let mut current = self.current.lock().await;
        let is_current = |(connection, _): &(Arc<Connection>, u64)| Arc::ptr_eq(connection, broken);
        if current.connection.as_ref().is_some_and(is_current) {
            current.connection = None;
        }
    }
}

/// Which run of the server this is; `None` if it does not say (some hosted
/// servers refuse INFO).
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

/// The server behind the connection has become a replica: its name may lead to
/// another one by now.
fn leads_to_a_replica(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
    )
}
