//! Where Redis is, and whose keys are meant.

use secrecy::SecretString;

use crate::config::Redis;

/// One server that asks for a password at most.
#[derive(Debug, Clone)]
pub struct Options {
    /// Host name or address.
    pub host: String,
    pub port: u16,
    /// For `AUTH`.
    pub password: Option<SecretString>,
    /// Each node has keys of its own.
    pub node_id: String,
}

/// The Redis that the settings name, and the node whose keys are meant.
#[derive(Debug, Clone)]
pub struct RedisTarget {
    pub redis: Redis,
    pub node_id: String,
}

impl From<Options> for RedisTarget {
    fn from(options: Options) -> Self {
        Self {
            redis: Redis {
                password: options.password,
                ..Redis::at(options.host, options.port)
            },
            node_id: options.node_id,
        }
    }
}
