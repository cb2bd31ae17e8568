//! AS data on its way to the RP (spec/messaging-and-crypto.md 3.2).

use crate::error::{Error, codes};
use crate::mq::message::PackedData;

/// Packs data; compresses from `compress_from` bytes.
///
/// # Errors
/// 20085, 20086 when it is too large; 20070 for white space in a base64 data URL.
pub fn pack(_data: &str, _compress_from: usize) -> Result<PackedData, Error> {
    Err(codes::UNKNOWN_ERROR.into())
}

/// The original text.
///
/// # Errors
/// 10023 when it cannot be unpacked or is above 10 MiB.
pub fn unpack(_packed: &PackedData) -> Result<String, Error> {
    Err(codes::UNKNOWN_ERROR.into())
}

/// MIME type, parameters included, of a text that is a data URL (`text/plain;charset=US-ASCII` for a bare one).
pub fn data_url_type(_text: &str) -> Option<String> {
    None
}

/// Whether the text is a base64 data URL with white space in it (20070).
pub fn has_whitespace_in_base64_data_url(_text: &str) -> bool {
    false
}
