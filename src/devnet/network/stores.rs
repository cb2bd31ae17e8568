//! The nodes' stores, for observers from outside.

use std::io;
use std::sync::Arc;

use super::{LOCAL, Network, NetworkNode, StoreOption};
use crate::store::SharedStore;
use crate::store::embedded::{self, EmbeddedStore};
use crate::store::redis::{self, RedisStore};
use crate::store::remote::RemoteStore;

/// Name of the embedded store's file in `DATA_DIRECTORY_PATH`.
const FILE: &str = "erawan.redb";

impl Network {
    /// `embedded` or `redis`.
    pub fn store_name(&self) -> &'static str {
        self.store.name()
    }

    /// The store of a running node; `None` if only the node itself can reach it
    /// (a standalone node has its file to itself).
    /// # Errors
    /// When it cannot be reached now.
    pub async fn running_store(&self, node: &NetworkNode) -> io::Result<Option<SharedStore>> {
        match (&self.store, node.masters.first()) {
            (StoreOption::Embedded, None) => Ok(None),
            (StoreOption::Embedded, Some(master)) => {
                let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{master}"));
                let channel = endpoint.map_err(io::Error::other)?.connect_lazy();
                Ok(Some(Arc::new(RemoteStore::connect(channel, &node.node_id))))
            }
            _ => self.redis_store(node).await.map(Some),
        }
    }

    /// The store of a node that has stopped.
    ///
    /// # Errors
    /// When it cannot be opened or reached.
    pub async fn stopped_store(&self, node: &NetworkNode) -> io::Result<SharedStore> {
        if self.store != StoreOption::Embedded {
            return self.redis_store(node).await;
        }
        let options = embedded::Options {
            path: self.directory.join("data").join(&node.node_id).join(FILE),
            node_id: node.node_id.clone(),
        };
        let opened = tokio::task::spawn_blocking(|| EmbeddedStore::open(options)).await;
        let store = opened.map_err(io::Error::other)?;
        Ok(Arc::new(store.map_err(io::Error::other)?))
    }

    async fn redis_store(&self, node: &NetworkNode) -> io::Result<SharedStore> {
        let (host, port, password) = match (&self.store, &self.redis) {
            (
                StoreOption::RedisAt {
                    host,
                    port,
                    password,
                },
                _,
            ) => (host.clone(), *port, password.clone()),
            (_, Some(server)) => (LOCAL.to_owned(), server.port(), None),
            _ => return Err(io::Error::other("there is no Redis server")),
        };
        let store = RedisStore::connect(redis::Options {
            host,
            port,
            password: password.map(Into::into),
            node_id: node.node_id.clone(),
        });
        Ok(Arc::new(store.await.map_err(io::Error::other)?))
    }
}
