//! Holds messages whose sender the ledger does not confirm. The sender's ledger
//! node may be ahead of ours, so the key that it signed with, or the sender
//! itself, may be in a block that this process has not seen. Such a message is
//! opened again a few times before it is refused: its sender does not repeat it,
//! because it was acknowledged.

use std::time::Duration;

use crate::context::Context;
use crate::error::{Refusal, codes};
use crate::job::{Commit, Job, Millis};
use crate::messaging::far;
use crate::messaging::inbound::RawMessage;
use crate::mq::future_quota::WaitingMessage;

/// Ages at which a message is opened again: our ledger node has this long to
/// catch up.
const AGES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(8),
];

/// All of these messages share one quota, because their senders are not known.
/// No node has this name.
const QUOTA: &str = "?";

/// Lets a refused message wait. `None`: the refusal does not depend on the
/// sender, the message has waited long enough, or too many wait.
pub(super) fn wait(
    context: &Context,
    job: &Job,
    raw: &RawMessage,
    refusal: &Refusal,
) -> Option<Commit> {
    let code = refusal.code();
    if code != codes::INVALID_MESSAGE_SIGNATURE && code != codes::MESSAGE_FROM_UNKNOWN_NODE {
        return None;
    }
    let age = raw.received_at.until(Millis::now());
    let next = AGES.into_iter().find(|next| *next > age)?;
    let again = raw.received_at.after(next);
    let waiting = far::as_it_came(job).not_before(again);
    let counted = WaitingMessage {
        job: waiting.id,
        bytes: raw.bytes.len() as u64,
        until: again,
    };
    let queue = context.config.queue;
    if !context.future_quota.admit(QUOTA, counted, queue) {
        return None;
    }
    let mut commit = Commit::nothing();
    commit.job(waiting);
    Some(commit)
}
