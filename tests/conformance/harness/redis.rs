//! Redis.

use std::sync::Arc;

use async_trait::async_trait;
use erawan::devnet::redis_server::{self, Durability, RedisServer};
use erawan::job::JobId;
use erawan::store::redis::{self, RedisStore};
use erawan::store::{FailedLimits, SharedStore, StoreError};

use super::{Harness, RUBBISH, Spoil, Spoils};

pub struct Redis {
    pub server: RedisServer,
    store: SharedStore,
    limits: FailedLimits,
}

pub async fn connect_redis(server: &RedisServer) -> Result<RedisStore, StoreError> {
    erawan::node::kinds::give();
    RedisStore::connect(redis::Options {
        host: "127.0.0.1".to_owned(),
        port: server.port(),
        password: None,
        node_id: "node*[1]".to_owned(),
    })
    .await
}

impl Redis {
    async fn with_server(server: RedisServer, limits: FailedLimits) -> Self {
        let store = connect_redis(&server).await.expect("redis is up");
        Self {
            server,
            store: Arc::new(store.with_failed_limits(limits)),
            limits,
        }
    }
}

#[async_trait]
impl Harness for Redis {
    async fn start_with(limits: FailedLimits) -> Self {
        let options = redis_server::Options {
            durability: Durability::Always,
            ..Default::default()
        };
        let server = RedisServer::start(options).expect("redis-server starts");
        Self::with_server(server, limits).await
    }

    fn store(&self) -> SharedStore {
        Arc::clone(&self.store)
    }

    fn master(&self) -> SharedStore {
        Arc::clone(&self.store)
    }

    async fn restart(mut self) -> Self {
        self.server.restart().expect("redis-server starts again");
        Self::with_server(self.server, self.limits).await
    }
}

impl Redis {
    /// Sets one of the node's keys to a string.
    pub async fn set_raw(&self, key: &str, value: &[u8]) {
        let mut command = ::redis::cmd("SET");
        command.arg(raw_name(key)).arg(value);
        self.run_raw(&command).await;
    }

    /// Deletes one of the node's keys.
    pub async fn delete_raw(&self, key: &str) {
        let mut command = ::redis::cmd("DEL");
        command.arg(raw_name(key));
        self.run_raw(&command).await;
    }

    async fn run_raw(&self, command: &::redis::Cmd) {
        let client = ::redis::Client::open(("127.0.0.1", self.server.port())).expect("a client");
        let connection = client.get_multiplexed_async_connection().await;
        let done = command.exec_async(&mut connection.expect("it is up")).await;
        done.expect("it is done");
    }

    async fn raw(&self, command: &str, key: &str, id: JobId, arguments: &[&[u8]]) {
        let mut name = raw_name(key).into_bytes();
        let mut command = ::redis::cmd(command);
        if key == "job:" {
            name.extend(id.as_bytes());
            command.arg(name);
        } else {
            command.arg(name).arg(&id.as_bytes()[..]);
        }
        for argument in arguments {
            command.arg(*argument);
        }
        self.run_raw(&command).await;
    }
}

pub fn raw_name(key: &str) -> String {
    format!("{{erawan:node*[1]}}:{key}")
}

#[async_trait]
impl Spoils for Redis {
    const WAYS: &'static [Spoil] = &[
        Spoil::Rubbish,
        Spoil::Lost,
        Spoil::OtherLayout,
        Spoil::OtherType,
    ];

    async fn spoil(self, id: JobId, how: Spoil) -> Self {
        match how {
            Spoil::OtherType => {
                self.raw("DEL", "job:", id, &[]).await;
                self.raw("SADD", "job:", id, &[RUBBISH]).await;
            }
            Spoil::Rubbish => self.raw("SET", "job:", id, &[RUBBISH]).await,
            Spoil::Lost => self.raw("DEL", "job:", id, &[]).await,
            Spoil::OtherLayout => self.raw("SETRANGE", "job:", id, &[b"0", b"\x09"]).await,
        }
        self
    }

    async fn spoil_failed(self, id: JobId) -> Self {
        self.raw("HSET", "failures", id, &[RUBBISH]).await;
        self
    }
}
