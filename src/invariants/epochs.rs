//! Checks the order of masters: a mastership checks those it leads, a worker
//! those it follows, the simulator all of them.

use crate::job::Epoch;

use super::{Invariant, Violation};

/// The latest master seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Epochs {
    highest: Option<Epoch>,
}

impl Epochs {
    /// A master begins with this epoch.
    pub fn begins(&mut self, epoch: Epoch) -> Option<Violation> {
        let before = self.highest.replace(epoch);
        before.filter(|before| *before >= epoch).map(|before| {
            let detail = format!(
                "a master begins with epoch {} after one with epoch {}",
                epoch.0, before.0
            );
            Violation::new(Invariant::EpochRises, detail)
        })
    }

    /// Somebody follows a master of this epoch, perhaps the same as before.
    pub fn follows(&mut self, epoch: Epoch) -> Option<Violation> {
        let before = self.highest.replace(epoch);
        before.filter(|before| *before > epoch).map(|before| {
            let detail = format!(
                "a master of epoch {} is followed after one of epoch {}",
                epoch.0, before.0
            );
            Violation::new(Invariant::EpochRises, detail)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_master_needs_an_epoch_of_its_own() {
        let mut epochs = Epochs::default();
        assert_eq!(epochs.begins(Epoch(1)), None);
        assert_eq!(epochs.begins(Epoch(3)), None);
        let violation = epochs.begins(Epoch(3)).map(|seen| seen.invariant);
        assert_eq!(violation, Some(Invariant::EpochRises));
    }

    #[test]
    fn a_worker_may_follow_one_master_again_but_never_an_earlier_one() {
        let mut epochs = Epochs::default();
        assert_eq!(epochs.follows(Epoch(2)), None);
        assert_eq!(epochs.follows(Epoch(2)), None);
        let violation = epochs.follows(Epoch(1)).map(|seen| seen.invariant);
        assert_eq!(violation, Some(Invariant::EpochRises));
    }
}
