//! From the bytes of a body to a JSON value.

use bytes::Bytes;
use serde_json::{Map, Number, Value};

use super::BodyError;
use crate::json;

/// Whole numbers up to here are the same as integers and as doubles.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// How the text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    Utf8,
    Utf16,
    Utf16Le,
    Utf16Be,
}

/// The charset among the parameters of the media type; UTF-8 if there is none.
pub(super) fn charset(parameters: &str) -> Result<Charset, BodyError> {
    let named = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_charset = name.trim().eq_ignore_ascii_case("charset");
        is_charset.then(|| value.trim().trim_matches('"').to_ascii_lowercase())
    });
    match named.as_deref() {
        None | Some("utf-8") => Ok(Charset::Utf8),
        Some("utf-16") => Ok(Charset::Utf16),
        Some("utf-16le") => Ok(Charset::Utf16Le),
        Some("utf-16be") => Ok(Charset::Utf16Be),
        Some(other) => Err(BodyError::Unreadable(format!(
            "unsupported charset \"{}\"",
            other.to_ascii_uppercase()
        ))),
    }
}

/// The text as UTF-8; what is not text becomes U+FFFD, a byte order mark goes.
pub(super) fn decode(bytes: Bytes, charset: Charset) -> Bytes {
    let text = match charset {
        Charset::Utf8 if std::str::from_utf8(&bytes).is_ok() => {
            return match bytes.strip_prefix(b"\xEF\xBB\xBF") {
                Some(text) => bytes.slice_ref(text),
                None => bytes,
            };
        }
        Charset::Utf8 => String::from_utf8_lossy(&bytes).into_owned(),
        Charset::Utf16Be => utf16(&bytes, u16::from_be_bytes),
        Charset::Utf16 if bytes.starts_with(&[0xFE, 0xFF]) => utf16(&bytes, u16::from_be_bytes),
        Charset::Utf16 | Charset::Utf16Le => utf16(&bytes, u16::from_le_bytes),
    };
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    Bytes::copy_from_slice(text.as_bytes())
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units = bytes.chunks(2).map(|pair| match pair {
        [first, second] => unit([*first, *second]),
        _ => 0xFFFD,
    });
    let characters = char::decode_utf16(units);
    characters
        .map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// Reads an object or an array; nothing at all is `{}`.
pub(super) fn parse(text: &[u8]) -> Result<Value, BodyError> {
    if text.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let first = text.iter().find(|byte| !b" \t\n\r".contains(byte));
    if !matches!(first, Some(b'{' | b'[')) {
        return Err(BodyError::Malformed);
    }
    if json::has_too_many_values(text) {
        return Err(BodyError::TooLarge);
    }
    let mut value = serde_json::from_slice(text).map_err(|_| BodyError::Malformed)?;
    make_whole_numbers_integers(&mut value);
    Ok(value)
}

/// `1.0` and `1e3` are the integers 1 and 1000, as they are for every other
/// node of the network.
fn make_whole_numbers_integers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(double) = number.as_f64().filter(|_| number.is_f64())
                && double.fract() == 0.0
                && double.abs() < EXACT
            {
                *number = Number::from(double as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_whole_numbers_integers),
        Value::Object(members) => members.values_mut().for_each(make_whole_numbers_integers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_objects_and_arrays_are_bodies() {
        assert_eq!(parse(b""), Ok(json!({})));
        assert_eq!(parse(b" \n[1]"), Ok(json!([1])));
        for text in ["1", "\"x\"", "null", "  ", "{", "{} x", "tru"] {
            assert_eq!(parse(text.as_bytes()), Err(BodyError::Malformed), "{text}");
        }
    }

    #[test]
    fn whole_numbers_are_integers_however_they_are_written() {
        let parsed = parse(br#"{"a":1.0,"b":[1e3,2.5,-0.0],"c":1e300}"#).unwrap();
        assert_eq!(parsed.to_string(), r#"{"a":1,"b":[1000,2.5,0],"c":1e+300}"#);
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_overflow_the_stack() {
        let text = "[".repeat(100_000);
        assert_eq!(parse(text.as_bytes()), Err(BodyError::Malformed));
    }

    #[test]
    fn charsets_are_recognised() {
        assert_eq!(charset(" charset=\"UTF-8\""), Ok(Charset::Utf8));
        assert_eq!(charset("a=b; charset=utf-16le"), Ok(Charset::Utf16Le));
        assert!(matches!(
            charset("charset=latin1"),
            Err(BodyError::Unreadable(_))
        ));
        assert!(matches!(
            charset("charset=utf-7"),
            Err(BodyError::Unreadable(_))
        ));
    }

    #[test]
    fn texts_of_all_charsets_are_decoded() {
        let le: Vec<u8> = "{\"ก\":1}"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let be: Vec<u8> = "\u{FEFF}{\"ก\":1}"
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
        let expected = Bytes::from("{\"ก\":1}");
        assert_eq!(decode(Bytes::from(le), Charset::Utf16Le), expected);
        assert_eq!(decode(Bytes::from(be), Charset::Utf16), expected);
        assert_eq!(
            decode(Bytes::from("\u{FEFF}{\"ก\":1}"), Charset::Utf8),
            expected
        );
        assert_eq!(
            decode(Bytes::from_static(b"\"\xFF\""), Charset::Utf8),
            Bytes::from("\"\u{FFFD}\"")
        );
    }
}
