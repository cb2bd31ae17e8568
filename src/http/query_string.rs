//! Query strings as the replaced system reads them: text, or an array or object
//! where a name is repeated or followed by brackets (spec/http-api.md 1.2). Array or
//! object makes no difference: a schema takes a text and refuses anything else.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// More parameters than this are ignored.
const MOST_PARAMETERS: usize = 1000;

/// A name that is ignored, as an empty one is.
const NO_NAME: &str = "__proto__";

/// Parses the text after the `?`.
pub(super) fn parse(query: &str) -> Map<String, Value> {
    let mut parameters = Map::new();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    for pair in pairs.take(MOST_PARAMETERS) {
        let (name, value) = split(pair);
        add(&mut parameters, &decode(name), decode(value));
    }
    parameters
}

/// Name and value; a `=` within brackets belongs to the name.
fn split(pair: &str) -> (&str, &str) {
    let after_brackets = pair.find("]=").map(|position| position + 1);
    let after_escaped = pair
        .to_ascii_uppercase()
        .find("%5D=")
        .map(|position| position + 3);
    let end = after_brackets.or(after_escaped).or_else(|| pair.find('='));
    match end {
        Some(end) => (&pair[..end], &pair[end + 1..]),
        None => (pair, ""),
    }
}

fn add(parameters: &mut Map<String, Value>, name: &str, value: String) {
    let (base, is_nested) = base(name);
    if base.is_empty() || base == NO_NAME {
        return;
    }
    let value = Value::String(value);
    match parameters.get_mut(base) {
        Some(Value::Array(values)) => values.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
        None if is_nested => {
            parameters.insert(base.to_owned(), Value::Array(vec![value]));
        }
        None => {
            parameters.insert(base.to_owned(), value);
        }
    }
}

/// The member that a name belongs to, and whether it names something inside it.
/// `[a]` alone is another way to write `a`; a single bracket is an ordinary letter.
fn base(name: &str) -> (&str, bool) {
    let Some((start, end)) = brackets(name) else {
        return (name, false);
    };
    if start > 0 {
        return (&name[..start], true);
    }
    let inner = &name[1..end];
    (
        inner,
        inner.is_empty() || brackets(&name[end + 1..]).is_some(),
    )
}

/// The first pair of brackets without others between them.
fn brackets(name: &str) -> Option<(usize, usize)> {
    let end_after = |start: usize| {
        let rest = &name[start + 1..];
        let end = rest.find(['[', ']'])?;
        rest[end..].starts_with(']').then_some(start + 1 + end)
    };
    let mut starts = name.match_indices('[').map(|(start, _)| start);
    starts.find_map(|start| Some((start, end_after(start)?)))
}

/// Decodes a part. With an invalid escape it stays as it is, except its blanks.
fn decode(text: &str) -> String {
    let text = text.replace('+', " ");
    if !super::dispatch::has_valid_escapes(&text) {
        return text;
    }
    match percent_decode_str(&text).decode_utf8() {
        Ok(decoded) => decoded.into_owned(),
        Err(_) => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn query_strings_are_read_as_the_replaced_system_reads_them() {
        for (query, expected) in [
            ("", json!({})),
            ("a=1&b=2", json!({"a": "1", "b": "2"})),
            ("a=1&b=x%20y+z&a=2", json!({"a": ["1", "2"], "b": "x y z"})),
            ("d&&e=&=f", json!({"d": "", "e": ""})),
            ("a=b=c", json!({"a": "b=c"})),
            (
                "c[]=3&e[k]=4&f[0]=5",
                json!({"c": ["3"], "e": ["4"], "f": ["5"]}),
            ),
            ("c%5B%5D=3&e%5bk%5d=4", json!({"c": ["3"], "e": ["4"]})),
            ("a=1&a[b]=2", json!({"a": ["1", "2"]})),
            ("[a]=1", json!({"a": "1"})),
            ("[a][b]=1", json!({"a": ["1"]})),
            ("a[b=1&c]d=2", json!({"a[b": "1", "c]d": "2"})),
            ("a[b=c]=1", json!({"a": ["1"]})),
            ("a.b=1", json!({"a.b": "1"})),
            (
                "__proto__=1&__proto__[a]=2&toString=3",
                json!({"toString": "3"}),
            ),
            // One invalid escape makes all of them text.
            (
                "x=%zz%20a&y=%FF&z=%E0%B8%81",
                json!({"x": "%zz%20a", "y": "%FF", "z": "ก"}),
            ),
            (
                "x=%&y=100%25&z=%2",
                json!({"x": "%", "y": "100%", "z": "%2"}),
            ),
            ("x=%ED%A0%BD", json!({"x": "%ED%A0%BD"})),
            ("x=%zz+a", json!({"x": "%zz a"})),
            ("%61=1&b%3D=2", json!({"a": "1", "b=": "2"})),
            // Unicode is not normalised.
            (
                "x=e%CC%81&y=%C3%A9",
                json!({"x": "e\u{301}", "y": "\u{e9}"}),
            ),
            ("a;b=1", json!({"a;b": "1"})),
        ] {
            assert_eq!(Value::Object(parse(query)), expected, "{query}");
        }
    }

    #[test]
    fn what_comes_after_a_thousand_parameters_is_ignored() {
        let query: String = (0..1100).map(|index| format!("p{index}=1&")).collect();
        assert_eq!(parse(&query).len(), MOST_PARAMETERS);
    }

    proptest! {
        #[test]
        fn any_query_string_is_read_without_panic(query in "\\PC*", odd in "[\\[\\]=&%a5Dd+]{0,20}") {
            parse(&query);
            parse(&odd);
        }

        /// A correctly escaped text comes out as it went in.
        #[test]
        fn names_and_values_come_out_as_they_went_in(
            name in "[^\\[\\]]{1,8}", value in "\\PC{0,8}",
        ) {
            prop_assume!(name != NO_NAME);
            use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
            let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let parsed = parse(&format!("{}={}", escaped(&name), escaped(&value)));
            prop_assert_eq!(parsed.get(&name), Some(&Value::String(value)));
        }
    }
}
