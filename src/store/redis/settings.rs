//! Warnings about settings of Redis.

use super::{RedisStore, limits};
use crate::store::LARGEST_WRITE;

impl RedisStore {
    pub(super) async fn warn_of_limits(&self) {
        let mut command = redis::cmd("CONFIG");
        command.arg("GET").arg(limits::VALUE);
        // Where CONFIG is not allowed, a refused value shows the limit.
        let settings = self.read::<Vec<(String, usize)>>(&self.reads.info, &command);
        if let Ok(settings) = settings.await
            && let Some((setting, bytes)) = settings.first()
            && *bytes < LARGEST_WRITE
        {
            tracing::warn!(
                setting,
                bytes,
                "Redis takes no larger values: jobs that have one are parked, and calls refused"
            );
        }
    }

    pub(super) async fn warn_of_volatility(&self) {
        let mut command = redis::cmd("INFO");
        command.arg("everything");
        // Some hosted servers refuse INFO; the warning is only a help.
        let Ok(info) = self.read::<String>(&self.reads.info, &command).await else {
            return;
        };
        if info.lines().any(|line| line == "aof_enabled:0") {
            tracing::warn!("Redis runs without appendonly: a restart of Redis can lose jobs");
        }
        let policy = info
            .lines()
            .find_map(|line| line.strip_prefix("maxmemory_policy:"));
        if policy.is_some_and(|policy| policy != "noeviction") {
            tracing::warn!(
                policy,
                "Redis evicts keys when it is full: it can lose jobs"
            );
        }
    }
}
