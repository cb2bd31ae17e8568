//! What a master does: owns the queue, follows the ledger, receives messages.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use futures_util::FutureExt;

use super::mastership::Mastership;
use super::parts::{Parts, read_tls};
use super::readiness::ReadinessWatch;
use super::{QueueLimit, Role};
use crate::actors::dispatcher::{self, Dispatcher, GetSnapshot, Submit};
use crate::actors::ledger_watcher::{LedgerWatcher, Timing, WatcherOptions};
use crate::actors::mq_inbox::{self, MqInbox};
use crate::cluster::local::Port;
use crate::cluster::message::Chain;
use crate::cluster::{Master, MasterHandle, MasterOptions};
use crate::config::{Mode, StoreChoice};
use crate::flows::block::RoleBlockJobs;
use crate::job::Job;
use crate::ledger::ChainUpdate;
use crate::mq::client::MqClient;
use crate::store::remote;

/// Before the dispatcher is asked again whether there is room.
const NO_ROOM: Duration = Duration::from_millis(20);
const INBOX_STOP: Duration = Duration::from_secs(2);

/// The running parts of a master.
pub struct MasterSide {
    mastership: Mastership,
    master: MasterHandle,
    watcher: LedgerWatcher,
    inbox: Option<Addr<MqInbox>>,
}

impl MasterSide {
    /// Becomes the master (waits while another is) and starts its work.
    ///
    /// # Errors
    /// When the gRPC port cannot be had or a certificate cannot be used.
    pub async fn start(parts: &Parts, readiness: &ReadinessWatch) -> io::Result<Self> {
        let queue = readiness.queue();
        let config = &parts.config;
        let master_id = format!("{}-{}", config.node_id, uuid::Uuid::new_v4());
        let mastership = Mastership::acquire(parts.store.clone(), master_id.clone()).await;
        let is_cluster = config.mode == Mode::Master;
        let served = parts.store.clone();
        let store_service = (config.store == StoreChoice::Embedded).then(|| {
            let service: crate::cluster::server::StoreService =
                Arc::new(move |calls| Box::pin(remote::serve_stream(served.clone(), calls)));
            service
        });
        let options = MasterOptions {
            node_id: config.node_id.clone(),
            master_id,
            epoch: mastership.epoch(),
            listen: is_cluster.then(|| ([0, 0, 0, 0], config.link.port).into()),
            tls: read_tls(config.grpc.tls.as_ref())?,
            store: parts.store.clone(),
            store_service,
            dispatcher: dispatcher::Options::default(),
        };
        let master = Master::start(options).await.map_err(io::Error::other)?;
        let watcher = start_watcher(parts, &mastership, master.dispatcher());
        readiness.watch_blocks(watcher.state());
        let inbox = start_inbox(parts, &mastership, queue, master.dispatcher())?;
        Ok(Self {
            mastership,
            master,
            watcher,
            inbox,
        })
    }

    /// Where the worker of a standalone process connects.
    pub fn port(&self) -> Port {
        self.master.port()
    }

    /// Resolves when this process is no longer the master.
    pub async fn lost(&self) -> io::Error {
        let mut deposed = self.master.deposed();
        let reason = tokio::select! {
            reason = self.mastership.lost() => reason,
            _ = deposed.wait_for(|deposed| *deposed) => "a later master exists".to_owned(),
            end = self.watcher.ended() => format!("the ledger is no longer followed: {end:?}"),
        };
        io::Error::other(format!("no longer the master: {reason}"))
    }

    /// Stops; jobs stay with their workers, which report to the next master.
    pub async fn stop(self) {
        drop(self.watcher);
        if let Some(inbox) = self.inbox {
            // An error means that it has stopped already.
            let _ = tokio::time::timeout(INBOX_STOP, inbox.send(mq_inbox::Stop)).await;
        }
        self.master.drain().await;
        self.master.stop().await;
        self.mastership.release().await;
    }
}

fn start_watcher(
    parts: &Parts,
    mastership: &Mastership,
    dispatcher: Addr<Dispatcher>,
) -> LedgerWatcher {
    let config = &parts.config;
    let (cached, told) = (parts.cached.clone(), dispatcher.clone());
    let (asked, limit) = (dispatcher.clone(), config.queue.jobs);
    LedgerWatcher::start(WatcherOptions {
        client: parts.client.clone(),
        store: parts.store.clone(),
        epoch: mastership.epoch(),
        block_jobs: Arc::new(RoleBlockJobs {
            context: parts.context.clone(),
        }),
        tell_chain: Arc::new(move |update: ChainUpdate| {
            cached.apply(&update);
            let chain = Chain {
                chain_id: update.chain_id,
                height: update.height,
                ready: update.ready,
                methods: update.methods,
                reset: update.reset,
                era: update.era,
            };
            let told = told.clone();
            // An error means that the master stops.
            async move {
                let _ = told.send(dispatcher::ChainUpdate(chain)).await;
            }
            .boxed()
        }),
        hand_over: Arc::new(move |jobs: Vec<Job>| {
            let handed = dispatcher.send(Submit(jobs));
            async move {
                let _ = handed.await;
            }
            .boxed()
        }),
        room: Arc::new(move || room_for_blocks(asked.clone(), limit).boxed()),
        ndid_node: config.ndid_node,
        timing: Timing::new(config.tendermint.max_sync_check_interval),
    })
}

/// Waits while more jobs can run than the node should have open. Jobs that wait
/// for an instant or a block do not count: they may need the next block to end.
async fn room_for_blocks(dispatcher: Addr<Dispatcher>, limit: u64) {
    // An error means that the master stops.
    while let Ok(snapshot) = dispatcher.send(GetSnapshot).await
        && snapshot.jobs.runnable() as u64 >= limit
    {
        tokio::time::sleep(NO_ROOM).await;
    }
}

fn start_inbox(
    parts: &Parts,
    mastership: &Mastership,
    queue: &Arc<QueueLimit>,
    dispatcher: Addr<Dispatcher>,
) -> io::Result<Option<Addr<MqInbox>>> {
    if parts.context.role == Role::Ndid {
        return Ok(None);
    }
    let config = &parts.config;
    let (inbox, _) = MqInbox::launch(mq_inbox::Options {
        node_id: config.node_id.clone(),
        role: parts.context.role,
        binding_port: config.mq.binding_port,
        store: parts.store.clone(),
        epoch: mastership.epoch(),
        client: MqClient::new(config).map_err(io::Error::other)?,
        queue: queue.clone(),
        on_accepted: Arc::new(move |jobs| {
            let handed = dispatcher.send(Submit(jobs));
            tokio::spawn(async move {
                let _ = handed.await;
            });
        }),
    });
    Ok(Some(inbox))
}
