//! Callbacks that came and have not been matched with recorded ones.

use std::collections::HashSet;

use serde_json::Value;

use crate::compare::{Finding, compare};
use crate::counterparts::Counterparts;
use crate::listeners::Arrival;
use crate::recording::Callback;
use crate::texts::Texts;

/// Members that say what a callback is about.
const ABOUT: &[&str] = &[
    "type",
    "node_id",
    "request_id",
    "reference_id",
    "destination_node_id",
    "action",
    "actor_node_id",
    "service_id",
    "reference_group_code",
    "accessor_id",
];
/// The random ones among these.
const RANDOM: &[&str] = &["request_id", "reference_group_code", "accessor_id"];

/// What came.
#[derive(Debug, Default)]
pub struct Inbox {
    waiting: Vec<Arrival>,
    /// Ids of all callbacks so far.
    ids: HashSet<String>,
    repeated: Vec<Arrival>,
}

/// A callback that was matched.
pub struct Matched {
    pub arrival: Arrival,
    pub finding: Finding,
}

impl Inbox {
    /// More came. Each callback has an id of its own.
    pub fn add(&mut self, arrivals: Vec<Arrival>) {
        for arrival in arrivals {
            let id = arrival.id.clone();
            let is_own = id.is_some_and(|id| self.ids.insert(id));
            if arrival.method == "POST" && !is_own {
                self.repeated.push(arrival.clone());
            }
            self.waiting.push(arrival);
        }
    }

    /// Takes those that came without an id, or with one that was there before.
    pub fn repeated(&mut self) -> Vec<Arrival> {
        std::mem::take(&mut self.repeated)
    }

    /// Takes the counterpart of a recorded callback: the first that is about the
    /// same and says the same, or `other`; otherwise the first that is about the
    /// same.
    pub fn take(
        &mut self,
        pairs: &Counterparts,
        texts: &Texts,
        recorded: &Callback,
        other: Option<&Value>,
    ) -> Option<Matched> {
        let is_about = |arrival: &Arrival| is_about_the_same(pairs, recorded, arrival);
        let waiting = self.waiting.iter().enumerate();
        let about: Vec<usize> = waiting
            .filter(|(_, arrival)| is_about(arrival))
            .map(|(index, _)| index)
            .collect();
        let compared = |index: usize| {
            let arrival = &self.waiting[index];
            let finding = compare_callback(pairs, texts, recorded, arrival);
            match other.map(|other| compare(pairs, texts, other, &arrival.body)) {
                Some(other) if !finding.faults.is_empty() && other.faults.is_empty() => other,
                _ => finding,
            }
        };
        let first = *about.first()?;
        let mut finding = compared(first);
        let mut chosen = first;
        for other in &about[1..] {
            if finding.faults.is_empty() {
                break;
            }
            let found = compared(*other);
            if found.faults.is_empty() {
                (chosen, finding) = (*other, found);
            }
        }
        // One receiver hears of one request in the order of its blocks.
        if chosen != first && recorded.body["type"] == "request_status" {
            let earlier = &self.waiting[first].body;
            let fault = format!("came after another of its request: {earlier}");
            finding.faults.push(fault);
        }
        let arrival = self.waiting.remove(chosen);
        Some(Matched { arrival, finding })
    }

    /// Takes everything that is left.
    pub fn rest(&mut self) -> Vec<Arrival> {
        std::mem::take(&mut self.waiting)
    }
}

fn compare_callback(
    pairs: &Counterparts,
    texts: &Texts,
    recorded: &Callback,
    arrival: &Arrival,
) -> Finding {
    let mut finding = compare(pairs, texts, &recorded.body, &arrival.body);
    if recorded.content_type != arrival.content_type {
        finding.faults.push(format!(
            "content-type: recorded {:?}, live {:?}",
            recorded.content_type, arrival.content_type
        ));
    }
    finding
}

fn is_about_the_same(pairs: &Counterparts, recorded: &Callback, arrival: &Arrival) -> bool {
    let same_place = recorded.app == arrival.app
        && recorded.method == arrival.method
        && recorded.path == arrival.path;
    let same = |name: &&str| {
        let (one, other) = (&recorded.body[*name], &arrival.body[*name]);
        match (one.as_str(), other.as_str()) {
            (Some(one), Some(other)) => is_counterpart(pairs, name, one, other),
            _ => one.is_null() && other.is_null(),
        }
    };
    same_place && ABOUT.iter().all(same)
}

fn is_counterpart(pairs: &Counterparts, name: &str, recorded: &str, live: &str) -> bool {
    match (pairs.live(recorded), pairs.recorded(live)) {
        (Some(counterpart), _) => counterpart == live,
        (None, Some(_)) => false,
        (None, None) => recorded == live || RANDOM.contains(&name),
    }
}

/// What a callback is about, for a report.
pub fn subject(app: &str, path: &str, body: &Value) -> String {
    let members = ABOUT.iter().filter_map(|name| body[*name].as_str());
    let members: Vec<&str> = members.collect();
    format!("{app} {path} {}", members.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn recorded(body: Value) -> Callback {
        Callback {
            app: "rp1".to_owned(),
            method: "POST".to_owned(),
            path: "/rp/callback".to_owned(),
            content_type: None,
            body,
            answered_status: 204,
            answered: Value::Null,
        }
    }

    fn arrival(body: Value) -> Arrival {
        Arrival {
            app: "rp1",
            method: "POST".to_owned(),
            path: "/rp/callback".to_owned(),
            content_type: None,
            id: Some(body.to_string()),
            body,
        }
    }

    fn status(request_id: &str, closed: bool) -> Value {
        json!({"type": "request_status", "request_id": request_id, "closed": closed})
    }

    fn faults(inbox: &mut Inbox, pairs: &Counterparts, body: Value) -> Option<Vec<String>> {
        let matched = inbox.take(pairs, &Texts::default(), &recorded(body), None);
        matched.map(|matched| matched.finding.faults)
    }

    #[test]
    fn a_callback_that_comes_twice_is_noted() {
        let mut inbox = Inbox::default();
        let arrivals = ["x", "y", "x"].map(|id| arrival(status(id, false)));
        inbox.add(arrivals.to_vec());
        assert_eq!(inbox.repeated().len(), 1);
    }

    #[test]
    fn a_lost_callback_has_no_match() {
        let mut pairs = Counterparts::default();
        pairs.teach("a", "x").unwrap();
        pairs.teach("b", "y").unwrap();
        let mut inbox = Inbox::default();
        inbox.add(vec![arrival(status("y", false))]);
        assert_eq!(faults(&mut inbox, &pairs, status("a", false)), None);
        assert_eq!(inbox.rest().len(), 1, "the other is left over");
    }

    #[test]
    fn a_changed_field_is_a_fault_of_the_match() {
        let pairs = Counterparts::default();
        let mut inbox = Inbox::default();
        inbox.add(vec![arrival(status("x", true))]);
        let faults = faults(&mut inbox, &pairs, status("a", false)).unwrap();
        assert_eq!(faults.len(), 1, "{faults:?}");
    }

    #[test]
    fn what_may_be_said_as_well_is_no_fault() {
        let pairs = Counterparts::default();
        let mut inbox = Inbox::default();
        inbox.add(vec![arrival(status("x", true))]);
        let (one, other) = (recorded(status("a", false)), status("a", true));
        let taken = inbox.take(&pairs, &Texts::default(), &one, Some(&other));
        assert_eq!(taken.unwrap().finding.faults, [""; 0]);
    }

    #[test]
    fn statuses_of_a_request_in_another_order_are_a_fault() {
        let mut pairs = Counterparts::default();
        pairs.teach("a", "x").unwrap();
        let mut inbox = Inbox::default();
        let arrivals = [true, false].map(|closed| arrival(status("x", closed)));
        inbox.add(arrivals.to_vec());
        let found = faults(&mut inbox, &pairs, status("a", false)).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        let found = faults(&mut inbox, &pairs, status("a", true)).unwrap();
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn an_unknown_id_is_matched_with_an_unknown_one_only() {
        let mut pairs = Counterparts::default();
        pairs.teach("a", "x").unwrap();
        let mut inbox = Inbox::default();
        inbox.add(vec![
            arrival(status("x", false)),
            arrival(status("new", false)),
        ]);
        let status = recorded(status("b", false));
        let taken = inbox.take(&pairs, &Texts::default(), &status, None);
        assert_eq!(taken.unwrap().arrival.body["request_id"], "new");
    }
}
