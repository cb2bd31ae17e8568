//! What the sampler saw last, shared by everybody who looks.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;

use super::facts::NodeFacts;
use crate::dispatch::Overview;
use crate::store::Counts;

/// How many samples are remembered and drawn.
pub(super) const REMEMBERED: usize = 150;

/// One second of a node.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema, Default)]
pub struct Sample {
    /// When it was taken (ms).
    pub at: u64,
    /// Jobs that ended per second; absent where no master is asked.
    pub ended_per_s: Option<f64>,
    /// How many of them failed.
    pub failed_per_s: Option<f64>,
    /// Jobs per second that are to be tried again.
    pub delayed_per_s: Option<f64>,
    /// How long jobs took from the instant at which they could run, in
    /// milliseconds: half of them at most so long. Absent if none ended.
    pub p50_ms: Option<u64>,
    /// 95 of 100 at most so long.
    pub p95_ms: Option<u64>,
    /// 99 of 100 at most so long.
    pub p99_ms: Option<u64>,
    /// Open jobs.
    pub open: Option<u64>,
    /// On workers.
    pub running: Option<u64>,
}

/// Everything that pages are made of without asking anybody.
#[derive(Debug, Clone)]
pub(super) struct LastLook {
    pub facts: NodeFacts,
    /// `None` where no master is asked.
    pub overview: Option<Arc<Overview>>,
    /// Why the store does not tell, if it does not.
    pub counts: Result<Counts, String>,
    /// Newest last.
    pub samples: VecDeque<Sample>,
    /// What pages of each [`Live`] are sent.
    pub frames: [Bytes; Live::ALL.len()],
}

impl LastLook {
    pub fn now(&self) -> Sample {
        self.samples.back().cloned().unwrap_or_default()
    }

    /// Jobs that wait for an operator.
    pub fn parked(&self) -> u64 {
        self.counts.as_ref().map_or(0, |counts| counts.parked)
    }
}

/// Pages that change while they are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Live {
    Glance,
    Queue,
}

impl Live {
    pub const ALL: [Self; 2] = [Self::Glance, Self::Queue];

    pub fn name(self) -> &'static str {
        match self {
            Self::Glance => "glance",
            Self::Queue => "queue",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|live| live.name() == name)
    }
}
