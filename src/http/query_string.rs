//! Query strings, in the form the schemas expect: text, or an array or object
//! where a name is repeated or followed by brackets (spec/http-api.md 1.2).

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// More parameters than this are ignored.
const MOST_PARAMETERS: usize = 1000;

/// Parses what stands behind the `?`.
pub(super) fn parse(query: &str) -> Map<String, Value> {
    let mut parameters = Map::new();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    for pair in pairs.take(MOST_PARAMETERS) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        add(&mut parameters, &decode(name), decode(value));
    }
    parameters
}

fn add(parameters: &mut Map<String, Value>, name: &str, value: String) {
    let (base, has_brackets) = match name.find('[') {
        Some(position) if position > 0 => (&name[..position], true),
        _ => (name, false),
    };
    let value = Value::String(value);
    match parameters.get_mut(base) {
        Some(Value::Array(values)) => values.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
        None if has_brackets => {
            parameters.insert(base.to_owned(), Value::Array(vec![value]));
        }
        None => {
            parameters.insert(base.to_owned(), value);
        }
    }
}

fn decode(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn repeated_and_bracketed_names_are_arrays() {
        let parsed = Value::Object(parse("a=1&b=x%20y+z&a=2&c[]=3&d&&e[k]=4"));
        let expected = json!({"a": ["1", "2"], "b": "x y z", "c": ["3"], "d": "", "e": ["4"]});
        assert_eq!(parsed, expected);
        assert_eq!(parse(""), Map::new());
        assert_eq!(
            Value::Object(parse("x=%zz&y=%FF")),
            json!({"x": "%zz", "y": "\u{FFFD}"})
        );
    }
}
