//! The record of a development message queue service: which message came how
//! often, whether a subscriber was there, and when it was acknowledged. A line
//! is written at once, so that a killed service leaves a complete record.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::job::Millis;

/// An event.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum MqRecordEntry<'a> {
    /// A transmission of a message came.
    Came {
        sender_id: &'a str,
        message_id: &'a str,
        /// How many subscribers got it.
        subscribers: usize,
    },
    /// The node acknowledged a message.
    Acknowledged { message_id: &'a str },
}

#[derive(Serialize)]
struct Line<'a> {
    at: u64,
    #[serde(flatten)]
    entry: MqRecordEntry<'a>,
}

pub(super) struct MqRecord(File);

impl MqRecord {
    /// Opens a file, or creates it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Self(file))
    }

    /// Writes a line.
    pub fn note(&self, entry: MqRecordEntry<'_>) {
        let at = Millis::now().0;
        // Plain data can be written as JSON.
        let mut line = serde_json::to_vec(&Line { at, entry }).unwrap_or_default();
        line.push(b'\n');
        if let Err(error) = (&self.0).write_all(&line) {
            tracing::error!(%error, "cannot write the record of messages");
        }
    }
}

/// A recorded event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Noted {
    /// By the wall clock, in milliseconds.
    pub at: u64,
    #[serde(flatten)]
    pub event: NotedEvent,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum NotedEvent {
    /// A transmission of a message came.
    Came {
        /// Which node's message queue service sent it.
        sender_id: String,
        message_id: String,
        /// How many subscribers got it.
        subscribers: usize,
    },
    /// The node acknowledged a message.
    Acknowledged { message_id: String },
}

/// Reads a file. A missing one is empty, and a line that a kill cut off is left
/// out.
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<Noted>> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text?,
    };
    let lines = text.lines();
    Ok(lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}
