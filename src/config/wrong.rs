//! A setting that proved wrong after the environment had been read.

use std::fmt;
use std::io;

/// Names the variable, its value and how to mend it. A process that ends
/// because of one exits as for a wrong environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongSetting(String);

impl WrongSetting {
    /// As an error of a process that starts.
    pub fn error(text: impl Into<String>) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, Self(text.into()))
    }

    /// Whether an error is one.
    pub fn is_cause_of(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

impl fmt::Display for WrongSetting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for WrongSetting {}
