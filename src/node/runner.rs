//! Which handler runs a job.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::Context;
use super::activity::Activity;
use crate::actors::{Run, Runner};
use crate::delivery::callback::CallbackClient;
use crate::delivery::contract::ContractClient;
use crate::delivery::failing::Failing;
use crate::delivery::{backoff, callback, contract, message, reconnect_backoff, transaction};
use crate::error::Error;
use crate::flows::{self, status_update};
use crate::heavy::{self, Whose};
use crate::job::{Commit, Job, Kind, Pool};
use crate::mq::client::MqSender;
use crate::mq::{far, inbound, outbound};

/// Runs every kind of job of a node.
pub struct NodeRunner {
    handlers: Arc<Handlers>,
    activity: Arc<Activity>,
}

struct Handlers {
    context: Context,
    mq: Arc<dyn MqSender>,
    callbacks: CallbackClient,
    contracts: ContractClient,
    /// Other nodes that do not take messages.
    failing: Failing,
}

impl NodeRunner {
    /// A runner that sends messages through `mq` and callbacks through `callbacks`,
    /// and downloads contracts through `contracts`.
    pub fn new(
        context: Context,
        mq: Arc<dyn MqSender>,
        callbacks: CallbackClient,
        contracts: ContractClient,
        activity: Arc<Activity>,
    ) -> Self {
        let handlers = Handlers {
            context,
            mq,
            callbacks,
            contracts,
            failing: Failing::default(),
        };
        Self {
            handlers: Arc::new(handlers),
            activity,
        }
    }

    /// What has much to work with does so where it keeps nobody waiting: no
    /// handler of the node's own work waits for others while it has such a place,
    /// unless it calls a crypto service, or is a message's, which sees to that
    /// itself.
    async fn handle(&self, job: &Job) -> Result<Run, Error> {
        let size = job.new.payload.len();
        let (kind, handlers) = (job.kind(), self.handlers.clone());
        let is_heavy = size > heavy::SMALL && kind.pool() == Pool::Run && !kind.calls_crypto();
        if !is_heavy {
            return handlers.handle(job).await;
        }
        let job = job.clone();
        heavy::run(Whose::Nodes, WORKING_COPIES * size, async move {
            handlers.handle(&job).await
        })
        .await
    }
}

impl Handlers {
    async fn handle(&self, job: &Job) -> Result<Run, Error> {
        let context = &self.context;
        match job.kind() {
            Kind::MqReceive => inbound::run_receive(context, job).await,
            Kind::MqGiveUp => far::run_give_up(context, job),
            Kind::MqSend => outbound::run_send(context, job).await,
            Kind::LedgerTransact => transaction::run_transact(context, job).await,
            Kind::LedgerConfirm => transaction::run_confirm(context, job).await,
            Kind::DeliverTransaction => transaction::run_deliver(context, job).await,
            Kind::DeliverMessage => {
                message::run_deliver(context, self.mq.as_ref(), &self.failing, job).await
            }
            Kind::DeliverCallback => callback::run_deliver(context, &self.callbacks, job).await,
            Kind::DeliverStatusUpdate => {
                status_update::run_deliver(context, &self.callbacks, job).await
            }
            Kind::FetchContract => contract::run_fetch(context, &self.contracts, job).await,
            Kind::Noop | Kind::NoopChain | Kind::NoopOnce => Ok(Run::Commit(Commit::nothing())),
            Kind::NoopStuck => Ok(stuck(job.payload()?)),
            Kind::Unreadable => Ok(Run::Commit(Commit::failed("the job cannot be read"))),
            Kind::LedgerReplaced
            | Kind::RpIdpResponse
            | Kind::RpAsResponse
            | Kind::RpRequestUpdate
            | Kind::RpRequestCreated
            | Kind::RpRequestClosed
            | Kind::RpTimeOut
            | Kind::RpCloseRequest
            | Kind::RpRequestTimedOut
            | Kind::RpDataReceived
            | Kind::IdpConsentRequest
            | Kind::IdpContractChecked
            | Kind::IdpRequestUpdate
            | Kind::IdpResponseCreated
            | Kind::IdpIdentityModified
            | Kind::AsDataRequest
            | Kind::AsCallbackAnswer
            | Kind::AsRequestUpdate
            | Kind::AsResponseCreated
            | Kind::AsServiceRegistered
            | Kind::AsSignData
            | Kind::NodeMqRegistered => flows::dispatch::run(context, job).await,
        }
    }
}

/// How often a handler has the content of a large job in memory: as it came, as
/// values, and as what follows from it.
const WORKING_COPIES: usize = 4;

/// Longest time that a `bench.noop_stuck` computes.
const MOST_STUCK: Duration = Duration::from_secs(60);

/// What a defective handler would do.
fn stuck(milliseconds: u64) -> Run {
    let until = Instant::now() + Duration::from_millis(milliseconds).min(MOST_STUCK);
    while Instant::now() < until {
        std::hint::spin_loop();
    }
    Run::Commit(Commit::nothing())
}

#[async_trait]
impl Runner for NodeRunner {
    async fn run(&self, job: &Job) -> Run {
        let _running = self.activity.begin(job.kind());
        let started = Instant::now();
        let outcome = self.handle(job).await;
        let height = self.handlers.context.ledger.height();
        self.activity
            .ended(job, started.elapsed(), &outcome, height);
        match outcome {
            Ok(run) => run,
            Err(error) => ended(job, error),
        }
    }
}

/// What becomes of a job whose handler met an error.
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
    use crate::flows::testing::job;
    use crate::job::NewJob;
    use crate::store::StoreError;

    #[test]
    fn only_what_is_final_ends_a_job() {
        let job = job(NewJob::new(Kind::RpTimeOut, "key", &()));
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
