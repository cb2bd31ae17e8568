//! A part of the contract over each topology: what each kind of command needs
//! (scripts, reads, scans, large values, the lease).

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use erawan::config::Redis;
use erawan::store::redis::{RedisStore, RedisTarget};
use erawan::store::{FailedLimits, SharedStore};
use tokio::sync::Mutex;

use super::cluster::Nodes;
use super::guarded::Guarded;
use super::sentinels::Sentinels;
use crate::harness::Harness;

#[async_trait]
pub trait Topology: Send + Sync + Sized + 'static {
    async fn begin() -> Self;

    fn redis(&self) -> Redis;

    /// The one that cases of a test share.
    fn shared() -> &'static Mutex<Weak<Self>>;
}

/// A node of its own on a topology that others use too.
struct On<T: Topology> {
    topology: Arc<T>,
    node_id: String,
    limits: FailedLimits,
    store: SharedStore,
}

impl<T: Topology> On<T> {
    async fn connect(topology: Arc<T>, node_id: String, limits: FailedLimits) -> Self {
        erawan::node::kinds::give();
        let target = RedisTarget {
            redis: topology.redis(),
            node_id: node_id.clone(),
        };
        let store = RedisStore::connect(target).await.expect("Redis is found");
        Self {
            topology,
            node_id,
            limits,
            store: Arc::new(store.with_failed_limits(limits)),
        }
    }
}

static NODES: AtomicU32 = AtomicU32::new(0);

#[async_trait]
impl<T: Topology> Harness for On<T> {
    async fn start_with(limits: FailedLimits) -> Self {
        let topology = T::shared().lock().await.upgrade().expect("it runs");
        let number = NODES.fetch_add(1, Ordering::Relaxed);
        Self::connect(topology, format!("node*[{number}]"), limits).await
    }

    fn store(&self) -> SharedStore {
        Arc::clone(&self.store)
    }

    fn master(&self) -> SharedStore {
        self.store()
    }

    async fn restart(self) -> Self {
        Self::connect(self.topology, self.node_id, self.limits).await
    }
}

macro_rules! holds {
    ($topology:ty; $($module:ident: $($case:ident),+;)+) => {{
        let topology = Arc::new(<$topology>::begin().await);
        *<$topology>::shared().lock().await = Arc::downgrade(&topology);
        $($(crate::$module::$case::<On<$topology>>().await;)+)+
    }};
}

macro_rules! contract_holds_on {
    ($($test:ident: $topology:ty;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                holds! {
                    $topology;
                    accept:
                        a_source_is_accepted_once,
                        a_guard_that_does_not_hold_leaves_nothing,
                        of_a_hundred_accepts_with_one_guard_one_is_stored;
                    commit:
                        a_commit_takes_effect_as_a_whole,
                        a_second_commit_is_fenced,
                        a_large_commit_is_applied,
                        a_failed_job_is_kept_for_operators;
                    jobs:
                        a_rescheduled_job_stays_open_with_one_more_try,
                        open_jobs_come_in_pages_in_order;
                    operate:
                        a_retried_parked_job_is_open_with_a_higher_attempt;
                    state:
                        rows_are_found_by_prefix,
                        rows_of_tables_that_are_often_listed_are_found,
                        binary_and_large_values_survive;
                    lease:
                        mastership_is_one_holders_at_a_time;
                    durability:
                        everything_is_there_after_a_restart;
                }
            }
        )+
    };
}

contract_holds_on! {
    the_contract_holds_over_tls_for_a_user_of_its_own: Guarded;
    the_contract_holds_behind_sentinels: Sentinels;
    the_contract_holds_on_a_cluster: Nodes;
}
