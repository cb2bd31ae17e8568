//! From one (re)connect to the next: subscribe, wait until the ledger is
//! usable, find out where to continue, then follow.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until};

use super::status_poll::StatusPoll;
use super::transactions::Which;
use super::{Trouble, WatcherEnd, WatcherOptions, WatcherState};
use crate::flows::replaced::LedgerReplaced;
use crate::job::{Guard, Millis, Table, Write};
use crate::ledger::follow::{self, ChainStart, Follow, Progress, Watchdog, WatchdogVerdict};
use crate::ledger::rpc::answers::LedgerStatus;
use crate::ledger::rpc::{BlockSubscription, Sighting};
use crate::ledger::{Block, ChainUpdate, Mark, TolerantLedger, query};
use crate::protocol::Blocks;
use crate::store::{Accept, Accepted};

/// First delay of every retry; it doubles.
const FIRST_RETRY: Duration = Duration::from_millis(100);

pub(super) fn progress_guard(value: Option<Vec<u8>>) -> Guard {
    Guard::Equals {
        table: Table::Progress,
        row: Progress::ROW.to_owned(),
        value,
    }
}

/// The watcher's task.
pub(super) struct Watcher {
    pub options: WatcherOptions,
    state: watch::Sender<WatcherState>,
    /// The stored progress, byte for byte, for the guard of the next step.
    pub stored: Option<Vec<u8>>,
    /// When that was.
    pub stored_at: Option<std::time::Instant>,
    /// Progress in empty blocks that has not been stored yet.
    pub unstored: Option<Progress>,
    /// The block that is settled but not acted on, if it is in memory.
    pub held: Option<Block>,
    /// Whether transactions of a disabled chain must be sent again.
    pub owes_resend: bool,
    /// Whether transactions that no block has shown must be looked up.
    owes_confirm: bool,
    /// All of them, of any age: the ledger was replaced.
    owes_full_confirm: bool,
    /// All of them, of any age: the process that was to broadcast them may be
    /// gone.
    owes_sweep: bool,
    /// The last news told to the node's processes.
    told: Option<ChainUpdate>,
    failures: u32,
}

/// Follows the ledger until this process is deposed.
pub(super) async fn run(options: WatcherOptions, state: watch::Sender<WatcherState>) -> WatcherEnd {
    let mut watcher = Watcher {
        options,
        state,
        stored: None,
        stored_at: None,
        unstored: None,
        held: None,
        owes_resend: false,
        owes_confirm: false,
        owes_full_confirm: false,
        owes_sweep: true,
        told: None,
        failures: 0,
    };
    loop {
        let trouble = watcher.session().await;
        watcher.go_dark().await;
        watcher.publish(|state| {
            state.connected = false;
            state.syncing = None;
            state.unsettled = None;
        });
        match trouble {
            Trouble::Deposed => return WatcherEnd::Deposed,
            Trouble::Later(reason) | Trouble::Restart(reason) => {
                tracing::warn!(%reason, "following the ledger was interrupted");
            }
        }
        sleep(watcher.retry_delay()).await;
    }
}

impl Watcher {
    fn retry_delay(&mut self) -> Duration {
        let delay = FIRST_RETRY.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        delay.min(self.options.timing.longest_sync_check)
    }

    fn publish(&self, change: impl FnOnce(&mut WatcherState)) {
        self.state.send_modify(change);
        let connected = self.state.borrow().connected;
        metrics::gauge!("main_websocket_connection_status").set(f64::from(u8::from(connected)));
    }

    /// Reports which blocks are in progress.
    pub fn publish_blocks(&self, follow: &Follow) {
        let (settled, tip) = (follow.progress().settled, follow.tip());
        let unsettled = (settled < tip).then_some(Blocks {
            first: settled + 1,
            last: tip,
        });
        if self.state.borrow().unsettled != unsettled {
            self.publish(|state| state.unsettled = unsettled);
        }
    }

    async fn session(&mut self) -> Trouble {
        match self.follow().await {
            Ok(never) => match never {},
            Err(trouble) => trouble,
        }
    }

    async fn follow(&mut self) -> Result<std::convert::Infallible, Trouble> {
        let mut subscription = self.options.client.subscribe().await?;
        self.publish(|state| state.connected = true);
        let status = self.wait_until_usable().await?;
        let mut follow = self.begin(status).await?;
        self.owes_resend = true;
        self.owes_confirm = true;
        self.watch(&mut subscription, &mut follow).await
    }

    /// Waits until the ledger is synchronised and initialised.
    async fn wait_until_usable(&mut self) -> Result<LedgerStatus, Trouble> {
        let mut waits = 0;
        loop {
            let status = self.options.client.status().await?;
            let chain_id = status.chain_id.clone();
            self.publish(|state| {
                state.syncing = Some(status.catching_up);
                state.chain_id = Some(chain_id);
            });
            if !status.catching_up && self.is_initialised().await? {
                return Ok(status);
            }
            let delay = FIRST_RETRY.saturating_mul(1 << u32::min(waits, 16));
            waits += 1;
            sleep(delay.min(self.options.timing.longest_sync_check)).await;
        }
    }

    async fn is_initialised(&self) -> Result<bool, Trouble> {
        if self.options.ndid_node {
            return Ok(true);
        }
        // An initialised chain stays initialised.
        let client = self.options.client.clone();
        let ledger = TolerantLedger::new(client.clone(), client);
        let initialised = query::is_init_ended(&ledger).await?;
        self.publish(|state| state.initialised = Some(initialised));
        Ok(initialised)
    }

    /// Compares the ledger with the stored progress and decides where to
    /// continue.
    async fn begin(&mut self, status: LedgerStatus) -> Result<Follow, Trouble> {
        let store = &self.options.store;
        let stored = store.get(Table::Progress, Progress::ROW, "").await?;
        let unstored = self.unstored.take().filter(|_| stored == self.stored);
        self.stored = stored;
        self.held = None;
        let saved: Option<Progress> = match &self.stored {
            _ if unstored.is_some() => unstored,
            Some(bytes) => Some(
                Progress::decode(bytes)
                    .map_err(|error| Trouble::Later(format!("stored progress: {error}")))?,
            ),
            None => None,
        };
        let (start, progress, status) = self.compare(saved.as_ref(), status).await?;
        report(&start, &progress);
        metrics::gauge!("erawan_ledger_era").set(progress.era as f64);
        self.tell(&progress, false, true, Vec::new()).await;
        if start != ChainStart::Resumed {
            self.store_start(&start, &progress, status.height).await?;
        }
        let mut follow = Follow::new(progress);
        if let Some(lost) = follow.skip_pruned(status.earliest_height) {
            tracing::error!(
                from = lost.start(),
                to = lost.end(),
                "the ledger no longer keeps these blocks; what they changed cannot be followed"
            );
        }
        follow.saw(status.height);
        let tip = follow.tip();
        self.publish(|state| state.tip = tip);
        Ok(follow)
    }

    /// Compares the ledger with the saved progress. If the ledger is lower,
    /// waits, however long it takes, until it has caught up or one of its
    /// blocks shows that it is another ledger.
    async fn compare(
        &self,
        saved: Option<&Progress>,
        mut status: LedgerStatus,
    ) -> Result<(ChainStart, Progress, LedgerStatus), Trouble> {
        if let Some(saved) = saved {
            // Answers from below are distrusted meanwhile.
            self.options.client.remember(&saved.chain_id, saved.settled);
        }
        loop {
            let there = self.block_at_landmark(saved, &status).await?;
            let there = there.as_ref().map(|(height, mark)| (*height, mark));
            if let Some((start, progress)) = follow::start(saved, &status, there) {
                self.is_lower(None);
                return Ok((start, progress, status));
            }
            self.is_lower(saved.map(|saved| (status.height, saved.settled)));
            sleep(self.options.timing.poll).await;
            status = self.options.client.status().await?;
        }
    }

    /// Reports that the ledger is lower than before, or no longer is.
    fn is_lower(&self, heights: Option<(u64, u64)>) {
        metrics::gauge!("erawan_ledger_is_lower").set(f64::from(u8::from(heights.is_some())));
        let before = self.state.borrow().lower;
        if let (Some((height, seen)), None) = (heights, before) {
            tracing::warn!(
                height,
                seen,
                "the ledger is lower than what was seen of it: waiting until it has caught up, \
                 or a block of it shows that it was replaced"
            );
        }
        if before != heights {
            self.publish(|state| state.lower = heights);
        }
    }

    /// The ledger's block at a known height; `None` if it cannot tell.
    async fn block_at_landmark(
        &self,
        saved: Option<&Progress>,
        status: &LedgerStatus,
    ) -> Result<Option<(u64, Mark)>, Trouble> {
        let Some(height) = saved.and_then(|saved| saved.landmark(status)) else {
            return Ok(None);
        };
        let body = self.options.client.block_body(height).await?;
        Ok(Some((height, body.mark)))
    }

    /// Stores where to begin. If the ledger was replaced, everything known of
    /// the old one is looked up in the new one, whose newest block is `height`.
    async fn store_start(
        &mut self,
        start: &ChainStart,
        progress: &Progress,
        height: u64,
    ) -> Result<(), Trouble> {
        let bytes = progress.encode();
        let Progress { chain_id, era, .. } = progress;
        let look = || LedgerReplaced::job(chain_id, *era, height);
        let accept = Accept {
            guards: vec![progress_guard(self.stored.clone())],
            writes: vec![Write::put(Table::Progress, Progress::ROW, bytes.clone())],
            jobs: start.is_replaced().then(look).into_iter().collect(),
            epoch: Some(self.options.epoch),
        };
        match self.options.store.accept(accept).await? {
            Accepted::Stored { jobs, .. } => {
                self.stored = Some(bytes);
                (self.options.hand_over)(jobs).await;
                if start.is_replaced() {
                    metrics::counter!("erawan_ledger_replaced_total").increment(1);
                    self.owes_full_confirm = true;
                    self.publish(|state| state.replaced_at = Some(Millis::now()));
                }
                Ok(())
            }
            Accepted::Refused { .. } => Err(Trouble::Restart("progress has changed".to_owned())),
        }
    }

    async fn watch(
        &mut self,
        subscription: &mut BlockSubscription,
        follow: &mut Follow,
    ) -> Result<std::convert::Infallible, Trouble> {
        let timing = self.options.timing.clone();
        let mut watchdog = Watchdog::new(follow.tip(), timing.watchdog_patience);
        let mut poll = StatusPoll::start(self.options.client.clone(), timing.poll);
        let mut confirm = interval_at(Instant::now() + timing.confirm, timing.confirm);
        confirm.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let losses = self.options.losses.clone();
        let mut seen = Sighting::default();
        let mut retry_at = Instant::now();
        loop {
            if retry_at <= Instant::now() {
                match self.work(follow, &seen).await {
                    Ok(()) => self.failures = 0,
                    Err(Trouble::Later(reason)) => {
                        metrics::counter!("block_process_fails_total").increment(1);
                        tracing::warn!(%reason, height = follow.tip(), "block to be tried again");
                        self.go_dark().await;
                        retry_at = Instant::now() + self.retry_delay();
                    }
                    Err(trouble) => return Err(trouble),
                }
            }
            tokio::select! {
                sighting = subscription.changed() => {
                    seen = sighted(sighting, follow, &mut watchdog)?;
                }
                status = poll.next() => {
                    // Blocks that came meanwhile do not count as silence.
                    if let Some(sighting) = subscription.newest() {
                        seen = sighted(sighting, follow, &mut watchdog)?;
                    }
                    judge(&status, follow, &mut watchdog)?;
                }
                _ = confirm.tick() => self.owes_confirm = true,
                () = losses.notified() => self.owes_sweep = true,
                () = sleep_until(retry_at), if retry_at > Instant::now() => {}
            }
        }
    }

    /// Does all pending work. Returns at once when there is none.
    async fn work(&mut self, follow: &mut Follow, sighting: &Sighting) -> Result<(), Trouble> {
        self.advance(follow, sighting).await?;
        if !self.is_ready() {
            let progress = follow.progress().clone();
            self.tell(&progress, true, true, Vec::new()).await;
        }
        if self.owes_resend {
            self.resend_disabled().await?;
            self.owes_resend = false;
        }
        if self.owes_confirm || self.owes_full_confirm || self.owes_sweep {
            let era = follow.progress().era;
            let which = match (self.owes_full_confirm, self.owes_sweep) {
                (true, _) => Which::Replaced { era },
                (false, true) => Which::Abandoned,
                (false, false) => Which::Old,
            };
            self.confirm_expected(which).await?;
            self.owes_confirm = false;
            self.owes_full_confirm = false;
            self.owes_sweep = false;
        }
        Ok(())
    }

    fn is_ready(&self) -> bool {
        self.told.as_ref().is_some_and(|told| told.ready)
    }

    /// Tells a block with the readiness that was told last.
    pub async fn tell_block(&mut self, progress: &Progress, methods: Vec<String>) {
        let ready = self.is_ready();
        self.tell(progress, ready, false, methods).await;
    }

    async fn tell(&mut self, progress: &Progress, ready: bool, reset: bool, methods: Vec<String>) {
        self.send(ChainUpdate {
            chain_id: progress.chain_id.clone(),
            height: progress.settled,
            ready,
            methods,
            reset,
            era: progress.era,
        })
        .await;
    }

    /// Tells that blocks are no longer followed, so that nothing is served from
    /// a cache.
    pub async fn go_dark(&mut self) {
        if !self.is_ready() {
            return;
        }
        if let Some(mut update) = self.told.clone() {
            update.ready = false;
            update.reset = true;
            update.methods.clear();
            self.send(update).await;
        }
    }

    async fn send(&mut self, update: ChainUpdate) {
        self.options.client.apply(&update);
        self.told = Some(update.clone());
        self.publish(|state| {
            state.ready = update.ready;
            state.height = update.height;
            state.tip = state.tip.max(update.height);
            if update.reset {
                state.tip = update.height;
            }
            state.chain_id = Some(update.chain_id.clone());
        });
        (self.options.tell_chain)(update).await;
    }
}

/// Notes what the subscription has shown.
fn sighted(
    sighting: Sighting,
    follow: &mut Follow,
    watchdog: &mut Watchdog,
) -> Result<Sighting, Trouble> {
    if let Some(block) = sighting.newest() {
        watchdog.announced(block.body.height);
        follow.saw(block.body.height);
    }
    match sighting.ended {
        Some(reason) => Err(Trouble::Restart(format!("subscription: {reason}"))),
        None => Ok(sighting),
    }
}

/// Notes what `status` has told.
fn judge(
    status: &LedgerStatus,
    follow: &mut Follow,
    watchdog: &mut Watchdog,
) -> Result<(), Trouble> {
    if status.chain_id != follow.progress().chain_id {
        let reason = format!("the chain is now {}", status.chain_id);
        return Err(Trouble::Restart(reason));
    }
    if follow.progress().is_contradicted_by(status) {
        let height = status.height;
        let reason =
            format!("block {height} of the ledger does not belong to the history seen before");
        return Err(Trouble::Restart(reason));
    }
    follow.saw(status.height);
    let settled = follow.progress().settled;
    match watchdog.polled(status.height, settled, std::time::Instant::now()) {
        WatchdogVerdict::Fine => Ok(()),
        WatchdogVerdict::Silent => {
            let reason = "the subscription shows no blocks".to_owned();
            Err(Trouble::Restart(reason))
        }
        WatchdogVerdict::Lower => Err(Trouble::Restart(format!(
            "the ledger is at block {} although block {settled} was seen",
            status.height
        ))),
    }
}

fn report(start: &ChainStart, progress: &Progress) {
    let chain_id = &progress.chain_id;
    let height = progress.settled;
    match start {
        ChainStart::First => {
            tracing::info!(%chain_id, height, "following the ledger for the first time")
        }
        ChainStart::Resumed => tracing::info!(%chain_id, height, "following the ledger again"),
        ChainStart::NewChain { old } => tracing::warn!(
            %old, new = %chain_id, era = progress.era,
            "the chain has another id; starting at its first block"
        ),
        ChainStart::LedgerReset { saved } => tracing::error!(
            %chain_id, saved, height, era = progress.era,
            "the ledger was replaced under the same chain id; starting at its current height"
        ),
    }
}
