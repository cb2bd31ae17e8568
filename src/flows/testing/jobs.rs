//! What commits and accepts hold.

use serde_json::Value;

use crate::delivery::callback::{self, Callback, CallbackTarget};
use crate::delivery::transaction::{Expected, Fate, Settled, Transact};
use crate::job::{Job, Kind, Millis, NewJob, Table, Write, codec};
use crate::messaging::Received;
use crate::mq::message::Message;

/// A job as handlers get it.
pub(crate) fn job(new: NewJob) -> Job {
    Job {
        new,
        seq: 1,
        prev: 0,
        attempt: 1,
        tries: 0,
        strikes: 0,
        parked: false,
        accepted_at: Millis::now(),
    }
}

/// The job that `mq.receive` makes of a message.
pub(crate) fn message_job(kind: Kind, receiver: &str, message: &Message) -> Job {
    let received = Received {
        receiver_node_id: receiver.to_owned(),
        message_id: format!("{}:1", message.sender()),
        message: serde_json::to_string(message).unwrap(),
    };
    let key = crate::job::request_key(message.request_id());
    job(NewJob::new(kind, key, &received))
}

/// The continuation of a transaction that settled like this.
pub(crate) fn continuation(transact: &Transact, fate: Fate) -> Job {
    let then = transact.then.as_ref().expect("it has a continuation");
    let settled = Settled {
        hash: "00".to_owned(),
        fate,
        context: then.context.clone(),
    };
    job(NewJob::new(then.kind, then.key.as_str(), &settled))
}

/// The transactions that these writes would send.
pub(crate) fn transactions(writes: &[Write]) -> Vec<Transact> {
    let mut found = Vec::new();
    for write in writes {
        if let Write::Put {
            table: Table::ExpectedTransaction,
            value,
            ..
        } = write
        {
            let expected: Expected = codec::decode(value).unwrap();
            found.push(expected.transact);
        }
    }
    found
}

/// Parameters of a transaction.
pub(crate) fn params(transact: &Transact) -> Value {
    serde_json::from_str(&transact.params).unwrap()
}

/// The callbacks among these jobs: where they go and what they say.
pub(crate) fn callbacks(jobs: &[NewJob]) -> Vec<(CallbackTarget, Value)> {
    let mut found = Vec::new();
    for job in of_kind(jobs, callback::DELIVER) {
        let callback: Callback = codec::decode(&job.payload).unwrap();
        found.push((
            callback.target,
            serde_json::from_str(&callback.body).unwrap(),
        ));
    }
    found
}

/// The jobs of a kind.
pub(crate) fn of_kind(jobs: &[NewJob], kind: Kind) -> Vec<&NewJob> {
    jobs.iter().filter(|job| job.kind == kind).collect()
}
