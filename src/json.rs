//! The JSON of strangers: what it may cost before anything in it is believed, and
//! how it is read.

mod lenient;

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor};

pub use lenient::parse;

/// Most values (numbers, texts, members, items) in a body or a message. Each
/// takes many times the memory of its text. Honest senders need far fewer.
pub const MOST_VALUES: usize = 200_000;

/// Whether a text may have more than [`MOST_VALUES`]. Ask before parsing it.
pub fn has_too_many_values(text: &[u8]) -> bool {
    count_values(text) > MOST_VALUES
}

/// An upper bound for the values of a JSON text: its commas, colons and opening
/// brackets outside of strings.
fn count_values(text: &[u8]) -> usize {
    let mut values = 0;
    let mut in_string = false;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                bytes.next();
            }
            b',' | b':' | b'[' | b'{' if !in_string => values += 1,
            _ => {}
        }
    }
    values
}

/// One member of a JSON object, the last of that name; the others are skipped
/// without being kept. `None` if the text is no object, or the member is absent
/// or of another type.
pub fn member<T: DeserializeOwned>(text: &[u8], name: &str) -> Option<T> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let visitor = Member {
        name,
        of_type: PhantomData,
    };
    let found = deserializer.deserialize_map(visitor).ok()?;
    deserializer.end().ok()?;
    found
}

struct Member<'a, T> {
    name: &'a str,
    of_type: PhantomData<T>,
}

impl<'de, T: DeserializeOwned> Visitor<'de> for Member<'_, T> {
    type Value = Option<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = members.next_key::<String>()? {
            if name == self.name {
                found = Some(members.next_value()?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_and_what_strings_contain_is_not() {
        let most = format!("[{}0]", "0,".repeat(MOST_VALUES - 1));
        assert!(!has_too_many_values(most.as_bytes()));
        let more = format!("[{}0]", "0,".repeat(MOST_VALUES));
        assert!(has_too_many_values(more.as_bytes()));
        let text = format!(r#"["\"{}"]"#, ",:[{".repeat(MOST_VALUES));
        assert!(!has_too_many_values(text.as_bytes()));
    }

    #[test]
    fn a_member_is_found_whatever_is_beside_it() {
        let id = |text: &str| member::<String>(text.as_bytes(), "id");
        assert_eq!(id(r#"{"id":"a"}"#).as_deref(), Some("a"));
        assert_eq!(
            id(r#"{"x":[{"id":"b"}],"id":"a","y":{}}"#).as_deref(),
            Some("a")
        );
        assert_eq!(id(r#"{"id":"a","id":"b"}"#).as_deref(), Some("b"));
        for text in [
            "",
            "null",
            "5",
            "[]",
            "{}",
            r#"{"id":5}"#,
            r#"{"id":null}"#,
            r#"{"id":"a""#,
            r#"{"id":"a"} x"#,
        ] {
            assert_eq!(id(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_stepped_over_does_not_overflow_the_stack() {
        let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        let text = format!(r#"{{"deep":{deep},"height":-1}}"#);
        assert_eq!(member::<i64>(text.as_bytes(), "height"), Some(-1));
    }
}
