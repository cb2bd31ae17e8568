//! Receivers of deliveries as operators see them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pauses::ReceiverDecision;
use crate::dispatch::ReceiverSnapshot;

/// A receiver of deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiverShown {
    /// As the keys of its deliveries begin.
    pub name: String,
    /// Its deliveries, whatever they wait for; absent where no master is asked.
    pub open: Option<u64>,
    /// How many of them workers have.
    pub running: Option<u64>,
    /// How many of them wait in line.
    pub in_line: Option<u64>,
    /// The last delivery failed.
    pub failing: bool,
    /// Set while an operator has paused it.
    pub pause: Option<PauseShown>,
}

/// Who paused a receiver, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PauseShown {
    pub who: String,
    pub why: String,
    /// When (ms).
    pub at: u64,
}

/// What the dispatcher knows of them, with the pauses that the store has.
pub(super) fn shown(known: &[ReceiverSnapshot], pauses: &[ReceiverDecision]) -> Vec<ReceiverShown> {
    let pause = |name: &str| {
        let found = pauses.iter().find(|pause| pause.receiver == name);
        found.map(|pause| PauseShown {
            who: pause.who.clone(),
            why: pause.why.clone(),
            at: pause.at.0,
        })
    };
    let mut all: Vec<ReceiverShown> = known
        .iter()
        .map(|receiver| ReceiverShown {
            name: receiver.name.to_string(),
            open: Some(receiver.open as u64),
            running: Some(u64::from(receiver.running)),
            in_line: Some(receiver.in_line),
            failing: receiver.failing,
            pause: pause(&receiver.name),
        })
        .collect();
    for paused in pauses {
        if !all.iter().any(|receiver| receiver.name == paused.receiver) {
            all.push(ReceiverShown {
                name: paused.receiver.clone(),
                open: None,
                running: None,
                in_line: None,
                failing: false,
                pause: pause(&paused.receiver),
            });
        }
    }
    all
}
