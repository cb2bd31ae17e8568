//! Checks that an answer of the ledger is as new as what this node has seen.
//!
//! The ledger has many nodes. The one that answers may be behind, or another
//! one than a moment ago. What it does not know may exist all the same: an
//! answer from a state older than what this node has acted on is no answer.
//! Pure.

use std::time::{Duration, Instant};

use super::ChainUpdate;
use crate::error::{Error, codes};

/// The newest state that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    chain_id: String,
    height: u64,
    /// `None`: as stored by an earlier master.
    era: Option<u64>,
}

/// What was seen, and since when answers have been older.
#[derive(Debug, Clone, Default)]
pub(super) struct Freshness {
    seen: Option<Seen>,
    old_since: Option<Instant>,
}

/// An answer that is older than what was seen.
#[derive(Debug)]
pub(super) struct Old {
    /// Since when all answers have been too old.
    pub since: Instant,
    pub error: Error,
}

impl Freshness {
    /// Notes what this node had seen before its restart. The master knows
    /// better.
    pub fn remember(&mut self, chain_id: &str, height: u64) {
        self.seen.get_or_insert_with(|| Seen {
            chain_id: chain_id.to_owned(),
            height,
            era: None,
        });
    }

    /// Notes what the master has seen.
    pub fn tell(&mut self, update: &ChainUpdate) {
        self.seen = Some(Seen {
            chain_id: update.chain_id.clone(),
            height: update.height,
            era: Some(update.era),
        });
    }

    /// The era of this chain, if the master has told it.
    pub fn era(&self, chain_id: &str) -> Option<u64> {
        let seen = self.seen.as_ref()?;
        seen.era.filter(|_| seen.chain_id == chain_id)
    }

    /// Whether the last answer was older than what was seen.
    pub fn is_old(&self) -> bool {
        self.old_since.is_some()
    }

    /// Judges an answer. `chain_id`: of the connected ledger, if it has told;
    /// `state`: the last block of the answering state, if the answer says it;
    /// `asked`: the block whose state was asked for.
    /// # Errors
    /// When the answer is older than what was seen.
    pub fn judge(
        &mut self,
        chain_id: Option<&str>,
        state: Option<u64>,
        asked: Option<u64>,
        now: Instant,
    ) -> Result<(), Old> {
        let text = self.problem(chain_id, state, asked);
        let Some(text) = text else {
            self.old_since = None;
            return Ok(());
        };
        let since = *self.old_since.get_or_insert(now);
        let error = Error::with_message(codes::TENDERMINT_NOT_CONNECTED, text).temporary();
        Err(Old { since, error })
    }

    fn problem(
        &self,
        chain_id: Option<&str>,
        state: Option<u64>,
        asked: Option<u64>,
    ) -> Option<String> {
        let seen = self.seen.as_ref()?;
        match chain_id {
            Some(chain_id) if chain_id == seen.chain_id => {}
            Some(other) => {
                let known = &seen.chain_id;
                return Some(format!("the ledger is of chain {other}, not of {known}"));
            }
            None => return Some("the ledger has not told its chain yet".to_owned()),
        }
        let needed = seen.height.max(asked.unwrap_or_default());
        let state = state.filter(|state| *state < needed)?;
        Some(format!(
            "the ledger is at block {state}, although block {needed} was seen"
        ))
    }
}

/// How long to wait for an answer that is new enough: ledger nodes behind one
/// address differ by a block or two.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn update(chain_id: &str, height: u64, era: u64) -> ChainUpdate {
        ChainUpdate {
            chain_id: chain_id.to_owned(),
            height,
            ready: true,
            methods: Vec::new(),
            reset: false,
            era,
        }
    }

    fn is_old(freshness: &mut Freshness, chain: Option<&str>, state: u64, asked: u64) -> bool {
        let asked = Some(asked).filter(|asked| *asked > 0);
        let judged = freshness.judge(chain, Some(state), asked, Instant::now());
        if let Err(old) = &judged {
            assert!(old.error.is_temporary());
        }
        assert_eq!(freshness.is_old(), judged.is_err());
        judged.is_err()
    }

    #[test]
    fn an_answer_from_below_what_was_seen_is_old() {
        let mut freshness = Freshness::default();
        assert!(!is_old(&mut freshness, None, 1, 0), "nothing was seen");
        freshness.tell(&update("a", 10, 0));
        assert!(is_old(&mut freshness, Some("a"), 9, 0));
        assert!(!is_old(&mut freshness, Some("a"), 10, 0));
        assert!(!is_old(&mut freshness, Some("a"), 10, 7), "of earlier");
        assert!(is_old(&mut freshness, Some("a"), 10, 11), "of later");
        let unknown = freshness.judge(Some("a"), None, None, Instant::now());
        assert!(unknown.is_ok(), "it does not say how old it is");
    }

    #[test]
    fn an_answer_of_another_chain_is_old_until_the_master_has_told_of_it() {
        let mut freshness = Freshness::default();
        freshness.tell(&update("a", 10, 0));
        assert!(is_old(&mut freshness, Some("b"), 99, 0));
        assert!(is_old(&mut freshness, None, 99, 0));
        assert_eq!((freshness.era("a"), freshness.era("b")), (Some(0), None));
        freshness.tell(&update("b", 2, 1));
        assert!(!is_old(&mut freshness, Some("b"), 2, 0));
        assert_eq!((freshness.era("a"), freshness.era("b")), (None, Some(1)));
    }

    #[test]
    fn what_was_stored_counts_until_the_master_has_told_more() {
        let mut freshness = Freshness::default();
        freshness.remember("a", 10);
        assert!(is_old(&mut freshness, Some("a"), 9, 0));
        assert_eq!(freshness.era("a"), None);
        freshness.tell(&update("a", 4, 1));
        freshness.remember("a", 10);
        assert!(!is_old(&mut freshness, Some("a"), 4, 0));
    }
}
