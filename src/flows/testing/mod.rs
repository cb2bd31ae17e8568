//! What tests of handlers run against: a ledger that answers from the
//! recordings and from scripts, a state in memory, and a node with the
//! recorded keys.

mod jobs;
mod keys;
mod ledger;
mod recordings;
mod state;

use std::sync::Arc;

pub(crate) use jobs::{callbacks, continuation, job, message_job, of_kind, params, transactions};
pub(crate) use keys::RecordedKeys;
pub(crate) use ledger::FakeLedger;
pub(crate) use recordings::{recorded, scenario};
pub(crate) use state::{MemoryState, Spoilt};

use crate::config::{Config, Mq};
use crate::context::{Context, Role};
use crate::http_client::HttpClient;
use crate::job::{Commit, Job, Run};
use crate::store::Accept;

/// Chain of the recordings.
pub(crate) const CHAIN: &str = "test-chain-NDID";

/// The configuration of a node, with the recorded address of rp1's message queue.
pub(crate) fn config(node_id: &str) -> Config {
    let base = Config::for_test(node_id);
    Config {
        mq: Mq {
            contact_ip: "127.0.0.1".to_owned(),
            binding_port: 5100,
            ..base.mq
        },
        ..base
    }
}

/// A node whose handlers are tested.
pub(crate) struct TestNode {
    /// Given to handlers.
    pub context: Context,
    /// The ledger behind it.
    pub ledger: Arc<FakeLedger>,
    /// The state behind it.
    pub state: Arc<MemoryState>,
}

impl TestNode {
    /// A node of the recorded network (`rp1`, `idp1`, `idp2`, `as1`).
    pub(crate) fn new(node_id: &str, role: Role) -> Self {
        let ledger = Arc::new(FakeLedger::recorded());
        let state = Arc::new(MemoryState::default());
        let config = Arc::new(config(node_id));
        let context = Context {
            http: HttpClient::new(&config, |client| client).unwrap(),
            config,
            role,
            ledger: ledger.clone(),
            state: state.clone(),
            crypto: Arc::new(RecordedKeys),
            future_quota: Arc::default(),
        };
        Self {
            context,
            ledger,
            state,
        }
    }

    /// Stores an accept as a store would; false when a guard refuses.
    pub(crate) fn accept(&self, accept: &Accept) -> bool {
        if !accept.guards.iter().all(|guard| self.state.holds(guard)) {
            return false;
        }
        self.state.apply(&accept.writes);
        true
    }

    /// Runs a job whose reads meet damage, one after the other: none of it
    /// may end the job, or be told to anybody.
    pub(crate) async fn is_not_ended_by_damage(&self, job: &Job) {
        let told = |commit: &Commit| -> Vec<String> {
            let callbacks = callbacks(&commit.jobs).into_iter();
            let kinds = callbacks.map(|(_, body)| body["type"].to_string());
            kinds.collect()
        };
        let run = async || crate::flows::dispatch::run(&self.context, job).await;
        let sound = match run().await {
            Ok(Run::Commit(commit)) => commit,
            other => panic!("the job does not end by itself: {other:?}"),
        };
        let kind = job.kind().name();
        for how in [Spoilt::Unreadable, Spoilt::Rubbish] {
            for read in 0.. {
                self.state.spoil(read, how);
                let ran = run().await;
                if !self.state.mend() {
                    break;
                }
                match ran {
                    Err(error) => assert!(error.is_unreadable(), "{kind}: {error}"),
                    // Only that something was there mattered.
                    Ok(Run::Commit(commit)) if how == Spoilt::Rubbish => {
                        assert_eq!(commit.outcome, sound.outcome, "{kind}, read {read}");
                        assert_eq!(told(&commit), told(&sound), "{kind}, read {read}");
                    }
                    Ok(_) => panic!("{kind} is ended by read {read} ({how:?})"),
                }
            }
        }
    }

    /// Applies a commit as a store would.
    pub(crate) fn commit(&self, commit: &Commit) {
        self.state.apply(&commit.writes);
    }
}
