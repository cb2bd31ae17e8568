//! A second full node of the chain. It makes no blocks, takes those of the
//! first, some of them late, and passes on transactions. Like a lagging
//! CometBFT node, it says that it is not catching up.

use std::io;
use std::time::Duration;

use prost::bytes::Bytes;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::{Shared, add_block};
use crate::error::Error;
use crate::ledger::rpc::RpcOptions;
use crate::ledger::{Ledger as _, LedgerClient};

/// Transactions on their way to the ledger that makes blocks.
pub(super) const RELAYED: usize = 1_000;
/// Pause before the other ledger is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// The ledger whose blocks are taken.
#[derive(Debug, Clone)]
pub struct Leader {
    pub host: String,
    /// Its RPC port.
    pub port: u16,
    /// How many blocks to stay behind.
    pub lag: u64,
}

/// Follows for ever, through every interruption.
pub(super) async fn follow(
    shared: &Shared,
    leader: &Leader,
    relayed: mpsc::Receiver<Bytes>,
) -> io::Result<()> {
    let client = LedgerClient::start(RpcOptions::new(leader.host.clone(), leader.port, 1));
    tokio::join!(
        take_blocks(shared, leader, &client),
        relay(&client, relayed)
    );
    Ok(())
}

async fn take_blocks(shared: &Shared, leader: &Leader, client: &LedgerClient) {
    loop {
        // It is away, or has ended the subscription. It will come back.
        if let Err(error) = follow_subscription(shared, leader, client).await {
            tracing::debug!(%error, "blocks of the other ledger");
        }
        sleep(RETRY).await;
    }
}

async fn follow_subscription(
    shared: &Shared,
    leader: &Leader,
    client: &LedgerClient,
) -> Result<(), Error> {
    let mut subscription = client.subscribe().await?;
    let mut tip = client.status().await?.height;
    loop {
        let target = i64::try_from(tip.saturating_sub(leader.lag)).unwrap_or_default();
        while shared.chain.read().height() < target {
            let next = shared.chain.read().height() + 1;
            let body = client.block_body(next.unsigned_abs()).await?;
            // Written by a clock of ours.
            let time = OffsetDateTime::parse(&body.mark.time, &Rfc3339);
            let time = time.unwrap_or(OffsetDateTime::UNIX_EPOCH);
            let transactions = body.transactions.into_iter().map(Bytes::from).collect();
            add_block(shared, time, transactions).await;
        }
        let seen = subscription.changed().await;
        if seen.ended.is_some() {
            return Ok(());
        }
        tip = seen.newest().map_or(tip, |newest| newest.body.height);
    }
}

/// In the order of arrival. A transaction that does not get through is lost, as
/// with gossip.
async fn relay(client: &LedgerClient, mut relayed: mpsc::Receiver<Bytes>) {
    while let Some(transaction) = relayed.recv().await {
        if let Err(error) = client.broadcast(&transaction).await {
            tracing::debug!(%error, "transaction not handed on");
        }
    }
    // Blocks are taken even if nobody hands over transactions.
    std::future::pending::<()>().await;
}
