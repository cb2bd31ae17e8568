//! What can fail inside a transaction.

use crate::job::Epoch;
use crate::store::StoreError;

/// A failure of the file ends the whole transaction; the others concern one
/// operation.
#[derive(Debug, Clone)]
pub(super) enum OperationFailure {
    /// The file cannot be read or written, and must be opened again.
    File(String),
    /// The operation met unreadable bytes.
    Corrupt(String),
    /// The operation has a value that is too large for the file.
    TooLarge(String),
    /// The operation comes from a former master.
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
