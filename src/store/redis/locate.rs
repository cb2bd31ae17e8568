//! Finds the server that takes writes, and connects to it: asks its address,
//! the Sentinels, or the nodes of the cluster. [`super::target`] judges what
//! they say.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::select_ok;
use futures_util::stream::FuturesUnordered;
use redis::{ErrorKind, RedisError, RedisResult, Value};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

use super::access::{self, Access};
use super::connection::{CONNECT_TIMEOUT, Connection, SignsOfLife, too_late};
use super::target::{Claim, Told, are_several, members, newest};
use crate::config::{Redis, RedisAddress, RedisPlace};

/// How long others are waited for once one has answered well.
const GRACE: Duration = Duration::from_millis(150);
/// Most nodes of a cluster that are asked who owns the slot.
const MOST_ASKED: usize = 16;

/// A connection to the server that takes writes, as far as anybody knows.
pub(super) struct FoundServer {
    pub connection: Connection,
    pub told: Told,
}

/// The way to the server.
pub(super) struct Locator {
    redis: Redis,
    access: Access,
    /// To the Sentinels, if there are any.
    sentinels: Access,
    /// Any key of ours: all are in one slot.
    key: String,
    /// The nodes of the cluster that were last seen.
    members: parking_lot::Mutex<Vec<RedisAddress>>,
}

impl Locator {
    pub fn new(redis: Redis, key: String) -> Self {
        let sentinels = match &redis.place {
            RedisPlace::Sentinels { login, .. } => Access::to_sentinels(&redis, login),
            RedisPlace::Server | RedisPlace::Cluster(_) => Access::default(),
        };
        Self {
            access: Access::to_redis(&redis),
            sentinels,
            redis,
            key,
            members: parking_lot::Mutex::default(),
        }
    }

    /// Whether asking again may lead to another server.
    pub fn is_led(&self) -> bool {
        !matches!(self.redis.place, RedisPlace::Server)
    }

    /// The last seq that the server had given when the first process of the node
    /// came to this run of it.
    pub async fn seq_at_beginning(&self, connection: &Connection, run: &str) -> RedisResult<u64> {
        let mut command = redis::cmd("EVAL");
        command.arg(include_str!("scripts/beginning.lua"));
        command.arg(1).arg(&self.key).arg(run);
        connection.question(&command).await
    }

    /// Looks for the server, from the beginning.
    pub async fn find(&self, signs: SignsOfLife) -> RedisResult<FoundServer> {
        match &self.redis.place {
            RedisPlace::Server => self.find_at(&self.redis.address(), signs).await,
            RedisPlace::Sentinels {
                addresses, group, ..
            } => {
                let access = &self.sentinels;
                let asked = addresses.iter();
                let asked = asked.map(|address| ask_sentinel(address, group, access));
                let (claims, failure) = gather(asked).await;
                match newest(claims) {
                    Some(address) => self.enter_writer(&address, signs).await,
                    None => Err(nobody("no Sentinel names a server (DB_SENTINELS)", failure)),
                }
            }
            RedisPlace::Cluster(seeds) => {
                let mut nodes = seeds.clone();
                for member in &*self.members.lock() {
                    if nodes.len() < MOST_ASKED && !nodes.contains(member) {
                        nodes.push(member.clone());
                    }
                }
                let asked = nodes.iter().map(|node| self.ask_node(node));
                let (answers, failure) = gather(asked).await;
                let (claims, seen): (Vec<_>, Vec<_>) = answers.into_iter().unzip();
                let Some(owner) = newest(claims.into_iter().flatten().collect()) else {
                    let what = "no node names the owner of our keys (DB_CLUSTER_NODES)";
                    return Err(nobody(what, failure));
                };
                *self.members.lock() = seen.into_iter().max_by_key(Vec::len).unwrap_or_default();
                self.enter_writer(&owner, signs).await
            }
        }
    }

    /// The server that takes writes, of all that a name leads to. Where
    /// there is none, one that can be read.
    async fn find_at(
        &self,
        address: &RedisAddress,
        signs: SignsOfLife,
    ) -> RedisResult<FoundServer> {
        let sockets = resolve(address).await?;
        self.find_among(sockets, address, signs).await
    }

    async fn find_among(
        &self,
        sockets: Vec<SocketAddr>,
        address: &RedisAddress,
        signs: SignsOfLife,
    ) -> RedisResult<FoundServer> {
        let attempts = sockets.into_iter().map(|socket| async move {
            let stream = connect(socket).await?;
            self.enter(stream, address, signs).await
        });
        let mut attempts: FuturesUnordered<_> = attempts.collect();
        let (mut writers, mut replica, mut failure) = (Vec::new(), None, None);
        let mut until = None;
        while let Some(attempt) = next(&mut attempts, until).await {
            match attempt {
                Ok(found) if found.told.is_replica => replica = Some(found),
                Ok(found) => {
                    until = until.or(Some(Instant::now() + GRACE));
                    writers.push(found);
                }
                Err(error) => failure = Some(error),
            }
        }
        if are_several(writers.iter().map(|writer| &writer.told)) {
            let why = format!(
                "several servers at {address} take writes, so that jobs would be lost: \
                 it must lead to one (DB_IP), or to Sentinels (DB_SENTINELS)"
            );
            return Err(io::Error::other(why).into());
        }
        match (writers.into_iter().next().or(replica), failure) {
            (Some(found), _) => Ok(found),
            (None, Some(error)) => Err(error),
            (None, None) => Err(too_late("no connection")),
        }
    }

    async fn enter_writer(
        &self,
        address: &RedisAddress,
        signs: SignsOfLife,
    ) -> RedisResult<FoundServer> {
        let stream = connect_to(address).await?;
        let found = self.enter(stream, address, signs).await?;
        match found.told.is_replica {
            false => Ok(found),
            true => {
                let why = format!("{address} is to take writes, but is a replica still");
                Err(io::Error::other(why).into())
            }
        }
    }

    async fn enter(
        &self,
        stream: TcpStream,
        address: &RedisAddress,
        signs: SignsOfLife,
    ) -> RedisResult<FoundServer> {
        let entered = async {
            let connection = log_in(stream, address, &self.access, signs).await?;
            let told = self.told(&connection).await?;
            Ok(FoundServer { connection, told })
        };
        let entered: RedisResult<_> = entered.await;
        entered.map_err(|error| at(address, self.access.explain(error)))
    }

    async fn told(&self, connection: &Connection) -> RedisResult<Told> {
        match connection.question::<String>(&redis::cmd("INFO")).await {
            Ok(info) => Ok(Told::of_info(&info)),
            Err(error) if access::is_withheld(&error) => {
                let role = connection.question::<Vec<Value>>(&redis::cmd("ROLE")).await;
                let role = role.ok().and_then(|role| role.into_iter().next());
                let role = role.and_then(|role| redis::from_redis_value::<String>(role).ok());
                Ok(Told {
                    is_replica: role.is_some_and(|role| role == "slave"),
                    ..Told::default()
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Who owns our slot, and who else is in the cluster, as one node sees it.
    async fn ask_node(
        &self,
        address: &RedisAddress,
    ) -> RedisResult<(Option<Claim>, Vec<RedisAddress>)> {
        let stream = connect_to(address).await?;
        let asked = async {
            let connection = log_in(stream, address, &self.access, SignsOfLife::Answers).await?;
            let mut slot = redis::cmd("CLUSTER");
            slot.arg("KEYSLOT").arg(&self.key);
            let slot: u16 = connection.question(&slot).await?;
            let mut nodes = redis::cmd("CLUSTER");
            nodes.arg("NODES");
            let nodes: String = connection.question(&nodes).await?;
            let by_name = self.access.tls.is_some();
            Ok((
                Claim::of_cluster(&nodes, slot, address, by_name),
                members(&nodes, address, by_name),
            ))
        };
        let asked: RedisResult<_> = asked.await;
        asked.map_err(|error| at(address, self.access.explain(error)))
    }
}

async fn ask_sentinel(address: &RedisAddress, group: &str, access: &Access) -> RedisResult<Claim> {
    let stream = connect_to(address).await?;
    let asked = async {
        let connection = log_in(stream, address, access, SignsOfLife::Answers).await?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("MASTER").arg(group);
        let fields: HashMap<String, String> = connection.question(&command).await?;
        Claim::of_sentinel(&fields).ok_or_else(|| too_late("no address"))
    };
    let asked: RedisResult<_> = asked.await;
    asked.map_err(|error| {
        let error = match error.to_string().contains("No such master") {
            true => io::Error::other(format!("no Sentinel of {group} (DB_SENTINEL_MASTER)")).into(),
            false => access.explain(error),
        };
        at(address, error)
    })
}

async fn log_in(
    stream: TcpStream,
    address: &RedisAddress,
    access: &Access,
    signs: SignsOfLife,
) -> RedisResult<Connection> {
    let opened = Connection::open(stream, &address.host, access, signs);
    let opened = timeout(CONNECT_TIMEOUT, opened).await;
    opened.unwrap_or_else(|_| Err(too_late("no login")))
}

async fn resolve(address: &RedisAddress) -> RedisResult<Vec<SocketAddr>> {
    let found = lookup_host((&*address.host, address.port)).await;
    let found: Vec<_> = found.map_err(|error| at(address, error.into()))?.collect();
    match found.is_empty() {
        true => Err(at(address, nowhere())),
        false => Ok(found),
    }
}

fn nowhere() -> RedisError {
    io::Error::new(io::ErrorKind::NotFound, "the host has no address").into()
}

async fn connect(socket: SocketAddr) -> RedisResult<TcpStream> {
    let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(socket)).await;
    let connected = connected.map_err(|_| too_late("cannot connect"))?;
    connected.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot connect to {socket}: {error}")).into()
    })
}

/// To whichever of its addresses answers first.
async fn connect_to(address: &RedisAddress) -> RedisResult<TcpStream> {
    let attempts = resolve(address).await?.into_iter();
    let attempts = attempts.map(|socket| Box::pin(connect(socket)));
    Ok(select_ok(attempts).await?.0)
}

/// All good answers that come soon after the first, and the last failure.
async fn gather<T>(
    questions: impl Iterator<Item = impl Future<Output = RedisResult<T>>>,
) -> (Vec<T>, Option<RedisError>) {
    let mut questions: FuturesUnordered<_> = questions.collect();
    let (mut answers, mut failure, mut until) = (Vec::new(), None, None);
    while let Some(answer) = next(&mut questions, until).await {
        match answer {
            Ok(answer) => {
                until = until.or(Some(Instant::now() + GRACE));
                answers.push(answer);
            }
            Err(error) => failure = Some(error),
        }
    }
    (answers, failure)
}

/// The next result, unless that would take too long.
async fn next<T>(
    pending: &mut FuturesUnordered<impl Future<Output = T>>,
    until: Option<Instant>,
) -> Option<T> {
    match until {
        Some(until) => timeout_at(until, pending.next()).await.ok().flatten(),
        None => pending.next().await,
    }
}

fn nobody(what: &'static str, failure: Option<RedisError>) -> RedisError {
    let why = failure.map_or_else(String::new, |error| format!(": {error}"));
    io::Error::new(io::ErrorKind::NotConnected, format!("{what}{why}")).into()
}

/// Names the server in what only the system says.
fn at(address: &RedisAddress, error: RedisError) -> RedisError {
    match error.kind() {
        ErrorKind::Io => {
            let cause = std::error::Error::source(&error);
            let cause = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
            let kind = cause.map_or(io::ErrorKind::Other, io::Error::kind);
            io::Error::new(kind, format!("{address}: {error}")).into()
        }
        _ => error,
    }
}

#[cfg(test)]
#[path = "locate_tests.rs"]
mod tests;
