//! Compression of messages and AS data, with a limit on the decompressed size
//! (spec/messaging-and-crypto.md 3.3, 3.6).

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use flate2::write::GzEncoder;

use crate::pulse;

/// The algorithm's name on the wire.
pub const NAME: &str = "gzip";

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

pub fn compress(bytes: &[u8]) -> Vec<u8> {
    pulse::keep_off("compressing");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail.
    encoder.write_all(bytes).expect("memory takes every byte");
    encoder.finish().expect("memory takes every byte")
}

/// Whether it is gzip rather than zlib.
pub fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&GZIP_MAGIC)
}

/// Decompresses gzip, or zlib under the name of gzip, as some senders do.
/// # Errors
/// Text for people when it is neither, or larger than `limit` bytes.
pub fn decompress(bytes: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    pulse::keep_off("inflating");
    if is_gzip(bytes) {
        read_to_limit(MultiGzDecoder::new(bytes), limit)
    } else {
        read_to_limit(ZlibDecoder::new(bytes), limit)
    }
}

fn read_to_limit(reader: impl Read, limit: usize) -> Result<Vec<u8>, String> {
    let mut output = Vec::new();
    let mut limited = reader.take(limit as u64 + 1);
    limited
        .read_to_end(&mut output)
        .map_err(|error| format!("cannot decompress: {error}"))?;
    if output.len() > limit {
        return Err(format!("decompressed size is above {limit} bytes"));
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use flate2::write::ZlibEncoder;

    use super::*;

    #[test]
    fn what_is_compressed_comes_back() {
        let text = "ทดสอบ".repeat(1000);
        let compressed = compress(text.as_bytes());
        assert!(compressed.len() < text.len() / 10);
        assert_eq!(
            decompress(&compressed, text.len()).unwrap(),
            text.as_bytes()
        );
    }

    #[test]
    fn zlib_is_read_as_well() {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(b"hello").unwrap();
        let compressed = encoder.finish().unwrap();
        assert_eq!(decompress(&compressed, 100).unwrap(), b"hello");
    }

    #[test]
    fn more_than_the_limit_and_rubbish_are_refused() {
        let compressed = compress(&vec![0; 10_000_000]);
        assert!(compressed.len() < 20_000);
        assert!(decompress(&compressed, 9_999_999).is_err());
        assert!(decompress(b"rubbish", 100).is_err());
        assert!(decompress(&compressed[..100], 100_000_000).is_err());
    }
}
