//! A worker's view of a master's file.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use erawan::devnet::ports;
use erawan::job::JobId;
use erawan::proto::cluster::cluster_server::{Cluster, ClusterServer};
use erawan::proto::cluster::{
    FromMaster, FromWorker, OperatorAnswer, OperatorQuestion, StoreFrame,
};
use erawan::store::remote::{RemoteStore, serve_stream};
use erawan::store::{FailedLimits, SharedStore};
use futures_util::Stream;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

use super::embedded::Embedded;
use super::{Harness, Spoil, Spoils, eventually};

/// The part of a master that serves its store, in a runtime of its own, so that
/// its connections end with it as they do with a process.
pub struct Master {
    pub address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Master {
    /// Listens on this address, or on a port that is given to nobody else while
    /// the master is away.
    pub fn start(store: SharedStore, address: Option<SocketAddr>) -> Self {
        let listener = match address {
            None => ports::reserve().expect("a port"),
            Some(address) => listen_again(address),
        };
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        let service = ClusterServer::new(StoreService(store));
        let mut runtime = Builder::new_multi_thread();
        // However many cores there are: every test has masters of its own.
        let runtime = runtime.worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .expect("the server serves");
        });
        Self {
            address,
            runtime: Some(runtime),
        }
    }
}

/// As soon as the runtime of the previous master has released the address.
fn listen_again(address: SocketAddr) -> std::net::TcpListener {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match std::net::TcpListener::bind(address) {
            Ok(listener) => return listener,
            Err(error) => assert!(Instant::now() < deadline, "{address}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct StoreService(SharedStore);

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Cluster for StoreService {
    type SessionStream = Replies<FromMaster>;
    type StoreStream = Replies<StoreFrame>;

    async fn session(
        &self,
        _: Request<Streaming<FromWorker>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        Err(Status::unimplemented("only the store is tested here"))
    }

    async fn operate(
        &self,
        _: Request<OperatorQuestion>,
    ) -> Result<Response<OperatorAnswer>, Status> {
        Err(Status::unimplemented("only the store is tested here"))
    }

    async fn store(
        &self,
        request: Request<Streaming<StoreFrame>>,
    ) -> Result<Response<Self::StoreStream>, Status> {
        let replies = serve_stream(Arc::clone(&self.0), request.into_inner());
        Ok(Response::new(Box::pin(replies)))
    }
}

pub struct Remote {
    embedded: Embedded,
    store: SharedStore,
    master: Master,
}

pub fn connect_remote(address: SocketAddr) -> RemoteStore {
    erawan::node::kinds::give();
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a URI");
    RemoteStore::connect(endpoint.connect_lazy(), "node")
}

impl Remote {
    async fn over(embedded: Embedded) -> Self {
        let master = Master::start(embedded.master(), None);
        Self {
            embedded,
            store: Arc::new(connect_remote(master.address)),
            master,
        }
    }
}

#[async_trait]
impl Harness for Remote {
    async fn start_with(limits: FailedLimits) -> Self {
        Self::over(Embedded::start_with(limits).await).await
    }

    fn store(&self) -> SharedStore {
        Arc::clone(&self.store)
    }

    fn master(&self) -> SharedStore {
        self.embedded.master()
    }

    async fn restart(self) -> Self {
        Self::over(self.without_master().await.restart().await).await
    }
}

impl Remote {
    async fn without_master(self) -> Embedded {
        drop(self.master);
        drop(self.store);
        let embedded = self.embedded;
        // The tasks of the server release the store one by one.
        eventually(|| async { Arc::strong_count(&embedded.store) == 1 }).await;
        embedded
    }
}

#[async_trait]
impl Spoils for Remote {
    async fn spoil(self, id: JobId, how: Spoil) -> Self {
        Self::over(self.without_master().await.spoil(id, how).await).await
    }

    async fn spoil_failed(self, id: JobId) -> Self {
        Self::over(self.without_master().await.spoil_failed(id).await).await
    }
}
