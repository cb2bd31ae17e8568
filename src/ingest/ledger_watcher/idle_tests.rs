//! A ledger that makes no block for a long time, by a fast clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tracing::{Event, Level, Metadata, Subscriber, span};

use super::tests::Node;

/// Counts warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// How many times faster than in production.
const HASTE: u32 = 60;
/// Eight times the silence after which a socket is given up.
const IDLE: Duration = Duration::from_secs(8);

/// Only pings and answers to `status` show that the ledger lives.
#[tokio::test]
async fn a_ledger_that_makes_no_block_for_long_is_neither_warned_of_nor_connected_anew() {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let mut node = Node::new(10).await;
    node.hurry(HASTE);
    node.start();
    node.until_ready().await;
    let subscribed = node.ledger.called("subscribe");
    let before = warnings.0.load(Ordering::SeqCst);
    let began = Instant::now();
    while began.elapsed() < IDLE {
        node.ledger.ping_all();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(warnings.0.load(Ordering::SeqCst), before);
    assert_eq!(node.ledger.called("subscribe"), subscribed);
    assert!(node.ledger.called("status") > 60, "it was asked");
    assert!(node.is_ready());
    node.ledger.add(vec![]);
    node.until_settled(11).await;
}
