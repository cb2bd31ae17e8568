//! The gRPC server of a master.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::{debug, warn};

use super::door::Introduced;
use crate::listener::{Guest, Serving};
use crate::operator::Desk;
use crate::proto::cluster as proto;
use crate::proto::cluster::cluster_server::{Cluster, ClusterServer};

use super::session::Reception;
use crate::protocol::message::{FromMaster, FromWorker, PROTOCOL_VERSION};
use crate::protocol::{MESSAGE_LIMIT, introduction, local};

/// Answers of the master's store to one worker.
pub type StoreReplies = Pin<Box<dyn Stream<Item = Result<proto::StoreFrame, Status>> + Send>>;

/// Serves the master's store to one worker (`STORE=embedded`).
pub type StoreService = Arc<dyn Fn(Streaming<proto::StoreFrame>) -> StoreReplies + Send + Sync>;

pub(super) struct ClusterService {
    pub(super) reception: Reception,
    pub(super) store: Option<StoreService>,
    pub(super) desk: Desk,
}

impl ClusterService {
    pub(super) fn into_server(self) -> ClusterServer<Self> {
        ClusterServer::new(self)
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT)
    }
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<proto::FromMaster, Status>> + Send>>;
    type StoreStream = StoreReplies;

    async fn session(
        &self,
        request: Request<Streaming<proto::FromWorker>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let serving = serving(&request);
        let (master, worker) = local::join();
        tokio::spawn(receive(request.into_inner(), worker.sender));
        tokio::spawn(self.reception.clone().serve(master));
        // A message that waited here while the process was suspended is not
        // sent.
        let term = self.reception.term.clone();
        let admitted = move |message: &FromMaster| {
            let is_admitted = term.holds() || !matches!(message, FromMaster::Assign(_));
            std::future::ready(is_admitted)
        };
        let messages = ReceiverStream::new(worker.receiver).take_while(admitted);
        Ok(Response::new(Box::pin(messages.map(move |message| {
            let _until_the_stream_ends = &serving;
            Ok(message.into())
        }))))
    }

    async fn store(
        &self,
        request: Request<Streaming<proto::StoreFrame>>,
    ) -> Result<Response<Self::StoreStream>, Status> {
        let service = self.store.as_ref().ok_or_else(|| {
            Status::unimplemented("this node's store is Redis; workers must use it directly")
        })?;
        let node_id = &self.reception.node_id;
        introduction::check(request.metadata(), node_id)
            .inspect_err(|status| warn!(reason = status.message(), "worker refused"))?;
        let serving = serving(&request);
        let replies = service(request.into_inner());
        Ok(Response::new(Box::pin(replies.inspect(move |_| {
            let _until_the_stream_ends = &serving;
        }))))
    }

    async fn operate(
        &self,
        request: Request<proto::OperatorQuestion>,
    ) -> Result<Response<proto::OperatorAnswer>, Status> {
        let _serving = serving(&request);
        let proved = request.extensions().get::<Introduced>();
        let proved = proved.and_then(|caller| caller.proved.clone());
        let asked = request.into_inner();
        let ours = (PROTOCOL_VERSION, self.reception.node_id.as_str());
        if (asked.protocol_version, asked.node_id.as_str()) != ours {
            let (version, node_id) = ours;
            let reason = format!("this is node {node_id}, protocol version {version}");
            return Err(Status::failed_precondition(reason));
        }
        let answer = self.desk.of(proved).answer_bytes(asked.question).await;
        Ok(Response::new(proto::OperatorAnswer {
            answer: answer.into(),
        }))
    }
}

/// Keeps the connection from counting as idle during a call.
fn serving<T>(request: &Request<T>) -> Option<Serving> {
    let caller = request.extensions().get::<Introduced>();
    caller.map(|caller| Guest::begin(&caller.guest))
}

/// Passes on a worker's messages until the stream or the session ends.
async fn receive(mut stream: Streaming<proto::FromWorker>, sender: mpsc::Sender<FromWorker>) {
    loop {
        let message = tokio::select! {
            message = stream.message() => message,
            () = sender.closed() => return,
        };
        match message {
            Ok(Some(message)) => match FromWorker::try_from(message) {
                Ok(message) => {
                    if sender.send(message).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    warn!(%error, "the worker sent something unreadable; closing its session");
                    return;
                }
            },
            Ok(None) => return,
            Err(status) => {
                debug!(%status, "worker's stream ended");
                return;
            }
        }
    }
}
