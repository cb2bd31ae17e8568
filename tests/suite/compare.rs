//! A body beside the recorded one, field for field.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::counterparts::{Counterparts, Kind, Lesson};
use crate::random::{LEFT_OUT, Random, is_hash_of_message, random, unordered};
use crate::texts::Texts;

/// How far a time in a body may be from the present.
const PRESENT: Duration = Duration::from_secs(1800);

/// What has been found out of one body.
#[derive(Debug, Default)]
pub struct Finding {
    /// What is not as recorded: where, and what.
    pub faults: Vec<String>,
    /// Counterparts that it told.
    pub lesson: Lesson,
}

/// Compares a body with the recorded one.
pub fn compare(pairs: &Counterparts, texts: &Texts, recorded: &Value, live: &Value) -> Finding {
    let mut comparison = Comparison {
        pairs,
        texts,
        finding: Finding::default(),
    };
    let (recorded, live) = (without_wording(recorded), without_wording(live));
    comparison.value(&Place::default(), &recorded, &live);
    comparison.finding
}

/// The details of a refusal by the schema without their wording
/// (recordings/README.md).
fn without_wording(body: &Value) -> Value {
    let mut body = body.clone();
    let errors = body.pointer_mut("/details/errors");
    for error in errors.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(message) = error.get_mut("message") {
            *message = json!(message.is_string());
        }
    }
    body
}

/// Where a value stands.
#[derive(Debug, Clone, Default)]
struct Place {
    path: String,
    member: String,
    /// Recorded id of what the heights here belong to.
    of: String,
}

impl Place {
    fn member(&self, name: &str) -> Self {
        Self {
            path: format!("{}/{name}", self.path),
            member: name.to_owned(),
            of: self.of.clone(),
        }
    }

    fn item(&self, index: usize) -> Self {
        Self {
            path: format!("{}/{index}", self.path),
            ..self.clone()
        }
    }
}

struct Comparison<'a> {
    pairs: &'a Counterparts,
    texts: &'a Texts,
    finding: Finding,
}

impl Comparison<'_> {
    fn fault(&mut self, place: &Place, what: &str, recorded: &Value, live: &Value) {
        self.finding.faults.push(format!(
            "{}: {what}: recorded {}, live {}",
            if place.path.is_empty() {
                "/"
            } else {
                &place.path
            },
            shortened(recorded),
            shortened(live)
        ));
    }

    fn value(&mut self, place: &Place, recorded: &Value, live: &Value) {
        match (recorded, live) {
            (Value::Object(recorded), Value::Object(live)) => self.object(place, recorded, live),
            (Value::Array(items), Value::Array(others)) => {
                if items.len() != others.len() {
                    self.fault(place, "length of the list", recorded, live);
                }
                let (items, others) = (in_order(place, items), in_order(place, others));
                for (index, (item, other)) in items.into_iter().zip(others).enumerate() {
                    self.value(&place.item(index), item, other);
                }
            }
            _ => self.single(place, recorded, live),
        }
    }

    fn object(&mut self, place: &Place, recorded: &Map<String, Value>, live: &Map<String, Value>) {
        let mut place = place.clone();
        let ids = ["request_id", "public_key", "message_id"];
        if let Some(id) = ids.iter().find_map(|id| recorded.get(*id)?.as_str()) {
            place.of = id.to_owned();
        }
        for (name, recorded) in recorded {
            match live.get(name) {
                _ if LEFT_OUT.contains(&name.as_str()) => {}
                None if random(name) == Some(Random::File) => {}
                Some(live) => self.value(&place.member(name), recorded, live),
                None => self.fault(&place.member(name), "missing", recorded, &Value::Null),
            }
        }
        for (name, live) in live {
            if !recorded.contains_key(name) {
                self.fault(&place.member(name), "too many", &Value::Null, live);
            }
        }
    }

    fn single(&mut self, place: &Place, recorded: &Value, live: &Value) {
        let of_message = recorded
            .as_str()
            .filter(|text| is_hash_of_message(&place.member, text));
        let kind = random(&place.member).or(of_message.map(|_| Random::Text));
        match (kind, recorded, live) {
            (_, Value::Null, Value::Null) => {}
            (Some(Random::SetUp | Random::File | Random::Made), _, _)
                if same_type(recorded, live) => {}
            (Some(Random::Time), Value::Number(_), Value::Number(time)) => {
                if !time.as_u64().is_some_and(is_present) {
                    self.fault(place, "no time of this run", recorded, live);
                }
            }
            (Some(Random::Port), Value::Number(_), Value::Number(_)) => {
                self.meet(place, Kind::Port, recorded, live);
            }
            (Some(Random::Height), _, _) => self.height(place, recorded, live),
            (kind, Value::String(text), Value::String(_)) => {
                let expected = self.texts.to_live(self.pairs, text);
                if live.as_str() == Some(&expected) && kind.is_none() {
                    return;
                }
                match kind {
                    Some(Random::Text) => self.meet(place, Kind::Text, recorded, live),
                    _ => self.fault(place, "differs", &expected.into(), live),
                }
            }
            _ if recorded == live => {}
            _ => self.fault(place, "differs", recorded, live),
        }
    }

    fn height(&mut self, place: &Place, recorded: &Value, live: &Value) {
        let kind = Kind::Height(place.of.clone());
        match (recorded.as_str(), live.as_str()) {
            (Some(one), Some(other)) => match (one.rsplit_once(':'), other.rsplit_once(':')) {
                (Some((chain, height)), Some((same, live))) if chain == same => {
                    self.meet(place, kind, &height.into(), &live.into());
                }
                _ => self.fault(place, "differs", recorded, live),
            },
            _ if recorded.is_u64() && live.is_u64() => self.meet(place, kind, recorded, live),
            _ => self.fault(place, "differs", recorded, live),
        }
    }

    fn meet(&mut self, place: &Place, kind: Kind, recorded: &Value, live: &Value) {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let lesson = &mut self.finding.lesson;
        let met = self.pairs.meet(lesson, kind, &text(recorded), &text(live));
        if let Err(mismatch) = met {
            self.fault(place, &mismatch.to_string(), recorded, live);
        }
    }
}

/// The items of a list; where their order was chance, in one of their own.
fn in_order<'a>(place: &Place, items: &'a [Value]) -> Vec<&'a Value> {
    let mut items: Vec<&Value> = items.iter().collect();
    if let Some(keys) = unordered(&place.member) {
        items.sort_by_key(|item| {
            let of = |key: &&str| item.pointer(key).and_then(Value::as_str);
            let keys = keys
                .iter()
                .map(|key| of(key).unwrap_or_default().to_owned());
            keys.collect::<Vec<String>>()
        });
    }
    items
}

fn same_type(one: &Value, other: &Value) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

fn is_present(milliseconds: u64) -> bool {
    let time = UNIX_EPOCH + Duration::from_millis(milliseconds);
    let now = SystemTime::now();
    let apart = match now.duration_since(time) {
        Ok(ago) => ago,
        Err(ahead) => ahead.duration(),
    };
    apart < PRESENT
}

/// A value for a report.
pub fn shortened(value: &Value) -> String {
    const LONGEST: usize = 2000;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
