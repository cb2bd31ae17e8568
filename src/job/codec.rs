//! The only place that knows bincode: how jobs, payloads and state are written
//! as bytes. The first byte is the format version, so that a later release can
//! read what an earlier one stored.

use serde::{Deserialize, Serialize};

const FORMAT: u8 = 1;

/// Bytes that are not a value of the expected type.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Written by a release this one cannot read.
    #[error("stored with format {found}, this release reads {FORMAT}")]
    Format {
        /// The first byte.
        found: u8,
    },
    /// Nothing there.
    #[error("empty value")]
    Empty,
    /// Right format, wrong content.
    #[error("cannot decode: {0}")]
    Content(#[from] bincode::error::DecodeError),
}

fn configuration() -> impl bincode::config::Config {
    bincode::config::standard()
}

/// Writes a value.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    // Writing to memory cannot fail, and the types written here are plain data
    // (no maps of unknown length, no `serialize_any`).
    bincode::serde::encode_into_std_write(value, &mut bytes, configuration())
        .expect("plain data always encodes");
    bytes
}

/// Reads a value written by [`encode`].
pub fn decode<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, DecodeError> {
    match bytes {
        [] => Err(DecodeError::Empty),
        [FORMAT, content @ ..] => {
            let (value, _) = bincode::serde::decode_from_slice(content, configuration())?;
            Ok(value)
        }
        [found, ..] => Err(DecodeError::Format { found: *found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let value = (7u32, "seven".to_owned(), vec![1u8, 2]);
        let bytes = encode(&value);
        assert_eq!(decode::<(u32, String, Vec<u8>)>(&bytes).unwrap(), value);
    }

    #[test]
    fn another_format_is_refused() {
        assert!(matches!(
            decode::<u32>(&[9, 1]),
            Err(DecodeError::Format { found: 9 })
        ));
        assert!(matches!(decode::<u32>(&[]), Err(DecodeError::Empty)));
    }
}
