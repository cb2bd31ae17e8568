//! The processes of an application on this core: masters and workers that share
//! a store (docs/runtime.md).

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;

use super::{Link, Master, MasterOptions, Worker, WorkerHandle, WorkerOptions};
use crate::actors::mastership::{EXCLUSIVE, Mastership, OPTIONS};
use crate::config::MasterAddress;
use crate::dispatch;
use crate::job::codec::DecodeError;
use crate::job::{Epoch, Handler, Job, Kinds, NewJob, Run, Runner};
use crate::protocol::client::{FoundMaster, MasterTarget};
use crate::store::embedded::{self, EmbeddedStore};
use crate::store::redis::{self, RedisStore};
use crate::store::remote::{self, RemoteStore};
use crate::store::{Accept, Accepted, SharedStore, StoreError};
use crate::tls::LinkSecurity;

/// Most connections of workers to a master.
const MOST_WORKERS: usize = 64;
/// Most jobs that a worker runs at a time.
const RUN_CAPACITY: u32 = 16;
/// Most deliveries that a worker makes at a time.
const DELIVERY_CAPACITY: u32 = 64;

/// A handler of an application. A payload that cannot be decoded parks the job.
pub type AppHandler<M> = Handler<M, Result<Run, DecodeError>>;

/// The store that all processes of an application share.
#[derive(Debug, Clone)]
pub enum Engine {
    /// Every process connects to this server.
    Redis {
        host: String,
        port: u16,
        password: Option<SecretString>,
    },
    /// The master opens this file. Workers reach it over their link.
    File(PathBuf),
}

/// An application. All its processes have the same.
pub struct Application<M: 'static> {
    /// A process of another name is refused.
    pub name: &'static str,
    /// Every kind of job, with its handler.
    pub handlers: &'static [AppHandler<M>],
    pub engine: Engine,
    /// Where the master listens for workers.
    pub link: SocketAddr,
}

impl<M: Send + Sync + 'static> Application<M> {
    /// Runs a master: stands by until this process is the only one, then leads
    /// until it loses that. Must be called inside an actix system.
    /// # Errors
    /// The store cannot be opened, or the address is in use.
    pub async fn run_master(&self) -> io::Result<()> {
        self.give_kinds()?;
        let master_id = format!("master-{}", std::process::id());
        let (store, options) = match &self.engine {
            Engine::Redis { .. } => (self.connect().await?, OPTIONS),
            Engine::File(path) => {
                let options = embedded::Options {
                    path: path.clone(),
                    node_id: self.name.to_owned(),
                };
                let store = EmbeddedStore::open(options).map_err(io::Error::other)?;
                (Arc::new(store) as SharedStore, EXCLUSIVE)
            }
        };
        let above = Epoch::default();
        let mastership = Mastership::stand(store.clone(), master_id.clone(), options, above);
        let Some(term) = mastership.elected().await else {
            return Ok(());
        };
        let served = store.clone();
        let master = Master::start(MasterOptions {
            node_id: self.name.to_owned(),
            master_id,
            term,
            listen: Some(vec![self.link]),
            most_links: MOST_WORKERS,
            security: LinkSecurity::Open,
            store,
            // For workers that cannot open the file.
            store_service: Some(Arc::new(move |calls| {
                Box::pin(remote::serve_stream(served.clone(), calls))
            })),
            place: None,
            dispatcher: dispatch::Options::default(),
            backlog: Arc::default(),
        });
        let master = master.await.map_err(io::Error::other)?;
        mastership.lost().await;
        master.stop().await;
        Ok(())
    }

    /// Starts a worker, whose handlers work with `means`. Must be called inside
    /// an actix system.
    /// # Errors
    /// The store cannot be reached.
    pub async fn start_worker(&self, means: M) -> io::Result<AppWorker> {
        self.give_kinds()?;
        let found = FoundMaster::default();
        let ip = self.link.ip().to_string();
        let target = MasterTarget {
            masters: vec![MasterAddress::new(&ip, self.link.port())],
            security: LinkSecurity::Open,
        };
        let store = match &self.engine {
            Engine::Redis { .. } => self.connect().await?,
            Engine::File(_) => {
                let found = found.subscribe();
                Arc::new(RemoteStore::follow(target.clone(), found, self.name))
            }
        };
        let worker = Worker::start(WorkerOptions {
            node_id: self.name.to_owned(),
            worker_id: format!("worker-{}", std::process::id()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run_capacity: RUN_CAPACITY,
            delivery_capacity: DELIVERY_CAPACITY,
            store: store.clone(),
            runner: Arc::new(AppRunner {
                means,
                handlers: self.handlers,
            }),
            link: Link::Grpc {
                masters: target.masters,
                security: target.security,
                found,
                thread: None,
            },
            chain_hook: Arc::new(()),
        });
        Ok(AppWorker { store, worker })
    }

    fn give_kinds(&self) -> io::Result<()> {
        let kinds = Kinds::new(self.handlers.iter().map(Handler::kind));
        let kinds = kinds.map_err(io::Error::other)?;
        kinds.give().map_err(io::Error::other)
    }

    async fn connect(&self) -> io::Result<SharedStore> {
        let Engine::Redis {
            host,
            port,
            password,
        } = &self.engine
        else {
            return Err(io::Error::other("the store is a file"));
        };
        let options = redis::Options {
            host: host.clone(),
            port: *port,
            password: password.clone(),
            node_id: self.name.to_owned(),
        };
        let store = RedisStore::connect(options).await;
        Ok(Arc::new(store.map_err(io::Error::other)?))
    }
}

/// A running worker.
pub struct AppWorker {
    pub store: SharedStore,
    pub worker: WorkerHandle,
}

impl AppWorker {
    /// Stores jobs in one step and announces them. What is stored will run.
    /// # Errors
    /// Those of the store.
    pub async fn accept(&self, jobs: Vec<NewJob>) -> Result<(), StoreError> {
        let accept = Accept {
            jobs,
            ..Accept::default()
        };
        // Only guards refuse, and there are none.
        if let Accepted::Stored { jobs, .. } = self.store.accept(accept).await? {
            self.worker.submit(jobs);
        }
        Ok(())
    }
}

/// Finds the handler of a job and runs it.
struct AppRunner<M: 'static> {
    means: M,
    handlers: &'static [AppHandler<M>],
}

#[async_trait]
impl<M: Send + Sync + 'static> Runner for AppRunner<M> {
    async fn run(&self, job: &Job) -> Run {
        let mut handlers = self.handlers.iter();
        let handler = handlers.find(|handler| handler.kind() == job.kind());
        let reason = match handler {
            None => "no handler has this kind".to_owned(),
            Some(handler) => match handler.run(&self.means, job).await {
                Ok(run) => return run,
                Err(error) => error.to_string(),
            },
        };
        Run::Park { reason }
    }
}
