//! Holds messages whose sender the ledger does not confirm. The sender's ledger
//! node may be ahead of ours, so the key that it signed with, or the sender
//! itself, may be in a block that this process has not seen. Such a message is
//! opened again after the next block, for a short time, before it is refused:
//! its sender does not repeat it, because it was acknowledged.

use std::time::Duration;

use crate::context::Context;
use crate::error::{Error, Refusal, codes};
use crate::job::{Commit, Job, Millis, NewJob};
use crate::messaging::far;
use crate::messaging::inbound::RawMessage;

/// How long a message waits if no block comes.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long our ledger node has to catch up while blocks come. Well before the
/// message would be given up, so that it is not given up while it is opened.
const BLOCKS: Duration = Duration::from_secs(5);

/// All of these messages share one quota, because their senders are not known.
/// No node has this name.
const QUOTA: &str = "?";

/// Lets a refused message wait for the next block. `None`: the refusal does not
/// depend on the sender, the message has waited long enough, or too many wait.
///
/// # Errors
/// Temporary while the chain is not known.
pub(super) fn wait(
    context: &Context,
    job: &Job,
    raw: &RawMessage,
    refusal: &Refusal,
    refused: impl FnOnce() -> (String, NewJob),
) -> Result<Option<Commit>, Error> {
    let code = refusal.code();
    if code != codes::INVALID_MESSAGE_SIGNATURE && code != codes::MESSAGE_FROM_UNKNOWN_NODE {
        return Ok(None);
    }
    let waited = raw.received_at.until(Millis::now());
    if job.new.deadline.is_some() && waited >= BLOCKS {
        return Ok(None);
    }
    let until = raw.received_at.after(PATIENCE);
    // On a fast chain it is not opened at every block.
    let height = context.ledger.height() + waited.as_secs();
    let block = (height, context.ledger.era()?);
    Ok(far::wait(context, (job, raw), block, QUOTA, until, refused))
}
