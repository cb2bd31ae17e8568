//! What can go wrong inside a transaction.

use crate::job::Epoch;
use crate::store::StoreError;

/// Tells apart what is wrong with the file, which ends the whole transaction,
/// and what is wrong with one operation.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// The file cannot be read or written; it has to be opened anew.
    File(String),
    /// This operation met something unreadable.
    Corrupt(String),
    /// This operation has a value that the file does not take.
    TooLarge(String),
    /// This operation comes from a former master.
    Deposed(Epoch),
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::File(error) => StoreError::Unavailable(error),
            Failure::Corrupt(error) => StoreError::Corrupt(error),
            Failure::TooLarge(error) => StoreError::TooLarge(error),
            Failure::Deposed(current) => StoreError::Deposed { current },
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(error) => Failure::File(error),
            StoreError::Corrupt(error) => Failure::Corrupt(error),
            StoreError::TooLarge(error) => Failure::TooLarge(error),
            StoreError::Deposed { current } => Failure::Deposed(current),
        }
    }
}

macro_rules! file_failures {
    ($($error:ty),+) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Failure::File(error.to_string())
            }
        }
    )+};
}

impl From<redb::StorageError> for Failure {
    fn from(error: redb::StorageError) -> Self {
        match error {
            redb::StorageError::ValueTooLarge(_) => Failure::TooLarge(error.to_string()),
            error => Failure::File(error.to_string()),
        }
    }
}

file_failures!(redb::TableError, redb::TransactionError, redb::CommitError);
