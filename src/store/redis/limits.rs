//! What Redis refuses for good because of its size: trying again does not help,
//! so it must not count as an outage.
//!
//! A server that receives a value above `proto-max-bulk-len`, or a command
//! above `client-query-buffer-limit`, closes the connection, mostly before its
//! answer can be read. So the limits are read for each new connection for large
//! commands. Where that is not allowed, a command on which a connection broke
//! is tried in a form that does nothing.

use redis::{Cmd, RedisError, Value};

use super::connection::{CONNECT_TIMEOUT, Connection};
use super::link::Server;
use super::size::{Measured, Size, argument_sizes};
use crate::store::LARGEST_WRITE;

/// No server can have a lower limit.
const LOWEST: usize = 1024 * 1024;
/// How often a command must break a connection, while others answer, before it
/// counts as the cause.
const BREAKS: usize = 3;

/// The largest value that a server takes.
pub(super) const VALUE: &str = "proto-max-bulk-len";
const COMMAND: &str = "client-query-buffer-limit";
const MEMORY: &str = "maxmemory";

/// The limits of a server; `None` where it does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Limits {
    /// Largest value, in bytes.
    pub value: Option<usize>,
    /// Largest command, in bytes.
    pub command: Option<usize>,
}

impl Limits {
    /// Asks the server. Some hosted ones refuse CONFIG.
    pub async fn of(connection: &Connection) -> Self {
        let (value, command) =
            tokio::join!(setting(connection, VALUE), setting(connection, COMMAND));
        Self { value, command }
    }

    /// Why the limits rule a command out, if they do.
    pub fn refuse(&self, size: Size) -> Option<String> {
        let Size { whole, value } = size;
        // Redis itself accepts values of 512 MB and commands of 1 GB.
        if whole > LARGEST_WRITE {
            return Some(format!("{whole} bytes, of {LARGEST_WRITE} at most"));
        }
        if let Some(most) = self.value.filter(|most| value > *most) {
            return Some(format!(
                "a value of {value} bytes; this Redis takes {most} at most (its setting {VALUE})"
            ));
        }
        let most = self.command.filter(|most| whole > *most)?;
        Some(format!(
            "{whole} bytes; this Redis takes {most} at most (its setting {COMMAND})"
        ))
    }

    fn are_known(&self) -> bool {
        self.value.is_some() && self.command.is_some()
    }
}

/// Why a command that failed in this way will always fail, if it will.
pub(super) async fn cause(
    server: &Server,
    connection: &Connection,
    limits: Limits,
    command: Measured<'_>,
    error: &RedisError,
) -> Option<String> {
    let whole = command.size.whole;
    if whole <= LOWEST {
        return None;
    }
    if error.code() == Some("OOM") {
        let most = setting(connection, MEMORY).await?;
        return (whole > most.max(LOWEST)).then(|| {
            format!("{whole} bytes; this Redis has {most} for everything (its setting {MEMORY})")
        });
    }
    if names_the_limit(error) {
        return Some(refused_by(VALUE, command.size));
    }
    if limits.are_known() || !error.is_connection_dropped() {
        return None;
    }
    match breaks_connections(server, command.command).await {
        Some(Breaks::Said) => Some(refused_by(VALUE, command.size)),
        Some(Breaks::Closed) => Some(refused_by(&format!("{VALUE} or {COMMAND}"), command.size)),
        None => None,
    }
}

fn refused_by(settings: &str, Size { whole, value }: Size) -> String {
    format!(
        "{whole} bytes, with a value of {value}, on which this Redis closes the connection \
         (its setting {settings})"
    )
}

fn names_the_limit(error: &RedisError) -> bool {
    error.to_string().contains("invalid bulk length")
}

/// How the server ends a connection because of a command.
enum Breaks {
    /// With an error.
    Said,
    /// Without a word.
    Closed,
}

/// Sends a command of the same form that does nothing. `None` unless it is
/// certain that the server is there and ends connections because of the
/// command.
async fn breaks_connections(server: &Server, command: &Cmd) -> Option<Breaks> {
    let mut harmless = redis::cmd("EXISTS");
    for size in argument_sizes(command) {
        harmless.arg(vec![0_u8; size]);
    }
    for _ in 0..BREAKS {
        answer(server, Measured::new(&redis::cmd("PING")))
            .await
            .ok()?;
        match answer(server, Measured::new(&harmless)).await {
            Err(error) if names_the_limit(&error) => return Some(Breaks::Said),
            Err(error) if error.is_connection_dropped() => {}
            // The command was read. Its result does not matter.
            Ok(_) | Err(_) => return None,
        }
    }
    answer(server, Measured::new(&redis::cmd("PING")))
        .await
        .ok()?;
    Some(Breaks::Closed)
}

/// The answer to a command on a connection of its own.
async fn answer(server: &Server, command: Measured<'_>) -> Result<Value, RedisError> {
    let connection = server.open().await?;
    let answer = connection.ask(command, CONNECT_TIMEOUT).await;
    answer.and_then(Value::extract_error)
}

async fn setting(connection: &Connection, name: &str) -> Option<usize> {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg(name);
    let answer = connection
        .ask(Measured::new(&command), CONNECT_TIMEOUT)
        .await;
    let answer = answer.and_then(Value::extract_error).ok()?;
    let found: Vec<(String, usize)> = redis::from_redis_value(answer).ok()?;
    // 0 switches a limit off.
    found
        .first()
        .map(|(_, value)| *value)
        .filter(|value| *value > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_a_limit_is_refused_with_its_name() {
        let limits = Limits {
            value: Some(10),
            command: Some(25),
        };
        let refused = |sizes: &[usize]| {
            let mut command = Cmd::new();
            for size in sizes {
                command.arg(vec![0_u8; *size]);
            }
            limits
                .refuse(Measured::new(&command).size)
                .unwrap_or_default()
        };
        assert_eq!(refused(&[10, 10, 5]), "");
        assert!(refused(&[11]).contains(VALUE));
        assert!(refused(&[10, 10, 6]).contains(COMMAND));
        assert_eq!(Limits::default().refuse(Size::default()), None);
    }
}
