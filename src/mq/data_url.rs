//! Data URLs in request messages and AS data (spec/messaging-and-crypto.md 3.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const DEFAULT_TYPE: &str = "text/plain;charset=US-ASCII";

/// A base64 data URL in parts that give back exactly the same text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base64DataUrl<'a> {
    /// Up to and including the comma.
    pub prefix: &'a str,
    /// The decoded body.
    pub bytes: Vec<u8>,
}

/// Splits a base64 data URL. `None` for every other text, and for one that its
/// parts would not give back identically, because its hash must not change.
pub fn split_base64(text: &str) -> Option<Base64DataUrl<'_>> {
    let parts = parse(text)?;
    if !parts.is_lower_case_base64 {
        return None;
    }
    // The standard engine accepts canonical base64 only, so encoding the bytes
    // again gives the same text.
    let bytes = STANDARD.decode(parts.body).ok()?;
    Some(Base64DataUrl {
        prefix: &text[..text.len() - parts.body.len()],
        bytes,
    })
}

/// Joins the parts of [`split_base64`].
pub fn join_base64(prefix: &str, bytes: &[u8]) -> String {
    let mut text = String::with_capacity(prefix.len() + bytes.len().div_ceil(3) * 4);
    text.push_str(prefix);
    STANDARD.encode_string(bytes, &mut text);
    text
}

/// MIME type with parameters, of a text that is a data URL
/// (`text/plain;charset=US-ASCII` for a bare one).
pub fn mime_type(text: &str) -> Option<String> {
    let parts = parse(text)?;
    let essence = parts.mime_type.to_ascii_lowercase();
    match (essence.as_str(), parts.parameters) {
        ("", "") => Some(DEFAULT_TYPE.to_owned()),
        ("", parameters) => Some(format!("text/plain{}", lower_names(parameters))),
        (essence, parameters) => Some(format!("{essence}{}", lower_names(parameters))),
    }
}

/// Whether the text is a base64 data URL with white space in its body.
pub fn has_whitespace_in_base64_body(text: &str) -> bool {
    parse(text).is_some_and(|parts| {
        parts.is_base64
            && parts
                .body
                .contains(|character: char| character.is_whitespace())
    })
}

struct DataUrlParts<'a> {
    mime_type: &'a str,
    /// From the first semicolon after the type, without the base64 marker.
    parameters: &'a str,
    is_base64: bool,
    is_lower_case_base64: bool,
    body: &'a str,
}

fn parse(text: &str) -> Option<DataUrlParts<'_>> {
    let (scheme, rest) = text.split_at_checked("data:".len())?;
    if !scheme.eq_ignore_ascii_case("data:") {
        return None;
    }
    let (head, body) = rest.split_once(',')?;
    let head = head.trim_matches(' ');
    let (head, marker) = match head.rsplit_once(';') {
        Some((before, marker)) if marker.trim_matches(' ').eq_ignore_ascii_case("base64") => {
            (before.trim_end_matches(' '), Some(marker.trim_matches(' ')))
        }
        _ => (head, None),
    };
    let (mime_type, parameters) = head.split_at(head.find(';').unwrap_or(head.len()));
    let mime_type = mime_type.trim_matches(' ');
    if !mime_type.is_empty() && !is_mime_type(mime_type) {
        return None;
    }
    if marker.is_some() && !is_forgiving_base64(body) {
        return None;
    }
    Some(DataUrlParts {
        mime_type,
        parameters,
        is_base64: marker.is_some(),
        is_lower_case_base64: marker == Some("base64"),
        body,
    })
}

/// Whether a body decodes as WHATWG's "forgiving base64": it may contain blanks
/// and percent escapes, padding may be missing, and a fragment does not count.
fn is_forgiving_base64(body: &str) -> bool {
    let body = body.split_once('#').map_or(body, |(body, _)| body);
    let (mut symbols, mut padding) = (0_usize, 0_usize);
    for byte in percent_decoded(body.as_bytes()) {
        match byte {
            byte if byte.is_ascii_whitespace() => {}
            b'=' => padding += 1,
            _ if padding > 0 => return false,
            b'+' | b'/' => symbols += 1,
            byte if byte.is_ascii_alphanumeric() => symbols += 1,
            _ => return false,
        }
    }
    match padding {
        0 => symbols % 4 != 1,
        1 | 2 => (symbols + padding).is_multiple_of(4),
        _ => false,
    }
}

fn percent_decoded(mut text: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let (byte, rest) = text.split_first()?;
        let escaped = match (byte, rest) {
            (b'%', [high, low, rest @ ..]) => {
                hex_digit(*high).zip(hex_digit(*low)).map(|(high, low)| {
                    let byte = 16 * high + low;
                    (byte, rest)
                })
            }
            _ => None,
        };
        let (byte, rest) = escaped.unwrap_or((*byte, rest));
        text = rest;
        Some(byte)
    })
}

fn hex_digit(digit: u8) -> Option<u8> {
    // A hex digit is below 16.
    char::from(digit).to_digit(16).map(|value| value as u8)
}

fn is_mime_type(text: &str) -> bool {
    let is_token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    text.split_once('/')
        .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

/// Parameters with lower-case names, without blanks around them.
fn lower_names(parameters: &str) -> String {
    let parameters = parameters.split(';').filter_map(|parameter| {
        let (name, value) = parameter.trim_matches(' ').split_once('=')?;
        Some(format!(";{}={value}", name.to_ascii_lowercase()))
    });
    parameters.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn base64_data_urls_are_taken_apart() {
        for (text, prefix) in [
            ("data:text/plain;base64,SGVsbG8=", "data:text/plain;base64,"),
            ("data:;base64,SGVsbG8=", "data:;base64,"),
            (
                "data:text/plain;charset=utf-8;base64,SGVsbG8=",
                "data:text/plain;charset=utf-8;base64,",
            ),
            (
                "data:application/pdf;name=a.pdf;x=1;base64,SGVsbG8=",
                "data:application/pdf;name=a.pdf;x=1;base64,",
            ),
        ] {
            let parts = split_base64(text).unwrap();
            assert_eq!(
                (parts.prefix, parts.bytes.as_slice()),
                (prefix, b"Hello".as_slice())
            );
        }
    }

    #[test]
    fn what_would_not_come_back_identically_stays_a_text() {
        for text in [
            "please confirm",
            "",
            "data:text/plain,hello",
            "DATA:TEXT/PLAIN;BASE64,SGVsbG8=",
            "data:text/plain;base64,SGVsbG8",
            "data:text/plain;base64,SGVs bG8=",
            "data:text/plain;base64,SGVsbG8%3D",
            "data:text/plain;base64,SGVsbG9=",
            "data:text/plain;base64,<>",
            " data:text/plain;base64,SGVsbG8=",
            "data:ข้อความ;base64,SGVsbG8=",
            "ข้อความ",
        ] {
            assert_eq!(split_base64(text), None, "{text}");
        }
    }

    #[test]
    fn types_are_those_that_identity_providers_declare() {
        for (text, expected) in [
            ("data:,x", Some("text/plain;charset=US-ASCII")),
            ("data:;base64,eA==", Some("text/plain;charset=US-ASCII")),
            ("data:;charset=utf-8,x", Some("text/plain;charset=utf-8")),
            (
                "data:text/plain;charset=utf-8;base64,eA==",
                Some("text/plain;charset=utf-8"),
            ),
            ("data:APPLICATION/PDF;base64,eA==", Some("application/pdf")),
            ("data:text/plain,ทดสอบ", Some("text/plain")),
            ("data: please", None),
            ("data:no comma", None),
            ("please confirm", None),
        ] {
            assert_eq!(mime_type(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_base64_body_that_does_not_decode_makes_a_plain_text() {
        for body in [
            "",
            "eA==",
            "eA",
            "eHh4",
            " e A = = ",
            "e%41==",
            "eA%3D%3d",
            "eHh4eA",
            "eB==",
            "+/+/",
            "eA==#not base64",
        ] {
            let text = format!("data:a/b;base64,{body}");
            assert_eq!(mime_type(&text).as_deref(), Some("a/b"), "{text}");
        }
        for body in [
            "e",
            "eHh4e",
            "=",
            "===",
            "eA=",
            "eA===",
            "eHh4=",
            "e=A=",
            "eA==eA==",
            "<>",
            "e-_A",
            "e%4",
            "e%zz",
            "ข้อความ",
            "SGVs\u{a0}bG8=",
        ] {
            for marker in ["base64", "BASE64"] {
                let text = format!("data:a/b;{marker},{body}");
                assert_eq!(mime_type(&text), None, "{text}");
                assert!(!has_whitespace_in_base64_body(&text), "{text}");
            }
        }
        assert!(!has_whitespace_in_base64_body(
            "data:a/b;base64,not base64!"
        ));
        assert_eq!(mime_type("data:a/b,<>").as_deref(), Some("a/b"));
    }

    #[test]
    fn white_space_matters_in_base64_only() {
        assert!(has_whitespace_in_base64_body("data:a/b;base64,SGVs bG8="));
        assert!(has_whitespace_in_base64_body("data:a/b;base64,SGVs\nbG8="));
        assert!(!has_whitespace_in_base64_body("data:a/b;base64,SGVsbG8="));
        assert!(!has_whitespace_in_base64_body("data:a/b,with space"));
        assert!(!has_whitespace_in_base64_body(
            "plain text with base64, yes"
        ));
    }

    proptest! {
        #[test]
        fn taking_apart_and_joining_is_the_identity(
            text in "(data:)?[a-z/]{0,8}(;[a-z]{0,3}=[a-z.]{0,3})?(;base64)?,?[A-Za-z0-9+/= ]{0,12}"
        ) {
            if let Some(parts) = split_base64(&text) {
                prop_assert_eq!(join_base64(parts.prefix, &parts.bytes), text);
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = (split_base64(&text), mime_type(&text), has_whitespace_in_base64_body(&text));
        }
    }
}
