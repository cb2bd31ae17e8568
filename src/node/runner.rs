//! Runs a job with its handler.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;

use super::activity::Activity;
use super::kinds::HANDLERS;
use crate::context::Context;
use crate::delivery::callback::CallbackClient;
use crate::delivery::contract::ContractClient;
use crate::delivery::crypto_service::CRYPTO;
use crate::delivery::failing::Failing;
use crate::delivery::{backoff, reconnect_backoff};
use crate::error::Error;
use crate::flows;
use crate::heavy::{self, Whose};
use crate::job::{Commit, Job, Pool, Run, Runner, trace};
use crate::mq::client::MqSender;

/// Runs every kind of job of a node.
pub struct NodeRunner {
    means: Arc<Means>,
    activity: Arc<Activity>,
}

pub(super) struct Means {
    pub context: Context,
    pub mq: Arc<dyn MqSender>,
    pub callbacks: CallbackClient,
    pub contracts: ContractClient,
    /// Receivers among other nodes that have failed.
    pub failing: Failing,
}

impl NodeRunner {
    /// Sends messages through `mq` and callbacks through `callbacks`, and
    /// downloads contracts through `contracts`.
    pub fn new(
        context: Context,
        mq: Arc<dyn MqSender>,
        callbacks: CallbackClient,
        contracts: ContractClient,
        activity: Arc<Activity>,
    ) -> Self {
        let means = Means {
            context,
            mq,
            callbacks,
            contracts,
            failing: Failing::default(),
        };
        Self {
            means: Arc::new(means),
            activity,
        }
    }

    /// Runs the handler. A large job needs a heavy place first, so that it
    /// holds up nothing else. Handlers of the node's own work do not wait for a
    /// foreign server while they hold such a place, unless they call a crypto
    /// service. A message's handler takes its places itself.
    async fn handle(&self, job: &Job) -> Result<Run, Error> {
        let size = job.new.payload.len();
        let (kind, means) = (job.kind(), self.means.clone());
        let is_heavy =
            size > heavy::SMALL && kind.pool() == Pool::Run && kind.retry_gauge() != Some(CRYPTO);
        if !is_heavy {
            return means.handle(job).await;
        }
        let job = job.clone();
        // Runs elsewhere, where the trace is not known.
        let trace = trace::current();
        let work = trace::within(trace, async move { means.handle(&job).await });
        heavy::run(Whose::Nodes, WORKING_COPIES * size, work).await
    }
}

impl Means {
    async fn handle(&self, job: &Job) -> Result<Run, Error> {
        match HANDLERS.iter().find(|handler| handler.kind() == job.kind()) {
            Some(handler) => handler.run(self, job).await,
            None => flows::dispatch::run(&self.context, job).await,
        }
    }
}

/// How many copies of a large job's content a handler holds: as it came, as
/// values, and as the consequences.
const WORKING_COPIES: usize = 4;

#[async_trait]
impl Runner for NodeRunner {
    async fn run(&self, job: &Job) -> Run {
        let _running = self.activity.begin(job.kind());
        let started = Instant::now();
        let outcome = self.handle(job).await;
        let height = self.means.context.ledger.height();
        self.activity
            .ended(job, started.elapsed(), &outcome, height);
        match outcome {
            Ok(run) => run,
            Err(error) => ended(job, error),
        }
    }
}

/// The result of a job whose handler met an error.
fn ended(job: &Job, error: Error) -> Run {
    let error = match error.settle() {
        Ok(refusal) => return Run::Commit(Commit::failed(refusal.to_string())),
        Err(error) => error,
    };
    let reason = error.to_string();
    if error.is_unreadable() {
        return Run::Park { reason };
    }
    let after = match error.is_of_crypto_service() {
        true => backoff(job.tries),
        false => reconnect_backoff(job.tries),
    };
    Run::Retry { after, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::codes;
    use crate::flows::rp::time_out;
    use crate::flows::testing::job;
    use crate::job::NewJob;
    use crate::store::StoreError;

    #[test]
    fn only_what_is_final_ends_a_job() {
        let job = job(NewJob::new(time_out::KIND, "key", &()));
        let of_store = |error: StoreError| ended(&job, error.into());
        let corrupt = of_store(StoreError::Corrupt("request_data rp1/r".to_owned()));
        assert!(matches!(&corrupt, Run::Park { reason } if reason.contains("request_data rp1/r")));
        let too_large = of_store(StoreError::TooLarge("2 MB".to_owned()));
        assert!(matches!(too_large, Run::Park { .. }));
        let away = of_store(StoreError::Unavailable("down".to_owned()));
        assert!(matches!(away, Run::Retry { .. }));
        let wrong_payload = job.payload::<String>().unwrap_err();
        assert!(matches!(
            ended(&job, wrong_payload.into()),
            Run::Park { .. }
        ));
        let refused = ended(&job, codes::REQUEST_NOT_FOUND.into());
        assert!(matches!(refused, Run::Commit(_)));
    }
}
