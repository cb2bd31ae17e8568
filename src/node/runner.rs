//! Which handler runs a job.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;

use super::Context;
use super::activity::Activity;
use crate::actors::{Run, Runner};
use crate::delivery::callback::CallbackClient;
use crate::delivery::contract::ContractClient;
use crate::delivery::failing::Failing;
use crate::delivery::{backoff, callback, contract, message, reconnect_backoff, transaction};
use crate::error::Error;
use crate::flows;
use crate::job::{Commit, Job, Kind};
use crate::mq::client::MqSender;
use crate::mq::{inbound, outbound};

/// Runs every kind of job of a node.
pub struct NodeRunner {
    context: Context,
    mq: Arc<dyn MqSender>,
    callbacks: CallbackClient,
    contracts: ContractClient,
    /// Other nodes that do not take messages.
    failing: Failing,
    activity: Arc<Activity>,
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
        Self {
            context,
            mq,
            callbacks,
            contracts,
            failing: Failing::default(),
            activity,
        }
    }

    async fn handle(&self, job: &Job) -> Result<Run, Error> {
        let context = &self.context;
        match job.kind() {
            Kind::MqReceive => inbound::run_receive(context, job).await,
            Kind::MqSend => outbound::run_send(context, job).await,
            Kind::LedgerTransact => transaction::run_transact(context, job).await,
            Kind::LedgerConfirm => transaction::run_confirm(context, job).await,
            Kind::DeliverTransaction => transaction::run_deliver(context, job).await,
            Kind::DeliverMessage => {
                message::run_deliver(context, self.mq.as_ref(), &self.failing, job).await
            }
            Kind::DeliverCallback => callback::run_deliver(context, &self.callbacks, job).await,
            Kind::FetchContract => contract::run_fetch(context, &self.contracts, job).await,
            Kind::Noop | Kind::NoopChain | Kind::NoopOnce => Ok(Run::Commit(Commit::nothing())),
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

#[async_trait]
impl Runner for NodeRunner {
    async fn run(&self, job: &Job) -> Run {
        let _running = self.activity.begin(job.kind());
        let started = Instant::now();
        let outcome = self.handle(job).await;
        let height = self.context.ledger.height();
        self.activity
            .ended(job, started.elapsed(), &outcome, height);
        match outcome {
            Ok(run) => run,
            Err(error) if error.is_temporary() => Run::Retry {
                after: if error.is_of_crypto_service() {
                    backoff(job.tries)
                } else {
                    reconnect_backoff(job.tries)
                },
                reason: error.to_string(),
            },
            Err(error) if error.is_unreadable() => Run::Park {
                reason: error.to_string(),
            },
            Err(error) => Run::Commit(Commit::failed(error.to_string())),
        }
    }
}
