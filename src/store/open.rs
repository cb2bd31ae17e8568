//! Opens the store that the environment names.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::embedded::{self, EmbeddedStore};
use super::redis::{self, RedisStore};
use super::remote::RemoteStore;
use super::{SharedStore, StoreError};
use crate::config::{Config, Mode, StoreChoice};
use crate::logging::Reminder;
use crate::protocol::client::{FoundMaster, MasterTarget};
use crate::tls::LinkSecurity;

/// Pause between tries to reach something at the start.
const START_RETRY: Duration = Duration::from_millis(500);
/// The store's file in `DATA_DIRECTORY_PATH`.
const STORE_FILE: &str = "erawan.redb";
/// How long a starting node waits for a file that another process has open.
const FILE_PATIENCE: Duration = Duration::from_secs(5);

/// Opens the store of a node, and waits for what is not available yet. Large
/// values are written to Redis and read on `large`.
/// # Errors
/// What waiting cannot mend.
pub async fn open_store(
    config: &Config,
    master: &FoundMaster,
    large: Handle,
) -> io::Result<SharedStore> {
    match (config.store, config.mode) {
        (StoreChoice::Redis, _) => Ok(Arc::new(connect_redis(config, large).await?)),
        (StoreChoice::Embedded, Mode::Worker) => {
            let target = MasterTarget {
                masters: config.link.masters.clone(),
                security: LinkSecurity::of(config)?,
            };
            let found = master.subscribe();
            Ok(Arc::new(RemoteStore::follow(
                target,
                found,
                &config.node_id,
            )))
        }
        (StoreChoice::Embedded, _) => {
            fs::create_dir_all(&config.data_directory)?;
            let options = embedded::Options {
                path: config.data_directory.join(STORE_FILE),
                node_id: config.node_id.clone(),
            };
            open_file(options, FILE_PATIENCE).await
        }
    }
}

/// Opens the store's file. `erawan jobs` opens it briefly too while no node
/// runs, so a file that another process has is tried again until `patience` is
/// over.
async fn open_file(options: embedded::Options, patience: Duration) -> io::Result<SharedStore> {
    let deadline = tokio::time::Instant::now() + patience;
    let mut reminder = Reminder::default();
    loop {
        let wanted = options.clone();
        let opened = tokio::task::spawn_blocking(|| EmbeddedStore::open(wanted)).await;
        match opened.map_err(io::Error::other)? {
            Ok(store) => return Ok(Arc::new(store)),
            Err(StoreError::Unavailable(reason)) if tokio::time::Instant::now() < deadline => {
                if reminder.is_due() {
                    let path = options.path.display();
                    tracing::warn!(%path, reason, "waiting for the store's file (DATA_DIRECTORY_PATH)");
                }
                tokio::time::sleep(START_RETRY).await;
            }
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}

/// Opens the store for an operator when nothing of the node runs. It waits for
/// nothing and creates nothing.
/// # Errors
/// When it does not exist, or another process has it open.
pub async fn open_store_now(config: &Config) -> io::Result<SharedStore> {
    if config.store == StoreChoice::Redis {
        let store = RedisStore::connect(target(config)).await;
        return Ok(Arc::new(store.map_err(io::Error::other)?));
    }
    let path = config.data_directory.join(STORE_FILE);
    if !path.exists() {
        let problem = format!("there is no store at {}", path.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, problem));
    }
    let node_id = config.node_id.clone();
    open_file(embedded::Options { path, node_id }, Duration::ZERO).await
}

fn target(config: &Config) -> redis::RedisTarget {
    redis::RedisTarget {
        redis: config.redis.clone(),
        node_id: config.node_id.clone(),
    }
}

/// Connects on this thread, which becomes the pulse: handlers must not hold up
/// the connection that mastership needs. Large values are written and read on
/// another thread.
async fn connect_redis(config: &Config, large: Handle) -> io::Result<RedisStore> {
    let mut reminder = Reminder::default();
    loop {
        match RedisStore::connect_apart(target(config), large.clone()).await {
            Ok(store) => return Ok(store),
            Err(StoreError::Unavailable(reason)) => {
                if reminder.is_due() {
                    let address = format!("{}:{}", config.redis.host, config.redis.port);
                    tracing::warn!(
                        address,
                        reason,
                        "waiting for Redis: start it there, or correct DB_IP, DB_PORT and \
                         DB_PASSWORD"
                    );
                }
                tokio::time::sleep(START_RETRY).await;
            }
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}
