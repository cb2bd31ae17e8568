//! Recorded texts, written for the network that runs now: addresses of the
//! client's listeners, and whatever has a counterpart.

use serde_json::Value;

use crate::counterparts::Counterparts;

/// Lengths of an id in UUID form and of one in hexadecimal digits.
const ID_LENGTHS: [usize; 2] = [36, 64];

/// Writes recorded texts for the network that runs now.
#[derive(Debug, Default)]
pub struct Texts {
    /// Recorded and live addresses.
    addresses: Vec<(String, String)>,
}

impl Texts {
    /// Knows the recorded and the live addresses of listeners.
    pub fn new(addresses: Vec<(String, String)>) -> Self {
        Self { addresses }
    }

    /// What a recorded text is now.
    pub fn to_live(&self, pairs: &Counterparts, text: &str) -> String {
        if let Some(live) = pairs.live(text) {
            return live.to_owned();
        }
        let mut text = text.to_owned();
        for (recorded, live) in &self.addresses {
            if text.contains(recorded.as_str()) {
                text = text.replace(recorded.as_str(), live);
            }
        }
        with_ids(pairs, &text)
    }

    /// What a recorded value is now.
    pub fn value_to_live(&self, pairs: &Counterparts, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.to_live(pairs, text)),
            Value::Array(items) => {
                let items = items.iter();
                items.map(|item| self.value_to_live(pairs, item)).collect()
            }
            Value::Object(members) => {
                let members = members.iter();
                let members =
                    members.map(|(name, value)| (name.clone(), self.value_to_live(pairs, value)));
                Value::Object(members.collect())
            }
            other => other.clone(),
        }
    }
}

/// A text with the counterparts of the ids in it.
fn with_ids(pairs: &Counterparts, text: &str) -> String {
    let is_of_id = |character: char| character.is_ascii_alphanumeric() || character == '-';
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let length = rest.find(|c| !is_of_id(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        let live = match ID_LENGTHS.contains(&word.len()) {
            true => pairs.live(word),
            false => None,
        };
        written.push_str(live.unwrap_or(word));
        let between = after.find(is_of_id).unwrap_or(after.len());
        let (between, after) = after.split_at(between);
        written.push_str(between);
        rest = after;
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str = "8206b219-ba90-4730-ba10-aadb4939e321";
    const LIVE: &str = "00000000-0000-4000-8000-000000000001";

    #[test]
    fn ids_and_addresses_are_replaced_wherever_they_stand() {
        let mut pairs = Counterparts::default();
        pairs.teach(RECORDED, LIVE).unwrap();
        pairs.teach("a whole text", "another").unwrap();
        let addresses = vec![("localhost:1".to_owned(), "127.0.0.1:2".to_owned())];
        let texts = Texts::new(addresses);
        let to_live = |text: &str| texts.to_live(&pairs, text);
        assert_eq!(
            to_live(&format!("/v6/x/{RECORDED}/y?z={RECORDED}")),
            format!("/v6/x/{LIVE}/y?z={LIVE}")
        );
        assert_eq!(to_live("http://localhost:1/a"), "http://127.0.0.1:2/a");
        assert_eq!(to_live("a whole text"), "another");
        assert_eq!(to_live("a whole text and more"), "a whole text and more");
        assert_eq!(to_live("ครับ"), "ครับ");
    }
}
