//! JSON as the replaced system's parser reads it, where ours would refuse it:
//! half a surrogate pair is U+FFFD, as it is in everything that is made of the
//! text afterwards (hashes, messages, the ledger); bytes that are no UTF-8 are
//! U+FFFD too; a number beyond all numbers is none.

use std::borrow::Cow;

use memchr::memchr;
use serde::de::DeserializeOwned;

const REPLACEMENT: &[u8] = b"\\ufffd";

/// Numbers of so few digits, and without an exponent, are never beyond all
/// numbers.
const SHORT: usize = 300;

/// Reads a JSON text.
///
/// # Errors
/// When it is no JSON.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(&readable(text))
}

/// The text in a form that serde_json takes; mostly the same text. What is no
/// JSON stays so.
fn readable(text: &[u8]) -> Cow<'_, [u8]> {
    let utf8 = match std::str::from_utf8(text) {
        Ok(_) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(String::from_utf8_lossy(text).into_owned().into_bytes()),
    };
    match mended(&utf8) {
        Some(mended) => Cow::Owned(mended),
        None => utf8,
    }
}

/// A copy with other words where there must be; `None` if there are none.
fn mended(text: &[u8]) -> Option<Vec<u8>> {
    let mut mended = None;
    let mut copied = 0;
    let mut position = 0;
    let mut in_string = false;
    while position < text.len() {
        let found = match in_string {
            true => in_string_at(text, &mut position, &mut in_string),
            false => outside_at(text, &mut position, &mut in_string),
        };
        if let Some((start, end, words)) = found {
            let mended = mended.get_or_insert_with(|| Vec::with_capacity(text.len()));
            mended.extend_from_slice(&text[copied..start]);
            mended.extend_from_slice(words);
            copied = end;
        }
    }
    let mut mended = mended?;
    mended.extend_from_slice(&text[copied..]);
    Some(mended)
}

/// From where to where other words are needed, and which.
type Found = Option<(usize, usize, &'static [u8])>;

fn in_string_at(text: &[u8], position: &mut usize, in_string: &mut bool) -> Found {
    let start = *position;
    match text[start] {
        b'"' => {
            *in_string = false;
            *position += 1;
            None
        }
        b'\\' => {
            let high = unit(text, start);
            let Some(high) = high.filter(|unit| (0xD800..=0xDFFF).contains(unit)) else {
                *position += 2;
                return None;
            };
            let is_pair = high < 0xDC00
                && unit(text, start + 6).is_some_and(|low| (0xDC00..=0xDFFF).contains(&low));
            if is_pair {
                *position += 12;
                return None;
            }
            *position += 6;
            Some((start, start + 6, REPLACEMENT))
        }
        _ => {
            let rest = &text[start..];
            let quote = memchr(b'"', rest).unwrap_or(rest.len());
            let end = memchr(b'\\', &rest[..quote]).unwrap_or(quote);
            *position += end;
            None
        }
    }
}

/// The unit of UTF-16 that is written here as `\uXXXX`.
fn unit(text: &[u8], at: usize) -> Option<u32> {
    let written = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let is_hex = written.iter().all(u8::is_ascii_hexdigit);
    let written = std::str::from_utf8(written).ok().filter(|_| is_hex)?;
    u32::from_str_radix(written, 16).ok()
}

fn outside_at(text: &[u8], position: &mut usize, in_string: &mut bool) -> Found {
    let start = *position;
    match text[start] {
        b'"' => {
            *in_string = true;
            *position += 1;
            None
        }
        b'-' | b'0'..=b'9' => {
            let is_of_number =
                |byte: &&u8| matches!(**byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
            let length = text[start..].iter().take_while(is_of_number).count();
            *position += length;
            let number = &text[start..start + length];
            is_beyond_all(number).then_some((start, start + length, b"null"))
        }
        _ => {
            *position += 1;
            None
        }
    }
}

fn is_beyond_all(number: &[u8]) -> bool {
    let is_plain = number.len() < SHORT && !number.iter().any(|byte| matches!(byte, b'e' | b'E'));
    if is_plain || !is_number(number) {
        return false;
    }
    let text = std::str::from_utf8(number);
    let value = text.ok().and_then(|text| text.parse::<f64>().ok());
    value.is_some_and(f64::is_infinite)
}

/// Whether this is a number of JSON, and not only made of what numbers are.
fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(text);
    if whole == 0 || (whole > 1 && text[0] == b'0') {
        return false;
    }
    let mut rest = &text[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let length = digits(fraction);
        if length == 0 {
            return false;
        }
        rest = &fraction[length..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = match exponent {
            [b'+' | b'-', exponent @ ..] => exponent,
            exponent => exponent,
        };
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// What the text is read as, shown as JSON; `None` if it is refused.
    fn read(text: &str) -> Option<String> {
        let value: Value = parse(text.as_bytes()).ok()?;
        Some(value.to_string())
    }

    #[test]
    fn half_a_surrogate_pair_is_the_replacement_character() {
        for (text, expected) in [
            (r#"["x\ud83d"]"#, "[\"x\u{FFFD}\"]"),
            (r#"["\ude00x"]"#, "[\"\u{FFFD}x\"]"),
            (r#"["\uD83D\uD83D\uDE00"]"#, "[\"\u{FFFD}😀\"]"),
            (r#"["\ude00\ud83d"]"#, "[\"\u{FFFD}\u{FFFD}\"]"),
            (r#"["\ud83d\u0041"]"#, "[\"\u{FFFD}A\"]"),
            (r#"["\ud83d\n"]"#, "[\"\u{FFFD}\\n\"]"),
            (r#"{"\udc00":1}"#, "{\"\u{FFFD}\":1}"),
            // What an inner text says is none of the outer one's business.
            (r#"["\\ud83d"]"#, r#"["\\ud83d"]"#),
            (r#"["\\\ud83d"]"#, "[\"\\\\\u{FFFD}\"]"),
            (r#"["\"\ud83d\""]"#, "[\"\\\"\u{FFFD}\\\"\"]"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            r#"["\ud8"]"#,
            r#"["\ud83d"#,
            r#"["\ud83"]"#,
            r#"\ud83d"#,
            "[\"\\",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_any_more_is_null() {
        let long = "9".repeat(400);
        for (text, expected) in [
            ("[1e400,-1e400,1E+999,1e308]", "[null,null,null,1e+308]"),
            ("[1e-400]", "[0.0]"),
            ("{\"1e400\":\"1e400\"}", "{\"1e400\":\"1e400\"}"),
            (&format!("[{long},-{long}.5]"), "[null,null]"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "[1e400x]",
            "[01e400]",
            "[1e400.5]",
            "[1e]",
            "[+1e400]",
            "[.1e400]",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let value: Value = parse(b"[\"a\xffb\"]").unwrap();
        assert_eq!(value[0], "a\u{FFFD}b");
    }

    /// A text with escapes of all sorts.
    fn escaped() -> impl Strategy<Value = String> {
        prop::collection::vec(
            prop_oneof![
                "[a-z\"\\\\ก]",
                (0u16..=0xFFFF).prop_map(|unit| format!("\\u{unit:04x}")),
                (0xD700u16..=0xE0FF).prop_map(|unit| format!("\\u{unit:04X}")),
                Just("\\n".to_owned()),
            ],
            0..12,
        )
        .prop_map(|parts| parts.concat())
    }

    proptest! {
        /// Units of UTF-16 are read as programs with UTF-16 texts write them.
        #[test]
        fn escapes_are_read_as_utf_16_is(units in prop::collection::vec(0xD7F0u16..0xE010, 0..8)) {
            let text: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let read: String = parse(format!("\"{text}\"").as_bytes()).unwrap();
            prop_assert_eq!(read, String::from_utf16_lossy(&units));
        }

        /// What serde_json takes is read as serde_json reads it.
        #[test]
        fn what_was_readable_is_not_changed(text in escaped(), number in "-?[0-9]{1,4}(\\.[0-9]{1,3})?([eE][-+]?[0-9]{1,2})?") {
            for text in [format!("[\"{text}\"]"), format!("[{number},\"{text}\"]"), text] {
                if let Ok(value) = serde_json::from_str::<Value>(&text) {
                    prop_assert_eq!(parse::<Value>(text.as_bytes()).unwrap(), value);
                }
            }
        }

        #[test]
        fn any_bytes_are_looked_at_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse::<Value>(&bytes);
        }
    }
}
