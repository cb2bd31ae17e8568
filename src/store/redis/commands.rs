//! How commands and scripts are sent, and the names of keys.

use std::time::Instant;

use metrics::Histogram;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind};

use super::answers::{store_error, typed};
use super::arguments::row_name;
use super::link::{Answer, CommandError, CommandLane};
use super::scripts::LuaScript;
use super::size::Measured;
use super::{RedisStore, durations};
use crate::job::{Attempt, Table};
use crate::store::StoreError;

/// How often a script is loaded for one call.
const SCRIPT_LOADS: usize = 3;

impl RedisStore {
    /// Runs a read-only command. Sends it again if the connection broke.
    pub(super) async fn read<T: FromRedisValue>(
        &self,
        duration: &Histogram,
        command: &Cmd,
    ) -> Result<T, StoreError> {
        let command = Measured::new(command);
        self.read_over(CommandLane::of(command.size), duration, command)
            .await
    }

    pub(super) async fn read_over<T: FromRedisValue>(
        &self,
        lane: CommandLane,
        duration: &Histogram,
        command: Measured<'_>,
    ) -> Result<T, StoreError> {
        let began = Instant::now();
        let mut result = self.link.send(lane, command).await;
        if result.as_ref().is_err_and(|error| {
            error
                .of_redis()
                .is_some_and(RedisError::is_connection_dropped)
        }) {
            result = self.link.send(lane, command).await;
        }
        durations::note(duration, began);
        typed(result?.value).map_err(store_error)
    }

    /// Runs a script, and loads it first if Redis does not know it. (Redis has
    /// not run an unknown script, so sending it again is safe. Nothing else is
    /// sent twice.)
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &LuaScript,
        command: &Cmd,
    ) -> Result<T, StoreError> {
        let command = Measured::new(command);
        self.run_over(CommandLane::of(command.size), script, command)
            .await
    }

    /// The same for a script that changes something. Where replicas are to have
    /// it, what Redis answered counts only when they do.
    pub(super) async fn write<T: FromRedisValue>(
        &self,
        script: &LuaScript,
        command: &Cmd,
    ) -> Result<T, StoreError> {
        let Some(replicas) = &self.replicas else {
            return self.run(script, command).await;
        };
        replicas.check(&self.link).await?;
        let command = Measured::new(command);
        let lane = CommandLane::of(command.size);
        let answer = self.answer_over(lane, script, command).await?;
        replicas.wait(&self.link, Some(answer.age)).await?;
        typed(answer.value).map_err(store_error)
    }

    pub(super) async fn run_over<T: FromRedisValue>(
        &self,
        lane: CommandLane,
        script: &LuaScript,
        command: Measured<'_>,
    ) -> Result<T, StoreError> {
        let answer = self.answer_over(lane, script, command).await?;
        typed(answer.value).map_err(store_error)
    }

    async fn answer_over(
        &self,
        lane: CommandLane,
        script: &LuaScript,
        command: Measured<'_>,
    ) -> Result<Answer, StoreError> {
        let began = Instant::now();
        let unknown = ErrorKind::Server(ServerErrorKind::NoScript);
        let mut result = self.link.send(lane, command).await;
        // Again, if somebody flushes the scripts meanwhile.
        for _ in 0..SCRIPT_LOADS {
            let error = result.as_ref().err().and_then(CommandError::of_redis);
            if error.map(RedisError::kind) != Some(unknown) {
                break;
            }
            self.link.send(lane, Measured::new(&script.load())).await?;
            result = self.link.send(lane, command).await;
        }
        if result.is_err() {
            *self.granted.lock() = None;
        }
        durations::note(&script.duration, began);
        Ok(result?)
    }

    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(super) fn row_key(&self, table: Table, row: &str) -> String {
        format!("{}s:{}", self.prefix, row_name(table, row))
    }

    pub(super) fn attempt_call(&self, script: &LuaScript, attempt: Attempt) -> Cmd {
        let mut command = script.call(&self.prefix);
        command.arg(&attempt.job.as_bytes()[..]).arg(attempt.number);
        command
    }
}
