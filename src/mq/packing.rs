//! AS data on its way to the RP (spec/messaging-and-crypto.md 3.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{data_url, gzip};
use crate::error::{Error, codes};
use crate::mq::message::{PackedData, PackedDataMetadata};

/// Largest data that can be packed, in bytes. A base64 data URL counts decoded.
const MAX_UNPACKED: usize = 10 * 1024 * 1024;

/// Largest packed data, in bytes.
const MAX_PACKED: usize = 3 * 1024 * 1024;

/// Packs data; compresses from `compress_from` bytes.
///
/// # Errors
/// 20085, 20086 when it is too large; 20070 for white space in a base64 data URL.
pub fn pack(data: &str, compress_from: usize) -> Result<PackedData, Error> {
    if has_whitespace_in_base64_data_url(data) {
        return Err(codes::DATA_URL_BASE64_MUST_NOT_CONTAIN_WHITESPACES.into());
    }
    let (bytes, prefix) = match data_url::split_base64(data) {
        Some(parts) => (parts.bytes, Some(parts.prefix.to_owned())),
        None => (data.as_bytes().to_vec(), None),
    };
    let compresses = bytes.len() >= compress_from;
    if compresses && bytes.len() > MAX_UNPACKED {
        return Err(codes::UNCOMPRESSED_AS_DATA_SIZE_OVER_LIMIT.into());
    }
    let bytes = if compresses {
        gzip::compress(&bytes)
    } else {
        bytes
    };
    if bytes.len() > MAX_PACKED {
        return Err(codes::AS_DATA_SIZE_OVER_LIMIT.into());
    }
    Ok(PackedData {
        buffer_base64: STANDARD.encode(bytes),
        metadata: PackedDataMetadata {
            base64_data_url: prefix.as_ref().map(|_| true),
            data_url_prefix: prefix,
            compression_algorithm: compresses.then(|| gzip::NAME.to_owned()),
        },
    })
}

/// The original text.
/// # Errors
/// 10023 when it cannot be unpacked or is above 10 MiB.
pub fn unpack(packed: &PackedData) -> Result<String, Error> {
    let bytes = STANDARD
        .decode(&packed.buffer_base64)
        .map_err(|error| malformed(format!("packed data is not base64: {error}")))?;
    let bytes = match packed.metadata.compression_algorithm.as_deref() {
        None => bytes,
        Some(gzip::NAME) => gzip::decompress(&bytes, MAX_UNPACKED).map_err(malformed)?,
        Some(other) => return Err(malformed(format!("unknown compression: {other}"))),
    };
    if bytes.len() > MAX_UNPACKED {
        return Err(malformed("packed data is above 10 MiB".to_owned()));
    }
    if packed.metadata.base64_data_url == Some(true) {
        let prefix = packed.metadata.data_url_prefix.as_deref();
        return Ok(data_url::join_base64(prefix.unwrap_or_default(), &bytes));
    }
    String::from_utf8(bytes).map_err(|_| malformed("packed data is not UTF-8".to_owned()))
}

fn malformed(reason: String) -> Error {
    Error::with_message(codes::MALFORMED_MESSAGE_FORMAT, reason)
}

/// MIME type, parameters included, of a text that is a data URL (`text/plain;charset=US-ASCII` for a bare one).
pub fn data_url_type(text: &str) -> Option<String> {
    data_url::mime_type(text)
}

/// Whether the text is a base64 data URL with white space in it (20070).
pub fn has_whitespace_in_base64_data_url(text: &str) -> bool {
    data_url::has_whitespace_in_base64_body(text)
}

#[cfg(test)]
mod tests {
    use rand::RngCore;

    use super::*;

    fn random(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        rand::rng().fill_bytes(&mut bytes);
        bytes
    }

    fn number(result: Result<PackedData, Error>) -> u32 {
        result.unwrap_err().code().number
    }

    /// spec/messaging-and-crypto.md 4.4
    #[test]
    fn short_text_is_packed_as_it_is() {
        let packed = pack(r#"{"name":"ทดสอบ"}"#, 1000).unwrap();
        assert_eq!(packed.buffer_base64, "eyJuYW1lIjoi4LiX4LiU4Liq4Lit4LiaIn0=");
        let metadata = serde_json::to_string(&packed.metadata).unwrap();
        assert_eq!(metadata, r#"{"compression_algorithm":null}"#);
        assert_eq!(unpack(&packed).unwrap(), r#"{"name":"ทดสอบ"}"#);
    }

    #[test]
    fn data_urls_and_long_texts_come_back() {
        let url = format!(
            "data:application/pdf;base64,{}",
            STANDARD.encode(random(2000))
        );
        let packed = pack(&url, 1000).unwrap();
        let metadata = serde_json::to_string(&packed.metadata).unwrap();
        assert_eq!(
            metadata,
            r#"{"base64_data_url":true,"data_url_prefix":"data:application/pdf;base64,","compression_algorithm":"gzip"}"#
        );
        assert_eq!(unpack(&packed).unwrap(), url);

        let text = "ยาว".repeat(100_000);
        let packed = pack(&text, 1000).unwrap();
        assert!(packed.buffer_base64.len() < 10_000);
        assert_eq!(unpack(&packed).unwrap(), text);
    }

    #[test]
    fn data_over_the_limits_is_refused_with_its_code() {
        assert_eq!(number(pack(&"a".repeat(MAX_UNPACKED + 1), 1000)), 20085);
        assert!(pack(&"a".repeat(MAX_UNPACKED), 1000).is_ok());
        let incompressible = format!(
            "data:a/b;base64,{}",
            STANDARD.encode(random(MAX_PACKED + 1))
        );
        assert_eq!(number(pack(&incompressible, 1000)), 20086);
        assert_eq!(number(pack("data:a/b;base64,SGVs bG8=", 1000)), 20070);
    }

    #[test]
    fn packed_data_that_would_fill_memory_is_refused() {
        let packed = PackedData {
            buffer_base64: STANDARD.encode(gzip::compress(&vec![b'a'; MAX_UNPACKED + 1])),
            metadata: PackedDataMetadata {
                base64_data_url: None,
                data_url_prefix: None,
                compression_algorithm: Some("gzip".into()),
            },
        };
        assert_eq!(unpack(&packed).unwrap_err().code().number, 10023);
    }
}
