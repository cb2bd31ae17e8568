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
        for danger in self.dangers().await {
            tracing::warn!("{danger}");
        }
    }

    /// Settings of the server with which it can lose jobs.
    pub async fn dangers(&self) -> Vec<String> {
        let mut command = redis::cmd("INFO");
        command.arg("everything");
        // Some hosted servers refuse INFO; the warning is only a help.
        let Ok(info) = self.read::<String>(&self.reads.info, &command).await else {
            return Vec::new();
        };
        let mut dangers = Vec::new();
        if info.lines().any(|line| line == "aof_enabled:0") {
            let danger = "Redis runs without appendonly: a restart of Redis can lose jobs";
            dangers.push(danger.to_owned());
        }
        let policy = info
            .lines()
            .find_map(|line| line.strip_prefix("maxmemory_policy:"));
        if let Some(policy) = policy.filter(|policy| *policy != "noeviction") {
            dangers.push(format!(
                "Redis evicts keys when it is full (maxmemory-policy {policy}): it can lose jobs"
            ));
        }
        dangers
    }
}
