//! Values whose bytes outlive the release that wrote them (docs/upgrading.md).
//! Each type has a version, which rises when its layout changes, and can read
//! what its earlier versions wrote.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::{self, DecodeError};

/// A type that [`codec`] writes.
pub trait Stored: Serialize + DeserializeOwned {
    /// Rises whenever the bytes of a value change.
    const VERSION: u8 = 1;

    /// Reads what an earlier version wrote. The default reads types that later
    /// got members at their end: absent members become `None`, zero or empty.
    /// Any other change needs its own reader here.
    /// # Errors
    /// When the bytes are no such value.
    fn earlier(_version: u8, content: &[u8]) -> Result<Self, DecodeError> {
        codec::read_shorter(content)
    }
}

/// Plain values never change.
macro_rules! plain {
    ($($type:ty),*) => { $(impl Stored for $type {})* };
}

plain!(
    (),
    bool,
    u8,
    u16,
    u32,
    u64,
    usize,
    i32,
    i64,
    String,
    Vec<u8>
);

/// Implements [`Stored`] for types, each with its name in `tests/golden` and
/// its version, and tests their layouts against the golden bytes.
macro_rules! stored {
    ($($name:literal: $type:ty = $version:literal),+ $(,)?) => {
        $(impl $crate::job::Stored for $type {
            const VERSION: u8 = $version;
        })+

        #[cfg(test)]
        mod golden_bytes {
            #[allow(unused_imports)]
            use super::*;

            #[test]
            fn layouts_have_versions() {
                $($crate::job::golden::check::<$type>($name);)+
            }
        }
    };
}

/// Implements [`Stored`] for types that travel only on the link: their version
/// is the link's, and nobody reads what an earlier one sent.
macro_rules! sent {
    ($version:expr; $($name:literal: $type:ty),+ $(,)?) => {
        $(impl $crate::job::Stored for $type {
            const VERSION: u8 = $version as u8;
        })+

        #[cfg(test)]
        mod golden_bytes {
            #[allow(unused_imports)]
            use super::*;

            #[test]
            fn layouts_have_versions() {
                $($crate::job::golden::check_sent::<$type>($name);)+
            }
        }
    };
}

/// A type of state rows, which are JSON (`context::state`). A release reads what
/// every earlier one wrote: a new member has `#[serde(default)]`, and one that is
/// no longer needed stays readable.
pub trait StoredAsJson: Serialize + DeserializeOwned {}

/// The reference to a request, by the reference id of its call.
impl StoredAsJson for String {}

/// Makes types [`StoredAsJson`], each with its name in `tests/golden`, and tests
/// that what was ever written can be read.
macro_rules! stored_as_json {
    ($($name:literal: $type:ty),+ $(,)?) => {
        $(impl $crate::job::StoredAsJson for $type {})+

        #[cfg(test)]
        mod golden_json {
            #[allow(unused_imports)]
            use super::*;

            #[test]
            fn every_layout_that_was_ever_written_can_be_read() {
                $($crate::job::golden::check_json::<$type>($name);)+
            }
        }
    };
}
pub(crate) use {sent, stored, stored_as_json};
