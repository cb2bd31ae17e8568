//! Values whose bytes outlive the release that wrote them
//! (docs/upgrading.md): each type has a version, which is raised when the layout
//! changes, and reads what its earlier versions wrote.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::{self, DecodeError};

/// A type that [`codec`] writes.
pub trait Stored: Serialize + DeserializeOwned {
    /// Raised whenever the bytes change that the same value is written as.
    const VERSION: u8 = 1;

    /// Reads what was written under an earlier version. By itself it reads
    /// types to which members were added at the end: those are absent, which
    /// means `None`, zero or empty. Any other change has a reader of its own
    /// here.
    ///
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

/// Makes types [`Stored`], each with its name in `tests/golden` and its version,
/// and tests that their layouts are the golden ones.
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

/// Makes types that only travel on the link [`Stored`]: their version is that of
/// the link, and nobody reads what an earlier one sent.
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
