//! Whether the guarantees held, judged from outside: by the ledger's blocks,
//! by what the client applications saw, and by the stores after the nodes have
//! stopped. What a node says of itself proves nothing here; it can only be
//! used against it.

mod ledger;
mod stores;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::apps::Seen;
use super::mq_record::Noted;
use crate::ledger::BlockTransaction;

pub use ledger::read_transactions;
pub use stores::{Leftovers, read_store};
pub use waiting::{Absence, MessageCounts, NodeDependencies, Slowest, message_counts};

/// Resident memory a process of a node may use in a demo, in MB (10^6 bytes).
/// An idle one uses some 25, one with a million queued jobs 750.
const MOST_MEMORY_MB: f64 = 500.0;

const PROMISES: [(&str, &str); 6] = [
    ("G1", "accepted once"),
    ("G2", "never two at once, in order"),
    ("G3", "committed at most once"),
    ("G4", "never lost, never stuck"),
    ("G5", "one master per node"),
    ("G6", "bounded"),
];

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Id of the RP's node.
    pub rp_id: String,
    /// Every transaction in every block, in order.
    pub transactions: Vec<BlockTransaction>,
    /// What the applications saw.
    pub seen: Seen,
    /// What the applications complained of.
    pub complaints: Vec<String>,
    /// What each node's store holds after the node has stopped.
    pub left: BTreeMap<String, Leftovers>,
    /// Most resident memory of each process, in MB (10^6 bytes).
    pub memory: BTreeMap<String, f64>,
    /// Times at which two processes of a node believed to be its master.
    pub contradictions: BTreeSet<String>,
    /// Violations of invariants that the nodes noticed themselves.
    pub violations: u64,
    /// What each node's message queue service wrote down.
    pub messages: BTreeMap<String, Vec<Noted>>,
    /// What each node needs to take its messages.
    pub places: Vec<NodeDependencies>,
    /// When something was away.
    pub absences: Vec<Absence>,
    /// How often a message that is not acknowledged is transmitted again.
    pub repetition: Duration,
    /// What could not be looked at, and so cannot have been found right.
    pub unseen: Vec<String>,
}

/// What broke of each guarantee; nothing: it held. As JSON an object with
/// `G1` to `G6`, each `held` or the findings as one text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Guarantees([Vec<String>; 6]);

impl Guarantees {
    /// Whether all of them held.
    pub fn all_held(&self) -> bool {
        self.0.iter().all(Vec::is_empty)
    }

    /// Name, promise, and what broke.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &'static str, &[String])> {
        let promises = PROMISES.iter().zip(&self.0);
        promises.map(|((name, promise), findings)| (*name, *promise, findings.as_slice()))
    }
}

impl Serialize for Guarantees {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let verdict = |findings: &[String]| match findings {
            [] => "held".to_owned(),
            findings => findings.join("; "),
        };
        serializer.collect_map(
            self.all()
                .map(|(name, _, findings)| (name, verdict(findings))),
        )
    }
}

pub fn judge(evidence: &Evidence) -> Guarantees {
    let twice = &evidence.seen.answered_twice;
    let transactions = ledger::without_second_answers(&evidence.transactions, twice);
    Guarantees([
        accepted_once(evidence),
        ledger::out_of_order(&transactions),
        committed_once(evidence, &transactions),
        nothing_lost(evidence),
        evidence.contradictions.iter().cloned().collect(),
        bounded(evidence),
    ])
}

/// Every request and identity on the ledger is one that a client was told of: a
/// call that was repeated made no second one while the first lived.
fn accepted_once(evidence: &Evidence) -> Vec<String> {
    let requests = unknown_requests(evidence)
        .filter(|request_id| !has_ended_before_the_next(evidence, request_id))
        .map(|request_id| format!("request {request_id} is on the ledger, but no client has it"));
    let told: BTreeSet<&String> = evidence.seen.identities.values().flatten().collect();
    let identities = ledger::reference_groups(&evidence.transactions)
        .filter(|group| !told.contains(group))
        .map(|group| format!("identity {group} is on the ledger, but no client has it"));
    requests.chain(identities).collect()
}

/// Requests of calls whose answer was lost, and that had ended before the
/// call was made again: a reference id is remembered as long as its request
/// lives (spec/flows.md 2.1), so the repeated call made another one.
pub fn ended_before_the_repeat(evidence: &Evidence) -> u64 {
    unknown_requests(evidence)
        .filter(|request_id| has_ended_before_the_next(evidence, request_id))
        .count() as u64
}

fn unknown_requests(evidence: &Evidence) -> impl Iterator<Item = String> {
    ledger::requests_of(&evidence.transactions, &evidence.rp_id)
        .filter(|request_id| !evidence.seen.accepted.contains(request_id))
}

/// Whether the client has a request of the same reference id that was created
/// after this one had ended.
fn has_ended_before_the_next(evidence: &Evidence, request_id: &str) -> bool {
    let (transactions, seen) = (&evidence.transactions, &evidence.seen);
    let Some(reference) = seen.references.get(request_id) else {
        return false;
    };
    let Some(end) = ledger::place_of(transactions, "CloseRequest", request_id) else {
        return false;
    };
    seen.accepted
        .iter()
        .filter(|other| seen.references.get(*other) == Some(reference))
        .filter_map(|other| ledger::place_of(transactions, "CreateRequest", other))
        .any(|creation| creation > end)
}

fn committed_once(evidence: &Evidence, transactions: &[BlockTransaction]) -> Vec<String> {
    let mut findings = ledger::twice(transactions);
    for (event, ids) in &evidence.seen.events {
        if ids.len() > 1 {
            findings.push(format!("{event} came under {} identities", ids.len()));
        }
    }
    if evidence.violations > 0 {
        let count = evidence.violations;
        findings.push(format!(
            "the nodes noticed {count} violations of invariants"
        ));
    }
    findings
}

fn nothing_lost(evidence: &Evidence) -> Vec<String> {
    let seen = &evidence.seen;
    let mut findings: Vec<String> = seen
        .accepted
        .difference(&seen.verified)
        .map(|request_id| format!("request {request_id} was accepted and never verified"))
        .collect();
    let identities = seen.identities.iter();
    findings.extend(
        identities
            .filter(|(_, group)| group.is_none())
            .map(|(reference, _)| {
                format!("identity of {reference} was asked for, without a result")
            }),
    );
    findings.extend(evidence.complaints.iter().cloned());
    for (node_id, left) in &evidence.left {
        findings.extend(
            left.findings()
                .map(|finding| format!("{node_id}: {finding}")),
        );
    }
    findings.extend(evidence.unseen.iter().cloned());
    findings.extend(waiting::findings(evidence));
    findings
}

fn bounded(evidence: &Evidence) -> Vec<String> {
    let large = evidence
        .memory
        .iter()
        .filter(|(_, mb)| **mb > MOST_MEMORY_MB);
    large
        .map(|(process, mb)| format!("{process} used {mb:.0} MB"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(all: &[&str]) -> BTreeSet<String> {
        all.iter().map(|one| (*one).to_owned()).collect()
    }

    /// A run in which nothing went wrong.
    fn good() -> Evidence {
        Evidence {
            rp_id: "rp1".to_owned(),
            transactions: ledger::testing::a_request("r1"),
            seen: Seen {
                accepted: strings(&["r1"]),
                verified: strings(&["r1"]),
                events: BTreeMap::from([("rp: request_status".to_owned(), strings(&["id1"]))]),
                ..Seen::default()
            },
            left: BTreeMap::from([("rp1".to_owned(), Leftovers::default())]),
            memory: BTreeMap::from([("rp1-master".to_owned(), 30.0)]),
            ..Evidence::default()
        }
    }

    fn broken(spoil: impl FnOnce(&mut Evidence)) -> Vec<&'static str> {
        let mut evidence = good();
        spoil(&mut evidence);
        let guarantees = judge(&evidence);
        let broken = guarantees
            .all()
            .filter(|(_, _, findings)| !findings.is_empty());
        broken.map(|(name, _, _)| name).collect()
    }

    #[test]
    fn a_run_in_which_nothing_went_wrong_keeps_every_promise() {
        let guarantees = judge(&good());
        assert!(guarantees.all_held(), "{guarantees:?}");
        let json = serde_json::to_value(&guarantees).unwrap();
        for name in ["G1", "G2", "G3", "G4", "G5", "G6"] {
            assert_eq!(json[name], "held");
        }
    }

    #[test]
    fn each_kind_of_fault_breaks_its_promise() {
        let spoiled = broken(|evidence| {
            let other = ledger::testing::a_request("r2");
            evidence.transactions.extend(other);
        });
        assert_eq!(spoiled, ["G1"]);
        let registered = || {
            let params = serde_json::json!({"accessor_id": "a", "reference_group_code": "g"});
            ledger::testing::transaction("RegisterIdentity", "idp1", params)
        };
        let spoiled = broken(|evidence| evidence.transactions.push(registered()));
        assert_eq!(spoiled, ["G1"]);
        let told =
            |group: Option<&str>| BTreeMap::from([("u".to_owned(), group.map(str::to_owned))]);
        let spoiled = broken(|evidence| {
            evidence.transactions.push(registered());
            evidence.seen.identities = told(Some("g"));
        });
        assert!(spoiled.is_empty());
        let spoiled = broken(|evidence| evidence.seen.identities = told(None));
        assert_eq!(spoiled, ["G4"]);
        let spoiled = broken(|evidence| evidence.transactions.reverse());
        assert_eq!(spoiled, ["G2"]);
        let spoiled = broken(|evidence| {
            let again = evidence.transactions[1].clone();
            evidence.transactions.push(again);
        });
        assert!(spoiled.contains(&"G3"), "{spoiled:?}");
        let spoiled = broken(|evidence| {
            let ids = evidence.seen.events.values_mut().next().unwrap();
            ids.insert("id2".to_owned());
        });
        assert_eq!(spoiled, ["G3"]);
        assert_eq!(broken(|evidence| evidence.violations = 1), ["G3"]);
        let spoiled = broken(|evidence| {
            evidence.seen.accepted.insert("r3".to_owned());
        });
        assert_eq!(spoiled, ["G4"]);
        let spoiled = broken(|evidence| evidence.complaints.push("no answer".to_owned()));
        assert_eq!(spoiled, ["G4"]);
        let spoiled = broken(|evidence| evidence.unseen.push("store unreadable".to_owned()));
        assert_eq!(spoiled, ["G4"]);
        let spoiled = broken(|evidence| {
            evidence.contradictions.insert("two masters".to_owned());
        });
        assert_eq!(spoiled, ["G5"]);
        let spoiled = broken(|evidence| {
            evidence.memory.insert("rp1-worker1".to_owned(), 501.0);
        });
        assert_eq!(spoiled, ["G6"]);
    }

    #[test]
    fn a_second_request_of_a_reference_counts_only_if_the_first_lived() {
        let mut evidence = good();
        let first = ledger::testing::a_request("r0");
        evidence.transactions.splice(0..0, first);
        assert!(!judge(&evidence).all_held());
        let same = |id: &str| (id.to_owned(), "reference".to_owned());
        evidence.seen.references = BTreeMap::from([same("r0"), same("r1")]);
        assert!(judge(&evidence).all_held());
        assert_eq!(ended_before_the_repeat(&evidence), 1);
        // The end of the first behind the beginning of the second.
        evidence.transactions.swap(4, 5);
        assert!(!judge(&evidence).all_held());
        assert_eq!(ended_before_the_repeat(&evidence), 0);
    }

    #[test]
    fn what_broke_is_told_in_the_json() {
        let mut evidence = good();
        evidence.contradictions = strings(&["a", "b"]);
        let json = serde_json::to_value(judge(&evidence)).unwrap();
        assert_eq!(json["G5"], "a; b");
    }
}
