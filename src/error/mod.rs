//! The one error type that leaves the node: as an HTTP answer, or as `error`
//! in a callback (spec/http-api.md 1.5).

pub mod codes;

use serde_json::{Value, json};

/// Whose fault an error is; decides the HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `CLIENT_HTTP_ERROR_CODE`, 400 by default.
    Client,
    /// `SERVER_HTTP_ERROR_CODE`, 500 by default.
    Server,
    /// Always 403.
    Forbidden,
}

/// A row of the table in [`codes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The number clients compare.
    pub number: u32,
    /// The default message.
    pub message: &'static str,
    /// Whose fault it is.
    pub fault: Fault,
}

/// An error as clients see it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message} ({code})", code = code.number)]
pub struct Error {
    code: Code,
    message: String,
    details: Option<Box<Value>>,
    temporary: bool,
    unreadable: bool,
    of_crypto_service: bool,
}

impl Error {
    /// An error with a message of its own in place of the code's.
    pub fn with_message(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: None,
            temporary: false,
            unreadable: false,
            of_crypto_service: false,
        }
    }

    /// Adds `details`, the sibling of `error` in HTTP answers (codes 20002, 20003, 20059).
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// Marks a failure that may be gone when tried again: a ledger, store or
    /// crypto service that could not be reached. Jobs that meet one run again later.
    pub fn temporary(mut self) -> Self {
        self.temporary = true;
        self
    }

    /// Whether trying again later can help.
    pub fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// Marks that an external crypto service could not be reached: such a
    /// failure has a back-off and a limit of its own
    /// ([`crate::delivery::crypto_service`]).
    pub fn of_crypto_service(mut self) -> Self {
        self.of_crypto_service = true;
        self
    }

    /// Whether an external crypto service could not be reached.
    pub fn is_of_crypto_service(&self) -> bool {
        self.of_crypto_service
    }

    /// Marks that something stored cannot be understood: trying again does not
    /// help, but a later release, or an operator, may. Jobs that meet it are parked.
    pub fn unreadable(mut self) -> Self {
        self.unreadable = true;
        self
    }

    /// Whether something stored cannot be understood.
    pub fn is_unreadable(&self) -> bool {
        self.unreadable
    }

    /// The row of the code table.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The message sent to the client.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The `details` of an HTTP answer.
    pub fn details(&self) -> Option<&Value> {
        self.details.as_deref()
    }

    /// `{code, message}`, the `error` member of answers and callbacks.
    pub fn to_json(&self) -> Value {
        json!({"code": self.code.number, "message": self.message})
    }
}

impl From<Code> for Error {
    fn from(code: Code) -> Self {
        Self {
            code,
            message: code.message.to_owned(),
            details: None,
            temporary: false,
            unreadable: false,
            of_crypto_service: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ledger_codes_map_to_api_codes() {
        assert_eq!(codes::from_abci(8).number, 25002);
        assert_eq!(codes::from_abci(91).number, 15011);
        assert_eq!(codes::from_abci(999).number, 10000);
        assert_eq!(codes::from_abci(12345).number, 10006);
    }

    #[test]
    fn every_number_appears_once_but_the_shared_one() {
        let mut numbers: Vec<u32> = codes::ALL.iter().map(|code| code.number).collect();
        numbers.sort_unstable();
        let before = numbers.len();
        numbers.dedup();
        assert_eq!(before, numbers.len());
    }
}
