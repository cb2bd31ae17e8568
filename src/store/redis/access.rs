//! How a server lets us in: user, password, database, TLS.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::{ErrorKind, RedisError, RedisResult, Value};
use secrecy::{ExposeSecret, SecretString};

use super::connection::Connection;
use crate::config::{Redis, RedisTls, SentinelLogin};

/// What is shown to servers of one kind.
#[derive(Debug, Default)]
pub(super) struct Access {
    pub tls: Option<RedisTls>,
    user: Option<String>,
    password: Option<SecretString>,
    database: u32,
    /// The variables of user and password, for errors.
    variables: &'static str,
    /// Whether somebody has been told that the password is not needed.
    has_warned: AtomicBool,
}

impl Access {
    pub fn to_redis(redis: &Redis) -> Self {
        Self {
            tls: redis.tls.clone(),
            user: redis.user.clone(),
            password: redis.password.clone(),
            database: redis.database,
            variables: "DB_USERNAME, DB_PASSWORD",
            has_warned: AtomicBool::new(false),
        }
    }

    pub fn to_sentinels(redis: &Redis, login: &SentinelLogin) -> Self {
        Self {
            tls: redis.tls.clone().filter(|_| login.has_tls),
            user: login.user.clone(),
            password: login.password.clone(),
            database: 0,
            variables: "DB_SENTINEL_USERNAME, DB_SENTINEL_PASSWORD",
            has_warned: AtomicBool::new(false),
        }
    }

    pub async fn log_in(&self, connection: &Connection) -> RedisResult<()> {
        if let Some(password) = &self.password {
            let mut command = redis::cmd("AUTH");
            if let Some(user) = &self.user {
                command.arg(user);
            }
            command.arg(password.expose_secret());
            self.authenticated(connection.question(&command).await)?;
        }
        if self.database != 0 {
            let mut command = redis::cmd("SELECT");
            command.arg(self.database);
            let selected = connection.question::<Value>(&command).await;
            selected.map_err(|error| {
                let number = self.database;
                refused(format!("it has no database {number} (DB_NUMBER): {error}"))
            })?;
        }
        Ok(())
    }

    fn authenticated(&self, answer: RedisResult<Value>) -> RedisResult<()> {
        match answer {
            Ok(_) => Ok(()),
            Err(error) if self.user.is_none() && needs_no_password(&error) => {
                if !self.has_warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        variables = self.variables,
                        "Redis asks for no password: everybody who reaches it can read and change it"
                    );
                }
                Ok(())
            }
            Err(error) if error.code().is_some() => {
                let variables = self.variables;
                Err(refused(format!(
                    "it refuses the password ({variables}): {error}"
                )))
            }
            Err(error) => Err(error),
        }
    }

    /// Why a server that can be reached gives no answer to what is asked first.
    pub fn explain(&self, error: RedisError) -> RedisError {
        if error.code() == Some("NOAUTH") {
            let variables = self.variables;
            return refused(format!("it asks for a password ({variables})"));
        }
        // Since TLS 1.3 a server refuses a certificate after we have begun to ask,
        // with an alert that we may or may not see before the connection ends.
        let has_ended = error.is_connection_dropped() || error.to_string().contains(" alert ");
        let perhaps = match &self.tls {
            _ if !has_ended => return error,
            None => "it may want TLS (DB_TLS)",
            Some(tls) if tls.own.is_none() => "it may want a certificate (DB_TLS_CERT_FILE)",
            Some(_) => "it may not trust our certificate (DB_TLS_CERT_FILE)",
        };
        let why = format!("it ends the connection at once, {perhaps}: {error}");
        io::Error::new(io::ErrorKind::ConnectionReset, why).into()
    }
}

fn refused(why: String) -> RedisError {
    (
        ErrorKind::AuthenticationFailed,
        "Redis does not let us in",
        why,
    )
        .into()
}

/// A server without one refuses every password.
fn needs_no_password(error: &RedisError) -> bool {
    let text = error.to_string();
    // Since Redis 6, and before.
    text.contains("without any password configured") || text.contains("no password is set")
}

/// Whether a server's answer to a question means that it may not be asked.
pub(super) fn is_withheld(error: &RedisError) -> bool {
    error.code().is_some_and(|code| code != "NOAUTH")
}
