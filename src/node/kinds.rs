//! Every kind of job of a node: those of the flows, and those that receive and
//! deliver.

use std::time::{Duration, Instant};

use super::runner::Means;
use crate::api;
use crate::delivery::{callback, contract, message, transaction};
use crate::error::Error;
use crate::flows::{self, status_update};
use crate::job::{Commit, Handler, Kinds, Run, noop};
use crate::messaging::{far, inbound, outbound};
use crate::tables;

/// Longest computation of a [`noop::STUCK`].
const MOST_STUCK: Duration = Duration::from_secs(60);

/// The kinds that no flow handles.
pub(super) static HANDLERS: [Handler<Means, Result<Run, Error>>; 17] = [
    Handler::new(inbound::RECEIVE, |means, job| {
        Box::pin(inbound::run_receive(&means.context, job))
    }),
    Handler::new(far::GIVE_UP, |means, job| {
        Box::pin(async { far::run_give_up(&means.context, job) })
    }),
    Handler::new(outbound::SEND, |means, job| {
        Box::pin(outbound::run_send(&means.context, job))
    }),
    Handler::new(transaction::TRANSACT, |means, job| {
        Box::pin(transaction::run_transact(&means.context, job))
    }),
    Handler::new(transaction::CONFIRM, |means, job| {
        Box::pin(transaction::run_confirm(&means.context, job))
    }),
    Handler::new(transaction::DELIVER, |means, job| {
        Box::pin(transaction::run_deliver(&means.context, job))
    }),
    Handler::new(message::DELIVER, |means, job| {
        let (mq, failing) = (means.mq.as_ref(), &means.failing);
        Box::pin(message::run_deliver(&means.context, mq, failing, job))
    }),
    Handler::new(callback::DELIVER, |means, job| {
        let client = &means.callbacks;
        Box::pin(callback::run_deliver(&means.context, client, job))
    }),
    Handler::new(status_update::DELIVER, |means, job| {
        let client = &means.callbacks;
        Box::pin(status_update::run_deliver(&means.context, client, job))
    }),
    Handler::new(contract::FETCH, |means, job| {
        let client = &means.contracts;
        Box::pin(contract::run_fetch(&means.context, client, job))
    }),
    Handler::new(api::EXPIRED, |means, job| {
        let state = means.context.state.as_ref();
        Box::pin(async move { Ok(Run::Commit(api::expire(state, job).await?)) })
    }),
    Handler::new(noop::NOOP, |_, _| Box::pin(async { Ok(nothing()) })),
    Handler::new(noop::CHAIN, |_, _| Box::pin(async { Ok(nothing()) })),
    Handler::new(noop::ONCE, |_, _| Box::pin(async { Ok(nothing()) })),
    Handler::new(noop::DELIVERY, |_, _| Box::pin(async { Ok(nothing()) })),
    Handler::new(noop::ORDERED_DELIVERY, |_, _| {
        Box::pin(async { Ok(nothing()) })
    }),
    Handler::new(noop::STUCK, |_, job| {
        Box::pin(async { Ok(stuck(job.payload()?)) })
    }),
];

fn nothing() -> Run {
    Run::Commit(Commit::nothing())
}

/// Does what a defective handler would do.
fn stuck(milliseconds: u64) -> Run {
    let until = Instant::now() + Duration::from_millis(milliseconds).min(MOST_STUCK);
    while Instant::now() < until {
        std::hint::spin_loop();
    }
    nothing()
}

/// All kinds, to be given once per process.
/// # Panics
/// If two of them cannot be told apart. A test would have found that.
pub fn all() -> Kinds {
    let own = HANDLERS.iter().map(Handler::kind);
    Kinds::new(own.chain(flows::kinds::all())).expect("kinds have numbers and names of their own")
}

/// Gives kinds and tables to this process, which may have them already.
/// # Panics
/// If it has those of another application.
pub fn give() {
    all()
        .give()
        .expect("a process has the kinds of one application");
    tables::all()
        .give()
        .expect("a process has the tables of one application");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stored and sent: a number is never changed and never used again.
    const NUMBERS: [(u16, &str); 43] = [
        (0, "mq.receive"),
        (1, "rp.idp_response"),
        (2, "rp.as_response"),
        (3, "rp.request_update"),
        (4, "rp.request_created"),
        (5, "rp.request_closed"),
        (6, "rp.time_out"),
        (7, "rp.request_timed_out"),
        (8, "rp.data_received"),
        (9, "idp.consent_request"),
        (10, "idp.request_update"),
        (11, "idp.response_created"),
        (12, "as.data_request"),
        (13, "as.callback_answer"),
        (14, "as.request_update"),
        (15, "as.response_created"),
        (16, "call.settled"),
        (17, "node.mq_registered"),
        (18, "ledger.transact"),
        (19, "ledger.confirm"),
        (20, "ledger.replaced"),
        (21, "mq.send"),
        (22, "deliver.transaction"),
        (23, "deliver.message"),
        (24, "deliver.callback"),
        (25, "rp.close_request"),
        (26, "bench.noop"),
        (27, "bench.noop_chain"),
        (28, "bench.noop_once"),
        (29, "unreadable"),
        (30, "idp.identity_modified"),
        (31, "as.sign_data"),
        (32, "bench.noop_stuck"),
        (33, "mq.give_up"),
        (34, "fetch.contract"),
        (35, "idp.contract_checked"),
        (36, "deliver.status_update"),
        (37, "answer.expired"),
        (40, "identity.settled"),
        (41, "rp.message_created"),
        (42, "debug.settled"),
        (100, "bench.noop_delivery"),
        (101, "bench.noop_ordered_delivery"),
    ];

    #[test]
    fn kinds_keep_their_numbers() {
        let mut kinds: Vec<_> = all()
            .all()
            .map(|kind| (kind.number(), kind.name()))
            .collect();
        kinds.sort_unstable();
        assert_eq!(kinds, NUMBERS);
    }
}
