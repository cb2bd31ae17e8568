//! What can go wrong inside a transaction.

use crate::job::Epoch;
use crate::store::StoreError;

/// Tells apart what is wrong with the file, which ends the whole transaction,
/// and what is wrong with one operation.
#[derive(Debug, Clone)]
pub(super) enum OperationFailure {
    /// The file cannot be read or written; it has to be opened anew.
    File(String),
    /// This operation met something unreadable.
    Corrupt(String),
    /// This operation has a value that the file does not take.
    TooLarge(String),
    /// This operation comes from a former master.
    Deposed(Epoch),
}

impl From<OperationFailure> for StoreError {
    fn from(failure: OperationFailure) -> Self {
        match failure {
            OperationFailure::File(error) => StoreError::Unavailable(error),
            OperationFailure::Corrupt(error) => StoreError::Corrupt(error),
            OperationFailure::TooLarge(error) => StoreError::TooLarge(error),
            OperationFailure::Deposed(current) => StoreError::Deposed { current },
        }
    }
}

impl From<StoreError> for OperationFailure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(error) => OperationFailure::File(error),
            StoreError::Corrupt(error) => OperationFailure::Corrupt(error),
            StoreError::TooLarge(error) => OperationFailure::TooLarge(error),
            StoreError::Deposed { current } => OperationFailure::Deposed(current),
        }
    }
}

macro_rules! file_failures {
    ($($error:ty),+) => {$(
        impl From<$error> for OperationFailure {
            fn from(error: $error) -> Self {
                OperationFailure::File(error.to_string())
            }
        }
    )+};
}

impl From<redb::StorageError> for OperationFailure {
    fn from(error: redb::StorageError) -> Self {
        match error {
            redb::StorageError::ValueTooLarge(_) => OperationFailure::TooLarge(error.to_string()),
            error => OperationFailure::File(error.to_string()),
        }
    }
}

file_failures!(redb::TableError, redb::TransactionError, redb::CommitError);
