//! Counts the open jobs of each kind by phase, for operators.

use std::collections::BTreeMap;

use crate::dispatch::queue::Phase;
use crate::dispatch::snapshot::{KindSnapshot, PhaseCounts};
use crate::job::{Kind, Kinds};

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct KindCounts(BTreeMap<u16, PhaseCounts>);

impl KindCounts {
    /// A job of this kind enters or leaves a phase.
    pub(super) fn count(&mut self, kind: Kind, phase: Phase, enters: bool) {
        let counts = self.0.entry(kind.number()).or_default();
        let count = match phase {
            Phase::InLine => &mut counts.in_line,
            Phase::Blocked(_) => &mut counts.blocked,
            Phase::HeldUntil(_) => &mut counts.held_until,
            Phase::HeldAbove { .. } => &mut counts.held_above,
            Phase::Assigned(_) => &mut counts.assigned,
            Phase::Unsettled => &mut counts.unsettled,
            Phase::Parked => &mut counts.parked,
        };
        match enters {
            true => *count += 1,
            false => *count -= 1,
        }
    }

    /// Kinds with open jobs.
    pub(super) fn shown(&self) -> Vec<KindSnapshot> {
        let open = self.0.iter().filter(|(_, counts)| counts.total() > 0);
        open.filter_map(|(number, counts)| {
            let kind = match *number == Kind::UNREADABLE.number() {
                true => Kind::UNREADABLE,
                false => Kinds::given().with_number(*number)?,
            };
            Some(KindSnapshot {
                kind,
                counts: *counts,
            })
        })
        .collect()
    }
}
