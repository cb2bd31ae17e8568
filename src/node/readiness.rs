//! Whether this process can serve now (spec/http-api.md 1.6).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::parts::ProcessParts;
use super::registration::Registration;
use crate::admission::QueueLimit;
use crate::config::{Keys, QueueLimits};
use crate::context::{Context, Role};
use crate::error::Error;
use crate::http::Readiness;
use crate::ingest::ledger_watcher::WatcherState;
use crate::job::Table;
use crate::ledger::{LedgerClient, query};
use crate::store::SharedStore;
use crate::tick;

const LOOK_WHILE_STARTING: Duration = Duration::from_millis(20);
/// Pause between test questions to a ledger that answers.
const QUERY: Duration = Duration::from_millis(4700);
/// Longest time that a call waits for a look.
const LOOK_PATIENCE: Duration = Duration::from_secs(1);
/// A ledger that takes longer counts as silent.
const QUERY_PATIENCE: Duration = Duration::from_secs(5);
const LOOK_WHILE_UNREADY: Duration = Duration::from_millis(200);
const LOOK: Duration = tick::SECOND;
/// Where blocks are followed, a status of this age is recent enough.
const STATUS_KEPT: Duration = Duration::from_millis(1100);
const CRYPTO_URLS: [&str; 3] = ["sign_url", "master_sign_url", "decrypt_url"];

/// Looks repeatedly at everything a call needs.
#[derive(Clone)]
pub struct ReadinessWatch {
    inner: Arc<Inner>,
}

struct Inner {
    seen: RwLock<Seen>,
    /// Additional notices, by subject.
    notices: RwLock<BTreeMap<&'static str, Notice>>,
    leaving: AtomicBool,
    /// Additional reasons not to be ready, by subject. They do not close the
    /// gate: a call that reaches the process is served.
    reasons: RwLock<BTreeMap<&'static str, Notice>>,
    draining: AtomicBool,
    has_been_ready: AtomicBool,
    queue: Arc<QueueLimit>,
    /// Something was set that may make the process ready.
    again: Arc<Notify>,
    looks: watch::Sender<Looks>,
}

/// How many looks there have been.
#[derive(Debug, Clone, Copy, Default)]
struct Looks {
    begun: u64,
    ended: u64,
}

/// Says what is wrong with its subject, if anything is.
type Notice = Box<dyn Fn() -> Option<String> + Send + Sync>;

struct Seen {
    readiness: Readiness,
    /// The ledger answers questions, not only `status`.
    ledger_answers: bool,
    registration: Registration,
    /// `None` until the ledger has told it.
    role: Option<Role>,
    sockets: Option<watch::Receiver<usize>>,
    /// Why the store does not answer or takes no writes.
    store_problem: Option<String>,
    /// Set where blocks are followed, or were.
    watcher: Option<watch::Receiver<WatcherState>>,
}

impl Inner {
    fn now(&self) -> Readiness {
        let seen = self.seen.read();
        let sockets = seen.sockets.as_ref().map_or(0, |sockets| *sockets.borrow());
        Readiness {
            ledger_connected: sockets > 0,
            leaving: self.leaving.load(Ordering::Relaxed),
            draining: self.draining.load(Ordering::Relaxed),
            ..seen.readiness
        }
    }

    /// The greatest acceptable age of the ledger's status.
    fn status_kept(&self) -> Duration {
        let seen = self.seen.read();
        let watcher = seen.watcher.as_ref();
        match watcher.is_some_and(|state| state.has_changed().is_ok()) {
            true => STATUS_KEPT,
            false => Duration::ZERO,
        }
    }

    /// Pause until the next look. It does not depend on the last look alone,
    /// which does not see everything.
    fn pause(&self, role: Role) -> Duration {
        if self.now().reasons(role).is_empty() {
            self.has_been_ready.store(true, Ordering::Relaxed);
            LOOK
        } else if self.has_been_ready.load(Ordering::Relaxed) {
            LOOK_WHILE_UNREADY
        } else {
            LOOK_WHILE_STARTING
        }
    }
}

impl ReadinessWatch {
    /// Knows nothing yet.
    pub fn new(running: QueueLimits, dormant: QueueLimits) -> Self {
        let readiness = Readiness {
            ledger_connected: false,
            ledger_synced: false,
            crypto_ready: false,
            mq_registered: false,
            store_available: false,
            leaving: false,
            draining: false,
        };
        let seen = RwLock::new(Seen {
            readiness,
            ledger_answers: true,
            registration: Registration::default(),
            role: None,
            sockets: None,
            store_problem: None,
            watcher: None,
        });
        Self {
            inner: Arc::new(Inner {
                seen,
                notices: RwLock::default(),
                leaving: AtomicBool::new(false),
                reasons: RwLock::default(),
                draining: AtomicBool::new(false),
                has_been_ready: AtomicBool::new(false),
                queue: Arc::new(QueueLimit::new(running, dormant)),
                again: Arc::default(),
                looks: watch::Sender::default(),
            }),
        }
    }

    /// The limits of the node's work.
    pub fn queue(&self) -> &Arc<QueueLimit> {
        &self.inner.queue
    }

    /// Notes that a call was accepted. If the process was not ready before,
    /// looks at once whether it is now.
    pub fn look_again(&self) {
        let is_ready = {
            let seen = self.inner.seen.read();
            seen.role
                .is_some_and(|role| seen.readiness.reasons(role).is_empty())
        };
        if !is_ready {
            self.inner.again.notify_one();
        }
    }

    /// The readiness by a look that begins after this call, or by the last look
    /// if that takes too long.
    pub fn anew(&self) -> impl Future<Output = Readiness> + Send + use<> {
        let inner = self.inner.clone();
        async move {
            let mut looks = inner.looks.subscribe();
            let begun = looks.borrow_and_update().begun;
            inner.again.notify_one();
            let looked = timeout(LOOK_PATIENCE, looks.wait_for(|looks| looks.ended > begun));
            // The look took too long, or the watch has ended.
            let _ = looked.await;
            inner.now()
        }
    }

    /// Starts looking.
    pub fn follow(&self, parts: &ProcessParts) {
        let mut uncached = parts.context.clone();
        uncached.ledger = parts.client.clone();
        let look = Look {
            context: parts.context.clone(),
            uncached,
            client: parts.client.clone(),
            store: parts.store.clone(),
        };
        {
            let mut seen = self.inner.seen.write();
            seen.role = Some(parts.context.role);
            seen.sockets = Some(parts.client.connected());
        }
        self.follow_queries(parts.client.clone());
        let watch = Arc::downgrade(&self.inner);
        let again = self.inner.again.clone();
        tokio::spawn(async move {
            while let Some(inner) = watch.upgrade() {
                inner.looks.send_modify(|looks| looks.begun += 1);
                let (before, registration) = {
                    let seen = inner.seen.read();
                    (seen.readiness, seen.registration)
                };
                let status_kept = inner.status_kept();
                let (readiness, registration, store_problem) =
                    look.now(before, registration, status_kept).await;
                {
                    let mut seen = inner.seen.write();
                    seen.readiness = readiness;
                    seen.registration = registration;
                    seen.store_problem = store_problem;
                }
                inner.looks.send_modify(|looks| looks.ended += 1);
                let pause = tick::stretch(inner.pause(look.context.role));
                drop(inner);
                // Waits for its time, or until it is wanted sooner.
                let _ = tokio::time::timeout(pause, again.notified()).await;
            }
        });
    }

    /// Asks the ledger a question from time to time, because a node that
    /// answers `status` may answer nothing else.
    fn follow_queries(&self, client: Arc<LedgerClient>) {
        let watch = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            loop {
                let asked = timeout(QUERY_PATIENCE, query::is_init_ended(&*client)).await;
                let answers = matches!(asked, Ok(Ok(_)));
                let Some(inner) = watch.upgrade() else {
                    return;
                };
                inner.seen.write().ledger_answers = answers;
                drop(inner);
                let pause = if answers { QUERY } else { LOOK };
                tokio::time::sleep(tick::stretch(pause)).await;
            }
        });
    }

    /// Sets the notice about `about`, replacing an earlier one.
    pub fn watch(
        &self,
        about: &'static str,
        notice: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) {
        self.inner.notices.write().insert(about, Box::new(notice));
    }

    /// Sets what makes the process unready because of `about`, replacing an
    /// earlier one.
    pub fn demand(
        &self,
        about: &'static str,
        reason: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) {
        self.inner.reasons.write().insert(about, Box::new(reason));
    }

    /// Sets the source for the ledger's blocks.
    pub fn watch_blocks(&self, watcher: watch::Receiver<WatcherState>) {
        self.inner.seen.write().watcher = Some(watcher);
    }

    /// `None` also when blocks are no longer followed, as on a master that
    /// became a standby: its last state says nothing of the ledger now.
    pub fn watcher(&self) -> Option<WatcherState> {
        let seen = self.inner.seen.read();
        let watcher = seen.watcher.as_ref();
        let going_on = watcher.filter(|state| state.has_changed().is_ok());
        going_on.map(|state| state.borrow().clone())
    }

    /// Problems for operators to know, although the process is ready.
    pub fn notices(&self) -> Vec<String> {
        let of_blocks = self.watcher().map_or(Vec::new(), |state| state.notices());
        // This is no reason to be unready: all processes of a node are full at
        // once, and a node that nobody reaches serves neither reads nor the
        // calls that would empty it.
        let full = self.inner.queue.is_full();
        let of_queue = full.then(|| "the queue is full".to_owned());
        let of_address = self.inner.seen.read().registration.notice();
        let of_store = self.inner.seen.read().store_problem.clone();
        let of_store = of_store.map(|problem| format!("the store: {problem}"));
        let notices = self.inner.notices.read();
        let told = notices.values().filter_map(|notice| notice());
        let others = of_queue
            .into_iter()
            .chain(of_address)
            .chain(of_store)
            .chain(told);
        of_blocks.into_iter().chain(others).collect()
    }

    /// What is watched beside the ledger and the queue, and what is wrong with
    /// it, if anything is.
    pub fn conditions(&self) -> Vec<(&'static str, Option<String>)> {
        let notices = self.inner.notices.read();
        let all = notices.iter();
        all.map(|(about, notice)| (*about, notice())).collect()
    }

    /// The role of the node; `None` until the ledger has told it.
    pub fn role(&self) -> Option<Role> {
        self.inner.seen.read().role
    }

    /// Whether this process has seen its message queue address on the ledger.
    pub fn is_registered(&self) -> bool {
        self.inner.seen.read().registration.was_seen
    }

    pub fn now(&self) -> Readiness {
        self.inner.now()
    }

    /// Tells balancers to send no more calls. Those that come are served.
    pub fn leave(&self) {
        self.inner.leaving.store(true, Ordering::Relaxed);
    }

    /// Accepts no more calls.
    pub fn drain(&self) {
        self.inner.draining.store(true, Ordering::Relaxed);
    }

    /// Why the process is not ready, for operators; empty if it is.
    pub fn reasons(&self) -> Vec<String> {
        let (role, answers) = {
            let seen = self.inner.seen.read();
            (seen.role, seen.ledger_answers)
        };
        match role {
            Some(role) => {
                let now = self.now();
                let own = now.reasons(role).into_iter().map(str::to_owned);
                let of_blocks = self.watcher().map_or(Vec::new(), |state| state.reasons());
                // Does not close the gate: a call is answered with what the
                // ledger says.
                let deaf = now.ledger_connected && !answers;
                let of_queries = deaf.then(|| "the ledger does not answer questions".to_owned());
                let others = self.inner.reasons.read();
                let others: Vec<String> = others.values().filter_map(|reason| reason()).collect();
                own.chain(of_queries)
                    .chain(of_blocks)
                    .chain(others)
                    .collect()
            }
            None => vec!["the process is starting".to_owned()],
        }
    }
}

struct Look {
    context: Context,
    /// The context without the ledger's cache.
    uncached: Context,
    client: Arc<LedgerClient>,
    store: SharedStore,
}

impl Look {
    async fn now(
        &self,
        before: Readiness,
        registration: Registration,
        status_kept: Duration,
    ) -> (Readiness, Registration, Option<String>) {
        let ledger = match registration.was_seen {
            true => &self.context,
            false => &self.uncached,
        };
        let (synced, store, registration, crypto) = tokio::join!(
            self.client.status_within(status_kept),
            self.store.ping(),
            registration.look(ledger),
            self.is_crypto_ready(),
        );
        let store_problem = store.as_ref().err().map(ToString::to_string);
        let readiness = Readiness {
            ledger_synced: synced.is_ok_and(|status| !status.catching_up),
            store_available: store.is_ok(),
            mq_registered: registration.was_seen,
            // Keeps the last result while it cannot be asked.
            crypto_ready: crypto.unwrap_or(before.crypto_ready),
            ..before
        };
        (readiness, registration, store_problem)
    }

    async fn is_crypto_ready(&self) -> Result<bool, Error> {
        if matches!(self.context.config.keys, Keys::Files { .. }) {
            return Ok(true);
        }
        let urls = self
            .context
            .state
            .columns(Table::CallbackUrl, "node")
            .await?;
        Ok(CRYPTO_URLS
            .iter()
            .all(|name| urls.iter().any(|(column, _)| column == name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::ledger::rpc::fake::{FakeLedger, until};

    #[test]
    fn what_an_ended_watcher_knew_of_the_ledger_is_not_shown() {
        let config = Config::for_test("rp1");
        let readiness = ReadinessWatch::new(config.queue, config.dormant);
        readiness.inner.seen.write().role = Some(Role::Rp);
        let without_blocks = readiness.reasons();
        let (watcher, state) = watch::channel(WatcherState {
            lower: Some((3, 7)),
            height: 3,
            tip: 7,
            ..WatcherState::default()
        });
        readiness.watch_blocks(state);
        assert_eq!(readiness.reasons().len(), without_blocks.len() + 1);
        assert_eq!(readiness.notices().len(), 1);
        drop(watcher);
        assert_eq!(readiness.reasons(), without_blocks);
        assert_eq!(readiness.notices(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_ledger_that_tells_how_it_is_and_answers_nothing_else_is_a_reason() {
        let ledger = FakeLedger::start(3).await;
        let client = LedgerClient::start(ledger.options());
        let config = Config::for_test("rp1");
        let readiness = ReadinessWatch::new(config.queue, config.dormant);
        {
            let mut seen = readiness.inner.seen.write();
            seen.role = Some(Role::Rp);
            seen.sockets = Some(client.connected());
        }
        let is_deaf = || {
            let reasons = readiness.reasons();
            reasons.iter().any(|reason| reason.contains("questions"))
        };
        ledger.script.lock().mute.push("abci_query".to_owned());
        readiness.follow_queries(client.clone());
        until("it is noticed", is_deaf).await;
        assert!(client.status().await.is_ok());
        ledger.script.lock().mute.clear();
        until("it is well again", || !is_deaf()).await;
    }

    #[test]
    fn a_process_that_is_ready_is_looked_at_once_a_second() {
        let config = Config::for_test("rp1");
        let readiness = ReadinessWatch::new(config.queue, config.dormant);
        let pause = || readiness.inner.pause(Role::Rp);
        assert_eq!(pause(), LOOK_WHILE_STARTING);
        // A look does not see the ledger's sockets.
        let (sockets, connected) = watch::channel(1);
        {
            let mut seen = readiness.inner.seen.write();
            seen.readiness = Readiness {
                ledger_connected: false,
                ..Readiness::READY
            };
            seen.sockets = Some(connected);
        }
        assert_eq!(pause(), LOOK);
        sockets.send_replace(0);
        assert_eq!(pause(), LOOK_WHILE_UNREADY);
    }
}
