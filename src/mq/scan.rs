//! Finds one member in a message's JSON while the text streams through, so that
//! memory stays the same however much an unknown sender's message inflates to.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use memchr::memchr2;

use super::gzip;
use crate::proto::wire::MqMessage;
use crate::pulse;

/// Longest name or value that is read, in bytes.
const LONGEST: usize = 1024;
/// Bytes inflated at a time.
const CHUNK: usize = 32 * 1024;
/// Field of the JSON in message types that are not JSON themselves
/// (spec/messaging-and-crypto.md 3.2).
const JSON_FIELD: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;

/// The member `name` of the JSON in a message, as it is written: the first at
/// the top level. `None` if it is absent, neither a text nor a number, or
/// behind more than `limit` bytes, or if the message cannot be read.
pub(crate) fn member(message: &MqMessage, name: &str, limit: u64) -> Option<serde_json::Value> {
    pulse::keep_off("scanning a message");
    let bytes = message.message.as_ref();
    let plain: Box<dyn Read + '_> = match message.message_compression_algorithm.as_str() {
        "" => Box::new(bytes),
        gzip::NAME if gzip::is_gzip(bytes) => Box::new(MultiGzDecoder::new(bytes)),
        gzip::NAME => Box::new(ZlibDecoder::new(bytes)),
        _ => return None,
    };
    let mut plain = BufReader::with_capacity(CHUNK, plain.take(limit));
    let found = match message.message_type.as_str() {
        "idp_response" | "data_request" => in_json(&mut plain, name),
        "consent_request" | "as_response" => in_field(&mut plain, name),
        _ => return None,
    };
    // An unreadable message has no such member.
    serde_json::from_slice(&found.ok()??).ok()
}

/// Searches the JSON of the first such field.
fn in_field(plain: &mut impl BufRead, name: &str) -> io::Result<Option<Vec<u8>>> {
    while let Some(tag) = varint(plain)? {
        match (tag >> 3, tag & 7) {
            (field, LENGTH_DELIMITED) => {
                let length = varint(plain)?.ok_or(io::ErrorKind::UnexpectedEof)?;
                let mut content = plain.take(length);
                if field == JSON_FIELD {
                    return in_json(&mut content, name);
                }
                io::copy(&mut content, &mut io::sink())?;
            }
            // Such a message has no other kind of field.
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// A protobuf number; `None` at the end.
fn varint(plain: &mut impl BufRead) -> io::Result<Option<u64>> {
    let mut value = 0;
    for index in 0..10 {
        let Some(&byte) = plain.fill_buf()?.first() else {
            return Ok(None);
        };
        plain.consume(1);
        value |= u64::from(byte & 0x7f)
            .checked_shl(7 * index)
            .unwrap_or_default();
        if byte & 0x80 == 0 {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

fn in_json(plain: &mut impl BufRead, name: &str) -> io::Result<Option<Vec<u8>>> {
    let mut scan = NameScan::new(name);
    loop {
        let chunk = plain.fill_buf()?;
        if chunk.is_empty() {
            return Ok(None);
        }
        if let Some(found) = scan.take(chunk) {
            return Ok(Some(found));
        }
        let length = chunk.len();
        plain.consume(length);
    }
}

/// The state of the search.
struct NameScan {
    name: Vec<u8>,
    depth: u32,
    in_string: bool,
    is_escaped: bool,
    /// Whether a colon has come since the last comma at the top level.
    is_value: bool,
    /// The text or number being read at the top level, with its quotes.
    token: Vec<u8>,
    is_wanted: bool,
}

impl NameScan {
    fn new(name: &str) -> Self {
        Self {
            name: format!("\"{name}\"").into_bytes(),
            depth: 0,
            in_string: false,
            is_escaped: false,
            is_value: false,
            token: Vec::new(),
            is_wanted: false,
        }
    }

    /// Reads on. Returns the value once it is known.
    fn take(&mut self, mut text: &[u8]) -> Option<Vec<u8>> {
        while let Some(&byte) = text.first() {
            if self.in_string && !self.is_escaped {
                // Most of a large message is inside of texts.
                let end = memchr2(b'"', b'\\', text).unwrap_or(text.len());
                self.keep(&text[..end]);
                text = &text[end..];
                let &byte = text.first()?;
                self.keep(&[byte]);
                self.is_escaped = byte == b'\\';
                self.in_string = byte != b'"';
            } else if self.in_string {
                self.keep(&[byte]);
                self.is_escaped = false;
            } else if let Some(found) = self.outside(byte) {
                return Some(found);
            }
            text = &text[1..];
        }
        None
    }

    /// A byte outside of texts.
    fn outside(&mut self, byte: u8) -> Option<Vec<u8>> {
        match byte {
            b'"' => {
                self.in_string = true;
                if self.depth == 1 {
                    self.token.clear();
                }
                self.keep(b"\"");
            }
            b'{' | b'[' => {
                self.depth = self.depth.saturating_add(1);
                self.token.clear();
            }
            b'}' | b']' => {
                let found = self.value();
                self.depth = self.depth.saturating_sub(1);
                return found;
            }
            b':' if self.depth == 1 => {
                self.is_wanted = self.token == self.name;
                self.is_value = true;
                self.token.clear();
            }
            b',' if self.depth == 1 => {
                let found = self.value();
                self.is_value = false;
                self.token.clear();
                return found;
            }
            b' ' | b'\t' | b'\r' | b'\n' => {}
            other => self.keep(&[other]),
        }
        None
    }

    /// The value that ends here, if it is the wanted one.
    fn value(&self) -> Option<Vec<u8>> {
        let is_it = self.depth == 1 && self.is_value && self.is_wanted;
        (is_it && !self.token.is_empty()).then(|| self.token.clone())
    }

    /// Empties a token that grows too long.
    fn keep(&mut self, bytes: &[u8]) {
        if self.depth == 1 {
            let room = (LONGEST + 1).saturating_sub(self.token.len());
            self.token.extend(&bytes[..bytes.len().min(room)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::mq::body;
    use crate::proto::wire;

    fn of(kind: &str, bytes: Vec<u8>, compressed: bool) -> MqMessage {
        MqMessage {
            message_type: kind.to_owned(),
            message_compression_algorithm: if compressed { gzip::NAME } else { "" }.to_owned(),
            message: Bytes::from(match compressed {
                true => gzip::compress(&bytes),
                false => bytes,
            }),
            ..Default::default()
        }
    }

    /// Searches in chunks of every size up to the whole.
    fn found(text: &str, name: &str) -> Option<Value> {
        let whole = of("idp_response", text.as_bytes().to_vec(), false);
        let whole = member(&whole, name, u64::MAX);
        for size in [1, 2, 3, 7] {
            let mut plain = BufReader::with_capacity(size, text.as_bytes());
            let read = in_json(&mut plain, name).unwrap();
            let read = read.and_then(|token| serde_json::from_slice(&token).ok());
            assert_eq!(read, whole, "{text} in chunks of {size}");
        }
        whole
    }

    #[test]
    fn a_member_of_the_top_level_is_found_wherever_it_stands() {
        let text =
            r#"{"a":{"rp_id":"no"},"b":["rp_id","no"],"c":"rp_id", "rp_id" : "rp1" ,"h":42}"#;
        assert_eq!(found(text, "rp_id"), Some(json!("rp1")));
        assert_eq!(found(text, "h"), Some(json!(42)));
        assert_eq!(found(text, "c"), Some(json!("rp_id")));
        assert_eq!(found(text, "a"), None);
        assert_eq!(found(text, "x"), None);
        let quoted = r#"{"m":"\"rp_id\":\"no\"\\","rp_id":"a\u0062c"}"#;
        assert_eq!(found(quoted, "rp_id"), Some(json!("abc")));
        assert_eq!(
            found(r#"{"rp_id":"first","rp_id":"last"}"#, "rp_id"),
            Some(json!("first"))
        );
        let long = format!(r#"{{"x":"{}","rp_id":"rp1"}}"#, "x".repeat(3000));
        assert_eq!(found(&long, "rp_id"), Some(json!("rp1")));
        assert_eq!(found(&long, "x"), None, "too long to be a name");
        for text in [
            "",
            "{",
            "[]",
            "null",
            r#"{"rp_id":"rp1"#,
            r#"{"rp_id":}"#,
            "}}}{",
        ] {
            assert_eq!(found(text, "rp_id"), None, "{text}");
        }
    }

    #[test]
    fn it_is_found_in_every_type_of_message_compressed_or_not() {
        for compressed in [false, true] {
            let request = wire::ConsentRequestMqMessage {
                request_json: r#"{"mode":1,"rp_id":"rp1"}"#.to_owned(),
                request_message_data_url_prefix: "data:,".to_owned(),
                request_message_bytes: Bytes::from(vec![7; 100_000]),
            };
            let message = of("consent_request", request.encode_to_vec(), compressed);
            assert_eq!(member(&message, "rp_id", 1000), Some(json!("rp1")));
            let answer = wire::AsDataResponseMqMessage {
                request_json: r#"{"as_id":"as1"}"#.to_owned(),
                ..Default::default()
            };
            let message = of("as_response", answer.encode_to_vec(), compressed);
            assert_eq!(member(&message, "as_id", 1000), Some(json!("as1")));
        }
        let unknown = of("other", b"{\"rp_id\":\"rp1\"}".to_vec(), false);
        assert_eq!(member(&unknown, "rp_id", 1000), None);
    }

    #[test]
    fn it_finds_what_the_parser_finds_in_recorded_messages() {
        for line in crate::messaging::testing::lines("mq.jsonl") {
            let Some(text) = line["message"].as_str() else {
                continue;
            };
            let parsed = body::decode("idp_response", text.as_bytes());
            let parsed = parsed.ok().and_then(|object| object.get("height").cloned());
            assert_eq!(found(text, "height"), parsed);
        }
    }

    #[test]
    fn a_bomb_is_read_to_its_limit_and_no_further() {
        let text = format!(
            "{{\"x\":\"{}\",\"idp_id\":\"idp1\"}}",
            "a".repeat(1_000_000)
        );
        let bomb = of("idp_response", text.into_bytes(), true);
        assert!(bomb.message.len() < 2000);
        assert_eq!(member(&bomb, "idp_id", 2_000_000), Some(json!("idp1")));
        assert_eq!(member(&bomb, "idp_id", 500_000), None);
    }
}
