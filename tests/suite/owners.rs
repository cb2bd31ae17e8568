//! Which scenario a body belongs to, and which scenarios ended early.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::counterparts::Counterparts;
use crate::recording::{Area, What};

/// Ids that tell the scenario.
const IDS: [&str; 2] = ["request_id", "reference_id"];

/// Scenarios by the requests and references that they named first.
#[derive(Debug)]
pub struct Owners {
    by_id: HashMap<String, String>,
    /// Scenarios that ended early.
    lost: HashSet<String>,
}

impl Owners {
    /// Reads the recordings.
    pub fn new(areas: &[Area]) -> Self {
        let mut by_id = HashMap::new();
        for record in areas.iter().flat_map(|area| &area.records) {
            let bodies = match &record.what {
                What::Call(call) => [&call.request, &call.response],
                What::Callback(callback) => [&callback.body, &Value::Null],
            };
            let ids = IDS.iter();
            let ids = ids.flat_map(|name| bodies.map(|body| body[*name].as_str()));
            for id in ids.flatten() {
                let scenario = || record.scenario.clone();
                by_id.entry(id.to_owned()).or_insert_with(scenario);
            }
        }
        Self {
            by_id,
            lost: HashSet::new(),
        }
    }

    /// The scenario of a body, recorded or live; empty if it is of none.
    pub fn scenario(&self, pairs: &Counterparts, body: &Value) -> &str {
        let ids = IDS.iter().filter_map(|name| body[*name].as_str());
        let mut owners = ids.map(|id| self.by_id.get(pairs.recorded(id).unwrap_or(id)));
        owners.find_map(|owner| owner).map_or("", String::as_str)
    }

    /// A scenario ended early: what it has begun may come late, under another
    /// scenario, or not at all.
    pub fn lose(&mut self, scenario: &str) {
        self.lost.insert(scenario.to_owned());
    }

    /// Whether a scenario ended early.
    pub fn is_lost(&self, scenario: &str) -> bool {
        self.lost.contains(scenario)
    }

    /// A live request that no recorded one is the counterpart of.
    pub fn stray(&mut self, live: &str, scenario: &str) {
        self.by_id.insert(live.to_owned(), scenario.to_owned());
    }
}
