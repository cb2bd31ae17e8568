//! The connections to Redis: one for each [`CommandLane`], shared by all its
//! operations (so they are pipelined). The operation that finds a connection
//! broken replaces it.
//!
//! Each lane finds the server that takes writes by itself ([`super::locate`]).
//!
//! `redis::aio::ConnectionManager` does not do: it keeps a failed attempt for
//! ever if the failure was an answer (`LOADING`, a wrong password), and keeps a
//! connection on which answers have stopped coming.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::{ErrorKind, RedisError, RedisResult, Value};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::connection::{Connection, SILENCE, SignsOfLife, too_late};
use super::history::ServerHistory;
use super::limits::{self, Limits};
use super::locate::{FoundServer, Locator};
use super::size::{Measured, Size};
use super::target::{Told, refuses_writes};

/// Longest time until a connection is there: asking who takes writes, connecting,
/// TLS, login.
const FIND_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest time for a small operation, connecting included, when Redis is
/// silent.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a command follows its keys to another server.
const MOVES: usize = 2;
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
    /// Waiting for replicas, which holds up whatever comes behind it.
    Replicas,
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
            Self::Mastership | Self::Ordinary | Self::Replicas => SignsOfLife::Answers,
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
    server: Arc<Server>,
    mastership: LaneConnection,
    ordinary: LaneConnection,
    large: LaneConnection,
    replicas: LaneConnection,
}

/// The answer to a command.
pub(super) struct Answer {
    pub value: Value,
    pub connection: Arc<Connection>,
    /// Of the connection: two of one age lead to one run of one server.
    pub age: u64,
}

impl RedisConnections {
    /// Connections live on the caller's runtime, the one for large commands on
    /// `large`.
    pub fn new(locator: Locator, history: Arc<ServerHistory>, large: Handle) -> Self {
        let home = Handle::current();
        let lane = |lane: CommandLane| LaneConnection::new(lane, home.clone());
        Self {
            server: Arc::new(Server {
                locator,
                history,
                compared: Mutex::default(),
                seen: parking_lot::Mutex::default(),
                age: AtomicU64::new(0),
                restarts: AtomicU64::new(0),
            }),
            mastership: lane(CommandLane::Mastership),
            ordinary: lane(CommandLane::Ordinary),
            replicas: lane(CommandLane::Replicas),
            large: LaneConnection::new(CommandLane::Large, large),
        }
    }

    /// How often a new connection has led to a restarted or another server, as
    /// far as the server says.
    pub fn restarts(&self) -> u64 {
        self.server.restarts.load(Ordering::Acquire)
    }

    /// Whether the server tells one run of it from another.
    pub fn knows_run(&self) -> bool {
        self.server.seen.lock().run.is_some()
    }

    /// Sends a command once, or again where the server has not run it because
    /// another one owns the keys now. If its answer is missing, Redis may have
    /// run it.
    pub async fn send(
        &self,
        lane: CommandLane,
        command: Measured<'_>,
    ) -> Result<Answer, CommandError> {
        let line = match lane {
            CommandLane::Mastership => &self.mastership,
            CommandLane::Ordinary => &self.ordinary,
            CommandLane::Large => &self.large,
            CommandLane::Replicas => &self.replicas,
        };
        let mut result = line.send(&self.server, command).await;
        for _ in 0..MOVES {
            let error = result.as_ref().err().and_then(CommandError::of_redis);
            let has_moved = error.is_some_and(|error| error.code() == Some("MOVED"));
            if !(has_moved && self.server.locator.is_led()) {
                break;
            }
            result = line.send(&self.server, command).await;
        }
        result
    }
}

/// The way to the server and what is known of it.
pub(super) struct Server {
    locator: Locator,
    history: Arc<ServerHistory>,
    /// The run whose beginning has been compared with what this process knows.
    compared: Mutex<Option<String>>,
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
        Ok(self.find(SignsOfLife::Both).await?.connection)
    }

    async fn find(&self, signs: SignsOfLife) -> RedisResult<FoundServer> {
        timeout(FIND_TIMEOUT, self.locator.find(signs))
            .await
            .unwrap_or_else(|_| Err(too_late("cannot connect")))
    }

    /// A connection for a lane. Before it is used for the first time in a run of
    /// the server, what the server knew at its beginning is compared with what
    /// it had acknowledged to this process.
    async fn begin(&self, signs: SignsOfLife) -> RedisResult<FoundServer> {
        let found = self.find(signs).await?;
        let (Some(run), false) = (&found.told.run, found.told.is_replica) else {
            return Ok(found);
        };
        let mut compared = self.compared.lock().await;
        if compared.as_ref() == Some(run) {
            return Ok(found);
        }
        let known = self.history.seq();
        let began = self.locator.seq_at_beginning(&found.connection, run).await;
        match began {
            Ok(seq) => {
                self.history.last(known, seq);
                *compared = Some(run.clone());
            }
            // What cannot be written now is written by the next connection.
            Err(error) if error.code().is_some_and(|code| code != "LOADING") => {
                tracing::debug!(%error, "this Redis does not say what it knew at its beginning");
            }
            Err(error) => return Err(error),
        }
        drop(compared);
        Ok(found)
    }

    /// Notes what a new connection leads to. `replaces`: the lane had a
    /// connection before.
    fn note_run(&self, told: Told, lane: CommandLane, replaces: bool) {
        let run = told.run;
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

    /// A connection of this age led to a server that takes no writes, so all of
    /// them are replaced.
    fn refuses(&self, age: u64) {
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

    async fn send(
        &self,
        server: &Arc<Server>,
        command: Measured<'_>,
    ) -> Result<Answer, CommandError> {
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
            Ok(value) => {
                return Ok(Answer {
                    value,
                    connection,
                    age,
                });
            }
            Err(error) => error,
        };
        if refuses_writes(&error) {
            server.refuses(age);
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
        server: &Arc<Server>,
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
        let finding = Arc::clone(server);
        // It ends in time by itself, even when nobody waits for it any more.
        let attempt = self.home.spawn(async move { finding.begin(signs).await });
        let attempt = attempt.await.unwrap_or_else(|ended| {
            let ended = std::io::Error::other(ended);
            Err(ended.into())
        });
        match attempt {
            Ok(FoundServer { connection, told }) => {
                server.note_run(told, self.lane, current.has_been_open);
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

/// A connection is replaced when it is broken or silent.
fn is_broken(error: &RedisError) -> bool {
    error.is_unrecoverable_error() || error.kind() == ErrorKind::Io
}
