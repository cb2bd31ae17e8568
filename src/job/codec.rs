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

/// For a member that is bytes (`#[serde(with = "codec::bytes")]`): it is written
/// and read as a whole, not one by one; what is written is the same.
pub mod bytes {
    use std::fmt;

    use serde::de::{SeqAccess, Visitor};
    use serde::{Deserializer, Serializer};

    /// Writes the bytes.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    /// Reads the bytes.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_byte_buf(Bytes)
    }

    struct Bytes;

    impl<'de> Visitor<'de> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("bytes")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }

        fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
            Ok(bytes)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<u8>, A::Error> {
            let mut bytes = Vec::new();
            while let Some(byte) = sequence.next_element()? {
                bytes.push(byte);
            }
            Ok(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Whole(#[serde(with = "bytes")] Vec<u8>);

    #[test]
    fn bytes_are_written_the_same_as_a_whole_and_one_by_one() {
        let values: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let one_by_one = encode(&(values.clone(), 7u32));
        assert_eq!(encode(&(Whole(values.clone()), 7u32)), one_by_one);
        let read: (Whole, u32) = decode(&one_by_one).unwrap();
        assert_eq!(read, (Whole(values.clone()), 7));
        let text = serde_json::to_string(&Whole(vec![1, 2])).unwrap();
        let read: Whole = serde_json::from_str(&text).unwrap();
        assert_eq!(read, Whole(vec![1, 2]));
    }

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
