//! What the API answers.

use schemars::JsonSchema;
use serde::Serialize;

use crate::dashboard::facts::NodeFacts;
use crate::dashboard::seen::{LastLook, Sample};
use crate::dispatch::{Load, PhaseCounts, SessionSnapshot};
use crate::operator::{DecisionRecord, JobPage, ReceiverShown, Shown};

/// A process and, if it is the master, the node's queue.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NodeShown {
    pub node: NodeFacts,
    /// Absent while the store does not tell.
    pub counts: Option<CountsShown>,
    /// The last second.
    pub sample: Sample,
    /// Absent where no master is asked.
    pub queue: Option<QueueShown>,
    /// Connected to this master.
    pub workers: Vec<WorkerShown>,
}

/// Jobs as the store counts them.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CountsShown {
    pub open: u64,
    pub open_bytes: u64,
    /// How many of the open ones wait for an operator.
    pub parked: u64,
    pub failed: u64,
}

/// Open jobs by state, as the dispatcher knows them.
#[derive(Debug, Serialize, JsonSchema)]
pub struct QueueShown {
    /// Everything that was open at the start of this master is known.
    pub complete: bool,
    /// Age of the oldest job that waits for nothing but its turn.
    pub oldest_ms: Option<u64>,
    #[serde(flatten)]
    pub counts: PhasesShown,
}

/// Open jobs by state.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PhasesShown {
    /// Next in their key's line, or behind another.
    pub in_line: u64,
    /// Failed for a temporary reason, and block their key until their next try.
    pub blocked: u64,
    /// Wait for an instant.
    pub held_until: u64,
    /// Wait for a block.
    pub held_above: u64,
    /// On a worker.
    pub running: u64,
    /// Given up by their worker; the store is being asked about them.
    pub unsettled: u64,
    /// Wait for an operator.
    pub parked: u64,
}

/// A worker and its load.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WorkerShown {
    pub name: String,
    /// Jobs of the node's own work.
    pub run: LoadShown,
    /// Deliveries to others.
    pub delivery: LoadShown,
    /// It takes no more jobs.
    pub draining: bool,
}

/// How much of a worker is in use.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LoadShown {
    pub in_use: u32,
    pub capacity: u32,
}

/// A page of jobs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct JobsShown {
    pub jobs: Vec<Shown>,
    /// To be given as `after`, for the next page; absent on the last one.
    pub next: Option<String>,
    /// How many jobs were looked at; a page looks at a limited number.
    pub looked_at: u64,
}

/// Open jobs of each kind.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KindsShown {
    /// Absent where no master is asked.
    pub kinds: Option<Vec<KindShown>>,
}

/// Open jobs of a kind.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KindShown {
    pub kind: String,
    #[serde(flatten)]
    pub counts: PhasesShown,
}

/// Receivers of deliveries.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReceiversShown {
    pub receivers: Vec<ReceiverShown>,
}

/// Decisions of operators, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditShown {
    pub audit: Vec<DecisionRecord>,
}

impl NodeShown {
    pub(in crate::dashboard) fn of(seen: &LastLook) -> Self {
        let overview = seen.overview.as_deref();
        let snapshot = overview.map(|overview| &overview.snapshot);
        Self {
            node: seen.facts.clone(),
            counts: seen.counts.as_ref().ok().map(|counts| CountsShown {
                open: counts.open,
                open_bytes: counts.open_bytes,
                parked: counts.parked,
                failed: counts.failed,
            }),
            sample: seen.now(),
            queue: snapshot.map(|snapshot| QueueShown {
                complete: snapshot.running,
                oldest_ms: snapshot.oldest.map(|age| age.as_millis() as u64),
                counts: PhasesShown {
                    in_line: (snapshot.jobs.ready + snapshot.jobs.waiting) as u64,
                    blocked: snapshot.jobs.blocked as u64,
                    held_until: snapshot.jobs.held_until as u64,
                    held_above: snapshot.jobs.held_above as u64,
                    running: snapshot.jobs.assigned as u64,
                    unsettled: snapshot.jobs.unsettled as u64,
                    parked: snapshot.jobs.parked as u64,
                },
            }),
            workers: snapshot.map_or_else(Vec::new, |snapshot| {
                snapshot.sessions.iter().map(worker).collect()
            }),
        }
    }
}

fn worker(session: &SessionSnapshot) -> WorkerShown {
    let load = |load: Load| LoadShown {
        in_use: load.in_use,
        capacity: load.capacity,
    };
    WorkerShown {
        name: session.worker.clone(),
        run: load(session.run),
        delivery: load(session.delivery),
        draining: session.draining,
    }
}

impl KindsShown {
    pub(in crate::dashboard) fn of(seen: &LastLook) -> Self {
        let kinds = seen.overview.as_ref().map(|overview| {
            let kinds = overview.kinds.iter();
            kinds
                .map(|of_kind| KindShown {
                    kind: of_kind.kind.name().to_owned(),
                    counts: phases(of_kind.counts),
                })
                .collect()
        });
        Self { kinds }
    }
}

fn phases(counts: PhaseCounts) -> PhasesShown {
    PhasesShown {
        in_line: counts.in_line as u64,
        blocked: counts.blocked as u64,
        held_until: counts.held_until as u64,
        held_above: counts.held_above as u64,
        running: counts.assigned as u64,
        unsettled: counts.unsettled as u64,
        parked: counts.parked as u64,
    }
}

impl JobsShown {
    pub(in crate::dashboard) fn of(page: JobPage) -> Self {
        Self {
            jobs: page.jobs,
            next: page.next.map(|start| start.to_string()),
            looked_at: page.looked_at,
        }
    }
}
