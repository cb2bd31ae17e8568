//! `DB_*`: where Redis is, how to log in, and what it promises.

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;

use super::summary::Lines;
use super::{MasterAddress, RedisTls};

/// Host name or address, and port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RedisAddress {
    pub host: String,
    pub port: u16,
}

/// For logs: `host:port`.
impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        MasterAddress::new(self.host.clone(), self.port).fmt(f)
    }
}

/// What leads to the server that takes writes.
#[derive(Debug, Clone)]
pub enum RedisPlace {
    /// Its own address (`DB_IP` and `DB_PORT`, or `DB_URL`). A name may lead to
    /// several servers.
    Server,
    /// `DB_SENTINELS`
    Sentinels {
        addresses: Vec<RedisAddress>,
        /// `DB_SENTINEL_MASTER`: how they call the group of servers.
        group: String,
        login: SentinelLogin,
    },
    /// `DB_CLUSTER_NODES`: some nodes of a Redis Cluster.
    Cluster(Vec<RedisAddress>),
}

/// How Sentinels let us in.
#[derive(Debug, Clone, Default)]
pub struct SentinelLogin {
    /// `DB_SENTINEL_USERNAME`
    pub user: Option<String>,
    /// `DB_SENTINEL_PASSWORD`
    pub password: Option<SecretString>,
    /// `DB_SENTINEL_TLS`: with the certificates of `DB_TLS_*`.
    pub has_tls: bool,
}

/// How many replicas must have a write before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicaPromise {
    /// `DB_MIN_REPLICAS_TO_ACK`; at least one.
    pub replicas: u32,
    /// `DB_REPLICA_ACK_TIMEOUT_MS`
    pub patience: Duration,
}

/// `DB_*`.
#[derive(Debug, Clone)]
pub struct Redis {
    /// Of the server, or of the first Sentinel or node of the cluster.
    pub host: String,
    pub port: u16,
    pub place: RedisPlace,
    /// `DB_USERNAME`
    pub user: Option<String>,
    /// `DB_PASSWORD`
    pub password: Option<SecretString>,
    /// `DB_NUMBER`
    pub database: u32,
    /// `DB_TLS`
    pub tls: Option<RedisTls>,
    pub promise: Option<ReplicaPromise>,
}

impl Redis {
    /// One server that asks for nothing.
    pub fn at(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            place: RedisPlace::Server,
            user: None,
            password: None,
            database: 0,
            tls: None,
            promise: None,
        }
    }

    /// The address of the server, where there is one.
    pub fn address(&self) -> RedisAddress {
        RedisAddress {
            host: self.host.clone(),
            port: self.port,
        }
    }

    /// The variables that say where Redis is.
    pub fn variables(&self) -> &'static str {
        match self.place {
            RedisPlace::Server => "DB_IP and DB_PORT, or DB_URL",
            RedisPlace::Sentinels { .. } => "DB_SENTINELS, DB_SENTINEL_MASTER",
            RedisPlace::Cluster(_) => "DB_CLUSTER_NODES",
        }
    }

    pub(super) fn summarise(&self, lines: &mut Lines) {
        match &self.place {
            RedisPlace::Server => {
                lines.put("DB_IP", &self.host).put("DB_PORT", self.port);
            }
            RedisPlace::Sentinels {
                addresses,
                group,
                login,
            } => {
                lines
                    .put("DB_SENTINELS", listed(addresses))
                    .put("DB_SENTINEL_MASTER", group)
                    .put("DB_SENTINEL_TLS", login.has_tls)
                    .secret("DB_SENTINEL_PASSWORD", login.password.is_some());
                if let Some(user) = &login.user {
                    lines.put("DB_SENTINEL_USERNAME", user);
                }
            }
            RedisPlace::Cluster(nodes) => {
                lines.put("DB_CLUSTER_NODES", listed(nodes));
            }
        }
        if let Some(user) = &self.user {
            lines.put("DB_USERNAME", user);
        }
        lines
            .secret("DB_PASSWORD", self.password.is_some())
            .put("DB_NUMBER", self.database)
            .put("DB_TLS", self.tls.is_some());
        if let Some(tls) = &self.tls {
            tls.summarise(lines);
        }
        if let Some(promise) = &self.promise {
            lines
                .put("DB_MIN_REPLICAS_TO_ACK", promise.replicas)
                .put("DB_REPLICA_ACK_TIMEOUT_MS", promise.patience.as_millis());
        }
    }
}

/// For logs: what leads to the server.
impl fmt::Display for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            RedisPlace::Server => self.address().fmt(f),
            RedisPlace::Sentinels {
                addresses, group, ..
            } => write!(f, "{group} of the Sentinels {}", listed(addresses)),
            RedisPlace::Cluster(nodes) => write!(f, "the cluster of {}", listed(nodes)),
        }
    }
}

fn listed(addresses: &[RedisAddress]) -> String {
    let addresses = addresses.iter().map(ToString::to_string);
    addresses.collect::<Vec<_>>().join(",")
}
