//! Which handler runs a job.

use std::sync::Arc;

use async_trait::async_trait;

use super::Context;
use crate::actors::{Run, Runner};
use crate::delivery::callback::CallbackClient;
use crate::delivery::{callback, message, reconnect_backoff, transaction};
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
}

impl NodeRunner {
    /// A runner that sends messages through `mq` and callbacks through `callbacks`.
    pub fn new(context: Context, mq: Arc<dyn MqSender>, callbacks: CallbackClient) -> Self {
        Self { context, mq, callbacks }
    }

    async fn handle(&self, job: &Job) -> Result<Run, Error> {
        let context = &self.context;
        match job.kind() {
            Kind::MqReceive => inbound::run_receive(context, job).await,
            Kind::MqSend => outbound::run_send(context, job).await,
            Kind::LedgerTransact => transaction::run_transact(context, job).await,
            Kind::LedgerConfirm => transaction::run_confirm(context, job).await,
            Kind::DeliverTransaction => transaction::run_deliver(context, job).await,
            Kind::DeliverMessage => message::run_deliver(context, self.mq.as_ref(), job).await,
            Kind::DeliverCallback => callback::run_deliver(context, &self.callbacks, job).await,
            Kind::Noop => Ok(Run::Commit(Commit::nothing())),
            Kind::RpIdpResponse
            | Kind::RpAsResponse
            | Kind::RpRequestUpdate
            | Kind::RpRequestCreated
            | Kind::RpRequestClosed
            | Kind::RpTimeOut
            | Kind::RpRequestTimedOut
            | Kind::RpDataReceived
            | Kind::IdpConsentRequest
            | Kind::IdpRequestUpdate
            | Kind::IdpResponseCreated
            | Kind::AsDataRequest
            | Kind::AsCallbackAnswer
            | Kind::AsRequestUpdate
            | Kind::AsResponseCreated
            | Kind::AsServiceRegistered
            | Kind::NodeMqRegistered => flows::dispatch::run(context, job).await,
        }
    }
}

#[async_trait]
impl Runner for NodeRunner {
    async fn run(&self, job: &Job) -> Run {
        match self.handle(job).await {
            Ok(run) => run,
            Err(error) if error.is_temporary() => {
                Run::Retry { after: reconnect_backoff(job.tries), reason: error.to_string() }
            }
            Err(error) => {
                tracing::error!(job = %job.id(), kind = job.kind().name(), %error, "job failed");
                Run::Commit(Commit::failed(error.to_string()))
            }
        }
    }
}
