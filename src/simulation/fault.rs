//! The kinds of faults, how often each occurred, and the results of the work.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// A kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Fault { $($(#[$doc])* $variant,)* }

        impl Fault {
            /// Every kind.
            pub const ALL: &'static [Fault] = &[$(Fault::$variant),*];

            /// The name in reports.
            pub fn name(self) -> &'static str {
                match self { $(Fault::$variant => $name),* }
            }
        }
    };
}

faults! {
    MasterKilled = "master_killed";
    /// A master is stopped for a while (SIGSTOP, a slow disk, a frozen machine).
    MasterPaused = "master_paused";
    /// A paused master resumes when another is already master.
    DeposedMasterWakes = "deposed_master_wakes";
    /// A master is told to stop.
    MasterStopped = "master_stopped";
    WorkerKilled = "worker_killed";
    /// A worker is killed with jobs running.
    RunsKilled = "runs_killed";
    /// A worker is stopped for a while.
    WorkerPaused = "worker_paused";
    /// A worker is told to stop.
    WorkerDrained = "worker_drained";
    /// A connection is cut.
    LinkCut = "link_cut";
    /// Messages under way are lost with their connection.
    MessagesLost = "messages_lost";
    /// A connection carries nothing any more, and neither end is told.
    LinkHalfOpen = "link_half_open";
    /// One end believes that the other is dead, rightly or not.
    LinkSilent = "link_silent";
    /// A message arrives before one that was sent earlier elsewhere.
    MessagesReordered = "messages_reordered";
    AnnouncementLost = "announcement_lost";
    /// An announcement arrives a second time.
    AnnouncementRepeated = "announcement_repeated";
    /// A client, or a master, sends its jobs again because it got no answer.
    AcceptRepeated = "accept_repeated";
    /// The store fails a call without performing it.
    StoreFails = "store_fails";
    /// The store performs a call, and its answer is lost.
    AnswerLost = "answer_lost";
    /// The store performs a call whose caller is dead by then.
    WriteOutlivesWriter = "write_outlives_writer";
    /// The store is down for a while.
    StoreDown = "store_down";
    /// The wall clock of a process jumps forward.
    ClockForward = "clock_forward";
    /// The wall clock of a process jumps back.
    ClockBack = "clock_back";
    /// A handler panics.
    Panic = "panic";
    /// A handler wants to try again later.
    Retry = "retry";
    /// The store refuses a commit of an attempt that was given up.
    CommitFenced = "commit_fenced";
    /// The store refuses a write of a deposed master.
    WriteOfDeposed = "write_of_deposed";
}

/// The results of a run; not part of the world's state.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Steps taken, including those after the faults stopped.
    pub steps: u64,
    /// Jobs accepted.
    pub accepted: u64,
    /// Jobs committed.
    pub committed: u64,
    /// Times a job was parked.
    pub parked: u64,
    /// Assignments of a job that had been assigned before.
    pub rerun: u64,
    /// Masters that began.
    pub terms: u64,
    /// Operations of operators.
    pub operations: u64,
    /// How often each kind of fault occurred.
    pub faults: BTreeMap<Fault, u64>,
}

impl Figures {
    pub fn count(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Figures) {
        self.steps += other.steps;
        self.accepted += other.accepted;
        self.committed += other.committed;
        self.parked += other.parked;
        self.rerun += other.rerun;
        self.terms += other.terms;
        self.operations += other.operations;
        for (fault, times) in &other.faults {
            *self.faults.entry(*fault).or_default() += times;
        }
    }

    /// Kinds of faults that never fired.
    pub fn missing(&self) -> Vec<Fault> {
        let fired = |fault: &Fault| self.faults.contains_key(fault);
        let all = Fault::ALL.iter().copied();
        all.filter(|fault| !fired(fault)).collect()
    }
}

/// Worlds that differ only in their figures are equal.
impl PartialEq for Figures {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Figures {}

impl Hash for Figures {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
