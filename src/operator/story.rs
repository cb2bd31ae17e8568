//! What the store knows of one request: its jobs, messages, transactions,
//! callbacks and the decisions about them, in the order of their times. Jobs
//! that have ended well leave nothing but their effects, so an old story has
//! messages and state only.

use memchr::memmem::Finder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::message::{Field, JobState, Shown};
use super::shown::{shown_failed, shown_open};
use crate::context::row;
use crate::delivery::transaction::Expected;
use crate::delivery::{callback, message, transaction};
use crate::job::{Job, JobId, Kind, Table, codec};
use crate::store::{AUDIT_KEPT, Audited, Store, StoreError};

/// Jobs and rows read from the store at once.
const PAGE: usize = 500;
/// Most chapters; there are more only of a request that something went wrong
/// with again and again.
const MOST: usize = 1000;

/// The tables with a row for each request.
const STATE: [Table; 7] = [
    Table::RequestData,
    Table::ConsentRequest,
    Table::DataRequest,
    Table::PendingDataRequest,
    Table::PendingAsData,
    Table::AsData,
    Table::DataAnswer,
];

/// One request's story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestStory {
    pub request_id: String,
    /// Oldest first.
    pub chapters: Vec<Chapter>,
    /// What the node keeps of the request: a row of these tables, of so many
    /// bytes.
    pub kept: Vec<KeptRow>,
    /// There is more than is told.
    pub is_cut: bool,
}

impl RequestStory {
    /// Whether the store knows nothing of the request.
    pub fn is_empty(&self) -> bool {
        self.chapters.is_empty() && self.kept.is_empty()
    }
}

/// A row of state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeptRow {
    pub table: String,
    pub node_id: String,
    pub columns: u64,
    pub bytes: u64,
}

/// Something that happened, or is to happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Chapter {
    /// When (ms): a job was accepted, a message came or went, a transaction was
    /// signed, an operator decided.
    pub at: u64,
    pub of: ChapterKind,
    /// A kind of job, a type of message, a method of the ledger, a decision.
    pub name: String,
    /// The job that it is about, if it is about one.
    pub job: Option<String>,
    /// Of a job.
    pub state: Option<JobState>,
    /// The trace that it belongs to, if it has one.
    pub trace: Option<String>,
    /// What may be shown besides: no secrets, and nothing about persons.
    pub details: Vec<Field>,
}

/// What a [`Chapter`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChapterKind {
    /// The node's own work.
    Job,
    /// A message from another node.
    Received,
    /// A message to another node.
    Sent,
    /// A message that another node has not acknowledged.
    Sending,
    /// A transaction that no block has shown yet.
    Transaction,
    /// A callback that was not delivered yet, or never.
    Callback,
    /// What an operator decided.
    Decision,
}

impl ChapterKind {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Received => "received",
            Self::Sent => "sent",
            Self::Sending => "sending",
            Self::Transaction => "transaction",
            Self::Callback => "callback",
            Self::Decision => "decision",
        }
    }

    fn of_job(kind: Kind) -> Self {
        if kind == message::DELIVER {
            Self::Sending
        } else if kind == callback::DELIVER {
            Self::Callback
        } else if kind == transaction::TRANSACT || kind == transaction::DELIVER {
            Self::Transaction
        } else {
            Self::Job
        }
    }
}

/// Collects the story of a request. `node_ids` are the nodes whose state is
/// looked at: the node itself and, on a proxy, those behind it.
/// # Errors
/// Those of the store.
pub async fn gather(
    store: &dyn Store,
    node_ids: &[String],
    request_id: &str,
) -> Result<RequestStory, StoreError> {
    let mut teller = Teller {
        store,
        request_id,
        finder: Finder::new(request_id),
        chapters: Vec::new(),
        jobs: Vec::new(),
    };
    teller.open_jobs().await?;
    teller.failed_jobs().await?;
    teller.transactions().await?;
    let mut kept = Vec::new();
    for node_id in node_ids {
        teller.messages(node_id).await?;
        for table in STATE {
            kept.extend(teller.kept(table, node_id).await?);
        }
    }
    teller.decisions().await?;
    let Teller { mut chapters, .. } = teller;
    chapters.sort_by_key(|chapter| chapter.at);
    let is_cut = chapters.len() > MOST;
    chapters.truncate(MOST);
    Ok(RequestStory {
        request_id: request_id.to_owned(),
        chapters,
        kept,
        is_cut,
    })
}

struct Teller<'a> {
    store: &'a dyn Store,
    request_id: &'a str,
    finder: Finder<'a>,
    chapters: Vec<Chapter>,
    /// Those that are told of.
    jobs: Vec<JobId>,
}

impl Teller<'_> {
    fn is_full(&self) -> bool {
        self.chapters.len() > MOST
    }

    fn names(&self, bytes: &[u8]) -> bool {
        self.finder.find(bytes).is_some()
    }

    /// By its key, or because its content names the request.
    fn is_about(&self, job: &Job) -> bool {
        self.names(job.key().as_bytes()) || self.names(&job.new.payload)
    }

    fn tell_job(&mut self, job: &Job, shown: Shown) {
        self.jobs.push(job.id());
        self.chapters.push(Chapter {
            trace: job.new.trace.map(|trace| trace.trace_id()),
            ..chapter_of(job.kind(), shown)
        });
    }

    async fn open_jobs(&mut self) -> Result<(), StoreError> {
        let mut after = 0;
        while !self.is_full() {
            let page = self.store.open_jobs(after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.seq;
            let own: Vec<Job> = page.into_iter().filter(|job| self.is_about(job)).collect();
            let ids: Vec<JobId> = own.iter().map(Job::id).collect();
            let errors = self.store.last_errors(&ids).await?;
            for (job, error) in own.iter().zip(errors) {
                self.tell_job(job, shown_open(job, error));
            }
        }
        Ok(())
    }

    async fn failed_jobs(&mut self) -> Result<(), StoreError> {
        let mut after = 0;
        while !self.is_full() {
            let page = self.store.failed_jobs(after, PAGE).await?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = *last;
            for (_, failed) in &page {
                if self.is_about(&failed.job) {
                    self.tell_job(&failed.job, shown_failed(failed));
                }
            }
        }
        Ok(())
    }

    /// Those whose fate is not known yet.
    async fn transactions(&mut self) -> Result<(), StoreError> {
        let hashes = self.store.rows(Table::ExpectedTransaction, "").await?;
        for hashes in hashes.chunks(PAGE) {
            let records = self.store.get_many(Table::ExpectedTransaction, hashes);
            for (hash, record) in hashes.iter().zip(records.await?) {
                let record = record.unwrap_or_default();
                // What cannot be read is no part of a story; its own job is
                // parked and tells of it.
                if let Ok(expected) = codec::decode::<Expected>(&record)
                    && self.names(expected.transact.params.as_bytes())
                {
                    self.chapters.push(chapter_of_transaction(hash, &expected));
                }
            }
        }
        Ok(())
    }

    async fn messages(&mut self, node_id: &str) -> Result<(), StoreError> {
        let row = row(node_id, self.request_id);
        let columns = self.store.columns(Table::PrivateMessage, &row).await?;
        for (_, bytes) in columns {
            if let Ok(record) = serde_json::from_slice(&bytes) {
                self.chapters.push(chapter_of_message(&record, bytes.len()));
            }
        }
        Ok(())
    }

    async fn kept(&self, table: Table, node_id: &str) -> Result<Option<KeptRow>, StoreError> {
        let row = row(node_id, self.request_id);
        let columns = self.store.columns(table, &row).await?;
        let bytes = columns.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        Ok((!columns.is_empty()).then(|| KeptRow {
            table: table.name().to_owned(),
            node_id: node_id.to_owned(),
            columns: columns.len() as u64,
            bytes,
        }))
    }

    async fn decisions(&mut self) -> Result<(), StoreError> {
        for audited in self.store.audit(AUDIT_KEPT).await? {
            let job = audited.operation.job;
            if self.jobs.contains(&job) || self.names(audited.key.as_bytes()) {
                self.chapters.push(chapter_of_decision(&audited));
            }
        }
        Ok(())
    }
}

fn field(name: &str, value: impl ToString) -> Field {
    Field {
        name: name.to_owned(),
        value: value.to_string(),
    }
}

fn chapter_of(kind: Kind, shown: Shown) -> Chapter {
    let mut details = vec![field("attempt", shown.attempt), field("tries", shown.tries)];
    let times = [
        ("not_before_ms", shown.not_before),
        ("deadline_ms", shown.deadline),
        ("failed_at_ms", shown.failed_at),
        ("after_block", shown.after_height),
    ];
    let times = times.into_iter();
    details.extend(times.filter_map(|(name, at)| Some(field(name, at?))));
    details.extend(shown.last_error.map(|error| field("last_error", error)));
    details.push(field("payload_bytes", shown.payload_bytes));
    details.extend(shown.payload);
    Chapter {
        at: shown.accepted_at,
        of: ChapterKind::of_job(kind),
        name: shown.kind,
        job: Some(shown.id),
        state: Some(shown.state),
        trace: None,
        details,
    }
}

fn chapter_of_transaction(hash: &str, expected: &Expected) -> Chapter {
    Chapter {
        at: expected.signed_at.0,
        of: ChapterKind::Transaction,
        name: expected.transact.method.clone(),
        job: None,
        state: None,
        trace: expected.trace.map(|trace| trace.trace_id()),
        details: vec![
            field("hash", hash),
            field("signed_by", &expected.transact.node_id),
            field("bytes", expected.bytes.len()),
        ],
    }
}

/// Of the long-term record of messages.
fn chapter_of_message(record: &Value, bytes: usize) -> Chapter {
    let is_inbound = record["direction"] == "inbound";
    let mut details = vec![field("record_bytes", bytes)];
    let nodes: Vec<&str> = match is_inbound {
        true => record["source"]["node_id"].as_str().into_iter().collect(),
        false => {
            let destinations = record["destinations"].as_array().into_iter().flatten();
            destinations
                .filter_map(|to| to["node_id"].as_str())
                .collect()
        }
    };
    let name = if is_inbound { "from" } else { "to" };
    details.push(field(name, nodes.join(", ")));
    Chapter {
        at: record["timestamp"].as_u64().unwrap_or_default(),
        of: if is_inbound {
            ChapterKind::Received
        } else {
            ChapterKind::Sent
        },
        name: record["message"]["type"]
            .as_str()
            .unwrap_or("unknown")
            .to_owned(),
        job: None,
        state: None,
        trace: None,
        details,
    }
}

fn chapter_of_decision(audited: &Audited) -> Chapter {
    let operation = &audited.operation;
    Chapter {
        at: operation.at.0,
        of: ChapterKind::Decision,
        name: operation.action.name().to_owned(),
        job: Some(operation.job.to_string()),
        state: None,
        trace: None,
        details: vec![
            field("kind", audited.kind.name()),
            field("who", &operation.who),
            field("why", &operation.why),
            field("reason", &audited.reason),
        ],
    }
}

#[cfg(test)]
#[path = "story_tests.rs"]
mod tests;
