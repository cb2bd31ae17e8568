//! What the applications saw.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::devnet::report::{Durations, Percentiles};
use crate::job::Millis;

const MOST_ERRORS: usize = 100;

/// How a request ended for the RP's application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Closed with status `completed`.
    Completed,
    /// Anything else that is final.
    Failed(String),
}

/// What can be compared with the ledger and the stores afterwards.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// Request ids the RP's node gave with its 202.
    pub accepted: BTreeSet<String>,
    /// Those whose data was read back and verified.
    pub verified: BTreeSet<String>,
    /// Reference id of each request whose creation the RP's application was told
    /// of, by request id.
    pub references: BTreeMap<String, String>,
    /// Every event an application was told of, with the identities under which
    /// it came.
    pub events: BTreeMap<String, BTreeSet<String>>,
    /// When each verified request had been, and how long that took.
    pub took: BTreeMap<String, Took>,
    /// Identities that the IdP's application asked for, by the reference id of
    /// its call, with their reference group when it was told of one.
    pub identities: BTreeMap<String, Option<String>>,
    /// Requests that the AS's application answered twice, in different ways: the
    /// ledger refuses one of the answers.
    pub answered_twice: BTreeSet<String>,
}

/// The time of a request from its call to its data read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Took {
    /// When it ended, by the wall clock.
    pub until: Millis,
    /// How long it took.
    pub time: Duration,
}

/// Sums so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals {
    /// Answered 202.
    pub accepted: u64,
    /// Closed as completed.
    pub completed: u64,
    /// Data read back and verified.
    pub verified: u64,
    /// Callbacks received.
    pub callbacks: u64,
    /// Callbacks received again.
    pub repeated: u64,
    /// What went wrong.
    pub errors: Vec<String>,
    /// From the call to its 202.
    pub accept_ms: Percentiles,
    /// From the call to the data read back.
    pub complete_ms: Percentiles,
}

#[derive(Default)]
struct Inner {
    totals: Totals,
    story: Seen,
    accept: Durations,
    complete: Durations,
    seen: HashSet<String>,
    waiting: HashMap<String, oneshot::Sender<Ending>>,
    ended: HashMap<String, Ending>,
    results: HashMap<String, oneshot::Sender<Value>>,
    in_doubt: HashSet<String>,
    told_of_end: HashSet<String>,
}

/// Shared by the three applications.
#[derive(Default)]
pub struct Record {
    inner: Mutex<Inner>,
    /// Signing keys of the AS, by version.
    as_keys: Mutex<BTreeMap<u64, String>>,
}

impl Record {
    /// Counts a callback. False if one with this id came before.
    pub fn callback(&self, id: &str) -> bool {
        let mut inner = self.inner.lock();
        inner.totals.callbacks += 1;
        let is_new = inner.seen.insert(id.to_owned());
        if !is_new {
            inner.totals.repeated += 1;
        }
        is_new
    }

    /// An application was told of an event under this identity.
    pub fn event(&self, event: String, id: &str) {
        let mut inner = self.inner.lock();
        let ids = inner.story.events.entry(event).or_default();
        ids.insert(id.to_owned());
    }

    /// A request was created for the call with this reference id.
    pub fn created(&self, request_id: &str, reference_id: &str) {
        let mut inner = self.inner.lock();
        let references = &mut inner.story.references;
        references.insert(request_id.to_owned(), reference_id.to_owned());
    }

    /// The request that was created for the call with this reference id.
    pub fn request_of(&self, reference_id: &str) -> Option<String> {
        let inner = self.inner.lock();
        let mut created = inner.story.references.iter();
        let found = created.find(|(_, reference)| *reference == reference_id);
        found.map(|(request_id, _)| request_id.clone())
    }

    /// The IdP's application asks for an identity.
    pub fn begins_identity(&self, reference_id: &str) {
        let mut inner = self.inner.lock();
        let identities = &mut inner.story.identities;
        identities.insert(reference_id.to_owned(), None);
    }

    /// It was told that the identity is on the platform.
    pub fn ends_identity(&self, reference_id: &str, reference_group_code: &str) {
        let mut inner = self.inner.lock();
        let group = Some(reference_group_code.to_owned());
        let identities = &mut inner.story.identities;
        identities.insert(reference_id.to_owned(), group);
    }

    /// A request was answered 202.
    pub fn accepted(&self, request_id: &str, took: Duration) {
        let mut inner = self.inner.lock();
        inner.story.accepted.insert(request_id.to_owned());
        inner.totals.accepted += 1;
        inner.accept.record(took);
    }

    /// A request was closed as completed.
    pub fn completed(&self) {
        self.inner.lock().totals.completed += 1;
    }

    /// A request's data was read back and verified.
    pub fn verified(&self, request_id: &str, took: Duration) {
        let mut inner = self.inner.lock();
        inner.story.verified.insert(request_id.to_owned());
        let until = Millis::now();
        let took_it = Took { until, time: took };
        inner.story.took.insert(request_id.to_owned(), took_it);
        inner.totals.verified += 1;
        inner.complete.record(took);
    }

    /// Something went wrong.
    pub fn fail(&self, problem: String) {
        let mut inner = self.inner.lock();
        if inner.totals.errors.len() < MOST_ERRORS {
            inner.totals.errors.push(problem);
        }
    }

    /// The answer to the call with this reference id was lost: the call is made
    /// again and may be refused, because the node had taken it.
    pub fn put_in_doubt(&self, reference_id: &str) {
        self.inner.lock().in_doubt.insert(reference_id.to_owned());
    }

    /// Whether a call with this reference id was made again.
    pub fn is_in_doubt(&self, reference_id: &str) -> bool {
        self.inner.lock().in_doubt.contains(reference_id)
    }

    /// The AS's application answers this request twice.
    pub fn answers_twice(&self, request_id: &str) {
        let mut inner = self.inner.lock();
        inner.story.answered_twice.insert(request_id.to_owned());
    }

    /// Whether it has done so.
    pub fn is_answered_twice(&self, request_id: &str) -> bool {
        self.inner.lock().story.answered_twice.contains(request_id)
    }

    /// The RP's application was told that this request has ended.
    pub fn heard_of_the_end(&self, request_id: &str) {
        self.inner.lock().told_of_end.insert(request_id.to_owned());
    }

    /// Whether it was: nothing new may be told of the request after that.
    pub fn has_heard_of_the_end(&self, request_id: &str) -> bool {
        self.inner.lock().told_of_end.contains(request_id)
    }

    /// A request has ended; it may do so before its 202 has been read.
    pub fn end(&self, request_id: &str, ending: Ending) {
        let mut inner = self.inner.lock();
        match inner.waiting.remove(request_id) {
            // The waiter may have given up; it has reported that itself.
            Some(waiter) => drop(waiter.send(ending)),
            None => drop(inner.ended.insert(request_id.to_owned(), ending)),
        }
    }

    /// Resolves when the request has ended.
    pub fn ending_of(&self, request_id: &str) -> oneshot::Receiver<Ending> {
        let (sender, receiver) = oneshot::channel();
        let mut inner = self.inner.lock();
        match inner.ended.remove(request_id) {
            Some(ending) => drop(sender.send(ending)),
            None => drop(inner.waiting.insert(request_id.to_owned(), sender)),
        }
        receiver
    }

    /// Resolves with the `*_result` callback of this reference id.
    pub fn expect_result(&self, reference_id: &str) -> oneshot::Receiver<Value> {
        let (sender, receiver) = oneshot::channel();
        self.inner
            .lock()
            .results
            .insert(reference_id.to_owned(), sender);
        receiver
    }

    /// A `*_result` callback came.
    pub fn result(&self, reference_id: &str, body: Value) {
        if let Some(waiter) = self.inner.lock().results.remove(reference_id) {
            drop(waiter.send(body));
        }
    }

    /// The AS's signing key of this version, as it was asked for before.
    pub fn as_key(&self, version: u64) -> Option<String> {
        self.as_keys.lock().get(&version).cloned()
    }

    /// Remembers a signing key of the AS.
    pub fn knows_as_key(&self, version: u64, key: &str) {
        self.as_keys.lock().insert(version, key.to_owned());
    }

    /// How many things went wrong so far.
    pub fn errors(&self) -> usize {
        self.inner.lock().totals.errors.len()
    }

    /// Sums so far.
    pub fn totals(&self) -> Totals {
        let inner = self.inner.lock();
        Totals {
            accept_ms: inner.accept.percentiles(),
            complete_ms: inner.complete.percentiles(),
            ..inner.totals.clone()
        }
    }

    /// What can be compared with the ledger and the stores afterwards.
    pub fn seen(&self) -> Seen {
        self.inner.lock().story.clone()
    }
}
