//! From the bytes of a body to a JSON value.

use bytes::Bytes;
use serde_json::{Map, Number, Value};

use super::BodyError;
use crate::json;

/// Whole numbers up to here are the same as integers and as doubles.
const EXACT: u64 = 1 << 53;

/// The smallest double above all integers of 64 bits.
const ABOVE: f64 = 18_446_744_073_709_551_616.0;

/// The encoding of the text.
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

/// The text as UTF-8. Bytes that are no text become U+FFFD; a byte order mark is
/// dropped.
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

/// Reads an object or an array; an empty text is `{}`.
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
    let mut value = json::parse(text).map_err(|_| BodyError::Malformed)?;
    make_numbers_doubles(&mut value);
    Ok(value)
}

/// Numbers are doubles, as they are for every other node of the network: `1.0`
/// and `1e3` are the integers 1 and 1000, and 2^53 + 1 is 2^53.
fn make_numbers_doubles(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let is_exact = number
                .as_i64()
                .is_some_and(|integer| integer.unsigned_abs() <= EXACT);
            let rounded = |double| whole(double).or_else(|| Number::from_f64(double));
            if !is_exact && let Some(rounded) = number.as_f64().and_then(rounded) {
                *number = rounded;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_numbers_doubles),
        Value::Object(members) => members.values_mut().for_each(make_numbers_doubles),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// A double without a fraction as an integer, if one can hold it.
fn whole(double: f64) -> Option<Number> {
    if double.fract() != 0.0 || double.abs() >= ABOVE {
        return None;
    }
    if double >= 0.0 {
        return Some(Number::from(double as u64));
    }
    let is_negative = double >= i64::MIN as f64;
    is_negative.then(|| Number::from(double as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
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

    /// Texts, and what the replaced system writes after it has read them.
    #[test]
    fn bodies_are_read_as_the_replaced_system_reads_them() {
        for (text, expected) in [
            // Numbers.
            ("[1e3, 1E+3, 1000.0]", "[1000,1000,1000]"),
            ("[-0, -0.0, 0e9]", "[0,0,0]"),
            ("[9007199254740991]", "[9007199254740991]"),
            ("[9007199254740993]", "[9007199254740992]"),
            ("[-9007199254740993]", "[-9007199254740992]"),
            ("[18446744073709551615]", "[18446744073709552000]"),
            ("[0.1, 1e-7]", "[0.1,1e-7]"),
            ("[1e400]", "[null]"),
            // Members: the last one counts, at the position of the first.
            (r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#),
            (r#"{"\u0061":1,"a":2}"#, r#"{"a":2}"#),
            (r#"{"__proto__":{"a":1}}"#, r#"{"__proto__":{"a":1}}"#),
            (r#"{"constructor":1,"":2}"#, r#"{"constructor":1,"":2}"#),
            // Texts: Unicode is not normalised, and nothing is decoded.
            ("[\"e\u{301}\", \"\u{e9}\"]", "[\"e\u{301}\",\"\u{e9}\"]"),
            ("[\"%41%zz+\"]", "[\"%41%zz+\"]"),
            (r#"["\ud83d"]"#, "[\"\u{FFFD}\"]"),
            (r#"["\ud83d\ude00"]"#, "[\"😀\"]"),
            (r#"["\u0000\/"]"#, "[\"\\u0000/\"]"),
            ("[\"\u{2028}\"]", "[\"\u{2028}\"]"),
        ] {
            let parsed = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            let expected: Value = serde_json::from_str(expected).unwrap();
            assert_eq!(parsed, expected, "{text}");
        }
        for text in [
            "[01]",
            "[+1]",
            "[.5]",
            "[1.]",
            "[0x10]",
            "[NaN]",
            "[Infinity]",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "['a']",
            "[\"\n\"]",
            "[\"\\x41\"]",
            "[]/**/",
            "[\u{a0}1]",
        ] {
            assert_eq!(parse(text.as_bytes()), Err(BodyError::Malformed), "{text}");
        }
    }

    /// Beside literals of Rust, whose compiler rounds correctly: what is compared
    /// with another text would be rounded by the same reader.
    #[test]
    fn numbers_of_many_digits_are_the_nearest_doubles() {
        for (text, expected) in [
            ("0.1234567890123456789", 0.123_456_789_012_345_68),
            ("2.2250738585072011e-308", 2.225_073_858_507_201e-308),
            ("1.7976931348623157e308", f64::MAX),
            ("5e-324", 5e-324),
            ("31.245270191439438", 31.245_270_191_439_438),
            ("121.48791951161945", 121.487_919_511_619_45),
            ("100.78399658203125", 100.783_996_582_031_25),
            ("0.30000000000000004", 0.300_000_000_000_000_04),
            ("1.00000000000000011102230246251565", 1.0),
            ("123456789012345680000", 123_456_789_012_345_680_000.0),
        ] {
            let parsed = parse(format!("[{text}]").as_bytes()).unwrap();
            let read = parsed[0].as_f64().map(f64::to_bits);
            assert_eq!(read, Some(f64::to_bits(expected)), "{text}: {parsed}");
            // And comes out as what is read the same again.
            let again = parse(parsed.to_string().as_bytes()).unwrap();
            assert_eq!(again, parsed, "{text}");
        }
    }

    proptest! {
        /// Also what has more digits than a double, anywhere in its range.
        #[test]
        fn any_number_is_the_nearest_double(
            bits in any::<u64>(),
            digits in "[1-9][0-9]{0,30}\\.[0-9]{1,30}",
            exponent in -330..300,
        ) {
            let double = f64::from_bits(bits);
            let shortest = double.is_finite().then(|| format!("{double:e}"));
            for text in shortest.into_iter().chain([format!("{digits}e{exponent}")]) {
                let parsed = parse(format!("[{text}]").as_bytes()).unwrap();
                let expected: f64 = text.parse().unwrap();
                match expected.is_finite() {
                    true => prop_assert_eq!(parsed[0].as_f64(), Some(expected), "{}", text),
                    false => prop_assert!(parsed[0].is_null(), "{}", text),
                }
                let again = parse(parsed.to_string().as_bytes()).unwrap();
                prop_assert_eq!(again, parsed);
            }
        }

        #[test]
        fn a_number_is_the_double_that_it_is_written_as(
            digits in -999_999_999_999_999i64..=999_999_999_999_999,
            exponent in -22..=22,
            integer in any::<i64>(),
        ) {
            let text = format!("{digits}e{exponent}");
            let parsed = parse(format!("[{text}]").as_bytes()).unwrap();
            prop_assert_eq!(parsed[0].as_f64(), text.parse().ok());
            let parsed = parse(format!("[{integer}]").as_bytes()).unwrap();
            prop_assert_eq!(parsed[0].as_f64(), Some(integer as f64));
            // An integer of 64 bits stays one.
            prop_assert!(!parsed[0].is_f64() || integer as f64 >= ABOVE);
        }
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
