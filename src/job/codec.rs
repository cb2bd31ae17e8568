//! How jobs, payloads and state are written as bytes. Only this module uses
//! bincode. The first byte is the version of the type ([`Stored`]), so that a
//! later release can read what an earlier one stored.

use serde::Deserialize;

use super::Stored;

/// More bytes than absent members take at the end of a type.
const ABSENT: [u8; 256] = [0; 256];

/// Bytes that are not a value of the expected type.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A release wrote it that this one cannot read.
    #[error("stored with version {found}, this release reads versions up to {known}")]
    Version {
        found: u8,
        /// The latest version that this release reads.
        known: u8,
    },
    #[error("empty value")]
    Empty,
    /// The version is known, but the content does not decode.
    #[error("cannot decode: {0}")]
    Content(#[from] bincode::error::DecodeError),
}

/// Most bytes of a value that is read: four times a write of the store at most. A
/// damaged length asks for no more memory than that.
const MOST_BYTES: usize = 1024 * 1024 * 1024;

fn configuration() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<MOST_BYTES>()
}

pub fn encode<T: Stored>(value: &T) -> Vec<u8> {
    let mut bytes = vec![T::VERSION];
    // Writing to memory cannot fail, and the types are plain data (no maps of
    // unknown length, no `serialize_any`).
    bincode::serde::encode_into_std_write(value, &mut bytes, configuration())
        .expect("plain data always encodes");
    bytes
}

/// Reads a value that [`encode`] of this or an earlier release wrote.
pub fn decode<T: Stored>(bytes: &[u8]) -> Result<T, DecodeError> {
    match bytes {
        [] => Err(DecodeError::Empty),
        [found, content @ ..] if *found == T::VERSION => read(content),
        [found, content @ ..] if (1..T::VERSION).contains(found) => T::earlier(*found, content),
        [found, ..] => Err(DecodeError::Version {
            found: *found,
            known: T::VERSION,
        }),
    }
}

/// Reads the bytes after the version.
pub fn read<T: for<'de> Deserialize<'de>>(content: &[u8]) -> Result<T, DecodeError> {
    let (value, _) = bincode::serde::decode_from_slice(content, configuration())?;
    Ok(value)
}

/// Reads a value whose last members may be absent.
pub(super) fn read_shorter<T: for<'de> Deserialize<'de>>(content: &[u8]) -> Result<T, DecodeError> {
    read(&[content, &ABSENT].concat())
}

/// For a member of type bytes (`#[serde(with = "codec::bytes")]`): writes and
/// reads it as a whole, not byte by byte. The result is the same.
pub mod bytes {
    use std::fmt;

    use serde::de::{SeqAccess, Visitor};
    use serde::{Deserializer, Serializer};

    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

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
    use serde::Serialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Whole(#[serde(with = "bytes")] Vec<u8>);

    impl Stored for (Whole, u32) {}
    impl Stored for (Vec<u8>, u32) {}
    impl Stored for (u32, String, Vec<u8>) {}

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Before {
        id: String,
        count: u64,
    }

    impl Stored for Before {}

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct After {
        id: String,
        count: u64,
        note: Option<String>,
        tries: u32,
        known: Vec<u64>,
        is_late: bool,
    }

    impl Stored for After {
        const VERSION: u8 = 2;
    }

    #[test]
    fn what_an_earlier_version_wrote_is_read_without_the_members_that_were_added() {
        let (id, count) = ("a".to_owned(), 300);
        let before = Before {
            id: id.clone(),
            count,
        };
        let after = After {
            id,
            count,
            note: None,
            tries: 0,
            known: Vec::new(),
            is_late: false,
        };
        assert_eq!(decode::<After>(&encode(&before)).unwrap(), after);
        let written = encode(&after);
        assert_eq!(decode::<After>(&written).unwrap(), after);
        let back = decode::<Before>(&written);
        let refused = matches!(back, Err(DecodeError::Version { found: 2, known: 1 }));
        assert!(refused, "an earlier release does not guess");
    }

    #[test]
    fn nothing_may_be_missing_of_what_this_version_wrote() {
        let whole = encode(&Before {
            id: "a".to_owned(),
            count: 300,
        });
        for length in 0..whole.len() {
            assert!(decode::<Before>(&whole[..length]).is_err(), "{length}");
        }
    }

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
    fn a_later_version_is_refused() {
        assert!(matches!(
            decode::<u32>(&[9, 1]),
            Err(DecodeError::Version { found: 9, .. })
        ));
        assert!(matches!(decode::<u32>(&[]), Err(DecodeError::Empty)));
    }
}
