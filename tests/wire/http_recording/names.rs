//! Recorded names (request ids, the client's address) and what they are now.

use serde_json::Value;

/// Where the recorded client listened.
const RECORDED_CLIENT: &str = "http://127.0.0.1:9800";

/// Pairs of a recorded name and a live one.
pub struct Names {
    pairs: Vec<(String, String)>,
}

impl Names {
    /// Knows where the client listens now.
    pub fn new(client: String) -> Self {
        Self {
            pairs: vec![(RECORDED_CLIENT.to_owned(), client)],
        }
    }

    /// A recorded name has a live one.
    pub fn learn(&mut self, recorded: &str, live: &str) {
        self.pairs.push((recorded.to_owned(), live.to_owned()));
    }

    /// A recorded text in live names.
    pub fn to_live(&self, text: &str) -> String {
        self.replace(text, |(recorded, live)| (recorded, live))
    }

    /// A live value in recorded names.
    pub fn to_recorded(&self, value: &Value) -> Value {
        let text = self.replace(&value.to_string(), |(recorded, live)| (live, recorded));
        serde_json::from_str(&text).expect("names need no escapes")
    }

    fn replace<'a>(
        &'a self,
        text: &str,
        order: impl Fn(&'a (String, String)) -> (&'a String, &'a String),
    ) -> String {
        let replace = |text: String, (from, to): (&String, &String)| {
            if text.contains(from.as_str()) {
                text.replace(from.as_str(), to)
            } else {
                text
            }
        };
        self.pairs.iter().map(order).fold(text.to_owned(), replace)
    }
}
